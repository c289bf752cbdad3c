/*
 * torn_vfs.c -- files as a machine leaves them whose power fails.
 *
 * Owns:     a list of the changes of every file that were not synced, with what was there before.
 * Threads:  any; one mutex.
 * Begin at: torn_begin(), write_file().
 *
 * Writes go to the real files at once, so that everybody reads them.  When the power fails, nothing is changed any more; at the end
 * of the world the changes are undone, the last first, and then done again in part.
 */
#include "support/torn_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512, PATHS_MAX = 16 };

/* `old_len` bytes stood where `len` bytes were written; a truncation has cut `old_len` bytes off and written none. */
struct change {
    struct change *before;
    int64_t at;
    int64_t size; /* of the file, before */
    int len;
    int old_len;
    unsigned char bytes[]; /* the new ones, then the old ones */
};

struct path {
    char *name;
    struct change *last;
};

struct torn_file {
    sqlite3_file base;
    sqlite3_file *real;
    struct path *path; /* NULL: not simulated */
};

static struct {
    pthread_mutex_t mutex;
    struct path paths[PATHS_MAX];
    int path_count;
    uint64_t random;
    uint64_t changes;
    uint64_t fails_at;
    bool has_failed;
    bool is_full;
    sqlite3_vfs *real;
    sqlite3_vfs vfs;
} world = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t draw(void)
{
    world.random ^= world.random << 13;
    world.random ^= world.random >> 7;
    world.random ^= world.random << 17;
    return world.random;
}

static struct torn_file *torn(sqlite3_file *file)
{
    return (struct torn_file *)(void *)file;
}

/* ---- the list of changes ---- */

static void forget(struct path *path)
{
    while (path->last != NULL) {
        struct change *change = path->last;
        path->last = change->before;
        free(change);
    }
}

static struct path *path_of(const char *name)
{
    for (int i = 0; i < world.path_count; i++)
        if (strcmp(world.paths[i].name, name) == 0)
            return &world.paths[i];
    check(world.path_count < PATHS_MAX);
    struct path *path = &world.paths[world.path_count++];
    path->name = strdup(name);
    check(path->name != NULL);
    path->last = NULL;
    return path;
}

static void note(struct torn_file *file, const void *bytes, int len, int64_t at, int old_len)
{
    struct change *change = malloc(sizeof *change + (size_t)len + (size_t)old_len);
    check(change != NULL);
    sqlite3_int64 size = 0;
    check(file->real->pMethods->xFileSize(file->real, &size) == SQLITE_OK);
    *change = (struct change){
        .before = file->path->last, .at = at, .size = size, .len = len, .old_len = old_len};
    if (len > 0)
        memcpy(change->bytes, bytes, (size_t)len);
    if (old_len > 0)
        (void)file->real->pMethods->xRead(file->real, change->bytes + len, old_len, at);
    file->path->last = change;
}

/* Whether the power is on for one more change; the one at which it fails is still begun. */
static bool one_more(void)
{
    if (world.has_failed)
        return false;
    world.changes++;
    if (world.fails_at != 0 && world.changes >= world.fails_at)
        world.has_failed = true;
    return true;
}

/* ---- a file's methods ---- */

static int close_file(sqlite3_file *file)
{
    struct torn_file *self = torn(file);
    const int rc = self->real->pMethods->xClose(self->real);
    free(self->real);
    return rc;
}

static int read_file(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
    struct torn_file *self = torn(file);
    if (torn_has_failed())
        return SQLITE_IOERR_READ;
    return self->real->pMethods->xRead(self->real, to, len, at);
}

static int write_locked(struct torn_file *self, const void *bytes, int len, int64_t at)
{
    sqlite3_int64 size = 0;
    if (self->path == NULL)
        return self->real->pMethods->xWrite(self->real, bytes, len, at);
    check(self->real->pMethods->xFileSize(self->real, &size) == SQLITE_OK);
    if (world.is_full && at + len > size)
        return SQLITE_FULL;
    if (!one_more())
        return SQLITE_IOERR_WRITE;
    const int64_t there = size > at ? size - at : 0;
    note(self, bytes, len, at, there < len ? (int)there : len);
    const int rc = self->real->pMethods->xWrite(self->real, bytes, len, at);
    return world.has_failed ? SQLITE_IOERR_WRITE : rc;
}

static int write_file(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    pthread_mutex_lock(&world.mutex);
    const int rc = write_locked(torn(file), bytes, len, at);
    pthread_mutex_unlock(&world.mutex);
    return rc;
}

static int truncate_locked(struct torn_file *self, int64_t to)
{
    sqlite3_int64 size = 0;
    if (self->path == NULL)
        return self->real->pMethods->xTruncate(self->real, to);
    if (!one_more())
        return SQLITE_IOERR_TRUNCATE;
    check(self->real->pMethods->xFileSize(self->real, &size) == SQLITE_OK);
    note(self, NULL, 0, to, size > to ? (int)(size - to) : 0);
    const int rc = self->real->pMethods->xTruncate(self->real, to);
    return world.has_failed ? SQLITE_IOERR_TRUNCATE : rc;
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 to)
{
    pthread_mutex_lock(&world.mutex);
    const int rc = truncate_locked(torn(file), to);
    pthread_mutex_unlock(&world.mutex);
    return rc;
}

/* The test does not need the real disk, and would wait for it. */
static int sync_file(sqlite3_file *file, int flags)
{
    (void)flags;
    int rc = SQLITE_IOERR_FSYNC;
    pthread_mutex_lock(&world.mutex);
    struct torn_file *self = torn(file);
    if (self->path == NULL || one_more()) {
        rc = world.has_failed ? SQLITE_IOERR_FSYNC : SQLITE_OK;
        if (rc == SQLITE_OK && self->path != NULL)
            forget(self->path);
    }
    pthread_mutex_unlock(&world.mutex);
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size_out)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xFileSize(self->real, size_out);
}

static int lock_file(sqlite3_file *file, int level)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xLock(self->real, level);
}

static int unlock_file(sqlite3_file *file, int level)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xUnlock(self->real, level);
}

static int check_reserved(sqlite3_file *file, int *out)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xCheckReservedLock(self->real, out);
}

static int file_control(sqlite3_file *file, int op, void *argument)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xFileControl(self->real, op, argument);
}

static int sector_size(sqlite3_file *file)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xSectorSize(self->real);
}

static int characteristics(sqlite3_file *file)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xDeviceCharacteristics(self->real);
}

static int shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xShmMap(self->real, page, size, extend, out);
}

static int shm_lock(sqlite3_file *file, int at, int count, int flags)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xShmLock(self->real, at, count, flags);
}

static void shm_barrier(sqlite3_file *file)
{
    struct torn_file *self = torn(file);
    self->real->pMethods->xShmBarrier(self->real);
}

static int shm_unmap(sqlite3_file *file, int remove)
{
    struct torn_file *self = torn(file);
    return self->real->pMethods->xShmUnmap(self->real, remove);
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = close_file,
                                           .xRead = read_file,
                                           .xWrite = write_file,
                                           .xTruncate = truncate_file,
                                           .xSync = sync_file,
                                           .xFileSize = file_size,
                                           .xLock = lock_file,
                                           .xUnlock = unlock_file,
                                           .xCheckReservedLock = check_reserved,
                                           .xFileControl = file_control,
                                           .xSectorSize = sector_size,
                                           .xDeviceCharacteristics = characteristics,
                                           .xShmMap = shm_map,
                                           .xShmLock = shm_lock,
                                           .xShmBarrier = shm_barrier,
                                           .xShmUnmap = shm_unmap};

/* ---- the VFS ---- */

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    struct torn_file *self = torn(file);
    self->base.pMethods = NULL;
    if (torn_has_failed())
        return SQLITE_CANTOPEN;
    self->real = calloc(1, (size_t)world.real->szOsFile);
    check(self->real != NULL);
    const int rc = world.real->xOpen(world.real, name, self->real, flags, out);
    if (rc != SQLITE_OK) {
        free(self->real);
        return rc;
    }
    pthread_mutex_lock(&world.mutex);
    self->path = name != NULL ? path_of(name) : NULL;
    pthread_mutex_unlock(&world.mutex);
    self->base.pMethods = &methods;
    return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    (void)sync;
    int rc = SQLITE_IOERR_DELETE;
    pthread_mutex_lock(&world.mutex);
    if (one_more() && !world.has_failed) {
        forget(path_of(name));
        rc = world.real->xDelete(world.real, name, 0);
    }
    pthread_mutex_unlock(&world.mutex);
    return rc;
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    (void)vfs;
    return world.real->xAccess(world.real, name, flags, out);
}

static int full_name(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
    (void)vfs;
    return world.real->xFullPathname(world.real, name, len, out);
}

static void install(void)
{
    if (world.real != NULL)
        return;
    world.real = sqlite3_vfs_find(NULL);
    check(world.real != NULL);
    world.vfs = *world.real;
    world.vfs.szOsFile = (int)sizeof(struct torn_file);
    world.vfs.pNext = NULL;
    world.vfs.zName = TORN_VFS;
    world.vfs.xOpen = open_file;
    world.vfs.xDelete = delete_file;
    world.vfs.xAccess = access_file;
    world.vfs.xFullPathname = full_name;
    check(sqlite3_vfs_register(&world.vfs, 0) == SQLITE_OK);
}

/* ---- what is on the disk ---- */

struct image {
    unsigned char *bytes;
    int64_t size, room;
};

static void resize(struct image *image, int64_t size)
{
    if (size > image->room) {
        image->room = size * 2;
        image->bytes = realloc(image->bytes, (size_t)image->room);
        check(image->bytes != NULL);
    }
    if (size > image->size)
        memset(image->bytes + image->size, 0, (size_t)(size - image->size));
    image->size = size;
}

static void put(struct image *image, int64_t at, const unsigned char *bytes, int64_t len)
{
    if (at + len > image->size)
        resize(image, at + len);
    if (len > 0)
        memcpy(image->bytes + at, bytes, (size_t)len);
}

static void undo(struct image *image, const struct change *change)
{
    put(image, change->at, change->bytes + change->len, change->old_len);
    resize(image, change->size);
}

/* `kept` of 100 pieces reach the disk. */
static void redo(struct image *image, const struct change *change, uint64_t kept)
{
    if (change->len == 0) {
        if (draw() % 100 < kept)
            resize(image, change->at);
        return;
    }
    for (int64_t from = 0; from < change->len;) {
        const int64_t to_sector = SECTOR - (change->at + from) % SECTOR;
        const int64_t len = to_sector < change->len - from ? to_sector : change->len - from;
        if (draw() % 100 < kept)
            put(image, change->at + from, change->bytes + from, len);
        from += len;
    }
}

static void settle(struct path *path)
{
    static const uint64_t kept[] = {0, 10, 50, 90, 99, 100};
    struct image image = {0};
    FILE *file = fopen(path->name, "rb");
    if (file == NULL || path->last == NULL) {
        if (file != NULL)
            fclose(file);
        return;
    }
    resize(&image, 1); /* never NULL */
    for (int c = getc(file), n = 0; c != EOF; c = getc(file), n++) {
        resize(&image, n + 1);
        image.bytes[n] = (unsigned char)c;
    }
    image.size = ftell(file);
    fclose(file);
    struct change *first = NULL;
    for (struct change *change = path->last, *before; change != NULL; change = before) {
        before = change->before;
        undo(&image, change);
        change->before = first; /* now the one after */
        first = change;
    }
    const uint64_t share = kept[draw() % (sizeof kept / sizeof kept[0])];
    for (const struct change *change = first; change != NULL; change = change->before)
        redo(&image, change, share);
    path->last = first;
    file = fopen(path->name, "wb");
    check(file != NULL && fwrite(image.bytes, 1, (size_t)image.size, file) == (size_t)image.size);
    check(fclose(file) == 0);
    free(image.bytes);
}

/* ---- the world ---- */

void torn_begin(uint64_t seed, uint64_t fails_at)
{
    install();
    world.random = (seed + 1) * 0x9e3779b97f4a7c15u;
    world.changes = 0;
    world.fails_at = fails_at;
    world.has_failed = false;
    world.is_full = false;
}

void torn_fail(void)
{
    pthread_mutex_lock(&world.mutex);
    world.has_failed = true;
    pthread_mutex_unlock(&world.mutex);
}

bool torn_has_failed(void)
{
    pthread_mutex_lock(&world.mutex);
    const bool has_failed = world.has_failed;
    pthread_mutex_unlock(&world.mutex);
    return has_failed;
}

uint64_t torn_changes(void)
{
    pthread_mutex_lock(&world.mutex);
    const uint64_t changes = world.changes;
    pthread_mutex_unlock(&world.mutex);
    return changes;
}

void torn_fill_disk(bool full)
{
    pthread_mutex_lock(&world.mutex);
    world.is_full = full;
    pthread_mutex_unlock(&world.mutex);
}

void torn_end(void)
{
    for (int i = 0; i < world.path_count; i++) {
        if (world.has_failed)
            settle(&world.paths[i]);
        forget(&world.paths[i]);
        free(world.paths[i].name);
    }
    world.path_count = 0;
    world.has_failed = false;
}
