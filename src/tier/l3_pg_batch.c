/*
 * l3_pg_batch.c -- many rows written: few statements, one transaction, one round trip more than the
 * work needs.
 *
 * Owns:     nothing; memory is the call's arena.
 * Must not know: caches.
 * Threads:  any.
 * Fails:    as tier/l3.h says; then nothing was written.
 * Begin at: t3_pg_write_many().
 *
 * A batch is cut into steps, each one statement over arrays:
 *
 *   entries sorted by key  ->  rounds: the n-th write of a key goes to round n, so that no
 * statement sees a key twice (an upsert would fail, an update would take either) within a round ->
 * groups of the same columns, because the statement names them within a group         ->  steps of
 * T3_BATCH_ROWS_MAX, in key order, so that two batches lock the same rows in the same order and do
 * not deadlock
 *
 * All steps go through one pipeline without a sync: PostgreSQL then treats them as one transaction,
 * which the sync at the end commits.  While the server works on a step the next is being encoded
 * and the one before decoded.  Writes that changed nothing are settled by reading the rows that are
 * there, before the commit.
 *
 * Where rows cannot be matched by key (see t3_pg_key_is_exact) every step is a single row.
 */
#include "base/hash.h"
#include "base/limits.h"
#include "tier/l3_pg_impl.h"

#include "base/str.h"

#include <stdlib.h>

enum { STEPS_IN_FLIGHT = 4 }; /* of many rows; single rows go by T3_PG_WINDOW */

struct entry {
    uint64_t prefix;  /* of the key; orders most pairs without looking at the key itself */
    uint64_t columns; /* hash of the columns written */
    struct t3_write *write;
    uint32_t round;
};

struct step {
    struct t3_pg_plan *plan;
    uint32_t first; /* in batch->ordered */
    uint32_t count;
};

struct batch {
    struct t3_pg_work *work;
    const struct tears_schema *schema;
    enum t3_write_kind kind;
    struct entry *entries;
    struct t3_write **ordered; /* the writes in the order of the entries */
    size_t count;
    struct step *steps;
    size_t step_count;
    struct t3_pg_plan *fetch; /* for those that changed nothing */
    struct t3_write **lost;
    size_t lost_count;
    bool has_keys;
    bool by_row;
    bool is_brief; /* keys and versions come back, and no rows */
};

/* ---- order of keys
 * ------------------------------------------------------------------------------- */

static uint64_t bytes_prefix(const void *bytes, size_t len)
{
    uint8_t head[8] = {0};
    uint64_t prefix = 0;
    if (len > 0)
        memcpy(head, bytes, len < 8 ? len : 8);
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | head[i];
    return prefix;
}

static uint64_t value_prefix(const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_BOOL:
        return value->as.boolean ? 1 : 0;
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        return (uint64_t)value->as.integer ^ (UINT64_C(1) << 63);
    case TEARS_KIND_UUID:
        return bytes_prefix(value->as.uuid, 16);
    case TEARS_KIND_TEXT:
    case TEARS_KIND_BYTES:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_JSON:
        return bytes_prefix(value->as.bytes.ptr, value->as.bytes.len);
    default:
        return 0;
    }
}

static int compare_words(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_values(const struct tears_value *a, const struct tears_value *b)
{
    switch (a->kind) {
    case TEARS_KIND_UUID:
        return memcmp(a->as.uuid, b->as.uuid, 16);
    case TEARS_KIND_TEXT:
    case TEARS_KIND_BYTES:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_JSON:
        return t3_str_compare(a->as.bytes, b->as.bytes);
    default:
        return compare_words(value_prefix(a), value_prefix(b));
    }
}

static int compare_keys(const struct t3_key *a, const struct t3_key *b)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        const int order = compare_values(&a->values[i], &b->values[i]);
        if (order != 0)
            return order;
    }
    return compare_words(a->count, b->count);
}

/* By key, then by place in the caller's array: of two writes to one row the earlier comes first. */
static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    if (a->prefix != b->prefix)
        return compare_words(a->prefix, b->prefix);
    const int order = compare_keys(&a->write->key, &b->write->key);
    return order != 0 ? order : compare_words((uintptr_t)a->write, (uintptr_t)b->write);
}

/* By round and columns first, for cutting into steps. */
static int compare_grouped(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    if (a->round != b->round)
        return compare_words(a->round, b->round);
    if (a->columns != b->columns)
        return compare_words(a->columns, b->columns);
    return compare_entries(left, right);
}

/* ---- cutting
 * ------------------------------------------------------------------------------------- */

static uint64_t columns_hash(const struct t3_pg_shape *shape)
{
    uint64_t hash = shape->has_base ? 1 : 0;
    for (uint32_t i = 0; i < shape->cell_count; i++)
        hash = (hash ^ shape->cells[i].column) * UINT64_C(0x9E3779B97F4A7C15) + 7;
    return hash;
}

static bool same_columns(const struct t3_pg_shape *a, const struct t3_pg_shape *b)
{
    if (a->has_base != b->has_base || a->cell_count != b->cell_count)
        return false;
    for (uint32_t i = 0; i < a->cell_count; i++)
        if (a->cells[i].column != b->cells[i].column)
            return false;
    return true;
}

static void fill_entries(struct batch *batch, struct t3_write *writes)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct t3_pg_shape shape = t3_pg_shape_of(batch->kind, &writes[i], true);
        struct entry *entry = &batch->entries[i];
        entry->write = &writes[i];
        entry->round = 0;
        entry->columns = columns_hash(&shape);
        entry->prefix = writes[i].key.count > 0 ? value_prefix(&writes[i].key.values[0]) : 0;
    }
}

/* Numbers the writes of each key; true when there is more than one round or more than one set of
 * columns. */
static bool number_rounds(struct batch *batch)
{
    bool mixed = false;
    for (size_t i = 1; i < batch->count; i++) {
        struct entry *entry = &batch->entries[i];
        const struct entry *before = &batch->entries[i - 1];
        if (batch->has_keys && compare_keys(&before->write->key, &entry->write->key) == 0)
            entry->round = before->round + 1;
        mixed = mixed || entry->round != 0 || entry->columns != before->columns;
    }
    return mixed;
}

static bool are_sorted(const struct batch *batch)
{
    for (size_t i = 1; i < batch->count; i++)
        if (compare_entries(&batch->entries[i - 1], &batch->entries[i]) > 0)
            return false;
    return true;
}

/* Single rows keep the caller's order: nothing has to be matched, and equal keys must not change
 * places. */
static void order_entries(struct batch *batch)
{
    if (!batch->by_row) {
        if (!are_sorted(batch))
            qsort(batch->entries, batch->count, sizeof *batch->entries, compare_entries);
        if (number_rounds(batch))
            qsort(batch->entries, batch->count, sizeof *batch->entries, compare_grouped);
    }
    for (size_t i = 0; i < batch->count; i++)
        batch->ordered[i] = batch->entries[i].write;
}

static uint32_t step_length(const struct batch *batch, size_t first,
                            const struct t3_pg_shape *shape)
{
    if (batch->by_row)
        return 1;
    uint32_t count = 1;
    while (first + count < batch->count && count < T3_BATCH_ROWS_MAX) {
        const struct entry *entry = &batch->entries[first + count];
        const struct t3_pg_shape other = t3_pg_shape_of(batch->kind, entry->write, true);
        if (entry->round != batch->entries[first].round || !same_columns(shape, &other))
            break;
        count++;
    }
    return count;
}

static tears_status cut(struct batch *batch)
{
    for (size_t first = 0; first < batch->count;) {
        struct t3_pg_shape shape =
            t3_pg_shape_of(batch->kind, batch->ordered[first], !batch->by_row);
        shape.is_brief = batch->is_brief;
        struct step *step = &batch->steps[batch->step_count];
        step->first = (uint32_t)first;
        step->count = step_length(batch, first, &shape);
        T3_TRY(t3_pg_plan_find(&batch->work->l3->plans, batch->schema, &shape, &step->plan));
        batch->step_count++;
        first += step->count;
    }
    return TEARS_OK;
}

static tears_status plan_fetch(struct batch *batch)
{
    const struct t3_pg_shape shape = {.operation = T3_PG_FETCH, .many = !batch->by_row};
    return t3_pg_plan_find(&batch->work->l3->plans, batch->schema, &shape, &batch->fetch);
}

/* Some keys from the caller and some from the database, or an insert of the database's own values
 * only: there is no array to send for those. */
static bool has_no_set_form(const struct batch *batch, const struct t3_write *write)
{
    return (write->key.count > 0) != batch->has_keys ||
           (batch->kind == T3_WRITE_INSERT && write->cell_count == 0);
}

static tears_status batch_init(struct batch *batch, struct t3_write *writes)
{
    struct t3_arena *arena = batch->work->call->arena;
    if (batch->count > UINT32_MAX)
        return TEARS_LIMIT;
    batch->has_keys = writes[0].key.count > 0;
    batch->by_row = batch->has_keys && !t3_pg_key_is_exact(batch->schema);
    for (size_t i = 0; i < batch->count; i++)
        if (has_no_set_form(batch, &writes[i]))
            batch->by_row = true;
    batch->is_brief = batch->work->call->is_brief && batch->has_keys && !batch->by_row &&
                      batch->kind != T3_WRITE_DELETE;
    batch->entries = t3_arena_alloc(arena, batch->count * sizeof *batch->entries);
    batch->ordered = t3_arena_alloc(arena, batch->count * sizeof(*batch->ordered));
    batch->lost = t3_arena_alloc(arena, batch->count * sizeof(*batch->lost));
    batch->steps = t3_arena_array(arena, batch->count, sizeof *batch->steps);
    if (batch->entries == NULL || batch->ordered == NULL || batch->lost == NULL ||
        batch->steps == NULL)
        return TEARS_NO_MEMORY;
    fill_entries(batch, writes);
    order_entries(batch);
    T3_TRY(cut(batch));
    return plan_fetch(batch);
}

static void batch_done(struct batch *batch)
{
    for (size_t i = 0; i < batch->step_count; i++)
        t3_pg_plan_drop(batch->steps[i].plan);
    t3_pg_plan_drop(batch->fetch);
}

/* ---- results
 * --------------------------------------------------------------------------------------- */

/* The write of the step whose key is `key`; rows mostly come in the order they were sent. */
static struct t3_write *match(struct t3_write **writes, size_t count, size_t hint,
                              const struct t3_key *key)
{
    if (hint < count && compare_keys(&writes[hint]->key, key) == 0)
        return writes[hint];
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare_keys(&writes[middle]->key, key);
        if (order == 0)
            return writes[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static tears_status unmatched(struct batch *batch)
{
    return t3_fail(batch->work->call->error, TEARS_CORRUPT, T3_PG_ORIGIN,
                   "a statement on table '" T3_STR_FMT "' returned a row that was not written; a "
                   "trigger changes its key",
                   T3_STR_ARG(batch->schema->name));
}

/* Rows of an insert, update or upsert.  Without keys of the caller's they are in the order they
 * were sent. */
static tears_status take_rows(struct batch *batch, const struct step *step,
                              const struct t3_pg_result *result)
{
    T3_AUTO(t3_pg_reader_done) struct t3_pg_reader reader = {0};
    struct t3_write **writes = batch->ordered + step->first;
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    const size_t rows = t3_pg_result_rows(result);
    const bool in_order = !batch->has_keys || batch->by_row;
    T3_TRY(t3_pg_reader_init(&reader, batch->work, result));
    for (size_t i = 0; i < rows; i++) {
        struct t3_row *row = NULL;
        struct t3_key key;
        T3_TRY(t3_pg_reader_row(&reader, i, &row));
        t3_key_of_row(batch->schema, row, storage, &key);
        struct t3_write *write =
            in_order ? (i < step->count ? writes[i] : NULL) : match(writes, step->count, i, &key);
        if (write == NULL)
            return unmatched(batch);
        t3_pg_write_done(batch->schema, write, row);
    }
    return TEARS_OK;
}

static tears_status returned_key(struct batch *batch, const struct t3_pg_result *result, size_t row,
                                 struct tears_value *storage, struct t3_key *key_out)
{
    for (uint32_t i = 0; i < batch->schema->key_count; i++) {
        const uint32_t kind = batch->schema->columns[batch->schema->key[i]].kind;
        const struct tears_str cell = t3_pg_result_cell(result, row, i);
        const enum t3_pg_how how = t3_pg_how(t3_pg_result_type(result, i), kind);
        if (cell.ptr == NULL || how == T3_PG_HOW_NONE)
            return unmatched(batch);
        if (t3_pg_decode(how, kind, cell, batch->work->call->arena, &storage[i]) != TEARS_OK)
            return unmatched(batch);
    }
    *key_out = (struct t3_key){.values = storage, .count = batch->schema->key_count};
    return TEARS_OK;
}

/* Of deletions, and of writes whose rows nobody wants: keys and versions. */
static tears_status take_keys(struct batch *batch, const struct step *step,
                              const struct t3_pg_result *result)
{
    struct t3_write **writes = batch->ordered + step->first;
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    const size_t rows = t3_pg_result_rows(result);
    for (size_t i = 0; i < rows; i++) {
        struct t3_write *write = writes[0];
        if (!batch->by_row) {
            struct t3_key key;
            T3_TRY(returned_key(batch, result, i, storage, &key));
            write = match(writes, step->count, i, &key);
        }
        if (write == NULL)
            return unmatched(batch);
        T3_TRY(t3_pg_take_deleted(batch->work, result, i, write));
    }
    return TEARS_OK;
}

/* Until its row comes back a write counts as lost. */
static void expect_loss(const struct batch *batch, const struct step *step)
{
    for (uint32_t i = 0; i < step->count; i++) {
        struct t3_write *write = batch->ordered[step->first + i];
        write->row = NULL;
        write->version = 0;
        write->status = TEARS_CONFLICT;
    }
}

static tears_status collect_lost(struct batch *batch, const struct step *step)
{
    for (uint32_t i = 0; i < step->count; i++) {
        struct t3_write *write = batch->ordered[step->first + i];
        if (write->status == TEARS_OK)
            continue;
        if (!batch->has_keys && !batch->by_row) /* which of them it was, nobody knows */
            return t3_fail(batch->work->call->error, TEARS_CONFLICT, T3_PG_ORIGIN,
                           "a key that the database made for table '" T3_STR_FMT
                           "' is in use already",
                           T3_STR_ARG(batch->schema->name));
        batch->lost[batch->lost_count++] = write;
    }
    return TEARS_OK;
}

static tears_status receive_step(struct batch *batch, const struct step *step)
{
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_pipeline_receive(batch->work->conn, &batch->work->pg, &result));
    expect_loss(batch, step);
    if (batch->kind == T3_WRITE_DELETE || batch->is_brief)
        T3_TRY(take_keys(batch, step, result));
    else
        T3_TRY(take_rows(batch, step, result));
    return collect_lost(batch, step);
}

/* ---- running
 * --------------------------------------------------------------------------------------- */

static tears_status send_step(struct batch *batch, const struct step *step)
{
    struct t3_pg_params params;
    T3_TRY(t3_pg_write_params(batch->work, step->plan, batch->ordered + step->first, step->count,
                              &params));
    return t3_pg_pipeline_send(batch->work->conn, &batch->work->pg, &step->plan->statement,
                               &params);
}

/* Keeps a few steps on their way: enough to hide the latency, few enough to bound the memory. */
static tears_status run_steps(struct batch *batch)
{
    const size_t window = batch->by_row ? T3_PG_WINDOW : STEPS_IN_FLIGHT;
    size_t received = 0;
    for (size_t sent = 0; sent < batch->step_count; sent++) {
        T3_TRY(send_step(batch, &batch->steps[sent]));
        /* Single rows are answered a window at a time: one flush for all of them. */
        const bool full = sent + 1 - received == window;
        while (full && received <= sent && (batch->by_row || sent + 1 - received == window))
            T3_TRY(receive_step(batch, &batch->steps[received++]));
    }
    while (received < batch->step_count)
        T3_TRY(receive_step(batch, &batch->steps[received++]));
    return TEARS_OK;
}

/* ---- those that changed nothing
 * --------------------------------------------------------------------- */

static tears_status receive_winners(struct batch *batch, struct t3_write **writes, size_t count)
{
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    T3_AUTO(t3_pg_reader_done) struct t3_pg_reader reader = {0};
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    T3_TRY(t3_pg_pipeline_receive(batch->work->conn, &batch->work->pg, &result));
    T3_TRY(t3_pg_reader_init(&reader, batch->work, result));
    for (size_t i = 0; i < t3_pg_result_rows(result); i++) {
        struct t3_row *row = NULL;
        struct t3_key key;
        T3_TRY(t3_pg_reader_row(&reader, i, &row));
        t3_key_of_row(batch->schema, row, storage, &key);
        for (size_t j = 0; j < count; j++) /* few, and the same key may be there twice */
            if (batch->by_row || t3_key_equal(&writes[j]->key, &key))
                writes[j]->row = row;
    }
    return TEARS_OK;
}

static tears_status fetch_winners(struct batch *batch, struct t3_write **writes, size_t count)
{
    const struct t3_key **keys = t3_arena_alloc(batch->work->call->arena, count * sizeof(*keys));
    struct t3_pg_params params;
    if (keys == NULL)
        return t3_fail_memory(batch->work->call->error, T3_PG_ORIGIN);
    for (size_t i = 0; i < count; i++)
        keys[i] = &writes[i]->key;
    T3_TRY(t3_pg_fetch_params(batch->work, batch->fetch, keys, count, &params));
    T3_TRY(t3_pg_pipeline_send(batch->work->conn, &batch->work->pg, &batch->fetch->statement,
                               &params));
    return receive_winners(batch, writes, count);
}

static tears_status settle(struct batch *batch)
{
    enum { WINNERS_AT_ONCE = 100 }; /* their rows are matched by looking at all of them */
    size_t wanted = 0;
    for (size_t i = 0; i < batch->lost_count; i++)
        if (t3_pg_wants_winner(batch->kind, batch->lost[i]))
            batch->ordered[wanted++] = batch->lost[i];
    const size_t at_once = batch->by_row ? 1 : WINNERS_AT_ONCE;
    for (size_t at = 0; at < wanted; at += at_once) {
        const size_t count = wanted - at < at_once ? wanted - at : at_once;
        T3_TRY(fetch_winners(batch, batch->ordered + at, count));
    }
    for (size_t i = 0; i < batch->lost_count; i++)
        t3_pg_write_lost(batch->schema, batch->kind, batch->lost[i], batch->lost[i]->row);
    return TEARS_OK;
}

/* ---- the whole
 * -------------------------------------------------------------------------------------- */

/* Statements beyond a few are sent unprepared: a batch with that many sets of columns will not come
 * again. */
static tears_status prepare_all(struct batch *batch)
{
    enum { PREPARED_MAX = 16 };
    const struct t3_pg_plan *before = NULL;
    uint32_t prepared = 0;
    for (size_t i = 0; i < batch->step_count && prepared < PREPARED_MAX; i++) {
        const struct t3_pg_plan *plan = batch->steps[i].plan;
        if (plan == before)
            continue;
        T3_TRY(t3_pg_prepare(batch->work->conn, &batch->work->pg, &plan->statement));
        before = plan;
        prepared++;
    }
    return t3_pg_prepare(batch->work->conn, &batch->work->pg, &batch->fetch->statement);
}

static tears_status run(struct batch *batch)
{
    struct t3_pg_work *work = batch->work;
    T3_TRY(prepare_all(batch));
    work->pg.sent = false;
    T3_TRY(t3_pg_pipeline_open(work->conn, &work->pg));
    tears_status status = run_steps(batch);
    if (status == TEARS_OK)
        status = settle(batch);
    if (status != TEARS_OK) {
        (void)t3_pg_pipeline_close(work->conn, &work->pg, false); /* `status` is what happened */
        work->pg.sent = false; /* without a sync nothing is committed */
        return status;
    }
    return t3_pg_pipeline_close(work->conn, &work->pg, true);
}

tears_status t3_pg_write_many(struct t3_pg_work *work, const struct tears_schema *schema,
                              enum t3_write_kind kind, struct t3_write *writes, size_t count)
{
    struct batch batch = {.work = work, .schema = schema, .kind = kind, .count = count};
    tears_status status = batch_init(&batch, writes);
    if (status != TEARS_OK)
        status = t3_fail(work->call->error, status, T3_PG_ORIGIN,
                         "a batch of %zu rows for table '" T3_STR_FMT "' could not be prepared: %s",
                         count, T3_STR_ARG(schema->name), tears_status_text(status));
    else
        status = run(&batch);
    batch_done(&batch);
    return status;
}
