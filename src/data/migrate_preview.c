/*
 * migrate_preview.c -- what would be done, as a list of statements.
 *
 * Owns:     the list, in the migrator's results.
 * Must not know: how statements are run.
 * Threads:  the migrator's.
 * Fails:    as tears_migrate_up.
 * Begin at: tears_migrate_preview().
 *
 * Bodies run as they would, in the mode that notes statements instead of running them (migrate_steps.c).  The lock is not
 * taken and nothing is made, so a role that may only read can look.
 */
#include "data/migrate_impl.h"

#include "base/sized.h"
#include "base/str.h"

enum { FIRST_CAPACITY = 32 };

tears_status t3_preview_add(struct tears_migrator *migrator, struct t3_preview *preview,
                            const struct tears_migration_statement *noted)
{
    if (preview->count == preview->capacity) {
        const size_t capacity = preview->capacity > 0 ? preview->capacity * 2 : FIRST_CAPACITY;
        struct tears_migration_statement *items =
            t3_arena_array(&migrator->results, capacity, sizeof *items);
        if (items == NULL)
            return TEARS_NO_MEMORY;
        if (preview->count > 0)
            memcpy(items, preview->items, preview->count * sizeof *items);
        preview->items = items;
        preview->capacity = capacity;
    }
    preview->items[preview->count++] = *noted;
    return TEARS_OK;
}

/* A statement of the library's own. */
static tears_status add_bookkeeping(struct tears_migrator *migrator, struct t3_preview *preview,
                                    const struct t3_migrate_version *version, const char *sql)
{
    struct tears_migration_statement noted = {.size = sizeof noted,
                                              .package = TEARS_STR(""),
                                              .kind = TEARS_STATEMENT_BOOKKEEPING,
                                              .sql = tears_str_c(sql),
                                              .params = TEARS_STR(""),
                                              .file = TEARS_STR(""),
                                              .in_transaction = version != NULL};
    if (version != NULL) {
        noted.package = version->package->name;
        noted.version = version->number;
    }
    if (t3_preview_add(migrator, preview, &noted) != TEARS_OK)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    return TEARS_OK;
}

static tears_status note_tables(struct tears_migrator *migrator, const struct t3_ledger *ledger,
                                struct t3_preview *preview)
{
    const bool lite = t3_admin_facts(migrator->admin)->dialect == T3_DIALECT_SQLITE;
    if (!ledger->has_ledger)
        T3_TRY(add_bookkeeping(migrator, preview, NULL,
                               lite ? t3_ledger_create_lite_sql : t3_ledger_create_sql));
    if (!ledger->has_facts)
        T3_TRY(add_bookkeeping(migrator, preview, NULL, t3_facts_create_sql));
    return TEARS_OK;
}

static void resume(struct tears_migration *migration)
{
    const enum t3_ledger_state state = migration->is_down ? T3_LEDGER_UNDOING : T3_LEDGER_APPLYING;
    if (migration->row != NULL && migration->row->state == state)
        migration->steps_done = (uint64_t)migration->row->steps_done;
    else
        migration->row = NULL;
}

static tears_status note_version(struct tears_migration *migration)
{
    struct tears_migrator *migrator = migration->migrator;
    bool needs_checkpoints = false;
    tears_status status = t3_migration_needs_checkpoints(migration, &needs_checkpoints);
    migration->preview_in_transaction = !needs_checkpoints;
    resume(migration);
    if (status == TEARS_OK)
        status = t3_migration_body(migration);
    if (status == TEARS_OK)
        return add_bookkeeping(migrator, migration->preview, migration->version,
                               migration->is_down ? t3_ledger_delete_sql : t3_ledger_insert_sql);
    return t3_fail_detail(&migrator->error, status, T3_MIGRATE_ORIGIN, migration->error.detail,
                          migration->error.sqlstate,
                          "package '" T3_STR_FMT "', version %lld cannot be previewed: %s",
                          T3_STR_ARG(migration->version->package->name),
                          (long long)migration->version->number, migration->error.message);
}

static tears_status note_plan(struct tears_migrator *migrator, const struct t3_migrate_plan *plan,
                              bool is_down, struct t3_preview *preview)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct t3_migrate_version *version = plan->versions[i];
        struct tears_migration migration = {
            .migrator = migrator,
            .version = version,
            .body = is_down ? &version->down : &version->up,
            .row = t3_ledger_find(&plan->ledger, version->package->name, version->number),
            .is_down = is_down,
            .mode = T3_MODE_PREVIEW,
            .started_us = t3_now_us(),
            .preview = preview};
        const tears_status status = note_version(&migration);
        t3_arena_done(&migration.arena);
        T3_TRY(status);
    }
    return TEARS_OK;
}

static tears_status preview_way(struct tears_migrator *migrator,
                                const struct tears_migrate_request *given, bool is_down,
                                struct t3_preview *preview)
{
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    struct t3_migrate_plan plan = {0};
    T3_TRY(t3_migrator_enter(migrator));
    if (given != NULL)
        T3_TRY(t3_sized_copy(&request, sizeof request, given, T3_MIGRATE_ORIGIN, &migrator->error));
    T3_TRY(t3_migrator_connect(migrator));
    T3_TRY(t3_ledger_read(migrator->admin, &migrator->results, &plan.ledger, &migrator->error));
    T3_TRY(is_down ? t3_migrate_plan_down(migrator, &request, &plan)
                   : t3_migrate_plan_up(migrator, &request, &plan));
    if (plan.count > 0)
        T3_TRY(note_tables(migrator, &plan.ledger, preview));
    return note_plan(migrator, &plan, is_down, preview);
}

tears_status tears_migrate_preview(tears_migrator *migrator,
                                   const struct tears_migrate_request *request,
                                   const struct tears_migration_statement **statements_out,
                                   size_t *count_out)
{
    struct t3_preview preview = {0};
    T3_TRY(preview_way(migrator, request, false, &preview));
    *statements_out = preview.items;
    *count_out = preview.count;
    return TEARS_OK;
}

tears_status tears_migrate_preview_down(tears_migrator *migrator,
                                        const struct tears_migrate_request *request,
                                        const struct tears_migration_statement **statements_out,
                                        size_t *count_out)
{
    struct t3_preview preview = {0};
    T3_TRY(preview_way(migrator, request, true, &preview));
    *statements_out = preview.items;
    *count_out = preview.count;
    return TEARS_OK;
}
