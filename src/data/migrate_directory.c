/*
 * migrate_directory.c -- packages from directories of SQL files.
 *
 * Owns:     the texts, until they are copied into the migrator.
 * Must not know: the database.
 * Threads:  the migrator's.
 * Fails:    as tears_migrator_add_directory says.
 * Begin at: tears_migrator_add_directory().
 *
 *     migrations/
 *       package.json                  {"name": "users", "scope": "platform", "depends_on": ["core"]}
 *       0001_create_users.up.sql
 *       0001_create_users.down.sql
 *       0002_add_email.up.sql
 */
#include "data/migrate_impl.h"

#include "base/str.h"
#include "codec/json_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 100000, HEADER_BYTES_MAX = 1 << 20, DIGITS_MAX = 10 };

/* A version, as its files are found one by one. */
struct found {
    int64_t number;
    struct tears_str description;
    struct tears_str up_name; /* "": not found */
    struct tears_str down_name;
};

struct reading {
    struct tears_migrator *migrator;
    struct t3_arena arena;
    struct tears_str path;
    int folder;
    struct found *items;
    size_t count;
    size_t capacity;
};

static tears_status no_memory(struct reading *reading)
{
    return t3_fail_memory(&reading->migrator->error, T3_MIGRATE_ORIGIN);
}

static tears_status failed(struct reading *reading, struct tears_str name, int cause)
{
    tears_status status = TEARS_UNAVAILABLE;
    const char *text = "it cannot be read";
    if (cause == ENOENT || cause == ENOTDIR) {
        status = TEARS_NOT_FOUND;
        text = cause == ENOENT ? "there is no such file or directory" : "it is not a directory";
    } else if (cause == EACCES || cause == EPERM) {
        status = TEARS_DENIED;
        text = "permission denied";
    }
    return t3_fail_detail(&reading->migrator->error, status, T3_MIGRATE_ORIGIN, cause, "",
                          T3_STR_FMT "%s" T3_STR_FMT ": %s", T3_STR_ARG(reading->path),
                          name.len > 0 ? "/" : "", T3_STR_ARG(name), text);
}

static tears_status refuse(struct reading *reading, struct tears_str name, const char *why)
{
    return t3_fail(&reading->migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                   T3_STR_FMT "/" T3_STR_FMT ": %s", T3_STR_ARG(reading->path), T3_STR_ARG(name),
                   why);
}

/* ---- files ---- */

static int read_all(int fd, char *to, size_t size, size_t *got_out)
{
    size_t got = 0;
    while (got < size) {
        const ssize_t more = read(fd, to + got, size - got);
        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return errno;
        if (more == 0)
            break;
        got += (size_t)more;
    }
    *got_out = got;
    return 0;
}

static tears_status read_open(struct reading *reading, int fd, struct tears_str name,
                              struct tears_str *text_out)
{
    struct stat facts;
    size_t got = 0;
    if (fstat(fd, &facts) != 0)
        return failed(reading, name, errno);
    if (!S_ISREG(facts.st_mode))
        return refuse(reading, name, "it is not a file");
    if (facts.st_size > T3_MIGRATE_FILE_BYTES_MAX)
        return t3_fail(&reading->migrator->error, TEARS_LIMIT, T3_MIGRATE_ORIGIN,
                       T3_STR_FMT "/" T3_STR_FMT ": the file is larger than 16 MiB",
                       T3_STR_ARG(reading->path), T3_STR_ARG(name));
    char *text = t3_arena_alloc(&reading->arena, (size_t)facts.st_size + 1);
    if (text == NULL)
        return no_memory(reading);
    const int cause = read_all(fd, text, (size_t)facts.st_size, &got);
    if (cause != 0)
        return failed(reading, name, cause);
    text[got] = '\0';
    *text_out = tears_str_n(text, got);
    if (!t3_str_is_utf8(*text_out) || memchr(text, '\0', got) != NULL)
        return refuse(reading, name, "it is not UTF-8 text");
    return TEARS_OK;
}

static tears_status read_file(struct reading *reading, struct tears_str name,
                              struct tears_str *text_out)
{
    const int fd = openat(reading->folder, name.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return failed(reading, name, errno);
    const tears_status status = read_open(reading, fd, name, text_out);
    (void)close(fd); /* only read from */
    return status;
}

/* ---- names ---- */

static bool takes_end(struct tears_str *name, const char *end)
{
    const size_t len = strlen(end);
    if (name->len < len || memcmp(name->ptr + name->len - len, end, len) != 0)
        return false;
    name->len -= len;
    return true;
}

/* "0003_add_email" is version 3, "add email". */
static bool parse_stem(struct reading *reading, struct tears_str stem, struct found *found)
{
    size_t at = 0;
    for (; at < stem.len && stem.ptr[at] >= '0' && stem.ptr[at] <= '9' && at < DIGITS_MAX; at++)
        found->number = found->number * 10 + (stem.ptr[at] - '0');
    if (at == 0 || at >= stem.len || stem.ptr[at] != '_' || at + 1 == stem.len)
        return false;
    struct tears_str words;
    if (t3_arena_str(&reading->arena, t3_str_from(stem, at + 1), &words) != TEARS_OK)
        return false;
    char *letters = t3_arena_alloc(&reading->arena, words.len + 1);
    if (letters == NULL)
        return false;
    for (size_t i = 0; i < words.len; i++)
        letters[i] = words.ptr[i] == '_' ? ' ' : words.ptr[i];
    letters[words.len] = '\0';
    found->description = tears_str_n(letters, words.len);
    return true;
}

static struct found *find_or_add(struct reading *reading, const struct found *wanted)
{
    for (size_t i = 0; i < reading->count; i++)
        if (reading->items[i].number == wanted->number)
            return &reading->items[i];
    if (reading->count == reading->capacity) {
        const size_t capacity = reading->capacity > 0 ? reading->capacity * 2 : 64;
        struct found *items = t3_arena_array(&reading->arena, capacity, sizeof *items);
        if (items == NULL)
            return NULL;
        if (reading->count > 0)
            memcpy(items, reading->items, reading->count * sizeof *items);
        reading->items = items;
        reading->capacity = capacity;
    }
    struct found *added = &reading->items[reading->count++];
    *added = *wanted;
    return added;
}

static tears_status take_name(struct reading *reading, struct tears_str name)
{
    struct tears_str stem = name;
    const bool is_up = takes_end(&stem, ".up.sql");
    if (!is_up && !takes_end(&stem, ".down.sql")) {
        if (takes_end(&stem, ".sql"))
            return refuse(reading, name,
                          "SQL files are called NNNN_description.up.sql or .down.sql");
        return TEARS_OK;
    }
    struct found wanted = {0};
    if (!parse_stem(reading, stem, &wanted))
        return refuse(reading, name, "SQL files are called NNNN_description.up.sql or .down.sql");
    struct found *found = find_or_add(reading, &wanted);
    if (found == NULL)
        return no_memory(reading);
    struct tears_str *slot = is_up ? &found->up_name : &found->down_name;
    if (slot->len > 0)
        return t3_fail(&reading->migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN,
                       T3_STR_FMT ": both " T3_STR_FMT " and " T3_STR_FMT " are version %lld",
                       T3_STR_ARG(reading->path), T3_STR_ARG(*slot), T3_STR_ARG(name),
                       (long long)wanted.number);
    if (!t3_str_equal(found->description, wanted.description))
        return refuse(reading, name, "the two files of a version have one description");
    *slot = name;
    return TEARS_OK;
}

/* ---- what is in a directory ---- */

struct names {
    struct tears_str *items;
    size_t count;
    size_t capacity;
};

static int compare_names(const void *a, const void *b)
{
    return t3_str_compare(*(const struct tears_str *)a, *(const struct tears_str *)b);
}

static tears_status keep_name(struct reading *reading, struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity > 0 ? names->capacity * 2 : 64;
        struct tears_str *items = t3_arena_array(&reading->arena, capacity, sizeof *items);
        if (items == NULL)
            return no_memory(reading);
        if (names->count > 0)
            memcpy(items, names->items, names->count * sizeof *items);
        names->items = items;
        names->capacity = capacity;
    }
    return t3_arena_str(&reading->arena, tears_str_c(name), &names->items[names->count++]) ==
                   TEARS_OK
               ? TEARS_OK
               : no_memory(reading);
}

static tears_status read_names(struct reading *reading, DIR *directory, struct names *names)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            return errno == 0 ? TEARS_OK : failed(reading, TEARS_STR(""), errno);
        if (names->count == FILES_MAX)
            return t3_fail(&reading->migrator->error, TEARS_LIMIT, T3_MIGRATE_ORIGIN,
                           T3_STR_FMT ": more than %d files", T3_STR_ARG(reading->path), FILES_MAX);
        if (entry->d_name[0] != '.')
            T3_TRY(keep_name(reading, names, entry->d_name));
    }
}

/* The names in it, sorted, so that nothing depends on the file system. */
static tears_status list(struct reading *reading, struct names *names)
{
    const int again = openat(reading->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0)
        return failed(reading, TEARS_STR(""), errno);
    DIR *directory = fdopendir(again);
    if (directory == NULL) {
        (void)close(again); /* only read from */
        return no_memory(reading);
    }
    const tears_status status = read_names(reading, directory, names);
    (void)closedir(directory); /* only read from */
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    return status;
}

/* ---- the header ---- */

static tears_status text_member(struct reading *reading, const json_t *root, const char *member,
                                struct tears_str *text_out)
{
    const json_t *value = json_object_get(root, member);
    if (!json_is_string(value))
        return t3_fail(&reading->migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       T3_STR_FMT "/package.json: '%s' must be a text", T3_STR_ARG(reading->path),
                       member);
    const struct tears_str text = tears_str_n(json_string_value(value), json_string_length(value));
    return t3_arena_str(&reading->arena, text, text_out) == TEARS_OK ? TEARS_OK
                                                                     : no_memory(reading);
}

static tears_status dependencies(struct reading *reading, const json_t *root,
                                 struct tears_package_def *def)
{
    const json_t *list = json_object_get(root, "depends_on");
    if (list == NULL)
        return TEARS_OK;
    if (!json_is_array(list))
        return refuse(reading, TEARS_STR("package.json"), "'depends_on' must be a list of names");
    struct tears_str *names = t3_arena_array(&reading->arena, json_array_size(list), sizeof *names);
    if (names == NULL)
        return no_memory(reading);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *name = json_array_get(list, i);
        if (!json_is_string(name))
            return refuse(reading, TEARS_STR("package.json"),
                          "'depends_on' must be a list of names");
        if (t3_arena_str(&reading->arena, tears_str_c(json_string_value(name)), &names[i]) !=
            TEARS_OK)
            return no_memory(reading);
    }
    def->depends_on = names;
    def->depends_on_count = json_array_size(list);
    return TEARS_OK;
}

static tears_status read_header(struct reading *reading, struct tears_package_def *def)
{
    static const char *const known[] = {"name", "scope", "depends_on", "description"};
    struct tears_str text = {0};
    struct tears_str scope = {0};
    T3_AUTO(t3_json_done) json_t *root = NULL;
    T3_TRY(read_file(reading, TEARS_STR("package.json"), &text));
    struct tears_error error = {0};
    const tears_status status = t3_json_tree_parse(text, &root, &error);
    if (status != TEARS_OK)
        return t3_fail(&reading->migrator->error, status, T3_MIGRATE_ORIGIN,
                       T3_STR_FMT "/package.json: %s", T3_STR_ARG(reading->path), error.message);
    if (!json_is_object(root))
        return refuse(reading, TEARS_STR("package.json"), "it must be an object");
    const char *member;
    json_t *value;
    json_object_foreach(root, member, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < T3_COUNT(known); i++)
            is_known = is_known || strcmp(member, known[i]) == 0;
        if (!is_known)
            return t3_fail(&reading->migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                           T3_STR_FMT "/package.json: there is no member '%.100s'",
                           T3_STR_ARG(reading->path), member);
    }
    T3_TRY(text_member(reading, root, "name", &def->name));
    T3_TRY(text_member(reading, root, "scope", &scope));
    if (!t3_str_is(scope, "platform") && !t3_str_is(scope, "agent"))
        return refuse(reading, TEARS_STR("package.json"), "'scope' is \"platform\" or \"agent\"");
    def->scope = t3_str_is(scope, "agent") ? TEARS_SCOPE_AGENT : TEARS_SCOPE_PLATFORM;
    return dependencies(reading, root, def);
}

/* ---- a package ---- */

/* "folder/name", for messages. */
static tears_status put_path(struct reading *reading, struct tears_str name,
                             struct tears_str *path_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    tears_status status = TEARS_OK;
    if (name.len > 0) {
        status = t3_buf_put(&text, reading->path);
        if (status == TEARS_OK && (reading->path.len == 0 || text.ptr[text.len - 1] != '/'))
            status = t3_buf_put_char(&text, '/');
        if (status == TEARS_OK)
            status = t3_buf_put(&text, name);
    }
    if (status == TEARS_OK)
        status = t3_arena_str(&reading->arena, t3_buf_str(&text), path_out);
    return status == TEARS_OK ? TEARS_OK : no_memory(reading);
}

static tears_status read_versions(struct reading *reading, struct tears_package_def *def,
                                  struct t3_migrate_files **files_out)
{
    struct tears_migration_def *versions =
        t3_arena_array(&reading->arena, reading->count, sizeof *versions);
    struct t3_migrate_files *files = t3_arena_array(&reading->arena, reading->count, sizeof *files);
    if (versions == NULL || files == NULL)
        return no_memory(reading);
    for (size_t i = 0; i < reading->count; i++) {
        const struct found *found = &reading->items[i];
        if (found->up_name.len == 0)
            return refuse(reading, found->down_name, "there is no file with .up.sql beside it");
        versions[i].version = found->number;
        versions[i].description = found->description;
        T3_TRY(read_file(reading, found->up_name, &versions[i].up_sql));
        if (found->down_name.len > 0)
            T3_TRY(read_file(reading, found->down_name, &versions[i].down_sql));
        T3_TRY(put_path(reading, found->up_name, &files[i].up));
        T3_TRY(put_path(reading, found->down_name, &files[i].down));
    }
    def->migrations = versions;
    def->migration_count = reading->count;
    *files_out = files;
    return TEARS_OK;
}

static tears_status add_package(struct reading *reading)
{
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    struct t3_migrate_files *files = NULL;
    struct names names = {0};
    T3_TRY(read_header(reading, &def));
    T3_TRY(list(reading, &names));
    for (size_t i = 0; i < names.count; i++)
        T3_TRY(take_name(reading, names.items[i]));
    T3_TRY(read_versions(reading, &def, &files));
    return t3_migrate_add(reading->migrator, &def, files);
}

/* ---- directories ---- */

static bool has_header(int folder)
{
    return faccessat(folder, "package.json", F_OK, 0) == 0;
}

static tears_status add_folder(struct tears_migrator *migrator, struct tears_str path, int folder)
{
    struct reading reading = {.migrator = migrator, .path = path, .folder = folder};
    const tears_status status = add_package(&reading);
    t3_arena_done(&reading.arena);
    return status;
}

/* One entry of a directory of packages; what is no package is passed over. */
static tears_status add_entry(struct reading *reading, struct tears_str name, size_t *added)
{
    struct tears_str path;
    const int folder = openat(reading->folder, name.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOTDIR ? TEARS_OK : failed(reading, name, errno);
    tears_status status = TEARS_OK;
    if (has_header(folder)) {
        status = put_path(reading, name, &path);
        if (status == TEARS_OK)
            status = add_folder(reading->migrator, path, folder);
        ++*added;
    }
    (void)close(folder); /* only read from */
    return status;
}

static tears_status add_each(struct reading *reading)
{
    struct names names = {0};
    size_t added = 0;
    T3_TRY(list(reading, &names));
    for (size_t i = 0; i < names.count; i++)
        T3_TRY(add_entry(reading, names.items[i], &added));
    if (added == 0)
        return t3_fail(&reading->migrator->error, TEARS_NOT_FOUND, T3_MIGRATE_ORIGIN,
                       T3_STR_FMT ": there is no package.json in it, nor in a directory of it",
                       T3_STR_ARG(reading->path));
    return TEARS_OK;
}

tears_status tears_migrator_add_directory(tears_migrator *migrator, struct tears_str path)
{
    T3_TRY(t3_migrator_enter(migrator));
    struct reading reading = {.migrator = migrator};
    tears_status status = t3_arena_str(&reading.arena, path, &reading.path) == TEARS_OK
                              ? TEARS_OK
                              : no_memory(&reading);
    reading.folder = -1;
    if (status == TEARS_OK) {
        reading.folder = open(reading.path.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (reading.folder < 0)
            status = failed(&reading, TEARS_STR(""), errno);
    }
    if (status == TEARS_OK)
        status = has_header(reading.folder) ? add_folder(migrator, reading.path, reading.folder)
                                            : add_each(&reading);
    if (reading.folder >= 0)
        (void)close(reading.folder); /* only read from */
    t3_arena_done(&reading.arena);
    return status;
}
