/*
 * migrate_body.c -- what a version's function is given: statements, tables, phases.
 *
 * Owns:     the transaction of a phase.
 * Must not know: plans, the ledger's tables.
 * Threads:  the migrator's.
 * Fails:    as tears/migrate.h says.
 * Begin at: tears_migration_execute().
 */
#include "data/migrate_impl.h"

#include "base/sized.h"
#include "base/str.h"
#include "schema/ddl.h"

/* ---- statements ---- */

tears_status tears_migration_execute(tears_migration *migration, struct tears_str sql,
                                     const struct tears_value *params, size_t param_count,
                                     uint64_t *rows_out)
{
    struct t3_result result = {0};
    const struct t3_migration_text text = {
        .sql = sql, .params = params, .param_count = param_count, .only_one = true};
    T3_TRY(t3_migration_run_text(migration, &text, &result));
    if (rows_out != NULL)
        *rows_out = result.affected;
    return TEARS_OK;
}

tears_status tears_migration_execute_all(tears_migration *migration, struct tears_str sql)
{
    const struct t3_migration_text text = {.sql = sql};
    return t3_migration_run_text(migration, &text, NULL);
}

tears_status tears_migration_query(tears_migration *migration, struct tears_str sql,
                                   const struct tears_value *params, size_t param_count,
                                   struct tears_migration_rows *rows_out)
{
    struct t3_admin *admin = migration->migrator->admin;
    struct t3_result result = {0};
    const bool may_write = migration->mode == T3_MODE_TRANSACTION || migration->in_phase;
    const struct t3_admin_statement statement = {
        .sql = sql, .params = params, .param_count = param_count, .only_reads = !may_write};
    t3_admin_set_deadline(admin, t3_migrator_statement_deadline(migration->migrator));
    const tears_status status =
        t3_admin_run(admin, &statement, &migration->arena, &result, &migration->error);
    if (status != TEARS_OK) {
        const struct t3_migration_step step = {.sql = sql, .line = 1};
        t3_migration_blame_step(migration, &step);
    }
    t3_migrator_short_deadline(migration->migrator);
    T3_TRY(status);
    *rows_out = (struct tears_migration_rows){.names = result.names,
                                              .values = result.values,
                                              .column_count = result.column_count,
                                              .row_count = result.row_count};
    return TEARS_OK;
}

/* ---- tables ---- */

tears_status tears_migration_create_table(tears_migration *migration, const tears_schema *schema)
{
    const enum t3_dialect dialect = t3_admin_facts(migration->migrator->admin)->dialect;
    const struct tears_str *statements = NULL;
    size_t count = 0;
    const tears_status status =
        t3_ddl_statements(schema, dialect, &migration->arena, &statements, &count);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    if (status != TEARS_OK)
        return t3_fail(&migration->error, status, T3_MIGRATE_ORIGIN,
                       "the SQL of table '" T3_STR_FMT "' could not be made",
                       T3_STR_ARG(tears_schema_name(schema)));
    for (size_t i = 0; i < count; i++)
        T3_TRY(tears_migration_execute(migration, statements[i], NULL, 0, NULL));
    return TEARS_OK;
}

/* ---- phases ---- */

/* A phase counts as one step, whatever it did. */
static tears_status count_phase(tears_migration *migration, struct tears_str name, bool *done_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (t3_buf_printf(&text, "phase " T3_STR_FMT, T3_STR_ARG(name)) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    const struct t3_migration_step step = {.sql = t3_buf_str(&text)};
    T3_TRY(t3_migration_count(migration, &step));
    *done_out = migration->step <= migration->steps_done;
    return TEARS_OK;
}

static tears_status begin_phase(tears_migration *migration, struct tears_str *saved_out)
{
    const struct t3_ledger_row *row = migration->row;
    if (row != NULL && t3_str_equal(row->phase, migration->phase))
        *saved_out = row->position;
    return t3_admin_begin(migration->migrator->admin, &migration->error);
}

tears_status tears_migration_phase(tears_migration *migration, struct tears_str name,
                                   struct tears_str *saved_out, bool *done_out)
{
    if (migration->in_phase || name.len == 0)
        return t3_fail(&migration->error, TEARS_MISUSE, T3_MIGRATE_ORIGIN,
                       migration->in_phase ? "phases do not nest" : "a phase needs a name");
    bool done = false;
    struct tears_str saved = TEARS_STR("");
    if (migration->mode != T3_MODE_TRANSACTION)
        T3_TRY(count_phase(migration, name, &done));
    if (t3_arena_str(&migration->arena, name, &migration->phase) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    if (!done && migration->mode == T3_MODE_CHECKPOINTS)
        T3_TRY(begin_phase(migration, &saved));
    migration->in_phase = !done;
    *saved_out = saved;
    *done_out = done;
    return TEARS_OK;
}

static tears_status check_phase(tears_migration *migration)
{
    return migration->in_phase
               ? TEARS_OK
               : t3_fail(&migration->error, TEARS_MISUSE, T3_MIGRATE_ORIGIN, "no phase is open");
}

tears_status tears_migration_phase_save(tears_migration *migration, struct tears_str position)
{
    struct t3_admin *admin = migration->migrator->admin;
    T3_TRY(check_phase(migration));
    if (migration->mode != T3_MODE_CHECKPOINTS)
        return TEARS_OK;
    T3_TRY(
        t3_ledger_phase(admin, migration->version, migration->phase, position, &migration->error));
    T3_TRY(t3_admin_commit(admin, &migration->error));
    return t3_admin_begin(admin, &migration->error);
}

tears_status tears_migration_phase_end(tears_migration *migration)
{
    struct t3_admin *admin = migration->migrator->admin;
    T3_TRY(check_phase(migration));
    if (migration->mode == T3_MODE_CHECKPOINTS) {
        T3_TRY(t3_ledger_checkpoint(admin, migration->version, migration->step, migration->digest,
                                    &migration->error));
        T3_TRY(t3_admin_commit(admin, &migration->error));
    }
    migration->in_phase = false;
    return TEARS_OK;
}

void tears_migration_progress(tears_migration *migration, struct tears_str phase, uint64_t done,
                              uint64_t total)
{
    struct tears_migrate_event event = {.kind = TEARS_MIGRATE_STEP,
                                        .package = migration->version->package->name,
                                        .version = migration->version->number,
                                        .description = migration->version->description,
                                        .down = migration->is_down,
                                        .done = done,
                                        .total = total,
                                        .phase = phase};
    t3_migrator_tell(migration->migrator, &event);
}

/* ---- the rest ---- */

const struct tears_error *tears_migration_error(const tears_migration *migration)
{
    return &migration->error;
}

tears_status tears_migration_fail(tears_migration *migration, tears_status status,
                                  struct tears_str message)
{
    return t3_fail(&migration->error, status, T3_MIGRATE_ORIGIN, "%.*s",
                   (int)(message.len < 400 ? message.len : 400),
                   message.len > 0 ? message.ptr : "");
}

void *tears_migration_alloc(tears_migration *migration, size_t bytes)
{
    return t3_arena_alloc(&migration->arena, bytes);
}

void tears_migration_info(const tears_migration *migration, struct tears_migration_info *info_out)
{
    const struct t3_admin_facts *facts = t3_admin_facts(migration->migrator->admin);
    const struct tears_migration_info info = {
        .size = sizeof info,
        .package = migration->version->package->name,
        .version = migration->version->number,
        .schema = facts->schema,
        .dialect =
            facts->dialect == T3_DIALECT_SQLITE ? TEARS_STR("sqlite") : TEARS_STR("postgresql"),
        .server_version = facts->version,
        .is_yugabyte = facts->is_yugabyte,
        .is_preview = migration->mode == T3_MODE_PREVIEW,
        .is_down = migration->is_down,
        .in_transaction =
            migration->mode == T3_MODE_TRANSACTION ||
            (migration->mode == T3_MODE_PREVIEW && migration->preview_in_transaction)};
    t3_sized_give(info_out, &info, sizeof info);
}
