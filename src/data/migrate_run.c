/*
 * migrate_run.c -- one version, from its beginning to its row in the ledger.
 *
 * Owns:     the transaction.
 * Must not know: why this version is to be run.
 * Threads:  the migrator's, with the schema's lock.
 * Fails:    what the body gives; the migrator's error then says where.
 * Begin at: t3_migrate_run().
 */
#include "data/migrate_impl.h"

#include "base/str.h"

/* ---- bodies ---- */

tears_status t3_migration_body(struct tears_migration *migration)
{
    if (migration->body->run != NULL) {
        const tears_status status =
            migration->body->run(migration->version->package->owner, migration);
        if (status != TEARS_OK && migration->error.status == TEARS_OK)
            return t3_fail(&migration->error, status, T3_MIGRATE_ORIGIN,
                           "its function gave %s and no text", tears_status_name(status));
        if (status == TEARS_OK && migration->in_phase)
            return t3_fail(&migration->error, TEARS_MISUSE, T3_MIGRATE_ORIGIN,
                           "its function has left phase '" T3_STR_FMT "' open",
                           T3_STR_ARG(migration->phase));
        return status;
    }
    const struct t3_migration_text text = {.sql = migration->body->sql};
    return t3_migration_run_text(migration, &text, NULL);
}

tears_status t3_migration_needs_checkpoints(struct tears_migration *migration, bool *needs_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct t3_admin_facts *facts = t3_admin_facts(migration->migrator->admin);
    struct t3_sql_tokens tokens;
    struct t3_sql_range range;
    *needs_out = (migration->version->flags & TEARS_MIGRATION_NO_TRANSACTION) != 0 ||
                 migration->body->needs_no_transaction || !facts->has_transactional_ddl;
    if (t3_sql_scan(&arena, migration->body->sql, migration->migrator->dialect, &tokens) !=
        TEARS_OK)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    migration->total = 0;
    for (size_t at = 0; t3_sql_next(&tokens, &at, &range); migration->total++) {
        struct t3_step_text text;
        if (t3_step_classify(&arena, &tokens, range, facts, &text) != TEARS_OK)
            return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
        if (text.class == T3_STEP_ALONE) /* an old server's, such as ALTER TYPE ... ADD VALUE */
            *needs_out = true;
    }
    return TEARS_OK;
}

/* ---- settings ---- */

static tears_status set_timeout(struct tears_migration *migration, const char *name, uint64_t ms)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    if (t3_buf_printf(&sql, "SET %s = %llu", name, (unsigned long long)ms) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    return t3_admin_execute(migration->migrator->admin, t3_buf_str(&sql), &migration->error);
}

tears_status t3_migration_set_lock_ms(struct tears_migration *migration, uint64_t ms)
{
    if (t3_admin_facts(migration->migrator->admin)->dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    return set_timeout(migration, "lock_timeout", ms);
}

/* What the version before may have set is gone. */
static tears_status settle(struct tears_migration *migration)
{
    const struct tears_migrator *migrator = migration->migrator;
    T3_TRY(t3_admin_reset(migrator->admin, &migration->error));
    if (t3_admin_facts(migrator->admin)->dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    T3_TRY(set_timeout(migration, "statement_timeout", migrator->options.statement_ms));
    return set_timeout(migration, "lock_timeout", migrator->options.table_lock_ms);
}

/* ---- the ledger ---- */

static struct t3_ledger_note note_of(const struct tears_migration *migration)
{
    const struct t3_migrate_version *version = migration->version;
    return (struct t3_ledger_note){.package = version->package->name,
                                   .version = version->number,
                                   .description = version->description,
                                   .checksum = version->checksum,
                                   .actor = migration->migrator->options.actor,
                                   .started_us = t3_calendar_us() -
                                                 (int64_t)(t3_now_us() - migration->started_us),
                                   .duration_us = (int64_t)(t3_now_us() - migration->started_us)};
}

static tears_status enter_or_remove(struct tears_migration *migration)
{
    struct t3_admin *admin = migration->migrator->admin;
    const struct t3_ledger_note note = note_of(migration);
    return migration->is_down
               ? t3_ledger_remove(admin, note.package, note.version, &migration->error)
               : t3_ledger_enter(admin, &note, &migration->error);
}

/* Whether it is as it should become: then somebody who did not take the lock was faster. */
static tears_status look(struct tears_migration *migration, bool *done_already_out)
{
    bool is_there = false;
    T3_TRY(t3_ledger_has(migration->migrator->admin, migration->version, &is_there,
                         &migration->error));
    *done_already_out = is_there != migration->is_down;
    return TEARS_OK;
}

/* ---- as one transaction ---- */

/* A version may have set another search_path, as what pg_dump writes does; the ledger is not there. */
static tears_status find_ledger_again(struct tears_migration *migration)
{
    struct t3_admin *admin = migration->migrator->admin;
    const struct t3_admin_facts *facts = t3_admin_facts(admin);
    const struct tears_value path = tears_text(facts->search_path);
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("SELECT pg_catalog.set_config('search_path', $1, false)"),
        .params = &path,
        .param_count = 1};
    struct t3_result result = {0};
    if (facts->dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    if (facts->search_path.len == 0) /* no schema was chosen: it is the connection's own */
        return t3_admin_execute(admin, TEARS_STR("RESET search_path"), &migration->error);
    return t3_admin_run(admin, &statement, &migration->arena, &result, &migration->error);
}

static tears_status transact(struct tears_migration *migration, bool *done_out)
{
    struct t3_admin *admin = migration->migrator->admin;
    bool done_already = false;
    T3_TRY(t3_admin_begin(admin, &migration->error));
    T3_TRY(look(migration, &done_already));
    if (!done_already) {
        T3_TRY(t3_migration_body(migration));
        T3_TRY(find_ledger_again(migration));
        T3_TRY(enter_or_remove(migration));
    }
    T3_TRY(t3_admin_commit(admin, &migration->error));
    *done_out = !done_already;
    return TEARS_OK;
}

static tears_status run_in_transaction(struct tears_migration *migration, bool *done_out)
{
    struct t3_admin *admin = migration->migrator->admin;
    for (unsigned attempt = 1;; attempt++) {
        migration->step = 0;
        migration->in_phase = false;
        tears_status status = settle(migration);
        if (status == TEARS_OK)
            status = transact(migration, done_out);
        if (status == TEARS_OK)
            return TEARS_OK;
        t3_admin_rollback(admin);
        if (attempt == T3_MIGRATION_TRIES_MAX || !t3_migration_may_retry(&migration->error) ||
            !t3_admin_is_alive(admin))
            return status;
        t3_error_clear(&migration->error);
        migration->migrator->has_failure = false;
        t3_migration_pause(attempt);
    }
}

/* ---- with checkpoints ---- */

static tears_status start(struct tears_migration *migration, bool *done_already_out)
{
    const enum t3_ledger_state state = migration->is_down ? T3_LEDGER_UNDOING : T3_LEDGER_APPLYING;
    const struct t3_ledger_note note = note_of(migration);
    *done_already_out = false;
    if (migration->row != NULL && migration->row->state == state) {
        migration->steps_done = (uint64_t)migration->row->steps_done;
        return TEARS_OK;
    }
    migration->row = NULL;
    T3_TRY(look(migration, done_already_out));
    return *done_already_out
               ? TEARS_OK
               : t3_ledger_start(migration->migrator->admin, &note, state, &migration->error);
}

static tears_status finish(struct tears_migration *migration)
{
    struct t3_admin *admin = migration->migrator->admin;
    if (migration->step < migration->steps_done)
        return t3_fail_detail(
            &migration->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN, TEARS_MIGRATE_INTERRUPTED, "",
            "%llu of its statements were done before the interruption, and now it "
            "has only %llu",
            (unsigned long long)migration->steps_done, (unsigned long long)migration->step);
    T3_TRY(t3_admin_begin(admin, &migration->error));
    T3_TRY(enter_or_remove(migration));
    return t3_admin_commit(admin, &migration->error);
}

static tears_status run_with_checkpoints(struct tears_migration *migration, bool *done_out)
{
    bool done_already = false;
    T3_TRY(settle(migration));
    T3_TRY(start(migration, &done_already));
    if (!done_already) {
        T3_TRY(t3_migration_body(migration));
        T3_TRY(finish(migration));
    }
    *done_out = !done_already;
    return TEARS_OK;
}

/* ---- outcomes ---- */

/* "package 'users', version 3 (add email): 0003_add_email.up.sql, line 7, statement 2: ..." */
static tears_status put_where(const struct tears_migration *migration, struct t3_buf *out)
{
    const struct tears_migrator *migrator = migration->migrator;
    const struct t3_migrate_version *version = migration->version;
    T3_TRY(t3_buf_printf(out, "package '" T3_STR_FMT "', version %lld%s%s" T3_STR_FMT "%s",
                         T3_STR_ARG(version->package->name), (long long)version->number,
                         migration->is_down ? " down" : "",
                         version->description.len > 0 ? " (" : "", T3_STR_ARG(version->description),
                         version->description.len > 0 ? ")" : ""));
    if (!migrator->has_failure)
        return TEARS_OK;
    if (migration->body->file.len > 0)
        T3_TRY(t3_buf_printf(out, ": " T3_STR_FMT, T3_STR_ARG(migration->body->file)));
    if (migration->body->sql.len > 0)
        T3_TRY(t3_buf_printf(out, ", line %llu", (unsigned long long)migrator->failure.line));
    return t3_buf_printf(out, ", statement %llu", (unsigned long long)migrator->failure.ordinal);
}

static void complete_failure(struct tears_migration *migration)
{
    struct tears_migrator *migrator = migration->migrator;
    struct tears_migration_failure *failure = &migrator->failure;
    if (!migrator->has_failure)
        *failure = (struct tears_migration_failure){.ordinal = migration->step,
                                                    .statement = TEARS_STR("")};
    migrator->has_failure = true;
    failure->size = sizeof *failure;
    failure->package = migration->version->package->name;
    failure->version = migration->version->number;
    failure->down = migration->is_down;
    failure->file = migration->body->file;
    failure->is_partial = migration->mode == T3_MODE_CHECKPOINTS;
    failure->sqlstate = tears_str_c(migrator->error.sqlstate);
}

static tears_status failed(struct tears_migration *migration, tears_status status)
{
    struct tears_migrator *migrator = migration->migrator;
    T3_AUTO(t3_buf_done) struct t3_buf where = {0};
    const struct tears_error why = migration->error;
    t3_admin_rollback(migrator->admin);
    if (put_where(migration, &where) != TEARS_OK)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    (void)t3_fail_detail(&migrator->error, status,
                         why.origin[0] != '\0' ? why.origin : T3_MIGRATE_ORIGIN, why.detail,
                         why.sqlstate, "%s: %s", where.ptr, why.message);
    complete_failure(migration);
    if (!t3_admin_is_alive(migrator->admin))
        return status;
    /* What went wrong is written down for `status`; the caller is told in any case. */
    const struct t3_ledger_note note = note_of(migration);
    (void)t3_ledger_blame(migrator->admin, &note, &why, NULL);
    return status;
}

static void tell(struct tears_migration *migration, uint64_t kind)
{
    struct tears_migrate_event event = {.kind = kind,
                                        .package = migration->version->package->name,
                                        .version = migration->version->number,
                                        .description = migration->version->description,
                                        .down = migration->is_down,
                                        .resumed = migration->row != NULL &&
                                                   (migration->row->state == T3_LEDGER_APPLYING ||
                                                    migration->row->state == T3_LEDGER_UNDOING),
                                        .total = migration->total,
                                        .elapsed_us = t3_now_us() - migration->started_us};
    t3_migrator_tell(migration->migrator, &event);
}

static tears_status run(struct tears_migration *migration, bool *done_out)
{
    bool needs_checkpoints = false;
    tears_status status = t3_migration_needs_checkpoints(migration, &needs_checkpoints);
    const struct t3_ledger_row *row = migration->row;
    const bool goes_on =
        row != NULL && (row->state == T3_LEDGER_APPLYING || row->state == T3_LEDGER_UNDOING);
    migration->mode = needs_checkpoints || goes_on ? T3_MODE_CHECKPOINTS : T3_MODE_TRANSACTION;
    tell(migration, TEARS_MIGRATE_STARTED);
    if (status == TEARS_OK)
        status = migration->mode == T3_MODE_TRANSACTION ? run_in_transaction(migration, done_out)
                                                        : run_with_checkpoints(migration, done_out);
    if (status != TEARS_OK)
        return failed(migration, status);
    tell(migration, TEARS_MIGRATE_FINISHED);
    return TEARS_OK;
}

tears_status t3_migrate_run(struct tears_migrator *migrator, const struct t3_ledger *ledger,
                            const struct t3_migrate_version *version, bool is_down, bool *done_out)
{
    struct tears_migration migration = {
        .migrator = migrator,
        .version = version,
        .body = is_down ? &version->down : &version->up,
        .row = t3_ledger_find(ledger, version->package->name, version->number),
        .is_down = is_down,
        .started_us = t3_now_us()};
    *done_out = false;
    migrator->has_failure = false;
    const tears_status status = run(&migration, done_out);
    t3_arena_done(&migration.arena);
    return status;
}
