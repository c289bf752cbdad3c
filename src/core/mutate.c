/*
 * mutate.c -- changes rows of tables that live in L2, by compare-and-swap (tears_l2_mutate).
 *
 * Owns:     nothing that outlives a call.
 * Knows:    how a row becomes the next one when no database sees to it.
 * Must not know: JSON, NATS.
 * Threads:  the session's; threads that lost a race for a row take turns (turns.h).
 * Fails:    TEARS_CONFLICT, TEARS_INVALID, TEARS_LIMIT, TEARS_UNAVAILABLE, TEARS_TIMEOUT, what the caller's function returns.
 * Begin at: tears_l2_mutate().
 *
 * A round reads the row, has the caller decide, and puts the outcome over exactly what was read.  Whoever loses reads again:
 * at first at once and without waiting for anybody, then in its turn among this process's threads, and after a pause
 * that grows with the losses and differs from that of other processes.
 *
 * Versions go on through deletions: the marker has one more than the row it took away, and a row that is made anew has one
 * more than the marker.  So nothing that was cached before can outrank what came later.
 */
#include "core/core.h"

#include "base/fail.h"
#include "base/jitter.h"
#include "base/str.h"
#include "base/thread.h"
#include "core/cells.h"
#include "core/floors.h"
#include "core/repair.h"
#include "core/turns.h"

enum { ROUNDS_MAX = 1000, PAUSE_US = 200, PAUSE_DOUBLINGS_MAX = 6 };

struct mutating {
    struct tears_session *session;
    struct tears_collection *collection;
    struct t3_key key;
    tears_mutate_fn decide;
    void *owner;
    struct t3_deadline
        deadline; /* of the whole call: the caller's function may begin calls of its own */
    /* of a round */
    uint64_t ticket;
    uint64_t began_ms;
    struct t3_l2_entry entry; /* as read */
    struct t3_row *next;      /* to be put; NULL: a deletion */
    struct t3_l2_swap swap;
};

/* ---- the next row ------------------------------------------------------------------------- */

static tears_status refuse(const struct mutating *mutating, uint32_t column, const char *reason)
{
    const struct tears_schema *schema = mutating->collection->schema;
    return t3_fail(&mutating->session->error, TEARS_INVALID, "schema",
                   "table '" T3_STR_FMT "', column '" T3_STR_FMT "': %s", T3_STR_ARG(schema->name),
                   T3_STR_ARG(schema->columns[column].name), reason);
}

/* The next number, or the present moment if that is later than the last one. */
static int64_t next_version(uint8_t kind, int64_t last)
{
    const int64_t now = kind == TEARS_KIND_TIMESTAMP ? t3_calendar_us() : 0;
    return now > last || last == INT64_MAX ? now : last + 1;
}

static int64_t version_after(const struct mutating *mutating)
{
    const struct tears_schema *schema = mutating->collection->schema;
    return next_version(schema->columns[schema->version_column].kind, mutating->entry.version);
}

/* What the row holds before the caller's fields come: the row as it is, or its key alone. */
static void begin_values(const struct mutating *mutating, struct tears_value *values)
{
    const struct tears_schema *schema = mutating->collection->schema;
    const struct t3_row *row = mutating->entry.row;
    for (uint32_t i = 0; i < schema->column_count; i++)
        values[i] = row != NULL ? t3_row_value(row, &schema->layout, i) : tears_null();
    for (uint32_t i = 0; i < schema->key_count; i++)
        values[schema->key[i]] = mutating->key.values[i];
}

/* Key columns may be given as they are; immutable ones, once they have a value, too. */
static tears_status check_cell(const struct mutating *mutating, const struct t3_cell *cell)
{
    const struct tears_schema *schema = mutating->collection->schema;
    const struct t3_column *column = &schema->columns[cell->column];
    for (uint32_t i = 0; i < schema->key_count; i++) {
        if (schema->key[i] == cell->column &&
            !tears_value_equal(&cell->value, &mutating->key.values[i]))
            return refuse(mutating, cell->column, "it is part of the key of another row");
    }
    const struct t3_row *row = mutating->entry.row;
    if (row != NULL && (column->immutable || column->partition) &&
        !t3_row_cell_equal(row, &schema->layout, cell->column, &cell->value))
        return refuse(mutating, cell->column, "the column is immutable; it cannot be updated");
    return TEARS_OK;
}

static bool is_stamp(const struct t3_column *column, const char *name)
{
    return column->kind == TEARS_KIND_TIMESTAMP && t3_str_is(column->name, name);
}

/* What a database would have seen to. */
static void stamp_values(const struct mutating *mutating, struct tears_value *values)
{
    const struct tears_schema *schema = mutating->collection->schema;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_column *column = &schema->columns[i];
        struct tears_value *value = &values[i];
        const int64_t last = value->kind == TEARS_KIND_TIMESTAMP ? value->as.integer : INT64_MIN;
        if (column->version)
            *value = column->kind == TEARS_KIND_TIMESTAMP
                         ? tears_timestamp_us(version_after(mutating))
                         : tears_int(version_after(mutating));
        else if (is_stamp(column, "date_updated"))
            *value = tears_timestamp_us(next_version(TEARS_KIND_TIMESTAMP, last));
        else if (is_stamp(column, "date_created") && value->kind == TEARS_KIND_NULL)
            *value = tears_timestamp_us(t3_calendar_us());
    }
}

static tears_status check_nulls(const struct mutating *mutating, const struct tears_value *values)
{
    const struct tears_schema *schema = mutating->collection->schema;
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (values[i].kind == TEARS_KIND_NULL && !schema->columns[i].nullable)
            return refuse(mutating, i, "a value is needed, and none was given");
    return TEARS_OK;
}

/* Makes the row that the caller's fields and the row as read make together. */
static tears_status make_row(struct mutating *mutating, const struct tears_mutation *mutation)
{
    struct tears_session *session = mutating->session;
    const struct tears_schema *schema = mutating->collection->schema;
    struct tears_value *values =
        t3_arena_array(&session->arena, schema->column_count, sizeof *values);
    if (values == NULL)
        return t3_session_no_memory(session);
    struct t3_cell *cells = NULL;
    uint32_t cell_count = 0;
    T3_TRY(t3_cells_of(session, schema, mutation->fields, mutation->field_count, T3_CELLS_INSERT,
                       &cells, &cell_count));
    begin_values(mutating, values);
    for (uint32_t i = 0; i < cell_count; i++) {
        T3_TRY(check_cell(mutating, &cells[i]));
        /* what a caller says of the time is not later than what the row says already */
        if (!is_stamp(&schema->columns[cells[i].column], "date_updated"))
            values[cells[i].column] = cells[i].value;
    }
    stamp_values(mutating, values);
    T3_TRY(check_nulls(mutating, values));
    const tears_status status =
        t3_row_new(&session->arena, &schema->layout, values, &mutating->next);
    if (status == TEARS_LIMIT)
        return t3_fail(&session->error, status, "core",
                       "a row of table '" T3_STR_FMT "' would be too large",
                       T3_STR_ARG(schema->name));
    return t3_session_status(session, status);
}

/* ---- one round ---------------------------------------------------------------------------- */

static tears_status fail_l2(const struct mutating *mutating, tears_status status, const char *what)
{
    struct tears_error *error = &mutating->session->error;
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(mutating->session);
    if (error->status == status && error->message[0] != '\0')
        return status;
    return t3_fail(error, status, "l2", "a row of table '" T3_STR_FMT "' could not be %s: %s",
                   T3_STR_ARG(mutating->collection->schema->name), what, tears_status_text(status));
}

static tears_status read_entry(struct mutating *mutating)
{
    struct tears_session *session = mutating->session;
    struct tears_collection *collection = mutating->collection;
    mutating->ticket = t3_collection_ticket(collection, &mutating->key);
    mutating->began_ms = t3_now_coarse_ms();
    const tears_status status =
        t3_l2_get(collection->l2, collection->schema, &mutating->key, 1, &session->arena,
                  mutating->deadline, &mutating->entry, &session->error);
    if (status != TEARS_OK)
        return fail_l2(mutating, status, "read");
    if (mutating->entry.state != T3_L2_ROW)
        mutating->entry.row = NULL;
    return TEARS_OK;
}

static tears_status entity_of(const struct mutating *mutating, struct t3_row *row,
                              uint64_t revision, tears_entity **entity_out)
{
    const struct t3_found found = {.row = row,
                                   .revision = revision,
                                   .confirmed_ms = mutating->began_ms,
                                   .tier = TEARS_TIER_L2};
    *entity_out = NULL;
    if (row == NULL)
        return TEARS_OK;
    return t3_entity_of(mutating->session, mutating->collection, &found, entity_out);
}

static tears_status ask_caller(struct mutating *mutating, struct tears_mutation *mutation_out)
{
    struct tears_session *session = mutating->session;
    tears_entity *current;
    T3_TRY(entity_of(mutating, mutating->entry.row, mutating->entry.revision, &current));
    memset(mutation_out, 0, sizeof *mutation_out);
    const tears_status status = mutating->decide(mutating->owner, session, current, mutation_out);
    if (status != TEARS_OK && session->error.status != status)
        return t3_fail(&session->error, status, "core",
                       "table '" T3_STR_FMT "': the function that decides on the change ended it",
                       T3_STR_ARG(mutating->collection->schema->name));
    if (status == TEARS_OK && mutation_out->action > TEARS_MUTATE_DELETE)
        return t3_fail(&session->error, TEARS_INVALID, "core", "%llu is no TEARS_MUTATE_ action",
                       (unsigned long long)mutation_out->action);
    return status;
}

static tears_status put_next(struct mutating *mutating)
{
    struct tears_collection *collection = mutating->collection;
    const bool versioned = collection->schema->version_column != T3_NO_COLUMN;
    mutating->swap = (struct t3_l2_swap){
        .key = &mutating->key,
        .row = mutating->next,
        .has_version = versioned,
        .version = versioned ? version_after(mutating) : 0,
        .seen = mutating->entry.revision,
    };
    if (versioned && mutating->next != NULL)
        mutating->swap.version = t3_schema_row_version(collection->schema, mutating->next);
    return t3_l2_swap(collection->l2, collection->schema, &mutating->swap,
                      &mutating->session->arena, mutating->deadline, &mutating->session->error);
}

/* ---- afterwards --------------------------------------------------------------------------- */

static void keep_in_l1(const struct mutating *mutating)
{
    struct tears_collection *collection = mutating->collection;
    struct t3_l1 *l1 = collection->l1;
    /* what came in between may have been newer: its news are not repeated */
    const bool was_overtaken = t3_collection_ticket(collection, &mutating->key) != mutating->ticket;
    if (mutating->next == NULL || l1 == NULL || was_overtaken) {
        t3_collection_drop(collection, &mutating->key);
        return;
    }
    const struct t3_l1_put put = {
        .key = &mutating->key,
        .row = mutating->next,
        .version = t3_schema_row_version(collection->schema, mutating->next),
        .revision = mutating->swap.revision,
        .ticket = mutating->ticket,
        .confirmed_ms = mutating->began_ms,
        .age_ms_max = collection->l1_age_ms,
        .own_write = true,
    };
    if (l1->ops->put(l1, collection->space, &put) != TEARS_OK)
        mutating->session->degraded |= TEARS_DEGRADED_L1;
}

static void tell(const struct mutating *mutating)
{
    struct tears_collection *collection = mutating->collection;
    struct tears_client *client = collection->client;
    if (t3_l2_notify(collection->l2, collection->schema, &mutating->key, 1, NULL) == TEARS_OK) {
        t3_count(&client->counters.notices_sent, 1);
        return;
    }
    mutating->session->degraded |= TEARS_DEGRADED_NOTICE;
    t3_repair_add(client->repair, collection, &mutating->key);
}

/* ---- rounds ------------------------------------------------------------------------------- */

/* Reads, has the caller decide, puts.  TEARS_OK: done, with the row as it is then; TEARS_CONFLICT: again. */
static tears_status run_round(struct mutating *mutating, bool *raced_out, struct t3_row **row_out,
                              uint64_t *revision_out)
{
    struct tears_mutation mutation;
    *raced_out = false;
    T3_TRY(read_entry(mutating));
    T3_TRY(ask_caller(mutating, &mutation));
    *row_out = mutating->entry.row;
    *revision_out = mutating->entry.revision;
    mutating->next = NULL;
    const bool is_idle = mutation.action == TEARS_MUTATE_DELETE && mutating->entry.row == NULL;
    if (mutation.action == TEARS_MUTATE_NOTHING || is_idle)
        return TEARS_OK;
    if (mutation.action == TEARS_MUTATE_UPSERT)
        T3_TRY(make_row(mutating, &mutation));
    const tears_status status = put_next(mutating);
    if (status == TEARS_CONFLICT) {
        *raced_out = true;
        t3_count(&mutating->collection->client->counters.mutation_retries, 1);
        return TEARS_CONFLICT;
    }
    if (status != TEARS_OK) { /* it may have happened: nothing here may contradict it */
        t3_collection_drop(mutating->collection, &mutating->key);
        return fail_l2(mutating, status, "changed");
    }
    keep_in_l1(mutating);
    tell(mutating);
    t3_count(&mutating->collection->client->counters.mutations, 1);
    *row_out = mutating->next;
    *revision_out = mutating->swap.revision;
    return TEARS_OK;
}

static void back_off(size_t round)
{
    const size_t doublings = round < PAUSE_DOUBLINGS_MAX ? round : PAUSE_DOUBLINGS_MAX;
    t3_pause_us(t3_jitter((uint64_t)PAUSE_US << doublings));
}

static tears_status run_rounds(struct mutating *mutating, tears_entity **entity_out)
{
    struct t3_turns *turns = mutating->collection->client->turns;
    const uint64_t place = t3_ticket_hash(mutating->collection->space, &mutating->key);
    bool has_turn = false;
    bool raced = true;
    tears_status status = TEARS_CONFLICT;
    struct t3_row *row = NULL;
    uint64_t revision = 0;
    size_t round = 0;
    for (; raced && round < ROUNDS_MAX && !t3_deadline_passed(mutating->deadline); round++) {
        if (round > 0 && !has_turn)
            has_turn = t3_turn_take(turns, place, mutating->deadline);
        if (round > 1)
            back_off(round);
        t3_error_clear(&mutating->session->error);
        status = run_round(mutating, &raced, &row, &revision);
    }
    if (has_turn)
        t3_turn_pass(turns, place);
    if (raced)
        return t3_fail(&mutating->session->error, TEARS_CONFLICT, "core",
                       "a row of table '" T3_STR_FMT "' was changed by others %zu times while it "
                       "was to be changed here",
                       T3_STR_ARG(mutating->collection->schema->name), round);
    if (status != TEARS_OK)
        return status;
    t3_error_clear(&mutating->session->error);
    mutating->session->tier = TEARS_TIER_L2;
    t3_floors_note_row(mutating->session, mutating->collection, &mutating->key, row);
    tears_entity *entity;
    T3_TRY(entity_of(mutating, row, revision, &entity));
    if (entity_out != NULL)
        *entity_out = entity;
    return TEARS_OK;
}

tears_status tears_l2_mutate(tears_session *session, tears_collection *collection,
                             const struct tears_value *key, size_t key_count, tears_mutate_fn fn,
                             void *owner, tears_entity **entity_out)
{
    struct tears_value storage[16];
    T3_TRY(t3_session_enter(session));
    if (!collection->lives_in_l2)
        return t3_fail(&session->error, TEARS_MISUSE, "core",
                       "table '" T3_STR_FMT "' has an L3: change its rows there; "
                       "tears_l2_mutate is for collections with the option no_l3",
                       T3_STR_ARG(collection->schema->name));
    if (session->tx != NULL)
        return t3_fail(&session->error, TEARS_MISUSE, "core",
                       "a transaction is open, and tears_l2_mutate cannot be part of it");
    struct mutating mutating = {.session = session,
                                .collection = collection,
                                .decide = fn,
                                .owner = owner,
                                .deadline = t3_session_deadline(session)};
    T3_TRY(
        t3_session_status(session, t3_key_init(collection->schema, key, key_count, storage,
                                               &session->arena, &mutating.key, &session->error)));
    return run_rounds(&mutating, entity_out);
}
