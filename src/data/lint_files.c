/*
 * lint_files.c -- the linter's files: one, or all *.sql of a folder, by name.
 *
 * Owns:     file descriptors while they are read.
 * Must not know: SQL.
 * Threads:  one at a time.
 * Fails:    TEARS_NOT_FOUND, TEARS_DENIED, TEARS_UNAVAILABLE, TEARS_LIMIT, TEARS_NO_MEMORY.
 * Begin at: tears_lint_add_path().
 *
 * What cannot be read is an error, and so is a folder without SQL: neither is a clean answer.
 */
#include "base/fail.h"
#include "base/str.h"
#include "data/lint_object.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORIGIN "lint"

enum { FILE_BYTES_MAX = 16 << 20, FOLDERS_DEEP_MAX = 16, PATH_SIZE = 4096 };

/* A path that grows and shrinks while folders are walked. */
struct walk {
    tears_lint *lint;
    struct t3_arena arena;
    struct tears_error *error;
    char path[PATH_SIZE];
    size_t len;
    uint64_t files;
};

static void walk_done(struct walk *walk)
{
    t3_arena_done(&walk->arena);
}

static void close_file(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* it was only read */
}

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        (void)closedir(*folder);
}

static tears_status fail_path(const struct walk *walk, const char *what)
{
    const int why = errno;
    const tears_status status = why == ENOENT || why == ENOTDIR ? TEARS_NOT_FOUND
                                : why == EACCES                 ? TEARS_DENIED
                                                                : TEARS_UNAVAILABLE;
    char text[128];
    return t3_fail_detail(walk->error, status, ORIGIN, why, "", "cannot %s '%s': %s", what,
                          walk->path, strerror_r(why, text, sizeof text));
}

/* ---- a file ---- */

static tears_status read_all(const struct walk *walk, int fd, struct t3_buf *text)
{
    text->len_max = FILE_BYTES_MAX;
    for (;;) {
        char bytes[16384];
        const ssize_t got = read(fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_path(walk, "read");
        if (got == 0)
            return TEARS_OK;
        const tears_status status = t3_buf_put(text, tears_str_n(bytes, (size_t)got));
        if (status == TEARS_LIMIT)
            return t3_fail(walk->error, status, ORIGIN, "'%s' is larger than %d bytes", walk->path,
                           (int)FILE_BYTES_MAX);
        if (status != TEARS_OK)
            return t3_fail_memory(walk->error, ORIGIN);
    }
}

static tears_status add_file(struct walk *walk)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(close_file) const int fd = open(walk->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_path(walk, "open");
    T3_TRY(read_all(walk, fd, &text));
    walk->files++;
    return tears_lint_add_sql(walk->lint, tears_str_n(walk->path, walk->len), t3_buf_str(&text),
                              walk->error);
}

/* ---- a folder ---- */

/* The names in the folder that are not hidden, in order. */
static int by_name(const void *left, const void *right)
{
    const struct tears_str *a = left;
    const struct tears_str *b = right;
    return t3_str_compare(*a, *b);
}

static tears_status put_name(struct walk *walk, const char *name, struct tears_str **names,
                             size_t *count, size_t *room)
{
    if (*count == *room) {
        const size_t wider = *room == 0 ? 64 : *room * 2;
        struct tears_str *items = t3_arena_array(&walk->arena, wider, sizeof *items);
        if (items == NULL)
            return t3_fail_memory(walk->error, ORIGIN);
        if (*count > 0)
            memcpy(items, *names, *count * sizeof *items);
        *names = items;
        *room = wider;
    }
    if (t3_arena_str(&walk->arena, tears_str_c(name), &(*names)[*count]) != TEARS_OK)
        return t3_fail_memory(walk->error, ORIGIN);
    (*count)++;
    return TEARS_OK;
}

static tears_status list(struct walk *walk, struct tears_str **names_out, size_t *count_out)
{
    T3_AUTO(close_folder) DIR *folder = opendir(walk->path);
    size_t room = 0;
    if (folder == NULL)
        return fail_path(walk, "list");
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL)
            break;
        if (entry->d_name[0] != '.')
            T3_TRY(put_name(walk, entry->d_name, names_out, count_out, &room));
    }
    if (errno != 0)
        return fail_path(walk, "list");
    if (*count_out > 1)
        qsort(*names_out, *count_out, sizeof **names_out, by_name);
    return TEARS_OK;
}

static bool is_sql(struct tears_str name)
{
    return name.len > 4 && memcmp(name.ptr + name.len - 4, ".sql", 4) == 0;
}

static tears_status add_folder(struct walk *walk, unsigned depth);

static tears_status add_entry(struct walk *walk, struct tears_str name, unsigned depth)
{
    struct stat facts;
    const size_t before = walk->len;
    tears_status status = TEARS_OK;
    if (walk->len + name.len + 2 > PATH_SIZE)
        return t3_fail(walk->error, TEARS_LIMIT, ORIGIN, "a path below '%s' is too long",
                       walk->path);
    walk->path[walk->len] = '/';
    memcpy(walk->path + walk->len + 1, name.ptr, name.len);
    walk->len += name.len + 1;
    walk->path[walk->len] = '\0';
    if (stat(walk->path, &facts) != 0)
        status = fail_path(walk, "look at");
    else if (S_ISDIR(facts.st_mode))
        status = add_folder(walk, depth + 1);
    else if (S_ISREG(facts.st_mode) && is_sql(name))
        status = add_file(walk);
    walk->len = before;
    walk->path[before] = '\0';
    return status;
}

static tears_status add_folder(struct walk *walk, unsigned depth)
{
    struct tears_str *names = NULL;
    size_t count = 0;
    if (depth > FOLDERS_DEEP_MAX)
        return t3_fail(walk->error, TEARS_LIMIT, ORIGIN, "folders in '%s' are too deep",
                       walk->path);
    T3_TRY(list(walk, &names, &count));
    for (size_t i = 0; i < count; i++)
        T3_TRY(add_entry(walk, names[i], depth));
    return TEARS_OK;
}

static tears_status add_path(struct walk *walk)
{
    struct stat facts;
    if (stat(walk->path, &facts) != 0)
        return fail_path(walk, "look at");
    if (!S_ISDIR(facts.st_mode))
        return add_file(walk);
    if (t3_lint_saw(walk->lint, tears_str_n(walk->path, walk->len), true) != TEARS_OK)
        return t3_fail_memory(walk->error, ORIGIN);
    T3_TRY(add_folder(walk, 0));
    if (walk->files == 0)
        return t3_fail(walk->error, TEARS_NOT_FOUND, ORIGIN, "there are no *.sql files in '%s'",
                       walk->path);
    return TEARS_OK;
}

tears_status tears_lint_add_path(tears_lint *lint, struct tears_str path,
                                 struct tears_error *error_out)
{
    T3_AUTO(walk_done) struct walk walk = {.lint = lint, .error = error_out};
    size_t len = path.len;
    while (len > 1 && path.ptr[len - 1] == '/')
        len--;
    if (len == 0 || memchr(path.ptr, '\0', len) != NULL)
        return t3_fail(error_out, TEARS_NOT_FOUND, ORIGIN, "a path is empty or has a NUL in it");
    if (len >= PATH_SIZE)
        return t3_fail(error_out, TEARS_LIMIT, ORIGIN, "a path is longer than %d bytes",
                       (int)PATH_SIZE - 1);
    memcpy(walk.path, path.ptr, len);
    walk.path[len] = '\0';
    walk.len = len;
    return add_path(&walk);
}
