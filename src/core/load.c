/*
 * load.c -- rows from L3: one statement for several callers, and not too many statements at once.
 *
 * Owns:     nothing that outlives a call.
 * Must not know: the caches.
 * Threads:  any; one of several callers carries out the statement for all.
 * Fails:    as L3 does; TEARS_TIMEOUT also when the deadline passes before L3 is asked.
 * Begin at: t3_load_one().
 */
#include "core/miss.h"

#include "base/fail.h"
#include "core/read.h"

static tears_status too_late(const struct tears_collection *collection, struct tears_error *error)
{
    return t3_fail(error, TEARS_TIMEOUT, "core",
                   "the deadline passed while waiting for a connection to read table "
                   "'" T3_STR_FMT "'",
                   T3_STR_ARG(collection->schema->name));
}

/* Asks L3, through the collection's gate.  A transaction does not wait there: who is inside may wait for its locks. */
static tears_status ask(struct tears_collection *collection, struct t3_l3_call *call,
                        const struct t3_key *keys, size_t count, struct t3_row **rows_out)
{
    struct t3_counters *counters = &collection->client->counters;
    struct t3_l3 *l3 = collection->l3;
    if (call->tx == NULL && t3_gate_enter(&collection->gate, call->deadline) != TEARS_OK)
        return too_late(collection, call->error);
    t3_count(&counters->l3_reads, 1);
    const tears_status status = l3->ops->fetch(l3, call, collection->schema, keys, count, rows_out);
    if (call->tx == NULL)
        t3_gate_leave(&collection->gate);
    T3_TRY(status);
    uint64_t rows = 0;
    for (size_t i = 0; i < count; i++)
        rows += rows_out[i] != NULL;
    t3_count(&counters->l3_rows_read, rows);
    return TEARS_OK;
}

tears_status t3_load_many(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *keys, size_t count, struct t3_row **rows_out)
{
    struct t3_l3_call call = t3_session_l3_call(session, collection);
    return t3_session_status(session, ask(collection, &call, keys, count, rows_out));
}

/* ---- several callers' ---------------------------------------------------------------------- */

/* A single-row load that waits to be carried out with others of the same table. */
struct load {
    struct t3_combine_item item; /* first: the combine gives it back */
    const struct t3_key *key;
    struct tears_session *session;
    struct t3_row *row;
    tears_status status;
};

/* Gives each caller its row, in its own memory: the callers wait, so this thread may use their
 * sessions. */
static void deliver(struct t3_combine_item **items, size_t count, struct t3_row **rows,
                    tears_status status, const struct tears_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct load *load = (struct load *)items[i];
        load->status = status;
        load->row = NULL;
        if (status != TEARS_OK) {
            load->session->error = *error;
            continue;
        }
        if (rows[i] == NULL)
            continue;
        load->row = t3_arena_alloc(&load->session->arena, rows[i]->size);
        if (load->row == NULL)
            load->status = t3_session_no_memory(load->session);
        else
            memcpy(load->row, rows[i], rows[i]->size);
    }
}

static struct t3_deadline earliest(struct t3_combine_item **items, size_t count)
{
    struct t3_deadline deadline = items[0]->deadline;
    for (size_t i = 1; i < count; i++)
        if (items[i]->deadline.at_us < deadline.at_us)
            deadline = items[i]->deadline;
    return deadline;
}

static tears_status load_batch(struct tears_collection *collection, struct t3_l3_call *call,
                               struct t3_combine_item **items, size_t count,
                               struct t3_row ***rows_out)
{
    struct t3_key *keys = t3_arena_array(call->arena, count, sizeof *keys);
    struct t3_row **rows = t3_arena_array(call->arena, count, sizeof *rows);
    if (keys == NULL || rows == NULL)
        return t3_fail_memory(call->error, "core");
    for (size_t i = 0; i < count; i++)
        keys[i] = *((struct load *)items[i])->key;
    *rows_out = rows;
    return ask(collection, call, keys, count, rows);
}

void t3_read_run_loads(void *owner, struct t3_combine_item **items, size_t count)
{
    struct tears_collection *collection = owner;
    if (count == 1) { /* the usual case needs no copy */
        struct load *load = (struct load *)items[0];
        load->status = t3_load_many(load->session, collection, load->key, 1, &load->row);
        return;
    }
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error;
    t3_error_clear(&error);
    struct t3_l3_call call = {.arena = &arena, .deadline = earliest(items, count), .error = &error};
    struct t3_row **rows = NULL;
    const tears_status status = load_batch(collection, &call, items, count, &rows);
    deliver(items, count, rows, status, &error);
}

tears_status t3_load_one(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key, struct t3_row **row_out)
{
    if (!collection->combine_loads || session->tx != NULL)
        return t3_load_many(session, collection, key, 1, row_out);
    const struct t3_deadline deadline = t3_session_deadline(session);
    struct load load = {.key = key, .session = session, .status = TEARS_INTERNAL};
    do { /* again when another caller of the batch had less time than this one */
        if (t3_combine_call(&collection->loads, &load.item, deadline) != TEARS_OK)
            return too_late(collection, &session->error);
    } while (load.status == TEARS_TIMEOUT && !t3_deadline_passed(deadline));
    *row_out = load.row;
    return load.status;
}
