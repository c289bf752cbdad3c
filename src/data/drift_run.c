/*
 * drift_run.c -- the repair: as a script for people, and carried out.
 *
 * Owns:     nothing beyond the call.
 * Knows:    drift_impl.h, tier/l3_admin.h.
 * Must not know: how the statements were found.
 * Threads:  one at a time.
 * Fails:    as tears/drift.h says.
 * Begin at: tears_drift_repair().
 *
 * Why the catalogue is read again: the statements were made for the schema as it was.  Under the lock no migration can change it
 * any more; had one done so before, a column that it has just added would be dropped as one that nobody declared.
 */
#include "base/owned_text.h"
#include "base/str.h"
#include "core/core.h"
#include "data/drift_impl.h"

enum { CONNECT_MS = 30000 };

/* ---- as a script ------------------------------------------------------------------------------ */

static tears_status put_comment(struct t3_buf *out, struct tears_str text)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("-- ")));
    for (size_t i = 0; i < text.len; i++) {
        T3_TRY(t3_buf_put_char(out, text.ptr[i]));
        if (text.ptr[i] == '\n')
            T3_TRY(t3_buf_put(out, TEARS_STR("-- ")));
    }
    return t3_buf_put_char(out, '\n');
}

static tears_status put_step(struct t3_buf *out, const struct tears_drift_step *step)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};

    if (step->reason.len > 0) {
        T3_TRY(t3_buf_put(&sql, TEARS_STR("not run: ")));
        T3_TRY(t3_buf_put(&sql, step->reason));
        T3_TRY(put_comment(out, t3_buf_str(&sql)));
        t3_buf_clear(&sql);
    }
    if (step->sql.len == 0)
        return TEARS_OK;
    T3_TRY(t3_buf_put(&sql, t3_str_trim(step->sql, T3_BLANKS)));
    T3_TRY(t3_buf_put_char(&sql, ';'));
    if (step->is_run == 0)
        return put_comment(out, t3_buf_str(&sql));
    T3_TRY(t3_buf_put(out, t3_buf_str(&sql)));
    return t3_buf_put_char(out, '\n');
}

static tears_status put_name(struct t3_buf *out, struct tears_str name)
{
    T3_TRY(t3_buf_put_char(out, '"'));
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            T3_TRY(t3_buf_put_char(out, '"'));
        T3_TRY(t3_buf_put_char(out, name.ptr[i]));
    }
    return t3_buf_put_char(out, '"');
}

/* What is not qualified is the schema's own; a function's body may name what comes after it. */
static tears_status put_settings(struct t3_buf *out, const struct tears_drift *drift)
{
    if (drift->live.dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    T3_TRY(t3_buf_put(out, TEARS_STR("SET search_path TO ")));
    T3_TRY(put_name(out, drift->live.schema));
    return t3_buf_put(out, TEARS_STR(";\nSET check_function_bodies TO off;\n"));
}

static tears_status put_phases(struct t3_buf *out, const struct t3_repair *repair, uint8_t first,
                               uint8_t last)
{
    for (size_t i = 0; i < repair->count; i++)
        if (repair->steps[i].phase >= first && repair->steps[i].phase <= last)
            T3_TRY(put_step(out, &repair->steps[i].step));
    return TEARS_OK;
}

static tears_status put_script(struct t3_buf *out, const struct tears_drift *drift)
{
    if (drift->repair.count == 0)
        return t3_buf_put(out, TEARS_STR("-- nothing to repair\n"));
    T3_TRY(put_settings(out, drift));
    T3_TRY(put_phases(out, &drift->repair, T3_REPAIR_BEFORE, T3_REPAIR_BEFORE));
    T3_TRY(t3_buf_put(out, TEARS_STR("BEGIN;\n")));
    T3_TRY(put_phases(out, &drift->repair, T3_REPAIR_BEFORE + 1, T3_REPAIR_AFTER - 1));
    T3_TRY(t3_buf_put(out, TEARS_STR("COMMIT;\n")));
    T3_TRY(put_phases(out, &drift->repair, T3_REPAIR_AFTER, T3_REPAIR_AFTER));
    if (drift->live.dialect == T3_DIALECT_POSTGRESQL)
        return t3_buf_put(out, TEARS_STR("RESET check_function_bodies;\nRESET search_path;\n"));
    return TEARS_OK;
}

tears_status tears_drift_sql(const tears_drift *drift, struct tears_owned_text *text_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};

    T3_TRY(put_script(&text, drift));
    return t3_owned_text_take(&text, false, text_out);
}

/* ---- carried out ------------------------------------------------------------------------------ */

struct run {
    struct tears_drift *drift;
    struct t3_admin *admin;
    struct tears_error *error;
    uint64_t outside; /* statements that are done and stay */
    uint64_t inside;  /* those of the transaction */
};

static void begin_statement(const struct run *run)
{
    t3_admin_set_deadline(run->admin, t3_deadline_in_ms(run->drift->options.timeout_ms));
}

static tears_status run_step(struct run *run, const struct tears_drift_step *step)
{
    struct tears_error error = {0};

    begin_statement(run);
    const tears_status status = t3_admin_execute(run->admin, step->sql, &error);
    if (status == TEARS_OK)
        return TEARS_OK;
    return t3_fail_detail(run->error, status, T3_DRIFT_ORIGIN, error.detail, error.sqlstate,
                          T3_STR_FMT ": %s", T3_STR_ARG(step->sql), error.message);
}

static tears_status run_phases(struct run *run, uint8_t first, uint8_t last)
{
    const struct t3_repair *repair = &run->drift->repair;

    for (size_t i = 0; i < repair->count; i++) {
        const struct t3_repair_step *step = &repair->steps[i];
        if (step->phase < first || step->phase > last || step->step.is_run == 0)
            continue;
        T3_TRY(run_step(run, &step->step));
        if (step->step.outside_transaction != 0)
            run->outside++;
        else
            run->inside++;
    }
    return TEARS_OK;
}

static tears_status settle(struct run *run)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};

    if (run->drift->live.dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    tears_status status = t3_buf_put(&sql, TEARS_STR("SET search_path TO "));
    if (status == TEARS_OK)
        status = put_name(&sql, run->drift->live.schema);
    if (status != TEARS_OK)
        return t3_fail_memory(run->error, T3_DRIFT_ORIGIN);
    T3_TRY(t3_admin_execute(run->admin, t3_buf_str(&sql), run->error));
    return t3_admin_execute(run->admin, TEARS_STR("SET check_function_bodies TO off"), run->error);
}

static tears_status check_unchanged(struct run *run)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_catalogue now = {.arena = &arena};

    T3_TRY(t3_catalogue_read(&now, run->admin, run->error));
    if (t3_catalogue_fingerprint(&now) == run->drift->fingerprint)
        return TEARS_OK;
    return t3_fail(run->error, TEARS_CONFLICT, T3_DRIFT_ORIGIN,
                   "the schema has changed since it was compared; compare again");
}

/* SQLite's rows that refer to nothing; with foreign keys off meanwhile, there may be more of them afterwards. */
static tears_status count_orphans(struct run *run, size_t *count_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct t3_admin_statement statement = {.sql = TEARS_STR("PRAGMA foreign_key_check")};
    struct t3_result result = {0};

    *count_out = 0;
    if (run->drift->live.dialect != T3_DIALECT_SQLITE)
        return TEARS_OK;
    T3_TRY(t3_admin_run(run->admin, &statement, &arena, &result, run->error));
    *count_out = result.row_count;
    return TEARS_OK;
}

static tears_status run_transaction(struct run *run)
{
    size_t before = 0;
    size_t after = 0;

    T3_TRY(t3_admin_begin(run->admin, run->error));
    const tears_status counted = count_orphans(run, &before);
    if (counted != TEARS_OK &&
        counted != TEARS_INVALID) /* a key that refers to no key may be the drift */
        return counted;
    t3_error_clear(run->error);
    T3_TRY(run_phases(run, T3_REPAIR_BEFORE + 1, T3_REPAIR_AFTER - 1));
    begin_statement(run);
    T3_TRY(count_orphans(run, &after));
    if (after > before)
        return t3_fail(run->error, TEARS_INVALID, T3_DRIFT_ORIGIN,
                       "PRAGMA foreign_key_check: %zu rows would refer to nothing", after - before);
    return t3_admin_commit(run->admin, run->error);
}

static tears_status run_all(struct run *run)
{
    const struct t3_admin_wait wait = {.deadline =
                                           t3_deadline_in_ms(run->drift->options.timeout_ms)};

    begin_statement(run);
    T3_TRY(t3_admin_lock(run->admin, &wait, run->error));
    begin_statement(run);
    T3_TRY(check_unchanged(run));
    T3_TRY(settle(run));
    T3_TRY(run_phases(run, T3_REPAIR_BEFORE, T3_REPAIR_BEFORE));
    const tears_status status = run_transaction(run);
    if (status != TEARS_OK) {
        t3_admin_rollback(run->admin);
        run->inside = 0;
        return status;
    }
    return run_phases(run, T3_REPAIR_AFTER, T3_REPAIR_AFTER);
}

tears_status tears_drift_repair(tears_drift *drift, uint64_t *done_out,
                                struct tears_error *error_out)
{
    if (drift == NULL || t3_client_is_foreign(drift->client))
        return t3_fail(error_out, TEARS_MISUSE, T3_DRIFT_ORIGIN,
                       "a forked child cannot use its parent's client; open one of its own");
    t3_error_clear(error_out);
    T3_AUTO(t3_admin_free_auto) struct t3_admin *admin = NULL;
    const struct t3_admin_options options = {.schema = drift->options.schema,
                                             .deadline = t3_deadline_in_ms(CONNECT_MS)};
    if (done_out != NULL)
        *done_out = 0;
    T3_TRY(t3_admin_open(drift->client->l3, &options, &admin, error_out));
    struct run run = {.drift = drift, .admin = admin, .error = error_out};
    const tears_status status = run_all(&run);
    if (done_out != NULL)
        *done_out = run.outside + run.inside;
    return status;
}
