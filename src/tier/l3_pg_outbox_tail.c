/*
 * l3_pg_outbox_tail.c -- reads notes from the outbox, as the only one of its database.
 *
 * Owns:     a connection with the tailer's lock, and the transaction in which notes are taken.
 * Must not know: what is done about the notes.
 * Threads:  one at a time per tail.
 * Fails:    TEARS_NOT_FOUND, TEARS_CONFLICT (the role is taken), TEARS_DENIED, TEARS_UNAVAILABLE, TEARS_TIMEOUT; after
 *           any failure the tail can only be freed.
 * Begin at: t3_l3_pg_tail_take().
 *
 * Notes are deleted by the statement that reads them, in a transaction that is committed when they are dealt with.  So there is no
 * position up to which all is done: numbers are given out before transactions commit, and a position would pass
 * over a note whose transaction commits late.  What is not dealt with is rolled back, and comes again.
 *
 * The lock makes one tailer enough, not correct: two would share the notes (SKIP LOCKED), and what is done about a note may be done twice.
 * A tailer that is stopped, or cut off, loses its role: the server ends sessions that say nothing (PostgreSQL 14
 * and newer; the timeouts below), and with the session its lock and its transaction.
 */
#include "base/alloc.h"
#include "tier/l3_pg_outbox_impl.h"

#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

enum {
    CALL_MS_MAX = 15000,
    EXPIRED_MAX = 100000 /* notes thrown away at once: a statement that ends in time */
};

struct t3_l3_tail {
    struct t3_pg_conn *conn;
    struct t3_arena arena;     /* texts of the tail */
    struct tears_str take_sql; /* NUL-terminated, as the next one */
    struct tears_str expire_sql;
    bool in_transaction;
    bool looks_for_expired; /* once per role: while it is held, nothing gets so old */
};

/* Those that this server knows.  The pauses between two statements of a tailer are far below the timeouts. */
static const char settings_sql[] =
    "SELECT set_config(v.name, v.value, false) FROM (VALUES ('application_name', 'tears outbox'),"
    " ('idle_session_timeout', '10s'), ('idle_in_transaction_session_timeout', '20s'),"
    " ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'),"
    " ('tcp_keepalives_count', '3'), ('client_connection_check_interval', '0'),"
    " ('default_transaction_isolation', 'read committed')) v(name, value)"
    " WHERE v.name IN (SELECT s.name FROM pg_catalog.pg_settings s)";

static const char take_sql[] =
    "WITH taken AS (DELETE FROM %1 WHERE id = ANY (ARRAY("
    "SELECT id FROM %1 ORDER BY id LIMIT $1::int8 FOR UPDATE SKIP LOCKED))"
    " RETURNING id, table_name, op, ids, version)"
    " SELECT id, table_name, op, array_to_json(ids)::text, version FROM taken ORDER BY id";

enum { NOTE_ID, NOTE_TABLE, NOTE_OP, NOTE_IDS, NOTE_VERSION };

/* After a week nobody's cache is worth the work; see docs/adr/0017. */
static const char expire_sql[] =
    "DELETE FROM %1 WHERE id = ANY (ARRAY(SELECT id FROM %1"
    " WHERE at < clock_timestamp() - interval '7 days' ORDER BY id LIMIT $1::int8"
    " FOR UPDATE SKIP LOCKED))";

/* ---- small things ------------------------------------------------------------------------------
 */

static struct t3_pg_call call_of(struct tears_error *error_out)
{
    struct t3_pg_call call = {.deadline = t3_deadline_in_ms(CALL_MS_MAX), .error = error_out};
    return call;
}

static tears_status run(struct t3_l3_tail *tail, const char *sql, struct tears_error *error_out)
{
    struct t3_pg_call call = call_of(error_out);
    struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(tail->conn, &call, sql, NULL, &result));
    t3_pg_result_free(result);
    return TEARS_OK;
}

/* A statement with one number as its parameter. */
static tears_status run_with(struct t3_l3_tail *tail, const char *sql, int64_t parameter,
                             struct t3_pg_result **result_out, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct tears_value value = tears_int(parameter);
    struct t3_pg_call call = call_of(error_out);
    struct t3_pg_params params;
    if (t3_pg_params_init(&params, &arena, 1) != TEARS_OK ||
        t3_pg_put_text(&params, &value) != TEARS_OK)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    return t3_pg_query(tail->conn, &call, sql, &params, result_out);
}

/* The pattern with the outbox's name in the place of each %1. */
static tears_status make_sql(struct t3_l3_tail *tail, const char *pattern, struct tears_str name,
                             struct tears_str *sql_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    const char *at = pattern;
    for (const char *next = strstr(at, "%1"); next != NULL; next = strstr(at, "%1")) {
        T3_TRY(t3_buf_put(&sql, tears_str_n(at, (size_t)(next - at))));
        T3_TRY(t3_buf_put(&sql, name));
        at = next + 2;
    }
    T3_TRY(t3_buf_put(&sql, tears_str_c(at)));
    return t3_arena_str(&tail->arena, t3_buf_str(&sql), sql_out);
}

/* ---- the role ----------------------------------------------------------------------------------
 */

static tears_status find(struct t3_l3_tail *tail, int64_t *id_out, struct tears_error *error_out)
{
    struct t3_pg_call call = call_of(error_out);
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    T3_TRY(t3_pg_query(tail->conn, &call, T3_OUTBOX_FIND_SQL, NULL, &result));
    if (t3_pg_result_rows(result) == 0)
        return t3_fail(error_out, TEARS_NOT_FOUND, T3_PG_ORIGIN, "there is no outbox");
    if (t3_int_parse(t3_pg_result_cell(result, 0, 0), id_out) != TEARS_OK)
        return t3_fail(error_out, TEARS_CORRUPT, T3_PG_ORIGIN, "the outbox has no object id");
    const struct tears_str name = t3_pg_result_cell(result, 0, 1);
    if (make_sql(tail, take_sql, name, &tail->take_sql) != TEARS_OK ||
        make_sql(tail, expire_sql, name, &tail->expire_sql) != TEARS_OK)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    return TEARS_OK;
}

static tears_status lock(struct t3_l3_tail *tail, int64_t id, struct tears_error *error_out)
{
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    T3_TRY(run_with(tail,
                    "SELECT pg_try_advisory_lock(" T3_OUTBOX_LOCK_TAILER ", $1::int8::oid::int4)",
                    id, &result, error_out));
    if (!t3_str_is(t3_pg_result_cell(result, 0, 0), "t"))
        return t3_fail(error_out, TEARS_CONFLICT, T3_PG_ORIGIN, "another client tails the outbox");
    return TEARS_OK;
}

static tears_status take_role(struct t3_l3_tail *tail, struct t3_l3_pg *l3,
                              struct tears_error *error_out)
{
    struct t3_pg_call call = call_of(error_out);
    int64_t id = 0;
    T3_TRY(t3_pg_connect(l3->pool, &call, &tail->conn));
    T3_TRY(find(tail, &id, error_out));
    T3_TRY(run(tail, settings_sql, error_out));
    T3_TRY(lock(tail, id, error_out));
    tail->looks_for_expired = true;
    return run(tail, "LISTEN tears_outbox", error_out);
}

tears_status t3_l3_pg_tail_open(struct t3_l3 *l3, struct t3_l3_tail **tail_out,
                                struct tears_error *error_out)
{
    struct t3_l3_tail *tail = t3_alloc_zero(1, sizeof *tail);
    if (tail == NULL)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    const tears_status status = take_role(tail, (struct t3_l3_pg *)(void *)l3, error_out);
    if (status != TEARS_OK) {
        t3_l3_pg_tail_free(tail);
        return status;
    }
    *tail_out = tail;
    return TEARS_OK;
}

void t3_l3_pg_tail_free(struct t3_l3_tail *tail)
{
    if (tail == NULL)
        return;
    t3_pg_disconnect(tail->conn);
    t3_arena_done(&tail->arena);
    t3_free(tail);
}

tears_status t3_l3_pg_tail_wait(struct t3_l3_tail *tail, struct t3_deadline deadline, int wake_fd)
{
    return t3_pg_listen_wait(tail->conn, deadline, wake_fd);
}

/* ---- notes -------------------------------------------------------------------------------------
 */

static tears_status count_elements(struct tears_str json, size_t *count_out)
{
    struct t3_json_reader reader = {.text = json};
    size_t count = 0;
    T3_TRY(t3_json_array_open(&reader));
    for (;;) {
        struct t3_json_value value;
        bool done = false;
        T3_TRY(t3_json_element(&reader, count == 0, &done));
        if (done)
            break;
        T3_TRY(t3_json_value(&reader, &value));
        count++;
    }
    *count_out = count;
    return TEARS_OK;
}

static tears_status read_text(const struct t3_json_value *value, struct t3_arena *arena,
                              struct tears_str *text_out)
{
    char *bytes = t3_arena_alloc(arena, value->text.len + 1);
    if (bytes == NULL)
        return TEARS_NO_MEMORY;
    const size_t len = t3_json_unescape_to(value->text, bytes);
    if (value->kind != T3_JSON_STRING || len == SIZE_MAX)
        return TEARS_INVALID; /* NULL in a key, for one */
    bytes[len] = '\0';
    *text_out = tears_str_n(bytes, len);
    return TEARS_OK;
}

static tears_status read_ids(struct tears_str json, struct t3_arena *arena, struct t3_l3_note *note)
{
    struct t3_json_reader reader = {.text = json};
    size_t count = 0;
    T3_TRY(count_elements(json, &count));
    struct tears_str *ids = t3_arena_array(arena, count, sizeof *ids);
    if (ids == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(t3_json_array_open(&reader));
    for (size_t i = 0; i < count; i++) {
        struct t3_json_value value;
        bool done = false;
        T3_TRY(t3_json_element(&reader, i == 0, &done));
        T3_TRY(t3_json_value(&reader, &value));
        T3_TRY(read_text(&value, arena, &ids[i]));
    }
    note->ids = ids;
    note->id_count = count;
    return TEARS_OK;
}

/* A note whose ids make no sense stands for all rows of its table. */
static tears_status read_note(const struct t3_pg_result *result, size_t row, struct t3_arena *arena,
                              struct t3_l3_note *note)
{
    const struct tears_str op = t3_pg_result_cell(result, row, NOTE_OP);
    const struct tears_str ids = t3_pg_result_cell(result, row, NOTE_IDS);
    T3_TRY(t3_arena_str(arena, t3_pg_result_cell(result, row, NOTE_TABLE), &note->table));
    T3_TRY(t3_arena_str(arena, t3_pg_result_cell(result, row, NOTE_VERSION), &note->version));
    note->is_deletion = t3_str_is(op, "D");
    note->is_insertion = t3_str_is(op, "I");
    (void)t3_int_parse(t3_pg_result_cell(result, row, NOTE_ID), &note->position);
    if (ids.len > 0 && read_ids(ids, arena, note) == TEARS_NO_MEMORY)
        return TEARS_NO_MEMORY;
    return TEARS_OK;
}

/* Throws away what is too old; whether there was any. */
static tears_status expire(struct t3_l3_tail *tail, bool *any_out, struct tears_error *error_out)
{
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    *any_out = false;
    if (!tail->looks_for_expired)
        return TEARS_OK;
    T3_TRY(run_with(tail, tail->expire_sql.ptr, EXPIRED_MAX, &result, error_out));
    *any_out = t3_pg_result_affected(result) > 0;
    tail->looks_for_expired = *any_out; /* there may be more of them */
    return TEARS_OK;
}

/* What a turn of the tail takes. */
struct taking {
    struct t3_arena *arena;
    size_t max;
    struct t3_l3_note *notes;
    size_t count;
};

static tears_status read_notes(struct t3_l3_tail *tail, struct taking *taking,
                               struct tears_error *error_out)
{
    T3_AUTO(t3_pg_result_free_auto) struct t3_pg_result *result = NULL;
    bool any_expired = false;
    T3_TRY(expire(tail, &any_expired, error_out));
    T3_TRY(run_with(tail, tail->take_sql.ptr, (int64_t)taking->max, &result, error_out));
    const size_t rows = t3_pg_result_rows(result);
    taking->notes = t3_arena_array(taking->arena, rows + 1, sizeof *taking->notes);
    if (taking->notes == NULL)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    if (any_expired)
        taking->notes[taking->count++].table = TEARS_STR("");
    for (size_t i = 0; i < rows; i++)
        if (read_note(result, i, taking->arena, &taking->notes[taking->count++]) != TEARS_OK)
            return t3_fail_memory(error_out, T3_PG_ORIGIN);
    return TEARS_OK;
}

tears_status t3_l3_pg_tail_take(struct t3_l3_tail *tail, struct t3_arena *arena, size_t max,
                                const struct t3_l3_note **notes_out, size_t *count_out,
                                struct tears_error *error_out)
{
    struct taking taking = {.arena = arena, .max = max};
    T3_ASSERT(!tail->in_transaction);
    T3_TRY(run(tail, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", error_out));
    T3_TRY(read_notes(tail, &taking, error_out));
    *notes_out = taking.notes;
    *count_out = taking.count;
    tail->in_transaction = taking.count > 0;
    return tail->in_transaction ? TEARS_OK : run(tail, "ROLLBACK", error_out);
}

tears_status t3_l3_pg_tail_done(struct t3_l3_tail *tail, bool done, struct tears_error *error_out)
{
    if (!tail->in_transaction)
        return TEARS_OK;
    tail->in_transaction = false;
    return run(tail, done ? "COMMIT" : "ROLLBACK", error_out);
}
