/*
 * flush_fence.c -- the row by which a database knows the journal.
 *
 * Owns:     the SQL text of the table tears_journals, the same for PostgreSQL and SQLite.
 * Must not know: tables of the application, records.
 * Threads:  one at a time for each fence.
 * Fails:    as flush_fence.h says.
 * Begin at: t3_fence_claim().
 *
 * Why an upsert that changes the row and not a SELECT: in PostgreSQL a plain SELECT does not wait for a transaction that has written the row and is about
 * to commit.  Its batch would be taken for lost, and be written twice.
 */
#include "deferred/flush_fence.h"

#include "base/fail.h"
#include "base/str.h"

static const char origin[] = "flush";

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS tears_journals (id TEXT PRIMARY KEY, epoch BIGINT NOT NULL, "
    "batch BIGINT NOT NULL, changed TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/* The epoch is returned too: without the row that comes back there is nothing to tell by. */
static const char claim_sql[] =
    "INSERT INTO tears_journals (id, epoch, batch) VALUES ($1, $2, 0) "
    "ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, changed = CURRENT_TIMESTAMP "
    "WHERE tears_journals.epoch <= excluded.epoch RETURNING batch";

#define PASS_SQL                                                         \
    "UPDATE tears_journals SET batch = $3, changed = CURRENT_TIMESTAMP " \
    "WHERE id = $1 AND epoch = $2 AND batch < $3"
static const char pass_sql[] = PASS_SQL;

/*
 * In PostgreSQL the transaction of a process that was stopped keeps the row, and whoever took the journal over would wait for it without end.  So the
 * server ends a transaction whose next statement does not come: the flusher has it ready within milliseconds.  A limit that the
 * database's owner has set stays.
 */
static const char pg_pass_sql[] =
    PASS_SQL " AND (current_setting('idle_in_transaction_session_timeout') <> '0' OR "
             "set_config('idle_in_transaction_session_timeout', '10s', true) IS NOT NULL)";

static const char forget_sql[] = "DELETE FROM tears_journals WHERE id = $1 AND epoch = $2";

static tears_status run(const struct t3_fence *fence, struct t3_l3_call *call, const char *sql,
                        const struct tears_value *params, size_t param_count,
                        struct t3_result *result_out)
{
    memset(result_out, 0, sizeof *result_out);
    return fence->l3->ops->query(fence->l3, call, tears_str_c(sql), params, param_count,
                                 result_out);
}

/* The batch as it came back: an integer of SQLite's, an integer or text of PostgreSQL's. */
static uint64_t batch_of(const struct t3_result *result)
{
    const struct tears_value value = t3_result_at(result, 0, 0);
    if (value.kind == TEARS_KIND_INT)
        return (uint64_t)value.as.integer;
    uint64_t batch = 0;
    for (size_t i = 0; value.kind == TEARS_KIND_TEXT && i < value.as.bytes.len; i++) {
        const char digit = value.as.bytes.ptr[i];
        if (digit < '0' || digit > '9')
            break;
        batch = batch * 10 + (uint64_t)(digit - '0');
    }
    return batch;
}

static tears_status refused(const struct t3_fence *fence, struct tears_error *error_out)
{
    return t3_fail(
        error_out, TEARS_DENIED, origin,
        "the pending writes were taken over: the database (table tears_journals) knows a "
        "later owner of "
        "journal " T3_STR_FMT " than epoch %llu; nothing more is flushed by this process",
        T3_STR_ARG(fence->id), (unsigned long long)fence->epoch);
}

static tears_status claim_once(struct t3_fence *fence, struct t3_l3_call *call)
{
    const struct tears_value params[] = {
        tears_text(fence->id),
        tears_int((int64_t)fence->epoch),
    };
    struct t3_result result;
    T3_TRY(run(fence, call, claim_sql, params, T3_COUNT(params), &result));
    if (result.row_count == 0)
        return refused(fence, call->error);
    fence->batch = batch_of(&result);
    fence->has_sql = true;
    fence->is_claimed = true;
    return TEARS_OK;
}

static bool is_missing(const struct tears_error *error)
{
    return strcmp(error->sqlstate, "42P01") == 0 || strstr(error->message, "no such table") != NULL;
}

/* The database said no, and not because it is away. */
static tears_status explain(tears_status status, struct tears_error *error)
{
    if (status == TEARS_OK || status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT ||
        status == TEARS_NO_MEMORY || status == TEARS_DENIED)
        return status;
    const struct tears_error cause = *error;
    if (status == TEARS_CONFLICT || status == TEARS_LIMIT)
        return t3_fail_detail(error, TEARS_UNAVAILABLE, origin, cause.detail, cause.sqlstate,
                              "table tears_journals: %s", cause.message);
    return t3_fail_detail(
        error, TEARS_DENIED, origin, cause.detail, cause.sqlstate,
        "the database refuses table tears_journals, without which nothing can be flushed: %s",
        cause.message);
}

/* Two processes that make the table at once: one of them may be told that it, or its type, is there. */
static tears_status claim_or_create(struct t3_fence *fence, struct t3_l3_call *call)
{
    enum { ATTEMPTS = 4 };
    tears_status status = claim_once(fence, call);
    for (int i = 0; i < ATTEMPTS && status != TEARS_OK && is_missing(call->error); i++) {
        struct t3_result ignored;
        struct tears_error cause;
        const tears_status created = run(fence, call, create_sql, NULL, 0, &ignored);
        cause = *call->error;
        status = claim_once(fence, call);
        if (created != TEARS_OK && status != TEARS_OK && is_missing(call->error)) {
            *call->error = cause;
            return explain(created, call->error);
        }
    }
    return explain(status, call->error);
}

tears_status t3_fence_claim(struct t3_fence *fence, struct t3_deadline deadline,
                            struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error;
    t3_error_clear(&error);
    struct t3_l3_call call = {.arena = &arena, .deadline = deadline, .error = &error};
    tears_status status = claim_once(fence, &call);
    if (status == TEARS_UNSUPPORTED && error.sqlstate[0] == '\0') {
        fence->has_sql = false;
        fence->is_claimed = true;
        return TEARS_OK;
    }
    if (status != TEARS_OK)
        status = is_missing(&error) ? claim_or_create(fence, &call) : explain(status, &error);
    if (status != TEARS_OK && error_out != NULL)
        *error_out = error;
    return status;
}

tears_status t3_fence_pass(const struct t3_fence *fence, struct t3_l3_call *call, uint64_t batch)
{
    const struct tears_value params[] = {
        tears_text(fence->id),
        tears_int((int64_t)fence->epoch),
        tears_int((int64_t)batch),
    };
    const bool is_pg = strcmp(fence->l3->ops->name, "postgresql") == 0;
    struct t3_result result;
    T3_TRY(run(fence, call, is_pg ? pg_pass_sql : pass_sql, params, T3_COUNT(params), &result));
    return result.affected == 1 ? TEARS_OK : refused(fence, call->error);
}

void t3_fence_forget(const struct t3_fence *fence, struct t3_deadline deadline)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_l3_call call = {.arena = &arena, .deadline = deadline, .error = &error};
    const struct tears_value params[] = {
        tears_text(fence->id),
        tears_int((int64_t)fence->epoch),
    };
    struct t3_result result;
    if (fence->is_claimed && fence->has_sql)
        (void)run(fence, &call, forget_sql, params, T3_COUNT(params),
                  &result); /* one row too many in the database harms nobody */
}
