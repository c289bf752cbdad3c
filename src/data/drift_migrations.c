/*
 * drift_migrations.c -- the versions of a migrator as what is declared: run for real, in a schema made for it.
 *
 * Owns:     nothing beyond the call.
 * Knows:    migrate_impl.h, drift_impl.h.
 * Must not know: catalogues.
 * Threads:  the migrator's.
 * Fails:    as tears/drift.h says.
 * Begin at: tears_drift_of_migrations().
 *
 * The ledger and the tables are read under the schema's lock: else a migration under way would look like drift.  The versions
 * then run without the lock, in an empty schema, by a connection that stands in for the migrator's.  No ledger is written there.
 * On PostgreSQL all of it is one transaction that is rolled back: so what a version does to another schema does not stay either.
 * A statement that no transaction may hold is run in the form that one may (an index is built without CONCURRENTLY) or passed
 * over (VACUUM): in a schema without rows it makes no difference.
 */
#include "base/str.h"
#include "data/drift_impl.h"
#include "data/migrate_impl.h"

struct declaring {
    struct tears_migrator *migrator;
    const struct t3_ledger *ledger;
    bool all_versions;
};

/* ---- statements that no transaction may hold -------------------------------------------------- */

/* The statement without the word; ptr NULL: it does not have it. */
static tears_status without_concurrently(struct tears_migration *migration, struct tears_str sql,
                                         struct tears_str *sql_out)
{
    struct t3_sql_tokens tokens;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};

    *sql_out = (struct tears_str){0};
    T3_TRY(t3_sql_scan(&migration->arena, sql, T3_SQL_POSTGRES, &tokens));
    for (size_t i = 0; i < tokens.count; i++) {
        const struct tears_str word = tokens.items[i].text;
        if (!t3_sql_word_is(&tokens.items[i], "CONCURRENTLY"))
            continue;
        const size_t at = (size_t)(word.ptr - sql.ptr);
        T3_TRY(t3_buf_put(&text, tears_str_n(sql.ptr, at)));
        T3_TRY(t3_buf_put(&text, t3_str_from(sql, at + word.len)));
        return t3_arena_str(&migration->arena, t3_buf_str(&text), sql_out);
    }
    return TEARS_OK;
}

static tears_status run_in_scratch(struct tears_migration *migration,
                                   const struct t3_migration_step *step)
{
    struct t3_admin *admin = migration->migrator->admin;
    struct tears_str sql = step->sql;

    if (t3_admin_facts(admin)->dialect == T3_DIALECT_POSTGRESQL &&
        without_concurrently(migration, step->sql, &sql) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_MIGRATE_ORIGIN);
    if (sql.ptr == NULL)
        return TEARS_OK;
    const tears_status status = t3_admin_execute(admin, sql, &migration->error);
    if (status != TEARS_OK)
        t3_migration_blame_step(migration, step);
    return status;
}

/* ---- versions --------------------------------------------------------------------------------- */

/* A version may have set another search_path for itself. */
static tears_status settle(struct t3_admin *scratch, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    const struct t3_admin_facts *facts = t3_admin_facts(scratch);

    if (facts->dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    tears_status status = t3_buf_put(&sql, TEARS_STR("SET search_path TO "));
    if (status == TEARS_OK)
        status = t3_buf_put(&sql, facts->search_path);
    if (status != TEARS_OK)
        return t3_fail_memory(error_out, T3_DRIFT_ORIGIN);
    return t3_admin_execute(scratch, t3_buf_str(&sql), error_out);
}

static tears_status blame(const struct tears_migration *migration, tears_status status,
                          struct tears_error *error_out)
{
    const struct tears_migrator *migrator = migration->migrator;
    const struct tears_error why = migration->error;

    return t3_fail_detail(
        error_out, status, T3_DRIFT_ORIGIN, why.detail, why.sqlstate,
        "package '" T3_STR_FMT "', version %lld, made in an empty schema: statement %llu: %s",
        T3_STR_ARG(migration->version->package->name), (long long)migration->version->number,
        (unsigned long long)(migrator->has_failure ? migrator->failure.ordinal : migration->step),
        why.message);
}

static tears_status run_version(const struct declaring *declaring,
                                const struct t3_migrate_version *version,
                                struct tears_error *error_out)
{
    struct tears_migrator *migrator = declaring->migrator;
    struct tears_migration migration = {.migrator = migrator,
                                        .version = version,
                                        .body = &version->up,
                                        .mode = T3_MODE_TRANSACTION,
                                        .started_us = t3_now_us(),
                                        .run_in_scratch = run_in_scratch};

    migrator->has_failure = false;
    T3_TRY(settle(migrator->admin, error_out));
    tears_status status = t3_migration_body(&migration);
    if (status != TEARS_OK)
        status = blame(&migration, status, error_out);
    migrator->has_failure = false; /* of the version in its own schema nothing is said */
    t3_arena_done(&migration.arena);
    return status;
}

static bool is_declared(const struct declaring *declaring, const struct t3_migrate_version *version)
{
    const struct t3_ledger_row *row =
        t3_ledger_find(declaring->ledger, version->package->name, version->number);
    return declaring->all_versions || (row != NULL && row->is_applied);
}

static tears_status run_versions(const struct declaring *declaring, struct tears_error *error_out)
{
    struct tears_migrator *migrator = declaring->migrator;
    const struct t3_migrate_package **packages = NULL;
    size_t count = 0;
    const tears_status status = t3_migrate_order(migrator, &migrator->results, &packages, &count);

    if (status != TEARS_OK) {
        if (error_out != NULL)
            *error_out = migrator->error;
        return status;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < packages[i]->version_count; k++)
            if (is_declared(declaring, &packages[i]->versions[k]))
                T3_TRY(run_version(declaring, &packages[i]->versions[k], error_out));
    return TEARS_OK;
}

/* The scratch connection stands in for the migrator's, and nobody is told of progress. */
static tears_status declare(void *owner, struct t3_admin *scratch, struct tears_error *error_out)
{
    const struct declaring *declaring = owner;
    struct tears_migrator *migrator = declaring->migrator;
    struct t3_admin *admin = migrator->admin;
    const tears_migrate_progress_fn progress = migrator->options.progress;

    migrator->admin = scratch;
    migrator->options.progress = NULL;
    const tears_status status = run_versions(declaring, error_out);
    migrator->options.progress = progress;
    migrator->admin = admin;
    return status;
}

/* ---- the comparison --------------------------------------------------------------------------- */

static tears_status read_live(struct tears_drift *drift, struct tears_migrator *migrator,
                              struct t3_ledger *ledger_out)
{
    struct tears_error *error = &migrator->error;

    T3_TRY(t3_migrator_lock(migrator));
    tears_status status = t3_ledger_read(migrator->admin, &drift->arena, ledger_out, error);
    if (status == TEARS_OK)
        status = t3_drift_read_live(drift, migrator->admin, error);
    return status;
}

static tears_status fill(struct tears_drift *drift, struct tears_migrator *migrator,
                         struct tears_error *error_out)
{
    struct t3_ledger ledger = {0};
    const struct declaring declaring = {
        .migrator = migrator, .ledger = &ledger, .all_versions = drift->options.all_versions != 0};
    const struct t3_drift_source source = {.declare = declare,
                                           .owner = (void *)(uintptr_t)&declaring};
    const tears_status status = read_live(drift, migrator, &ledger);

    if (migrator->admin != NULL)
        t3_migrator_unlock(migrator);
    if (status != TEARS_OK) {
        if (error_out != NULL)
            *error_out = migrator->error;
        return status;
    }
    return t3_drift_conclude(drift, &source, error_out);
}

tears_status tears_drift_of_migrations(tears_migrator *migrator,
                                       const struct tears_drift_options *options,
                                       tears_drift **drift_out, struct tears_error *error_out)
{
    tears_drift *drift = NULL;

    if (migrator == NULL || drift_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, T3_DRIFT_ORIGIN, "a migrator is needed");
    T3_TRY(t3_drift_new(migrator->client, options, &drift, error_out));
    tears_status status = t3_migrator_enter(migrator);
    if (status == TEARS_OK)
        status = t3_arena_str(&drift->arena, migrator->options.schema, &drift->options.schema);
    if (status == TEARS_OK)
        status = fill(drift, migrator, error_out);
    if (status != TEARS_OK) {
        tears_drift_free(drift);
        return status;
    }
    *drift_out = drift;
    return TEARS_OK;
}
