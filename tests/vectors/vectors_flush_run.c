/*
 * vectors_flush_run.c -- the operation `flush` of flush.jsonl: the flusher on stores that refuse some rows.
 *
 * Threads:  one.
 * Begin at: flush_run().
 */
#include "base/fail.h"
#include "base/str.h"
#include "deferred/flush.h"
#include "vectors/vectors_flush.h"

#include <stdio.h>
#include <stdlib.h>

enum { ID_BYTES = 40 };

/* ---- a store that refuses some rows ----------------------------------------------------------------- */

struct stored {
    const tears_schema *schema;
    char id[ID_BYTES];
    char value[ID_BYTES]; /* "": NULL */
};

struct refusing_store {
    struct tears_store store;
    const json_t *failures;
    struct stored rows[ROWS_MAX];
    size_t count;
    size_t count_at_begin;
};

static tears_status put_row(const struct stored *stored, const struct tears_row_sink *sink)
{
    const struct tears_field fields[] = {
        {TEARS_STR("id"), tears_text(tears_str_c(stored->id))},
        {TEARS_STR("value"),
         stored->value[0] != '\0' ? tears_text(tears_str_c(stored->value)) : tears_null()}};
    return sink->put(sink->owner, fields, 2);
}

static tears_status store_fetch(void *owner, void *tx, const tears_schema *schema,
                                const struct tears_value *key, size_t key_count,
                                uint64_t deadline_ms, const struct tears_row_sink *sink,
                                struct tears_error *error)
{
    const struct refusing_store *store = owner;
    (void)tx, (void)key_count, (void)deadline_ms, (void)error;
    for (size_t i = 0; i < store->count; i++)
        if (store->rows[i].schema == schema && t3_str_is(key->as.bytes, store->rows[i].id))
            return put_row(&store->rows[i], sink);
    return TEARS_NOT_FOUND;
}

static void copy_field(char out[ID_BYTES], const struct tears_value *value)
{
    const bool is_text = value->kind == TEARS_KIND_TEXT;
    if (is_text && value->as.bytes.len >= ID_BYTES)
        give_up("a long id");
    (void)snprintf(out, ID_BYTES, "%.*s", is_text ? (int)value->as.bytes.len : 0,
                   is_text ? value->as.bytes.ptr : "");
}

static tears_status store_upsert(void *owner, void *tx, const tears_schema *schema, uint64_t mode,
                                 const struct tears_field *fields, size_t field_count,
                                 const struct tears_value *base, uint64_t deadline_ms,
                                 const struct tears_row_sink *sink, struct tears_error *error)
{
    struct refusing_store *store = owner;
    struct stored stored = {.schema = schema};
    (void)tx, (void)mode, (void)base, (void)deadline_ms;
    for (size_t i = 0; i < field_count; i++)
        copy_field(t3_str_is(fields[i].name, "id") ? stored.id : stored.value, &fields[i].value);
    const char *failure = flush_text(store->failures, stored.id);
    if (strcmp(failure, "fk") == 0)
        return t3_fail_detail(error, TEARS_INVALID, "store", 0, "23503",
                              "violates foreign key constraint");
    if (failure[0] != '\0')
        return t3_fail_detail(error, TEARS_INVALID, "store", 0, "23514",
                              "violates check constraint");
    if (store->count == ROWS_MAX)
        give_up("a vector with many rows");
    store->rows[store->count++] = stored; /* no id comes twice */
    return put_row(&stored, sink);
}

static tears_status store_remove(void *owner, void *tx, const tears_schema *schema,
                                 const struct tears_value *key, size_t key_count,
                                 const struct tears_value *base, uint64_t deadline_ms,
                                 struct tears_error *error)
{
    (void)owner, (void)tx, (void)schema, (void)key, (void)key_count, (void)base, (void)deadline_ms;
    return t3_fail(error, TEARS_NOT_FOUND, "store", "nothing is deleted here");
}

static tears_status store_scan(void *owner, void *tx, const tears_schema *schema,
                               const struct tears_field *filters, size_t filter_count,
                               const struct tears_value *after_key, size_t row_max,
                               uint64_t deadline_ms, const struct tears_row_sink *rows,
                               struct tears_error *error)
{
    (void)owner, (void)tx, (void)schema, (void)filters, (void)filter_count, (void)after_key;
    (void)row_max, (void)deadline_ms, (void)rows, (void)error;
    return TEARS_OK;
}

static tears_status store_begin(void *owner, void **tx_out, struct tears_error *error)
{
    struct refusing_store *store = owner;
    (void)error;
    store->count_at_begin = store->count;
    *tx_out = store;
    return TEARS_OK;
}

static tears_status store_commit(void *owner, void *tx, struct tears_error *error)
{
    (void)owner, (void)tx, (void)error;
    return TEARS_OK;
}

static void store_rollback(void *owner, void *tx)
{
    struct refusing_store *store = owner;
    (void)tx;
    store->count = store->count_at_begin;
}

static struct t3_l3 *open_store(struct refusing_store *store, const json_t *failures,
                                bool is_transactional)
{
    struct t3_l3 *l3 = NULL;
    memset(store, 0, sizeof *store);
    store->failures = failures;
    store->store = (struct tears_store){.size = sizeof store->store,
                                        .owner = store,
                                        .fetch = store_fetch,
                                        .upsert = store_upsert,
                                        .remove = store_remove,
                                        .scan = store_scan};
    if (is_transactional) {
        store->store.begin = store_begin;
        store->store.commit = store_commit;
        store->store.rollback = store_rollback;
    }
    must(t3_l3_store_open(&store->store, &l3, NULL), "t3_l3_store_open");
    return l3;
}

/* ---- a flush ---------------------------------------------------------------------------------------- */

static tears_status hook_table(void *owner, struct tears_str name, struct t3_flush_table *table_out,
                               struct tears_error *error_out)
{
    struct flush_log_table *table = flush_log_find(owner, name);
    if (table == NULL || table->l3 == NULL)
        return t3_fail(error_out, TEARS_NOT_FOUND, "vectors", "the table is not registered");
    *table_out = (struct t3_flush_table){.pending = table->pending, .l3 = table->l3};
    return TEARS_OK;
}

static void hook_landed(void *owner, const struct t3_flush_table *table,
                        const struct t3_flush_landed *landed, size_t count, uint64_t asked_ms)
{
    (void)owner, (void)table, (void)landed, (void)count, (void)asked_ms;
}

static void hook_refused(void *owner, const struct t3_flush_table *table,
                         const struct t3_record *const *records, size_t count)
{
    (void)owner, (void)table, (void)records, (void)count;
}

static void flush_all(struct flush_log *log, struct tears_flush_result *result_out)
{
    struct t3_flush *flush = NULL;
    struct tears_error error;
    const struct t3_flush_options options = {
        .pending = log->pending,
        .journal = log->journal,
        .hooks = {
            .table = hook_table, .landed = hook_landed, .refused = hook_refused, .owner = log}};
    must(t3_flush_new(&options, &flush, NULL), "t3_flush_new");
    if (t3_flush_pass(flush, NULL, 0, t3_deadline_in_ms(20000), result_out, &error) != TEARS_OK)
        give_up(error.message);
    t3_flush_free(flush);
}

static int compare_texts(const void *a, const void *b)
{
    const char *const *first = a;
    const char *const *second = b;
    return strcmp(*first, *second);
}

static bool is_stored(const struct refusing_store *stores, size_t store_count, const char *id)
{
    for (size_t i = 0; i < store_count; i++)
        for (size_t k = 0; k < stores[i].count; k++)
            if (strcmp(stores[i].rows[k].id, id) == 0)
                return true;
    return false;
}

/* What waits, as the package counts it: with one more try. */
static json_t *give_waiting(struct vector *vector, struct flush_log *log)
{
    const json_t *pending = json_object_get(vector->in, "pending");
    const size_t count = json_array_size(pending);
    const char *ids[ROWS_MAX];
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(pending, i);
        const struct flush_log_table *table = flush_log_table(log, flush_text(entry, "table"));
        const struct t3_key key = flush_log_key(vector, table, flush_text(entry, "id"));
        struct t3_journal_ref ref;
        if (t3_pending_find(table->pending, &key, &ref))
            ids[waiting++] = flush_text(entry, "id");
    }
    qsort(ids, waiting, sizeof ids[0], compare_texts);
    json_t *requeued = json_array();
    for (size_t i = 0; i < waiting; i++) {
        for (size_t k = 0; k < count; k++) {
            const json_t *entry = json_array_get(pending, k);
            if (strcmp(flush_text(entry, "id"), ids[i]) == 0)
                json_array_append_new(
                    requeued, json_pack("{s:s,s:I}", "id", ids[i], "retries",
                                        json_integer_value(json_object_get(entry, "retries")) + 1));
        }
    }
    return requeued;
}

/* Which of the ids recorded as persisted in this way are in L3. */
static json_t *give_stored(const struct vector *vector, const char *member,
                           const struct refusing_store *stores, size_t store_count)
{
    const json_t *recorded = json_object_get(json_object_get(vector->line, "out"), member);
    json_t *stored = json_array();
    for (size_t i = 0; i < json_array_size(recorded); i++)
        if (is_stored(stores, store_count, json_string_value(json_array_get(recorded, i))))
            json_array_append(stored, json_array_get(recorded, i));
    return stored;
}

/* Says why the outcome may be another than the recorded one, if it is such that it may. */
static void explain(struct vector *vector, struct flush_log *log,
                    const struct tears_flush_result *result)
{
    const json_t *pending = json_object_get(vector->in, "pending");
    const json_t *failures = json_object_get(vector->in, "failures");
    uint64_t refused = 0;
    bool a_child_waits = false;
    for (size_t i = 0; i < json_array_size(pending); i++) {
        const json_t *entry = json_array_get(pending, i);
        const char *failure = flush_text(failures, flush_text(entry, "id"));
        const struct flush_log_table *table = flush_log_table(log, flush_text(entry, "table"));
        const struct t3_key key = flush_log_key(vector, table, flush_text(entry, "id"));
        struct t3_journal_ref ref;
        const bool waits = t3_pending_find(table->pending, &key, &ref);
        refused += strcmp(failure, "other") == 0 ? 1 : 0;
        if (waits && failure[0] == '\0' && flush_parent(entry, NULL)[0] == '\0')
            return; /* it has no reason to */
        a_child_waits |= waits && failure[0] == '\0';
    }
    if (result->dead != refused)
        return;
    if (refused > 0)
        vector->differs = "what the store will never take is a dead letter at once";
    else if (a_child_waits)
        vector->differs = "a row waits for its parent as long as that is not there";
}

static void save_entries(struct vector *vector, struct flush_log *log)
{
    const json_t *pending = json_object_get(vector->in, "pending");
    if (json_array_size(pending) > ROWS_MAX)
        give_up("a vector with many rows");
    for (size_t i = 0; i < json_array_size(pending); i++) {
        const json_t *entry = json_array_get(pending, i);
        flush_log_save(vector, flush_log_table(log, flush_text(entry, "table")),
                       flush_text(entry, "id"), flush_parent(entry, NULL));
    }
}

/*
 * How rows are put together into transactions is the flusher's own affair, so `batch` is given as recorded, and the ids as far as their rows are in L3: that
 * each is there, that nothing else is, and what waits, is compared.
 */
json_t *flush_run(struct vector *vector)
{
    static struct refusing_store stores[TABLES_MAX];
    const json_t *tables = json_object_get(vector->in, "tables");
    const json_t *backends = json_object_get(vector->in, "backends");
    const json_t *failures = json_object_get(vector->in, "failures");
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    struct t3_l3 *opened[TABLES_MAX];
    const char *names[TABLES_MAX];
    size_t store_count = 0;
    struct flush_log log;
    union {
        const json_t *given;
        json_t *iterated;
    } both;
    const char *name;
    json_t *value;
    flush_log_open(&log);
    both.given = backends;
    json_object_foreach(both.iterated, name, value)
    {
        names[store_count] = name;
        opened[store_count] = open_store(&stores[store_count], failures,
                                         json_is_true(json_object_get(value, "transactional")));
        store_count++;
    }
    both.given = tables;
    json_object_foreach(both.iterated, name, value)
    {
        for (size_t i = 0; i < store_count; i++)
            if (strcmp(names[i], flush_text(value, "backend")) == 0)
                flush_log_table(&log, name)->l3 = opened[i];
    }
    save_entries(vector, &log);
    flush_all(&log, &result);
    explain(vector, &log, &result);
    json_t *actual =
        json_pack("{s:I,s:O,s:o,s:o,s:o}", "flushed", (json_int_t)result.written, "batch",
                  json_object_get(json_object_get(vector->line, "out"), "batch"), "batch_ids",
                  give_stored(vector, "batch_ids", stores, store_count), "single_ids",
                  give_stored(vector, "single_ids", stores, store_count), "requeued",
                  give_waiting(vector, &log));
    for (size_t i = 0; i < store_count; i++)
        opened[i]->ops->free(opened[i]);
    flush_log_close(&log);
    return actual;
}
