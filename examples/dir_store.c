/*
 * dir_store.c -- a durable store that keeps every row as a JSON file in a directory.
 *
 * Written with the public API, jansson and POSIX only: copy it and put your own storage in its
 * place.
 *
 * Durable:  a row is written to a new file, flushed to the disk, and renamed over the old one; then
 * the directory is flushed.  A crash leaves the old row or the new one, never half of one.
 * Versions: the store moves the version column forward, under a lock that other processes respect.
 * Threads:  any number; one writes to a table at a time, readers never wait.
 *
 * Limits:   a key's text has at most 200 bytes when written as a file name.  A scan reads the whole
 * table.  No transactions.
 */
#include "dir_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES_MAX = 200, PATH_BYTES_MAX = 4096, COLUMNS_MAX = 1600 };

struct dir_store {
    struct tears_store functions;
    char directory[PATH_BYTES_MAX / 2];
};

static tears_status fail(struct tears_error *error, tears_status status, const char *what,
                         const char *on)
{
    snprintf(error->message, sizeof error->message, "%s %.300s", what, on);
    return status;
}

/* What errno means to the library: a full disk is a limit, the rest is worth trying again. */
static tears_status fail_errno(struct tears_error *error, const char *what, const char *path)
{
    const int cause = errno;
    error->detail = cause;
    char text[128];
    snprintf(error->message, sizeof error->message, "cannot %s %.300s: %s", what, path,
             strerror_r(cause, text, sizeof text));
    if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG)
        return TEARS_LIMIT;
    return cause == EACCES || cause == EROFS || cause == EPERM ? TEARS_DENIED : TEARS_UNAVAILABLE;
}

/* ---- one value as JSON, and back --------------------------------------------------------------
 */

static json_t *hex_of(struct tears_str bytes)
{
    char *text = malloc(bytes.len * 2 + 1);
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(text + i * 2, 3, "%02x", (unsigned char)bytes.ptr[i]);
    json_t *json = json_stringn(text, bytes.len * 2);
    free(text);
    return json;
}

static json_t *vector_of(struct tears_doubles vector)
{
    json_t *array = json_array();
    for (size_t i = 0; i < vector.len && array != NULL; i++)
        if (json_array_append_new(array, json_real(vector.ptr[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

/* NULL: out of memory. */
static json_t *value_to_json(const struct tears_value *value)
{
    char uuid[37];
    switch (value->kind) {
    case TEARS_KIND_NULL:
        return json_null();
    case TEARS_KIND_BOOL:
        return json_boolean(value->as.boolean);
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP: /* microseconds since 1970 */
        return json_integer(value->as.integer);
    case TEARS_KIND_DOUBLE: /* JSON has no NaN and no infinity */
        if (isnan(value->as.number))
            return json_string("NaN");
        return isinf(value->as.number) ? json_string(value->as.number > 0 ? "inf" : "-inf")
                                       : json_real(value->as.number);
    case TEARS_KIND_UUID:
        tears_uuid_text(value->as.uuid, uuid);
        return json_string(uuid);
    case TEARS_KIND_BYTES:
        return hex_of(value->as.bytes);
    case TEARS_KIND_VECTOR:
        return vector_of(value->as.vector);
    default: /* text, decimals and JSON keep their exact text */
        return json_stringn(value->as.bytes.ptr, value->as.bytes.len);
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Memory that values of one row point to. */
struct keep {
    void *blocks[COLUMNS_MAX];
    size_t count;
};

static void *keep_new(struct keep *keep, size_t bytes)
{
    void *block = keep->count < COLUMNS_MAX ? malloc(bytes > 0 ? bytes : 1) : NULL;
    if (block != NULL)
        keep->blocks[keep->count++] = block;
    return block;
}

static void keep_done(struct keep *keep)
{
    while (keep->count > 0)
        free(keep->blocks[--keep->count]);
}

static tears_status read_hex(const json_t *json, struct keep *keep, struct tears_value *value)
{
    const char *text = json_string_value(json);
    const size_t len = json_string_length(json) / 2;
    char *bytes = keep_new(keep, len);
    if (bytes == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < len; i++) {
        const int high = hex_digit(text[i * 2]);
        const int low = hex_digit(text[i * 2 + 1]);
        if (high < 0 || low < 0)
            return TEARS_CORRUPT;
        bytes[i] = (char)(high << 4 | low);
    }
    *value = tears_bytes(tears_str_n(bytes, len));
    return TEARS_OK;
}

static tears_status read_vector(const json_t *json, struct keep *keep, struct tears_value *value)
{
    const size_t count = json_array_size(json);
    double *numbers = keep_new(keep, count * sizeof *numbers);
    if (numbers == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        numbers[i] = json_number_value(json_array_get(json, i));
    *value = tears_vector(numbers, count);
    return TEARS_OK;
}

static tears_status read_string(const json_t *json, uint64_t kind, struct keep *keep,
                                struct tears_value *value)
{
    const struct tears_str text = tears_str_n(json_string_value(json), json_string_length(json));
    if (kind == TEARS_KIND_BYTES)
        return read_hex(json, keep, value);
    if (kind == TEARS_KIND_UUID) {
        *value = tears_null();
        value->kind = TEARS_KIND_UUID;
        return tears_uuid_parse(text, value->as.uuid) == TEARS_OK ? TEARS_OK : TEARS_CORRUPT;
    }
    if (kind == TEARS_KIND_DOUBLE)
        *value = tears_double(strtod(text.ptr, NULL)); /* "NaN", "inf" or "-inf" */
    else
        *value = tears_bytes_of_kind((uint32_t)kind, text);
    return TEARS_OK;
}

/* Text points into the JSON, which must live on. */
static tears_status value_from_json(const json_t *json, uint64_t kind, struct keep *keep,
                                    struct tears_value *value)
{
    switch (json_typeof(json)) {
    case JSON_NULL:
        *value = tears_null();
        return TEARS_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        *value = tears_bool(json_is_true(json));
        return TEARS_OK;
    case JSON_INTEGER:
        *value = kind == TEARS_KIND_TIMESTAMP ? tears_timestamp_us(json_integer_value(json))
                                              : tears_int(json_integer_value(json));
        return TEARS_OK;
    case JSON_REAL:
        *value = tears_double(json_real_value(json));
        return TEARS_OK;
    case JSON_STRING:
        return read_string(json, kind, keep, value);
    case JSON_ARRAY:
        return read_vector(json, keep, value);
    case JSON_OBJECT: /* never written by value_to_json */
        break;
    }
    return TEARS_CORRUPT;
}

/* ---- names -------------------------------------------------------------------------------------
 */

/* Letters, digits and a few signs stay; every other byte becomes %xx, so that no name leaves its
 * directory. */
static bool put_name(char name[NAME_BYTES_MAX + 1], struct tears_str text)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        if (len + 3 > NAME_BYTES_MAX)
            return false;
        len += (size_t)snprintf(name + len, 4, plain ? "%c" : "%%%02x", c);
    }
    return true;
}

/* A value as it stands in the row's file; values of one column are all of one kind, so no two are
 * alike. */
static bool put_key_value(char name[NAME_BYTES_MAX + 1], const struct tears_value *value)
{
    json_t *json = value_to_json(value);
    char *text = json != NULL ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const bool fits = text != NULL && put_name(name, tears_str_c(text));
    free(text);
    json_decref(json);
    return fits;
}

static tears_status table_path(const struct dir_store *store, const tears_schema *schema,
                               char path[PATH_BYTES_MAX], struct tears_error *error)
{
    char name[NAME_BYTES_MAX + 1] = "";
    if (!put_name(name, tears_schema_name(schema)))
        return fail(error, TEARS_LIMIT, "a table's name is too long for", store->directory);
    snprintf(path, PATH_BYTES_MAX, "%s/%s", store->directory, name);
    return TEARS_OK;
}

static tears_status row_path(const struct dir_store *store, const tears_schema *schema,
                             const struct tears_value *key, char path[PATH_BYTES_MAX],
                             struct tears_error *error)
{
    char table[PATH_BYTES_MAX];
    const tears_status status = table_path(store, schema, table, error);
    if (status != TEARS_OK)
        return status;
    char name[NAME_BYTES_MAX + 1] = "";
    for (size_t i = 0; i < tears_schema_key_count(schema); i++) {
        const size_t len = strlen(name);
        if (i > 0 && len < NAME_BYTES_MAX)
            snprintf(name + len, sizeof name - len, "~"); /* never part of a value's text */
        if (!put_key_value(name, &key[i]))
            return fail(error, TEARS_LIMIT, "a key is too long for", table);
    }
    const int len = snprintf(path, PATH_BYTES_MAX, "%s/%s.json", table, name);
    return len < PATH_BYTES_MAX ? TEARS_OK
                                : fail(error, TEARS_LIMIT, "the path is too long:", table);
}

/* ---- files -------------------------------------------------------------------------------------
 */

static tears_status load(const char *path, json_t **row, struct tears_error *error)
{
    json_error_t cause;
    errno = 0;
    *row = json_load_file(path, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &cause);
    if (*row != NULL && json_is_object(*row))
        return TEARS_OK;
    json_decref(*row);
    *row = NULL;
    if (errno == ENOENT || errno == ENOTDIR)
        return TEARS_NOT_FOUND;
    if (json_error_code(&cause) == json_error_out_of_memory)
        return TEARS_NO_MEMORY;
    if (json_error_code(&cause) == json_error_cannot_open_file)
        return fail_errno(error, "open", path);
    return fail(error, TEARS_CORRUPT, "not a row:", path);
}

static tears_status sync_directory(const char *path, struct tears_error *error)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    const tears_status status = synced ? TEARS_OK : fail_errno(error, "flush", path);
    if (fd >= 0)
        close(fd);
    return status;
}

static bool write_and_sync(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        const ssize_t written = write(fd, text, left);
        if (written < 0 && errno != EINTR)
            return false;
        text += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
    return fsync(fd) == 0;
}

/* The new file takes the old one's place in one step: readers see one or the other. */
static tears_status replace(const char *table, const char *path, const char *text,
                            struct tears_error *error)
{
    char temporary[PATH_BYTES_MAX];
    const int len = snprintf(temporary, sizeof temporary, "%s/.new-XXXXXX", table);
    const int fd = len < PATH_BYTES_MAX ? mkostemp(temporary, O_CLOEXEC) : -1;
    if (fd < 0)
        return fail_errno(error, "create", temporary);
    tears_status status = TEARS_OK;
    if (!write_and_sync(fd, text))
        status = fail_errno(error, "write", path);
    close(fd);
    if (status == TEARS_OK && rename(temporary, path) != 0)
        status = fail_errno(error, "replace", path);
    if (status != TEARS_OK) {
        unlink(temporary);
        return status;
    }
    return sync_directory(table, error);
}

static tears_status save(const char *table, const char *path, const json_t *row,
                         struct tears_error *error)
{
    char *text = json_dumps(row, JSON_INDENT(2));
    if (text == NULL)
        return TEARS_NO_MEMORY;
    const tears_status status = replace(table, path, text, error);
    free(text);
    return status;
}

/* ---- the lock of a table: held while a row is read, changed and replaced -----------------------
 */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Each call opens the file anew, so the lock keeps threads apart as well as processes. */
static tears_status lock_table(const char *table, uint64_t deadline_ms, int *fd_out,
                               struct tears_error *error)
{
    if (mkdir(table, 0777) != 0 && errno != EEXIST)
        return fail_errno(error, "create", table);
    char path[PATH_BYTES_MAX + 8];
    snprintf(path, sizeof path, "%s/.lock", table);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno(error, "open", path);
    const uint64_t end = now_ms() + deadline_ms;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (now_ms() >= end) {
            close(fd);
            return fail(error, TEARS_TIMEOUT, "another writer holds", path);
        }
        const struct timespec pause = {.tv_nsec = 200000};
        nanosleep(&pause, NULL);
    }
    *fd_out = fd;
    return TEARS_OK;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static json_t *member(const json_t *row, struct tears_str column)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)column.len, column.ptr);
    return json_object_get(row, name);
}

static tears_status set_member(json_t *row, struct tears_str column,
                               const struct tears_value *value)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)column.len, column.ptr);
    /* Steals the value; a NULL value means no memory, and is refused. */
    return json_object_set_new(row, name, value_to_json(value)) == 0 ? TEARS_OK : TEARS_NO_MEMORY;
}

static tears_status row_values(const tears_schema *schema, const json_t *row, struct keep *keep,
                               struct tears_field *fields, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < tears_schema_column_count(schema) && i < COLUMNS_MAX; i++) {
        struct tears_column_info info;
        if (tears_schema_column(schema, i, &info) != TEARS_OK)
            continue;
        const json_t *json = member(row, info.name);
        if (json == NULL)
            continue; /* written before the column was added: the library knows what to do */
        struct tears_field *field = &fields[(*count)++];
        field->name = info.name;
        const tears_status status = value_from_json(json, info.kind, keep, &field->value);
        if (status != TEARS_OK)
            return status;
    }
    return TEARS_OK;
}

static tears_status give_row(const tears_schema *schema, const json_t *row,
                             const struct tears_row_sink *sink, struct tears_error *error)
{
    struct work {
        struct keep keep;
        struct tears_field fields[COLUMNS_MAX];
    } *work = malloc(sizeof *work);
    if (work == NULL)
        return TEARS_NO_MEMORY;
    work->keep.count = 0;
    size_t count;
    tears_status status = row_values(schema, row, &work->keep, work->fields, &count);
    if (status == TEARS_CORRUPT)
        fail(error, status, "a damaged value in a row of", "the store");
    if (status == TEARS_OK)
        status = sink->put(sink->owner, work->fields, count);
    keep_done(&work->keep);
    free(work);
    return status;
}

/* The row's version, as JSON holds it: an integer in either kind of version column. */
static bool version_of(const tears_schema *schema, const json_t *row, json_int_t *version)
{
    struct tears_column_info info;
    const size_t column = tears_schema_version_column(schema);
    if (row == NULL || column == SIZE_MAX || tears_schema_column(schema, column, &info) != TEARS_OK)
        return false;
    const json_t *json = member(row, info.name);
    *version = json_integer_value(json);
    return json_is_integer(json);
}

static int64_t calendar_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Strictly forward, whatever the clock does. */
static tears_status move_version(const tears_schema *schema, json_t *row, const json_t *old)
{
    struct tears_column_info info;
    const size_t column = tears_schema_version_column(schema);
    if (column == SIZE_MAX || tears_schema_column(schema, column, &info) != TEARS_OK)
        return TEARS_OK;
    json_int_t before = 0;
    int64_t next = version_of(schema, old, &before) ? before + 1 : 1;
    if (info.kind == TEARS_KIND_TIMESTAMP && calendar_us() > next)
        next = calendar_us();
    const struct tears_value version = tears_int(next);
    return set_member(row, info.name, &version);
}

static bool base_matches(const tears_schema *schema, const json_t *row,
                         const struct tears_value *base)
{
    json_int_t version;
    return base == NULL || (version_of(schema, row, &version) && version == base->as.integer);
}

/* ---- the functions ------------------------------------------------------------------------------
 */

static tears_status dir_fetch(void *owner, void *tx, const tears_schema *schema,
                              const struct tears_value *key, size_t key_count, uint64_t deadline_ms,
                              const struct tears_row_sink *sink, struct tears_error *error)
{
    (void)tx, (void)key_count, (void)deadline_ms;
    char path[PATH_BYTES_MAX];
    tears_status status = row_path(owner, schema, key, path, error);
    json_t *row = NULL;
    if (status == TEARS_OK)
        status = load(path, &row, error);
    if (status == TEARS_OK)
        status = give_row(schema, row, sink, error);
    json_decref(row);
    return status;
}

/* The key among the fields, in key order. */
static bool find_key(const tears_schema *schema, const struct tears_field *fields,
                     size_t field_count, struct tears_value *key)
{
    for (size_t i = 0; i < tears_schema_key_count(schema); i++) {
        struct tears_column_info info;
        if (tears_schema_column(schema, tears_schema_key_column(schema, i), &info) != TEARS_OK)
            return false;
        size_t at = 0;
        while (at < field_count && (fields[at].name.len != info.name.len ||
                                    memcmp(fields[at].name.ptr, info.name.ptr, info.name.len) != 0))
            at++;
        if (at == field_count)
            return false;
        key[i] = fields[at].value;
    }
    return true;
}

/* One write, as dir_upsert was asked for it. */
struct change {
    const tears_schema *schema;
    uint64_t mode;
    const struct tears_field *fields;
    size_t field_count;
    const struct tears_value *base;
    const struct tears_row_sink *sink;
};

static tears_status merge(const struct change *change, const json_t *old, json_t *row)
{
    if (old != NULL && json_object_update(row, (json_t *)(uintptr_t)old) != 0)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < change->field_count; i++)
        if (set_member(row, change->fields[i].name, &change->fields[i].value) != TEARS_OK)
            return TEARS_NO_MEMORY;
    return move_version(change->schema, row, old);
}

/* Reads, checks, merges and replaces the file; the table is locked. */
static tears_status apply(const struct change *change, const char *table, const char *path,
                          struct tears_error *error)
{
    json_t *old = NULL;
    const tears_status found = load(path, &old, error);
    if (found != TEARS_OK && found != TEARS_NOT_FOUND)
        return found;
    const bool refused = (change->mode == TEARS_STORE_INSERT && old != NULL) ||
                         (change->mode == TEARS_STORE_UPDATE && old == NULL) ||
                         (old != NULL && !base_matches(change->schema, old, change->base));
    json_t *row = json_object();
    tears_status status = refused ? TEARS_CONFLICT : row == NULL ? TEARS_NO_MEMORY : TEARS_OK;
    if (status == TEARS_OK)
        status = merge(change, old, row);
    if (status == TEARS_OK)
        status = save(table, path, row, error);
    if (status == TEARS_OK)
        status = give_row(change->schema, row, change->sink, error);
    json_decref(row);
    json_decref(old);
    return status;
}

static tears_status dir_upsert(void *owner, void *tx, const tears_schema *schema, uint64_t mode,
                               const struct tears_field *fields, size_t field_count,
                               const struct tears_value *base, uint64_t deadline_ms,
                               const struct tears_row_sink *sink, struct tears_error *error)
{
    (void)tx;
    const struct change change = {.schema = schema,
                                  .mode = mode,
                                  .fields = fields,
                                  .field_count = field_count,
                                  .base = base,
                                  .sink = sink};
    struct tears_value key[16];
    char table[PATH_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    int lock = -1;
    if (!find_key(schema, fields, field_count, key))
        return fail(error, TEARS_INVALID, "a row without its whole key cannot go into", "a file");
    tears_status status = table_path(owner, schema, table, error);
    if (status == TEARS_OK)
        status = row_path(owner, schema, key, path, error);
    if (status == TEARS_OK)
        status = lock_table(table, deadline_ms, &lock, error);
    if (status == TEARS_OK)
        status = apply(&change, table, path, error);
    if (lock >= 0)
        close(lock); /* and unlocks */
    return status;
}

static tears_status remove_file(const tears_schema *schema, const char *table, const char *path,
                                const struct tears_value *base, struct tears_error *error)
{
    json_t *row = NULL;
    const tears_status found = load(path, &row, error);
    if (found != TEARS_OK)
        return found;
    const bool matches = base_matches(schema, row, base);
    json_decref(row);
    if (!matches)
        return TEARS_CONFLICT;
    if (unlink(path) != 0)
        return fail_errno(error, "remove", path);
    return sync_directory(table, error);
}

static tears_status dir_remove(void *owner, void *tx, const tears_schema *schema,
                               const struct tears_value *key, size_t key_count,
                               const struct tears_value *base, uint64_t deadline_ms,
                               struct tears_error *error)
{
    (void)tx, (void)key_count;
    char table[PATH_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    int lock = -1;
    tears_status status = table_path(owner, schema, table, error);
    if (status == TEARS_OK)
        status = row_path(owner, schema, key, path, error);
    if (status == TEARS_OK)
        status = lock_table(table, deadline_ms, &lock, error);
    if (status == TEARS_OK)
        status = remove_file(schema, table, path, base, error);
    if (lock >= 0)
        close(lock);
    return status;
}

/* ---- scan: the whole table is read, sorted by key, and cut -------------------------------------
 */

struct listing {
    const tears_schema *schema;
    json_t **rows;
    size_t count;
    size_t capacity;
};

static int compare_json(const json_t *a, const json_t *b, uint64_t kind)
{
    if (kind == TEARS_KIND_INT || kind == TEARS_KIND_TIMESTAMP)
        return (json_integer_value(a) > json_integer_value(b)) -
               (json_integer_value(a) < json_integer_value(b));
    if (kind == TEARS_KIND_DOUBLE || kind == TEARS_KIND_BOOL) {
        const double left = json_is_true(a) ? 1 : json_number_value(a);
        const double right = json_is_true(b) ? 1 : json_number_value(b);
        return (left > right) - (left < right);
    }
    /* Text by bytes; the text of UUIDs and of bytes sorts as they do. */
    const size_t len_a = json_string_length(a);
    const size_t len_b = json_string_length(b);
    const int order =
        memcmp(json_string_value(a), json_string_value(b), len_a < len_b ? len_a : len_b);
    return order != 0 ? order : (len_a > len_b) - (len_a < len_b);
}

static int compare_rows(const tears_schema *schema, const json_t *a, const json_t *b)
{
    int order = 0;
    for (size_t i = 0; i < tears_schema_key_count(schema) && order == 0; i++) {
        struct tears_column_info info;
        if (tears_schema_column(schema, tears_schema_key_column(schema, i), &info) == TEARS_OK)
            order = compare_json(member(a, info.name), member(b, info.name), info.kind);
    }
    return order;
}

static int compare_listed(const void *a, const void *b, void *schema)
{
    return compare_rows(schema, *(json_t *const *)a, *(json_t *const *)b);
}

/* A file that somebody edited may lack what sorting needs. */
static bool key_is_whole(const tears_schema *schema, const json_t *row)
{
    bool whole = true;
    for (size_t i = 0; i < tears_schema_key_count(schema) && whole; i++) {
        struct tears_column_info info;
        whole = tears_schema_column(schema, tears_schema_key_column(schema, i), &info) == TEARS_OK;
        const json_t *json = whole ? member(row, info.name) : NULL;
        const bool is_number = info.kind == TEARS_KIND_INT || info.kind == TEARS_KIND_TIMESTAMP ||
                               info.kind == TEARS_KIND_DOUBLE || info.kind == TEARS_KIND_BOOL;
        whole = is_number ? json_is_number(json) || json_is_boolean(json) : json_is_string(json);
    }
    return whole;
}

static bool filters_match(const json_t *row, const struct tears_field *filters, size_t count)
{
    bool matches = true;
    for (size_t i = 0; i < count && matches; i++) {
        const json_t *stored = member(row, filters[i].name);
        json_t *wanted = value_to_json(&filters[i].value);
        matches = json_is_null(wanted) ? stored == NULL || json_is_null(stored)
                                       : json_equal(stored, wanted) == 1;
        json_decref(wanted);
    }
    return matches;
}

static tears_status list_row(struct listing *listing, json_t *row)
{
    if (listing->count == listing->capacity) {
        const size_t capacity = listing->capacity == 0 ? 64 : listing->capacity * 2;
        json_t **rows = realloc(listing->rows, capacity * sizeof(json_t *));
        if (rows == NULL) {
            json_decref(row);
            return TEARS_NO_MEMORY;
        }
        listing->rows = rows;
        listing->capacity = capacity;
    }
    listing->rows[listing->count++] = row;
    return TEARS_OK;
}

static bool is_row_file(const char *name)
{
    const size_t len = strlen(name);
    return name[0] != '.' && len > 5 && strcmp(name + len - 5, ".json") == 0;
}

static tears_status list_table(struct listing *listing, const char *table,
                               struct tears_error *error)
{
    DIR *directory = opendir(table);
    if (directory == NULL)
        return errno == ENOENT ? TEARS_OK : fail_errno(error, "list", table);
    tears_status status = TEARS_OK;
    for (struct dirent *entry; status == TEARS_OK && (entry = readdir(directory)) != NULL;) {
        if (!is_row_file(entry->d_name))
            continue;
        char path[PATH_BYTES_MAX + 256];
        snprintf(path, sizeof path, "%s/%s", table, entry->d_name);
        json_t *row = NULL;
        status = load(path, &row, error);
        if (status == TEARS_OK && !key_is_whole(listing->schema, row)) {
            status = fail(error, TEARS_CORRUPT, "a row without its key:", path);
            json_decref(row);
        } else if (status == TEARS_OK)
            status = list_row(listing, row);
        else if (status == TEARS_NOT_FOUND)
            status = TEARS_OK; /* removed meanwhile */
    }
    closedir(directory);
    return status;
}

/* The last row seen, as a row of its key only, so that it can be compared. */
static json_t *key_row(const tears_schema *schema, const struct tears_value *key)
{
    json_t *row = json_object();
    for (size_t i = 0; i < tears_schema_key_count(schema) && row != NULL; i++) {
        struct tears_column_info info;
        if (tears_schema_column(schema, tears_schema_key_column(schema, i), &info) != TEARS_OK ||
            set_member(row, info.name, &key[i]) != TEARS_OK) {
            json_decref(row);
            row = NULL;
        }
    }
    return row;
}

/* What of the listing is wanted. */
struct page {
    const struct tears_field *filters;
    size_t filter_count;
    json_t *after; /* NULL: from the start */
    size_t row_max;
};

static tears_status give_page(const struct listing *listing, const struct page *page,
                              const struct tears_row_sink *sink, struct tears_error *error)
{
    size_t given = 0;
    tears_status status = TEARS_OK;
    for (size_t i = 0; i < listing->count && given < page->row_max && status == TEARS_OK; i++) {
        const json_t *row = listing->rows[i];
        if (page->after != NULL && compare_rows(listing->schema, row, page->after) <= 0)
            continue;
        if (!filters_match(row, page->filters, page->filter_count))
            continue;
        status = give_row(listing->schema, row, sink, error);
        given++;
    }
    return status;
}

static tears_status dir_scan(void *owner, void *tx, const tears_schema *schema,
                             const struct tears_field *filters, size_t filter_count,
                             const struct tears_value *after_key, size_t row_max,
                             uint64_t deadline_ms, const struct tears_row_sink *sink,
                             struct tears_error *error)
{
    (void)tx, (void)deadline_ms;
    struct listing listing = {.schema = schema};
    struct page page = {.filters = filters, .filter_count = filter_count, .row_max = row_max};
    char table[PATH_BYTES_MAX];
    tears_status status = table_path(owner, schema, table, error);
    if (status == TEARS_OK)
        status = list_table(&listing, table, error);
    if (status == TEARS_OK && after_key != NULL) {
        page.after = key_row(schema, after_key);
        status = page.after != NULL ? TEARS_OK : TEARS_NO_MEMORY;
    }
    if (status == TEARS_OK && listing.count > 1)
        qsort_r(listing.rows, listing.count, sizeof(json_t *), compare_listed,
                (void *)(uintptr_t)schema);
    if (status == TEARS_OK)
        status = give_page(&listing, &page, sink, error);
    for (size_t i = 0; i < listing.count; i++)
        json_decref(listing.rows[i]);
    free(listing.rows);
    json_decref(page.after);
    return status;
}

/* ---- life ---------------------------------------------------------------------------------------
 */

tears_status dir_store_open(const char *directory, struct dir_store **store_out,
                            struct tears_error *error)
{
    struct stat found;
    struct dir_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return TEARS_NO_MEMORY;
    if (stat(directory, &found) != 0 || !S_ISDIR(found.st_mode) ||
        strlen(directory) >= sizeof store->directory) {
        free(store);
        return fail(error, TEARS_UNAVAILABLE, "not a directory that can be used:", directory);
    }
    snprintf(store->directory, sizeof store->directory, "%s", directory);
    store->functions.size = sizeof store->functions;
    store->functions.owner = store;
    store->functions.fetch = dir_fetch;
    store->functions.upsert = dir_upsert;
    store->functions.remove = dir_remove;
    store->functions.scan = dir_scan;
    *store_out = store;
    return TEARS_OK;
}

void dir_store_free(struct dir_store *store)
{
    free(store);
}

const struct tears_store *dir_store_functions(const struct dir_store *store)
{
    return &store->functions;
}
