/*
 * migrate_steps.c -- one statement of a version: run, passed over, or noted.
 *
 * Owns:     nothing.
 * Must not know: packages, plans.
 * Threads:  the migrator's.
 * Fails:    what the database says; TEARS_INVALID, TEARS_UNSUPPORTED for statements that may not be here.
 * Begin at: t3_migration_run_text().
 *
 * Three modes.
 *   transaction   the version is one transaction: a statement is run, and nothing else
 *   checkpoints   each statement is a step with a number.  Where a transaction can hold it, the statement and the number
 *                 are one transaction: after a crash it was either done and counted or neither.  Where it cannot, the
 *                 number is noted as begun, the statement is run, and the number is noted as done.  A crash between
 *                 leaves a step of which nobody knows; it is run again, and when the database then says that what it
 *                 makes is there already (or what it removes is gone) it had been done.
 *   preview       the statement is noted
 *
 * Steps that were done by an earlier attempt are passed over, but their texts go into the digest all the same.  Where the
 * passing over ends it must be the digest that was noted; else these are not the statements that were done.
 *
 * LIMITATIONS.  A step of which nobody knows and that makes something which was there before it ever ran counts as
 * done.  That needs a crash in the moment between the two notes, and a name that was taken by something else.
 */
#include "data/migrate_impl.h"

#include "base/hash.h"
#include "base/jitter.h"
#include "base/str.h"
#include "core/core.h"

#include <time.h>

enum { PAUSE_MS = 200 };

/* ---- digests and failures ---- */

static tears_status put_param(const struct tears_value *value, struct t3_buf *out)
{
    T3_TRY(t3_buf_printf(out, "%c%u:", 1, value->kind));
    switch (value->kind) {
    case TEARS_KIND_BOOL:
        return t3_buf_printf(out, "%d", value->as.boolean ? 1 : 0);
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        return t3_buf_printf(out, "%lld", (long long)value->as.integer);
    case TEARS_KIND_DOUBLE:
        return t3_buf_printf(out, "%a", value->as.number);
    case TEARS_KIND_UUID:
        return t3_buf_put(out, tears_str_n((const char *)value->as.uuid, sizeof value->as.uuid));
    case TEARS_KIND_VECTOR:
        return t3_buf_put(out, tears_str_n((const char *)value->as.vector.ptr,
                                           value->as.vector.len * sizeof(double)));
    case TEARS_KIND_NULL:
        return TEARS_OK;
    default:
        return t3_buf_put(out, value->as.bytes);
    }
}

/* Goes on with the digest. */
static tears_status count_step(struct tears_migration *migration,
                               const struct t3_migration_step *step)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    tears_status status = t3_buf_put(&text, tears_str_c(migration->digest));
    if (status == TEARS_OK)
        status = t3_buf_put(&text, step->sql);
    for (size_t i = 0; i < step->param_count && status == TEARS_OK; i++)
        status = put_param(&step->params[i], &text);
    if (status != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    t3_sha256_hex(t3_buf_str(&text), migration->digest);
    migration->step++;
    return TEARS_OK;
}

static tears_status check_digest(struct tears_migration *migration)
{
    if (migration->step != migration->steps_done || migration->row == NULL ||
        t3_str_is(migration->row->digest, migration->digest))
        return TEARS_OK;
    return t3_fail_detail(&migration->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN,
                          TEARS_MIGRATE_INTERRUPTED, "",
                          "the first %llu statements are not those that were done before the "
                          "interruption: take the change back, it may only be in what comes later",
                          (unsigned long long)migration->steps_done);
}

tears_status t3_migration_count(struct tears_migration *migration,
                                const struct t3_migration_step *step)
{
    T3_TRY(count_step(migration, step));
    return check_digest(migration);
}

/* The line at which the statement's character is. */
static uint64_t line_at(const struct t3_migration_step *step, uint32_t position)
{
    uint64_t line = step->line;
    uint32_t character = 1;
    for (size_t i = 0; i < step->sql.len && character < position; i++) {
        line += step->sql.ptr[i] == '\n' ? 1 : 0;
        character += ((uint8_t)step->sql.ptr[i] & 0xC0) != 0x80 ? 1 : 0;
    }
    return line;
}

void t3_migration_blame_step(struct tears_migration *migration,
                             const struct t3_migration_step *step)
{
    struct tears_migrator *migrator = migration->migrator;
    const uint32_t position = t3_admin_position(migrator->admin);
    struct tears_migration_failure *failure = &migrator->failure;
    *failure = (struct tears_migration_failure){
        .ordinal = migration->step, .line = line_at(step, position), .position = position};
    /* Without memory the failure has no text; it is told all the same. */
    if (t3_arena_str(&migrator->results, step->sql, &failure->statement) != TEARS_OK)
        failure->statement = TEARS_STR("");
    migrator->has_failure = true;
}

/* ---- running ---- */

static tears_status run(struct tears_migration *migration, const struct t3_migration_step *step,
                        struct t3_result *result_out)
{
    struct tears_migrator *migrator = migration->migrator;
    const struct t3_admin_statement statement = {
        .sql = step->sql, .params = step->params, .param_count = step->param_count};
    t3_admin_set_deadline(migrator->admin, t3_migrator_statement_deadline(migrator));
    const tears_status status =
        t3_admin_run(migrator->admin, &statement, &migration->arena, result_out, &migration->error);
    if (status != TEARS_OK)
        t3_migration_blame_step(migration, step);
    t3_migrator_short_deadline(migrator);
    return status;
}

static tears_status checkpoint(struct tears_migration *migration)
{
    return t3_ledger_checkpoint(migration->migrator->admin, migration->version, migration->step,
                                migration->digest, &migration->error);
}

bool t3_migration_may_retry(const struct tears_error *error)
{
    static const char *const states[] = {"55P03", "40P01", "40001"};
    for (size_t i = 0; i < T3_COUNT(states); i++)
        if (strcmp(error->sqlstate, states[i]) == 0)
            return true;
    return false;
}

void t3_migration_pause(unsigned attempt)
{
    const uint64_t ms = (uint64_t)PAUSE_MS * attempt / 2 + t3_jitter((uint64_t)PAUSE_MS * attempt);
    const struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
                                   .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* Statement and checkpoint in one transaction. */
static tears_status run_counted_once(struct tears_migration *migration,
                                     const struct t3_migration_step *step,
                                     struct t3_result *result_out)
{
    struct t3_admin *admin = migration->migrator->admin;
    T3_TRY(t3_admin_begin(admin, &migration->error));
    tears_status status = run(migration, step, result_out);
    if (status == TEARS_OK)
        status = checkpoint(migration);
    if (status == TEARS_OK)
        status = t3_admin_commit(admin, &migration->error);
    if (status != TEARS_OK)
        t3_admin_rollback(admin);
    return status;
}

static tears_status run_counted(struct tears_migration *migration,
                                const struct t3_migration_step *step, struct t3_result *result_out)
{
    for (unsigned attempt = 1;; attempt++) {
        const tears_status status = run_counted_once(migration, step, result_out);
        if (status == TEARS_OK || attempt == T3_MIGRATION_TRIES_MAX ||
            !t3_migration_may_retry(&migration->error) ||
            !t3_admin_is_alive(migration->migrator->admin))
            return status;
        t3_error_clear(&migration->error);
        migration->migrator->has_failure = false;
        t3_migration_pause(attempt);
    }
}

/* ---- steps that no transaction holds ---- */

/* An index that an attempt at building it has left behind: it is in the way, and good for nothing. */
static tears_status drop_invalid_index(struct tears_migration *migration,
                                       const struct t3_step_text *text)
{
    const struct tears_value params[] = {tears_text(text->index), tears_text(text->table)};
    const struct t3_admin_statement look = {
        .sql = TEARS_STR(
            "SELECT 'DROP INDEX CONCURRENTLY IF EXISTS ' || pg_catalog.quote_ident(n.nspname)"
            " || '.' || pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_index i"
            " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = $1 AND NOT i.indisvalid AND i.indrelid = "
            "pg_catalog.to_regclass($2)"),
        .params = params,
        .param_count = T3_COUNT(params)};
    struct t3_admin *admin = migration->migrator->admin;
    struct t3_result result = {0};
    T3_TRY(t3_admin_run(admin, &look, &migration->arena, &result, &migration->error));
    if (result.row_count == 0)
        return TEARS_OK;
    t3_admin_set_deadline(admin, t3_migrator_statement_deadline(migration->migrator));
    const tears_status status =
        t3_admin_execute(admin, t3_result_text(&result, 0, 0), &migration->error);
    t3_migrator_short_deadline(migration->migrator);
    return status;
}

/* Whether the failure says that the statement has had its effect already. */
static bool says_done(const struct t3_step_text *text, const char *sqlstate)
{
    static const char *const there[] = {"42P07", "42710", "42701", "42P06", "42723", "42P04"};
    static const char *const gone[] = {"42704", "42P01", "42703", "3F000", "42883", "3D000"};
    for (size_t i = 0; i < T3_COUNT(there) && text->makes; i++)
        if (strcmp(sqlstate, there[i]) == 0)
            return true;
    for (size_t i = 0; i < T3_COUNT(gone) && text->removes; i++)
        if (strcmp(sqlstate, gone[i]) == 0)
            return true;
    return false;
}

static tears_status run_alone(struct tears_migration *migration,
                              const struct t3_migration_step *step, struct t3_result *result_out)
{
    struct t3_admin *admin = migration->migrator->admin;
    const struct t3_ledger_row *row = migration->row;
    const bool begun = row != NULL && row->step_running == (int64_t)migration->step;
    const bool is_unknown = begun && row->error.len == 0;
    if (begun && step->text.index.len > 0)
        T3_TRY(drop_invalid_index(migration, &step->text));
    T3_TRY(t3_ledger_intend(admin, migration->version, migration->step, &migration->error));
    /* Building an index waits for the end of old transactions, which is not the wait that lock_timeout is about. */
    T3_TRY(t3_migration_set_lock_ms(migration, 0));
    const tears_status status = run(migration, step, result_out);
    if (status != TEARS_OK && !(is_unknown && says_done(&step->text, migration->error.sqlstate)))
        return status;
    t3_error_clear(&migration->error);
    migration->migrator->has_failure = false;
    T3_TRY(t3_migration_set_lock_ms(migration, migration->migrator->options.table_lock_ms));
    return checkpoint(migration);
}

/* ---- checkpoints ---- */

static bool is_alone(const struct tears_migration *migration, const struct t3_step_text *text)
{
    const struct t3_admin_facts *facts = t3_admin_facts(migration->migrator->admin);
    return text->class == T3_STEP_ALONE ||
           (!facts->has_transactional_ddl && text->kind != TEARS_STATEMENT_DML);
}

static void tell_step(struct tears_migration *migration)
{
    struct tears_migrate_event event = {.kind = TEARS_MIGRATE_STEP,
                                        .package = migration->version->package->name,
                                        .version = migration->version->number,
                                        .description = migration->version->description,
                                        .down = migration->is_down,
                                        .done = migration->step,
                                        .total = migration->total};
    t3_migrator_tell(migration->migrator, &event);
}

static tears_status step_with_checkpoint(struct tears_migration *migration,
                                         const struct t3_migration_step *step,
                                         struct t3_result *result_out)
{
    if (migration->in_phase) {
        if (is_alone(migration, &step->text) && step->text.class == T3_STEP_ALONE)
            return t3_fail(&migration->error, TEARS_UNSUPPORTED, T3_MIGRATE_ORIGIN,
                           "a phase is a transaction, and this statement cannot run in one");
        return run(migration, step, result_out);
    }
    T3_TRY(t3_migration_count(migration, step));
    const bool is_done = migration->step <= migration->steps_done;
    if (step->text.class == T3_STEP_SETTING) {
        T3_TRY(run(migration, step, result_out));
        return is_done ? TEARS_OK : checkpoint(migration);
    }
    if (is_done)
        return TEARS_OK;
    T3_TRY(is_alone(migration, &step->text) ? run_alone(migration, step, result_out)
                                            : run_counted(migration, step, result_out));
    tell_step(migration);
    return TEARS_OK;
}

/* ---- the other modes ---- */

static tears_status step_in_transaction(struct tears_migration *migration,
                                        const struct t3_migration_step *step,
                                        struct t3_result *result_out)
{
    migration->step++;
    const bool is_pragma = step->text.class == T3_STEP_SETTING &&
                           t3_admin_facts(migration->migrator->admin)->dialect == T3_DIALECT_SQLITE;
    if ((step->text.class == T3_STEP_ALONE || is_pragma) && migration->run_in_scratch != NULL)
        return migration->run_in_scratch(migration, step);
    if (step->text.class == T3_STEP_ALONE || is_pragma) {
        t3_migration_blame_step(migration, step);
        return t3_fail(&migration->error, TEARS_UNSUPPORTED, T3_MIGRATE_ORIGIN,
                       "this statement cannot run in a transaction: the version needs the flag "
                       "TEARS_MIGRATION_NO_TRANSACTION");
    }
    T3_TRY(run(migration, step, result_out));
    tell_step(migration);
    return TEARS_OK;
}

static tears_status note_params(struct tears_migration *migration,
                                const struct t3_migration_step *step, struct tears_str *params_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_buf_put_char(&text, '['));
    for (size_t i = 0; i < step->param_count; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put(&text, TEARS_STR(", ")));
        T3_TRY(t3_value_put_json(&step->params[i], TEARS_BYTES_HEX, &text));
    }
    T3_TRY(t3_buf_put_char(&text, ']'));
    return t3_arena_str(&migration->migrator->results, t3_buf_str(&text), params_out);
}

static tears_status step_in_preview(struct tears_migration *migration,
                                    const struct t3_migration_step *step)
{
    T3_TRY(t3_migration_count(migration, step));
    if (migration->step <= migration->steps_done)
        return TEARS_OK;
    struct tears_migration_statement noted = {.size = sizeof noted,
                                              .package = migration->version->package->name,
                                              .version = migration->version->number,
                                              .ordinal = migration->step,
                                              .kind = step->text.kind,
                                              .params = TEARS_STR(""),
                                              .file = migration->body->file,
                                              .line = step->line,
                                              .in_transaction = migration->preview_in_transaction &&
                                                                step->text.class != T3_STEP_ALONE};
    tears_status status = t3_arena_str(&migration->migrator->results, step->sql, &noted.sql);
    if (status == TEARS_OK && step->param_count > 0)
        status = note_params(migration, step, &noted.params);
    if (status == TEARS_OK)
        status = t3_preview_add(migration->migrator, migration->preview, &noted);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
}

/* ---- texts ---- */

tears_status t3_migration_step(struct tears_migration *migration, struct t3_migration_step *step,
                               struct t3_result *result_out)
{
    if (step->text.class == T3_STEP_REFUSED) {
        t3_migration_blame_step(migration, step);
        return t3_fail(&migration->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       "a migration must not begin or end transactions, attach files or give up "
                       "what its connection holds");
    }
    switch (migration->mode) {
    case T3_MODE_TRANSACTION:
        return step_in_transaction(migration, step, result_out);
    case T3_MODE_CHECKPOINTS:
        return step_with_checkpoint(migration, step, result_out);
    case T3_MODE_PREVIEW:
        break;
    }
    return step_in_preview(migration, step);
}

static tears_status scan(struct tears_migration *migration, const struct t3_migration_text *text,
                         struct t3_arena *arena, struct t3_sql_tokens *tokens)
{
    if (t3_sql_scan(arena, text->sql, migration->migrator->dialect, tokens) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    if (tokens->unended != NULL)
        return t3_fail(&migration->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       "a %s begins in line %u of the SQL and does not end", tokens->unended,
                       tokens->unended_line + 1);
    size_t at = 0;
    struct t3_sql_range range;
    if (!t3_sql_next(tokens, &at, &range))
        return t3_fail(&migration->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       "the SQL has no statement");
    if (text->only_one && t3_sql_next(tokens, &at, &range))
        return t3_fail(&migration->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       "the SQL has more than one statement");
    return TEARS_OK;
}

tears_status t3_migration_run_text(struct tears_migration *migration,
                                   const struct t3_migration_text *text,
                                   struct t3_result *result_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_sql_tokens tokens;
    struct t3_sql_range range;
    const struct t3_admin_facts *facts = t3_admin_facts(migration->migrator->admin);
    T3_TRY(scan(migration, text, &arena, &tokens));
    for (size_t at = 0; t3_sql_next(&tokens, &at, &range);) {
        struct t3_migration_step step = {.sql = t3_sql_text(&tokens, range),
                                         .params = text->params,
                                         .param_count = text->param_count,
                                         .line = tokens.items[range.first].line + (uint64_t)1};
        if (t3_step_classify(&arena, &tokens, range, facts, &step.text) != TEARS_OK)
            return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
        T3_TRY(t3_migration_step(migration, &step, result_out));
    }
    return TEARS_OK;
}
