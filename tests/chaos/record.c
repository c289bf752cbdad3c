/*
 * record.c -- the file of operations of one life of a worker.
 *
 * Owns:     the mapping.
 * Must not know: what is judged.
 * Threads:  any may take places; a place belongs to the thread that took it.
 * Fails:    when the file cannot be made, and then says so by NULL.
 * Begin at: chaos_log_begin().
 */
#include "record.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char magic[8] = "chaoslg1";

struct head {
    char magic[8];
    uint64_t record_size;
    uint64_t record_max;
    _Atomic uint64_t taken;
};

struct chaos_log {
    struct head *head;
    struct chaos_record *records;
};

uint64_t chaos_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const char *chaos_kind_name(unsigned kind)
{
    static const char *const names[CHAOS_KINDS] = {"?",          "get",    "get_many", "final",
                                                   "insert",     "update", "upsert",   "delete",
                                                   "raw update", "token",  "follow"};
    return kind < CHAOS_KINDS ? names[kind] : "?";
}

const char *chaos_table_name(unsigned table)
{
    static const char *const names[CHAOS_TABLES] = {"chaos_strict", "chaos_relaxed",
                                                    "chaos_outbox"};
    return table < CHAOS_TABLES ? names[table] : "?";
}

const char *chaos_level_name(unsigned level)
{
    static const char *const names[] = {"any", "bounded", "session", "strong"};
    return level < 4 ? names[level] : "?";
}

struct chaos_log *chaos_log_make(const char *path, size_t record_max)
{
    const size_t size = sizeof(struct head) + record_max * sizeof(struct chaos_record);
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    void *map = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    struct chaos_log *log = map != MAP_FAILED ? malloc(sizeof *log) : NULL;
    if (log == NULL)
        return NULL;
    log->head = map;
    log->records = (struct chaos_record *)(log->head + 1);
    log->head->record_size = sizeof(struct chaos_record);
    log->head->record_max = record_max;
    memcpy(log->head->magic, magic, sizeof magic);
    return log;
}

struct chaos_record *chaos_log_begin(struct chaos_log *log)
{
    const uint64_t place = atomic_fetch_add(&log->head->taken, 1);
    if (place >= log->head->record_max)
        return NULL;
    struct chaos_record *record = &log->records[place];
    record->began_ns = chaos_now_ns();
    return record;
}

void chaos_log_end(struct chaos_record *record)
{
    record->ended_ns = chaos_now_ns();
    atomic_store_explicit(&record->state, CHAOS_DONE, memory_order_release);
}

bool chaos_log_open(const char *path, struct chaos_log_view *view_out)
{
    struct stat status;
    void *map = MAP_FAILED;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && (size_t)status.st_size >= sizeof(struct head))
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED)
        return false;
    const struct head *head = map;
    const size_t room = ((size_t)status.st_size - sizeof *head) / sizeof(struct chaos_record);
    const uint64_t taken = atomic_load(&head->taken);
    *view_out = (struct chaos_log_view){.map = map, .map_size = (size_t)status.st_size};
    /* A worker may be killed between making the file and naming it: then nothing was done either. */
    if (memcmp(head->magic, magic, sizeof magic) != 0 ||
        head->record_size != sizeof(struct chaos_record))
        return true;
    view_out->records = (struct chaos_record *)((char *)map + sizeof *head);
    view_out->count = taken < room ? (size_t)taken : room;
    return true;
}

void chaos_log_close(struct chaos_log_view *view)
{
    if (view->map != NULL)
        munmap(view->map, view->map_size);
    *view = (struct chaos_log_view){0};
}
