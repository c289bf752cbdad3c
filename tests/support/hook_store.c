/*
 * hook_store.c -- rows in an array, versions counted up, hooks called between read and delivery.
 */
#include "support/hook_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct hook_row *find(struct hook_store *hook, int64_t id)
{
    for (size_t i = 0; i < HOOK_ROWS; i++)
        if (hook->rows[i].used && hook->rows[i].id == id)
            return &hook->rows[i];
    return NULL;
}

static struct hook_row *find_free(struct hook_store *hook)
{
    for (size_t i = 0; i < HOOK_ROWS; i++)
        if (!hook->rows[i].used)
            return &hook->rows[i];
    return NULL;
}

static tears_status give(const struct hook_row *row, const struct tears_row_sink *sink)
{
    const struct tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int(row->id)),
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_c(row->name))),
        tears_field_of(TEARS_STR("row_version"), tears_int(row->version))};
    return sink->put(sink->owner, fields, 3);
}

static tears_status is_down(struct hook_store *hook, struct tears_error *error)
{
    if (!atomic_load(&hook->down))
        return TEARS_OK;
    error->status = TEARS_UNAVAILABLE;
    snprintf(error->message, sizeof error->message, "the store is down");
    return TEARS_UNAVAILABLE;
}

static void run_hook(struct hook_store *hook, void (**place)(void *, int64_t), int64_t id)
{
    pthread_mutex_lock(&hook->mutex);
    void (*call)(void *, int64_t) = *place;
    *place = NULL;
    pthread_mutex_unlock(&hook->mutex);
    if (call != NULL)
        call(hook->hook_owner, id);
}

static tears_status hook_fetch(void *owner, void *tx, const tears_schema *schema,
                               const struct tears_value *key, size_t key_count,
                               uint64_t deadline_ms, const struct tears_row_sink *sink,
                               struct tears_error *error)
{
    struct hook_store *hook = owner;
    (void)tx;
    (void)schema;
    (void)key_count;
    (void)deadline_ms;
    atomic_fetch_add(&hook->fetches, 1);
    if (is_down(hook, error) != TEARS_OK)
        return TEARS_UNAVAILABLE;
    struct hook_row *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    pthread_mutex_lock(&hook->mutex);
    const struct hook_row *row = find(hook, key->as.integer);
    const bool found = row != NULL;
    if (found)
        *copy = *row;
    pthread_mutex_unlock(&hook->mutex);
    run_hook(hook, &hook->after_read, key->as.integer);
    const tears_status status = found ? give(copy, sink) : TEARS_NOT_FOUND;
    free(copy);
    return status;
}

static tears_status write_locked(struct hook_store *hook, uint64_t mode,
                                 const struct tears_field *fields, size_t field_count,
                                 const struct tears_value *base, struct hook_row *copy_out)
{
    int64_t id = 0;
    struct tears_str name = TEARS_STR("");
    bool has_name = false;
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].name.len == 2)
            id = fields[i].value.as.integer;
        if (fields[i].name.len == 4 && fields[i].value.kind == TEARS_KIND_TEXT) {
            name = fields[i].value.as.bytes;
            has_name = true;
        }
    }
    struct hook_row *row = find(hook, id);
    if (mode == TEARS_STORE_INSERT && row != NULL)
        return TEARS_CONFLICT;
    if (mode == TEARS_STORE_UPDATE &&
        (row == NULL || (base != NULL && base->as.integer != row->version)))
        return TEARS_CONFLICT;
    if (row == NULL) {
        row = find_free(hook);
        assert_non_null(row);
        memset(row, 0, sizeof *row);
        row->used = true;
        row->id = id;
    }
    row->version++;
    if (has_name)
        snprintf(row->name, sizeof row->name, "%.*s", (int)name.len, name.ptr);
    *copy_out = *row;
    return TEARS_OK;
}

static tears_status hook_upsert(void *owner, void *tx, const tears_schema *schema, uint64_t mode,
                                const struct tears_field *fields, size_t field_count,
                                const struct tears_value *base, uint64_t deadline_ms,
                                const struct tears_row_sink *sink, struct tears_error *error)
{
    struct hook_store *hook = owner;
    (void)tx;
    (void)schema;
    atomic_store(&hook->write_deadline_ms, deadline_ms);
    atomic_fetch_add(&hook->writes, 1);
    if (is_down(hook, error) != TEARS_OK)
        return TEARS_UNAVAILABLE;
    struct hook_row *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    pthread_mutex_lock(&hook->mutex);
    tears_status status = write_locked(hook, mode, fields, field_count, base, copy);
    pthread_mutex_unlock(&hook->mutex);
    if (status == TEARS_OK)
        run_hook(hook, &hook->after_write, copy->id);
    if (status == TEARS_OK)
        status = give(copy, sink);
    free(copy);
    return status;
}

static tears_status hook_remove(void *owner, void *tx, const tears_schema *schema,
                                const struct tears_value *key, size_t key_count,
                                const struct tears_value *base, uint64_t deadline_ms,
                                struct tears_error *error)
{
    struct hook_store *hook = owner;
    (void)tx;
    (void)schema;
    (void)key_count;
    (void)deadline_ms;
    if (is_down(hook, error) != TEARS_OK)
        return TEARS_UNAVAILABLE;
    pthread_mutex_lock(&hook->mutex);
    struct hook_row *row = find(hook, key->as.integer);
    tears_status status = row != NULL ? TEARS_OK : TEARS_NOT_FOUND;
    if (row != NULL && base != NULL && base->as.integer != row->version)
        status = TEARS_CONFLICT;
    if (status == TEARS_OK)
        row->used = false;
    pthread_mutex_unlock(&hook->mutex);
    return status;
}

static tears_status hook_scan(void *owner, void *tx, const tears_schema *schema,
                              const struct tears_field *filters, size_t filter_count,
                              const struct tears_value *after_key, size_t row_max,
                              uint64_t deadline_ms, const struct tears_row_sink *rows,
                              struct tears_error *error)
{
    (void)owner;
    (void)tx;
    (void)schema;
    (void)filters;
    (void)filter_count;
    (void)after_key;
    (void)row_max;
    (void)deadline_ms;
    (void)rows;
    snprintf(error->message, sizeof error->message, "this store does not scan");
    return TEARS_UNSUPPORTED;
}

void hook_store_init(struct hook_store *hook)
{
    memset(hook, 0, sizeof *hook);
    pthread_mutex_init(&hook->mutex, NULL);
    hook->store.size = sizeof hook->store;
    hook->store.owner = hook;
    hook->store.fetch = hook_fetch;
    hook->store.upsert = hook_upsert;
    hook->store.remove = hook_remove;
    hook->store.scan = hook_scan;
}

tears_schema *hook_store_schema(void)
{
    const struct tears_str key = TEARS_STR("id");
    struct tears_column_def columns[3];
    memset(columns, 0, sizeof columns);
    columns[0].name = TEARS_STR("id");
    columns[0].type = TEARS_TYPE_BIGINT;
    columns[1].name = TEARS_STR("name");
    columns[1].type = TEARS_TYPE_STRING;
    columns[2].name = TEARS_STR("row_version");
    columns[2].type = TEARS_TYPE_BIGINT;
    const struct tears_schema_def def = {.name = TEARS_STR("items"),
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = 3,
                                         .version_column = TEARS_STR("row_version")};
    tears_schema *schema = NULL;
    struct tears_error error;
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("schema: %s", error.message);
    return schema;
}

void hook_store_put(struct hook_store *hook, int64_t id, const char *name)
{
    const struct tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int(id)),
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_c(name)))};
    struct hook_row *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    pthread_mutex_lock(&hook->mutex);
    assert_int_equal(write_locked(hook, TEARS_STORE_UPSERT, fields, 2, NULL, copy), TEARS_OK);
    pthread_mutex_unlock(&hook->mutex);
    free(copy);
}

tears_collection *hook_store_collection(tears_client *client, const tears_schema *schema)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    tears_collection *collection = NULL;
    struct tears_error error;
    options.schema = schema;
    if (tears_collection_open(client, TEARS_STR("items"), &options, &collection, &error) !=
        TEARS_OK)
        fail_msg("items: %s", error.message);
    return collection;
}
