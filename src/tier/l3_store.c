/*
 * l3_store.c -- the durable tier on a store of the application's own (tears/store.h).
 *
 * Owns:     nothing but the adapter; the store is the application's.
 * Must not know: what the store does with rows.
 * Threads:  any, as the store promises.
 * Fails:    with the store's statuses; a store that breaks its contract gives CORRUPT or INTERNAL,
 * never a wrong row. Begin at: store_fetch(), store_write().
 *
 * A store is somebody else's code.  What it gives is checked against the schema: every field is
 * converted, missing columns are NULL or an error, the key must be the one that was asked for, and
 * only statuses that mean something to a caller are passed on.
 *
 * LIMITATIONS.  A store scans in ascending key order only; other orders are UNSUPPORTED.  A batch
 * on a store without transactions is written row by row.  Whatever fails outside a transaction may
 * have been written all the same, and be it that what the store gave back could not be kept:
 * outcome_unknown is set.
 */
#include "tier/l3.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"

static const char *const origin = "l3.store";

struct l3_store {
    struct t3_l3 base;
    const struct tears_store *store;
};

struct t3_l3_tx {
    void *tx; /* what the store's begin gave */
};

/* What every step of a call needs. */
struct work {
    const struct tears_store *store;
    struct t3_l3_call *call;
    const struct tears_schema *schema;
    void *tx;
    struct tears_error from_store;
};

static struct work work_of(struct t3_l3 *l3, struct t3_l3_call *call,
                           const struct tears_schema *schema)
{
    const struct l3_store *store = (const struct l3_store *)l3;
    return (struct work){.store = store->store,
                         .call = call,
                         .schema = schema,
                         .tx = call->tx != NULL ? call->tx->tx : NULL};
}

/* ---- what a store returns ---- */

static bool status_is_allowed(tears_status status)
{
    switch (status) {
    case TEARS_NO_MEMORY:
    case TEARS_CONFLICT:
    case TEARS_TIMEOUT:
    case TEARS_UNAVAILABLE:
    case TEARS_INVALID:
    case TEARS_LIMIT:
    case TEARS_DENIED:
    case TEARS_CORRUPT:
    case TEARS_UNSUPPORTED:
    case TEARS_INTERNAL:
        return true;
    case TEARS_OK:
    case TEARS_DONE:
    case TEARS_MISUSE:
    case TEARS_NOT_FOUND:
    case TEARS_STATUS_FORCE_INT:
        break;
    }
    return false;
}

static tears_status fail_store(struct work *work, tears_status status)
{
    const char *message = work->from_store.message;
    const struct tears_str table = work->schema != NULL ? work->schema->name : TEARS_STR("");
    if (!status_is_allowed(status))
        return t3_fail(work->call->error, TEARS_INTERNAL, origin,
                       "table '" T3_STR_FMT "': the store returned %s, which it may not here",
                       T3_STR_ARG(table), tears_status_name(status));
    work->from_store.message[sizeof work->from_store.message - 1] = '\0';
    return t3_fail_detail(work->call->error, status, origin, work->from_store.detail, "",
                          "table '" T3_STR_FMT "': %s", T3_STR_ARG(table),
                          message[0] != '\0' ? message : tears_status_text(status));
}

/* Before each call of the store: an empty error to fill, and how long it may take. */
static tears_status start(struct work *work, uint64_t *left_ms_out)
{
    memset(&work->from_store, 0, sizeof work->from_store);
    *left_ms_out = t3_deadline_left_ms(work->call->deadline);
    return *left_ms_out > 0 ? TEARS_OK
                            : t3_fail(work->call->error, TEARS_TIMEOUT, origin,
                                      "the deadline passed before the store was asked");
}

/* ---- rows that a store gives ---- */

struct gathered {
    struct work *work;
    struct t3_row **rows;
    size_t count;
    size_t capacity;
    size_t row_max;
    tears_status status; /* the first failure: a store may forget to return it */
};

static tears_status fail_row(const struct work *work, uint32_t column, const char *cause)
{
    return t3_fail(work->call->error, TEARS_CORRUPT, origin,
                   "table '" T3_STR_FMT "', column '" T3_STR_FMT "': %s",
                   T3_STR_ARG(work->schema->name), T3_STR_ARG(work->schema->columns[column].name),
                   cause);
}

static tears_status take_field(const struct work *work, const struct tears_field *field,
                               struct tears_value *values, bool *given)
{
    const uint32_t column = t3_schema_find(work->schema, field->name);
    if (column == T3_NO_COLUMN)
        return TEARS_OK; /* a store may keep more than the schema names */
    struct tears_error cause;
    t3_error_clear(&cause);
    const tears_status status =
        t3_value_coerce(work->schema, column, &field->value, work->schema->columns[column].nullable,
                        work->call->arena, &values[column], &cause);
    if (status == TEARS_INVALID)
        return t3_fail(work->call->error, TEARS_CORRUPT, origin, "the store gave a bad value: %s",
                       cause.message);
    if (status != TEARS_OK)
        return t3_fail(work->call->error, status, origin, "%s", cause.message);
    given[column] = true;
    return TEARS_OK;
}

static tears_status make_row(const struct work *work, const struct tears_field *fields,
                             size_t field_count, struct t3_row **row_out)
{
    const struct tears_schema *schema = work->schema;
    struct t3_arena *arena = work->call->arena;
    struct tears_value *values = t3_arena_array(arena, schema->column_count, sizeof *values);
    bool *given = t3_arena_array(arena, schema->column_count, sizeof *given);
    if (values == NULL || given == NULL)
        return t3_fail_memory(work->call->error, origin);
    for (size_t i = 0; i < field_count; i++)
        T3_TRY(take_field(work, &fields[i], values, given));
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (!given[i] && !schema->columns[i].nullable)
            return fail_row(work, i, "the store gave a row without it, and it is never NULL");
    const tears_status status = t3_row_new(arena, &schema->layout, values, row_out);
    if (status != TEARS_OK)
        return t3_fail(work->call->error, status, origin, "table '" T3_STR_FMT "': a row: %s",
                       T3_STR_ARG(schema->name), tears_status_text(status));
    return TEARS_OK;
}

static tears_status grow(struct gathered *gathered)
{
    const size_t capacity = gathered->capacity == 0 ? 8 : gathered->capacity * 2;
    struct t3_row **rows = t3_arena_array(gathered->work->call->arena, capacity, sizeof *rows);
    if (rows == NULL)
        return t3_fail_memory(gathered->work->call->error, origin);
    if (gathered->count > 0)
        memcpy(rows, gathered->rows, gathered->count * sizeof *rows);
    gathered->rows = rows;
    gathered->capacity = capacity;
    return TEARS_OK;
}

static tears_status gather(void *owner, const struct tears_field *fields, size_t field_count)
{
    struct gathered *gathered = owner;
    if (gathered->status != TEARS_OK)
        return gathered->status;
    if (gathered->count == gathered->row_max)
        gathered->status = t3_fail(gathered->work->call->error, TEARS_INTERNAL, origin,
                                   "table '" T3_STR_FMT "': the store gave more than %zu rows",
                                   T3_STR_ARG(gathered->work->schema->name), gathered->row_max);
    else if (gathered->count == gathered->capacity)
        gathered->status = grow(gathered);
    if (gathered->status == TEARS_OK)
        gathered->status =
            make_row(gathered->work, fields, field_count, &gathered->rows[gathered->count]);
    if (gathered->status == TEARS_OK)
        gathered->count++;
    return gathered->status;
}

/* ---- fetch ---- */

static tears_status check_key(struct work *work, const struct t3_key *key, const struct t3_row *row)
{
    if (t3_key_matches_row(work->schema, key, row))
        return TEARS_OK;
    return t3_fail(work->call->error, TEARS_CORRUPT, origin,
                   "table '" T3_STR_FMT "': the store gave another row than was asked for",
                   T3_STR_ARG(work->schema->name));
}

static tears_status fetch_one(struct work *work, const struct t3_key *key, struct t3_row **row_out)
{
    struct gathered gathered = {.work = work, .row_max = 1};
    const struct tears_row_sink sink = {.put = gather, .owner = &gathered};
    uint64_t left_ms;
    T3_TRY(start(work, &left_ms));
    const tears_status status =
        work->store->fetch(work->store->owner, work->tx, work->schema, key->values, key->count,
                           left_ms, &sink, &work->from_store);
    T3_TRY(gathered.status);
    *row_out = NULL;
    if (status == TEARS_NOT_FOUND)
        return TEARS_OK;
    if (status != TEARS_OK)
        return fail_store(work, status);
    if (gathered.count == 0)
        return t3_fail(work->call->error, TEARS_INTERNAL, origin,
                       "table '" T3_STR_FMT "': the store found a row but gave none",
                       T3_STR_ARG(work->schema->name));
    T3_TRY(check_key(work, key, gathered.rows[0]));
    *row_out = gathered.rows[0];
    return TEARS_OK;
}

static tears_status store_fetch(struct t3_l3 *l3, struct t3_l3_call *call,
                                const struct tears_schema *schema, const struct t3_key *keys,
                                size_t count, struct t3_row **rows_out)
{
    struct work work = work_of(l3, call, schema);
    for (size_t i = 0; i < count; i++)
        T3_TRY(fetch_one(&work, &keys[i], &rows_out[i]));
    return TEARS_OK;
}

/* ---- write ---- */

static struct tears_value version_value(const struct tears_schema *schema, int64_t version)
{
    const uint8_t kind = schema->columns[schema->version_column].kind;
    return kind == TEARS_KIND_TIMESTAMP ? tears_timestamp_us(version) : tears_int(version);
}

/* The row that is there after all, and its version. */
static tears_status fetch_winner(struct work *work, struct t3_write *write)
{
    T3_TRY(fetch_one(work, &write->key, &write->row));
    write->version = write->row != NULL ? t3_schema_row_version(work->schema, write->row) : 0;
    return TEARS_OK;
}

/* The fields to write: the cells, and for an update the key, which is not among them.  NULL without
 * memory. */
static struct tears_field *fields_of(const struct work *work, const struct t3_write *write,
                                     uint32_t key_count)
{
    const struct tears_schema *schema = work->schema;
    struct tears_field *fields =
        t3_arena_array(work->call->arena, (size_t)key_count + write->cell_count, sizeof *fields);
    if (fields == NULL)
        return NULL;
    for (uint32_t i = 0; i < key_count; i++)
        fields[i] = tears_field_of(schema->columns[schema->key[i]].name, write->key.values[i]);
    for (uint32_t i = 0; i < write->cell_count; i++)
        fields[key_count + i] =
            tears_field_of(schema->columns[write->cells[i].column].name, write->cells[i].value);
    return fields;
}

static uint64_t mode_of(const struct tears_schema *schema, enum t3_write_kind kind)
{
    if (kind == T3_WRITE_UPDATE)
        return TEARS_STORE_UPDATE;
    const bool overwrites = schema->on_conflict == TEARS_ON_CONFLICT_UPDATE;
    return kind == T3_WRITE_UPSERT && overwrites ? TEARS_STORE_UPSERT : TEARS_STORE_INSERT;
}

/* The store refused because of the row that is there, or is not. */
static tears_status explain_conflict(struct work *work, enum t3_write_kind kind,
                                     struct t3_write *write)
{
    T3_TRY(fetch_winner(work, write));
    const bool is_gone = write->row == NULL;
    const bool stays = kind == T3_WRITE_UPSERT && !is_gone &&
                       work->schema->on_conflict == TEARS_ON_CONFLICT_IGNORE;
    if (kind == T3_WRITE_UPDATE && !write->has_base && is_gone)
        write->status = TEARS_NOT_FOUND;
    else
        write->status = stays ? TEARS_OK : TEARS_CONFLICT;
    return TEARS_OK;
}

static tears_status put_one(struct work *work, enum t3_write_kind kind, struct t3_write *write)
{
    if (write->key.count == 0)
        return t3_fail(work->call->error, TEARS_INVALID, origin,
                       "table '" T3_STR_FMT "': a store makes no keys: give all key columns",
                       T3_STR_ARG(work->schema->name));
    struct gathered gathered = {.work = work, .row_max = 1};
    const struct tears_row_sink sink = {.put = gather, .owner = &gathered};
    const uint32_t key_count = kind == T3_WRITE_UPDATE ? work->schema->key_count : 0;
    struct tears_field *fields = fields_of(work, write, key_count);
    if (fields == NULL)
        return t3_fail_memory(work->call->error, origin);
    struct tears_value base = tears_null();
    if (write->has_base)
        base = version_value(work->schema, write->base);
    uint64_t left_ms;
    T3_TRY(start(work, &left_ms));
    const tears_status status =
        work->store->upsert(work->store->owner, work->tx, work->schema, mode_of(work->schema, kind),
                            fields, (size_t)key_count + write->cell_count,
                            write->has_base ? &base : NULL, left_ms, &sink, &work->from_store);
    if (status == TEARS_CONFLICT)
        return explain_conflict(work, kind, write);
    if (status != TEARS_OK && gathered.status == TEARS_OK)
        return fail_store(work, status);
    T3_TRY(gathered.status);
    if (gathered.count == 0) /* written, but not told how: ask */
        return fetch_winner(work, write);
    T3_TRY(check_key(work, &write->key, gathered.rows[0]));
    write->row = gathered.rows[0];
    write->version = t3_schema_row_version(work->schema, write->row);
    return TEARS_OK;
}

/* Removes the row of the version given (NULL: whatever is there). */
static tears_status remove_row(struct work *work, struct t3_write *write,
                               const struct tears_value *base)
{
    uint64_t left_ms;
    T3_TRY(start(work, &left_ms));
    const tears_status status =
        work->store->remove(work->store->owner, work->tx, work->schema, write->key.values,
                            write->key.count, base, left_ms, &work->from_store);
    if (status == TEARS_OK || status == TEARS_NOT_FOUND || status == TEARS_CONFLICT) {
        write->status = status;
        return TEARS_OK;
    }
    return fail_store(work, status);
}

/*
 * A delete without a base has to say which version it deleted, or the caches could not tell the
 * delete from an older one.  So it looks, and removes exactly what it saw; who changes the row in
 * between makes it look again.
 */
static tears_status remove_seen(struct work *work, struct t3_write *write)
{
    enum { ATTEMPTS = 8 };
    for (int i = 0; i < ATTEMPTS; i++) {
        T3_TRY(fetch_winner(work, write));
        if (write->row == NULL) {
            write->status = TEARS_NOT_FOUND;
            return TEARS_OK;
        }
        const struct tears_value seen = version_value(work->schema, write->version);
        T3_TRY(remove_row(work, write, &seen));
        if (write->status != TEARS_CONFLICT)
            break;
    }
    if (write->status == TEARS_OK)
        write->row = NULL;
    return TEARS_OK;
}

static tears_status remove_one(struct work *work, struct t3_write *write)
{
    const bool versioned = work->schema->version_column != T3_NO_COLUMN;
    if (versioned && !write->has_base)
        return remove_seen(work, write);
    struct tears_value base = tears_null();
    if (write->has_base)
        base = version_value(work->schema, write->base);
    T3_TRY(remove_row(work, write, write->has_base ? &base : NULL));
    if (write->status == TEARS_OK)
        write->version = write->has_base ? write->base : 0;
    else if (write->has_base) { /* gone or changed: both are a conflict with what was read */
        T3_TRY(fetch_winner(work, write));
        write->status = TEARS_CONFLICT;
    }
    return TEARS_OK;
}

static tears_status write_rows(struct work *work, enum t3_write_kind kind, struct t3_write *writes,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        writes[i].row = NULL;
        writes[i].version = 0;
        writes[i].status = TEARS_OK;
        const tears_status status = kind == T3_WRITE_DELETE ? remove_one(work, &writes[i])
                                                            : put_one(work, kind, &writes[i]);
        if (status == TEARS_OK)
            continue;
        if (work->tx == NULL) /* the rows before are there for good, and perhaps this one */
            work->call->outcome_unknown = true;
        return status;
    }
    return TEARS_OK;
}

static tears_status begin_store(struct work *work)
{
    uint64_t left_ms;
    T3_TRY(start(work, &left_ms));
    const tears_status status =
        work->store->begin(work->store->owner, &work->tx, &work->from_store);
    return status == TEARS_OK ? TEARS_OK : fail_store(work, status);
}

static tears_status commit_store(struct work *work)
{
    memset(&work->from_store, 0, sizeof work->from_store);
    const tears_status status =
        work->store->commit(work->store->owner, work->tx, &work->from_store);
    if (status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT)
        work->call->outcome_unknown = true;
    return status == TEARS_OK ? TEARS_OK : fail_store(work, status);
}

static tears_status store_write(struct t3_l3 *l3, struct t3_l3_call *call,
                                const struct tears_schema *schema, enum t3_write_kind kind,
                                struct t3_write *writes, size_t count)
{
    struct work work = work_of(l3, call, schema);
    const bool own = count > 1 && call->tx == NULL && work.store->begin != NULL;
    if (own)
        T3_TRY(begin_store(&work));
    const tears_status status = write_rows(&work, kind, writes, count);
    if (!own)
        return status;
    if (status == TEARS_OK)
        return commit_store(&work);
    work.store->rollback(work.store->owner, work.tx);
    return status;
}

/* ---- scan ---- */

static bool is_key_order(const struct tears_schema *schema, const struct t3_scan *scan)
{
    if (scan->descending || scan->order_count != schema->key_count)
        return false;
    return memcmp(scan->order, schema->key, schema->key_count * sizeof schema->key[0]) == 0;
}

static tears_status store_scan(struct t3_l3 *l3, struct t3_l3_call *call,
                               const struct tears_schema *schema, const struct t3_scan *scan,
                               struct t3_row ***rows_out, size_t *count_out)
{
    if (!is_key_order(schema, scan))
        return t3_fail(call->error, TEARS_UNSUPPORTED, origin,
                       "table '" T3_STR_FMT "': a store gives rows in ascending key order only",
                       T3_STR_ARG(schema->name));
    if (scan->partition_count > 0)
        return t3_fail(call->error, TEARS_UNSUPPORTED, origin,
                       "table '" T3_STR_FMT "': a store reads one partition at a time",
                       T3_STR_ARG(schema->name));
    struct work work = work_of(l3, call, schema);
    struct tears_field *filters = t3_arena_array(call->arena, scan->filter_count, sizeof *filters);
    if (filters == NULL)
        return t3_fail_memory(call->error, origin);
    for (uint32_t i = 0; i < scan->filter_count; i++)
        filters[i] =
            tears_field_of(schema->columns[scan->filters[i].column].name, scan->filters[i].value);
    const size_t row_max = scan->row_max < SIZE_MAX ? (size_t)scan->row_max : SIZE_MAX;
    struct gathered gathered = {.work = &work, .row_max = row_max};
    const struct tears_row_sink sink = {.put = gather, .owner = &gathered};
    uint64_t left_ms;
    T3_TRY(start(&work, &left_ms));
    const tears_status status =
        work.store->scan(work.store->owner, work.tx, schema, filters, scan->filter_count,
                         scan->after, row_max, left_ms, &sink, &work.from_store);
    T3_TRY(gathered.status);
    if (status != TEARS_OK)
        return fail_store(&work, status);
    *rows_out = gathered.rows;
    *count_out = gathered.count;
    return TEARS_OK;
}

/* ---- transactions ---- */

static tears_status store_begin(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx **tx_out)
{
    struct work work = work_of(l3, call, NULL);
    if (work.store->begin == NULL)
        return t3_fail(call->error, TEARS_UNSUPPORTED, origin, "the store has no transactions");
    struct t3_l3_tx *tx = t3_alloc_zero(1, sizeof *tx);
    if (tx == NULL)
        return t3_fail_memory(call->error, origin);
    const tears_status status = begin_store(&work);
    if (status != TEARS_OK) {
        t3_free(tx);
        return status;
    }
    tx->tx = work.tx;
    *tx_out = tx;
    return TEARS_OK;
}

static tears_status store_commit(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx *tx)
{
    struct work work = work_of(l3, call, NULL);
    work.tx = tx->tx;
    const tears_status status = commit_store(&work);
    t3_free(tx);
    return status;
}

static void store_rollback(struct t3_l3 *l3, struct t3_l3_tx *tx)
{
    const struct l3_store *store = (const struct l3_store *)l3;
    store->store->rollback(store->store->owner, tx->tx);
    t3_free(tx);
}

/* ---- what a store cannot do ---- */

static tears_status store_query(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql,
                                const struct tears_value *params, size_t param_count,
                                struct t3_result *result_out)
{
    (void)l3, (void)sql, (void)params, (void)param_count, (void)result_out;
    return t3_fail(call->error, TEARS_UNSUPPORTED, origin, "a store of rows understands no SQL");
}

static tears_status store_describe(struct t3_l3 *l3, struct t3_l3_call *call,
                                   struct tears_str table, struct tears_str version_column,
                                   uint8_t byte_codec, struct tears_schema **schema_out)
{
    (void)l3, (void)version_column, (void)byte_codec, (void)schema_out;
    return t3_fail(call->error, TEARS_UNSUPPORTED, origin,
                   "table '" T3_STR_FMT "': a store knows no schemas: give one with the collection",
                   T3_STR_ARG(table));
}

static tears_status store_tables(struct t3_l3 *l3, struct t3_l3_call *call,
                                 struct tears_str **names_out, size_t *count_out)
{
    (void)l3, (void)names_out, (void)count_out;
    return t3_fail(call->error, TEARS_UNSUPPORTED, origin, "a store cannot list its tables");
}

static tears_status store_doctor(struct t3_l3 *l3, struct t3_l3_call *call,
                                 struct t3_findings *findings)
{
    const struct l3_store *store = (const struct l3_store *)l3;
    (void)call;
    const bool transactions = store->store->begin != NULL;
    T3_TRY(t3_finding_add(findings, "l3", 0, "kind", TEARS_STR("the application's own store"),
                          TEARS_STR("")));
    return t3_finding_add(findings, "l3", transactions ? 0 : 1, "transactions",
                          transactions ? TEARS_STR("yes") : TEARS_STR("no"),
                          transactions ? TEARS_STR("")
                                       : TEARS_STR("batches are written row by row: give the store "
                                                   "begin, commit and rollback"));
}

/* ---- life ---- */

static void store_free(struct t3_l3 *l3)
{
    t3_free(l3);
}

static const struct t3_l3_ops ops = {.name = "store",
                                     .fetch = store_fetch,
                                     .write = store_write,
                                     .scan = store_scan,
                                     .begin = store_begin,
                                     .commit = store_commit,
                                     .rollback = store_rollback,
                                     .query = store_query,
                                     .describe = store_describe,
                                     .tables = store_tables,
                                     .doctor = store_doctor,
                                     .free = store_free};

static tears_status check_store(const struct tears_store *store, struct tears_error *error_out)
{
    if (store->size != sizeof *store)
        return t3_fail(error_out, TEARS_UNSUPPORTED, origin,
                       "the store's size is %zu; this library knows stores of %zu bytes",
                       store->size, sizeof *store);
    if (store->fetch == NULL || store->upsert == NULL || store->remove == NULL ||
        store->scan == NULL)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "a store needs fetch, upsert, remove and scan");
    const int count = (store->begin != NULL) + (store->commit != NULL) + (store->rollback != NULL);
    if (count != 0 && count != 3)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "a store has all of begin, commit and rollback, or none");
    return TEARS_OK;
}

tears_status t3_l3_store_open(const struct tears_store *store, struct t3_l3 **l3_out,
                              struct tears_error *error_out)
{
    T3_TRY(check_store(store, error_out));
    struct l3_store *l3 = t3_alloc_zero(1, sizeof *l3);
    if (l3 == NULL)
        return t3_fail_memory(error_out, origin);
    l3->base.ops = &ops;
    l3->store = store;
    *l3_out = &l3->base;
    return TEARS_OK;
}
