/*
 * migrate_plan.c -- what is to be done, and why it may not be.
 *
 * Owns:     nothing; plans are in the migrator's results.
 * Must not know: SQL, bodies.
 * Threads:  the migrator's.
 * Fails:    TEARS_CONFLICT with a TEARS_MIGRATE_* as detail, TEARS_NOT_FOUND, TEARS_INVALID, TEARS_NO_MEMORY.
 * Begin at: t3_migrate_plan_up(), t3_migrate_plan_down().
 */
#include "data/migrate_impl.h"

#include "base/str.h"

static const struct tears_migrate_request no_request = TEARS_MIGRATE_REQUEST_INIT;

/* ---- states ---- */

static int64_t highest_applied(const struct t3_ledger *ledger, struct tears_str package)
{
    int64_t highest = 0;
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->rows[i].is_applied && ledger->rows[i].version > highest &&
            t3_str_equal(ledger->rows[i].package, package))
            highest = ledger->rows[i].version;
    return highest;
}

static bool is_interrupted(const struct t3_ledger_row *row)
{
    return row->state == T3_LEDGER_APPLYING || row->state == T3_LEDGER_UNDOING;
}

static bool has_changed(const struct t3_migrate_version *version, const struct t3_ledger_row *row)
{
    return version->checksum.len > 0 && row->checksum.len > 0 &&
           !t3_str_equal(version->checksum, row->checksum);
}

uint64_t t3_migrate_state(const struct t3_ledger *ledger, const struct t3_migrate_version *version,
                          const struct t3_ledger_row *row)
{
    if (row != NULL && is_interrupted(row))
        return TEARS_MIGRATION_INTERRUPTED;
    if (row != NULL && row->is_applied)
        return has_changed(version, row) ? TEARS_MIGRATION_CHANGED : TEARS_MIGRATION_APPLIED;
    if (highest_applied(ledger, version->package->name) > version->number)
        return TEARS_MIGRATION_OUT_OF_ORDER;
    return row != NULL && row->state == T3_LEDGER_FAILED ? TEARS_MIGRATION_FAILED
                                                         : TEARS_MIGRATION_PENDING;
}

/* ---- refusals ---- */

static tears_status refuse(struct tears_migrator *migrator, int32_t detail,
                           const struct t3_migrate_version *version, const char *why)
{
    return t3_fail_detail(&migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN, detail, "",
                          "package '" T3_STR_FMT "', version %lld: %s",
                          T3_STR_ARG(version->package->name), (long long)version->number, why);
}

static tears_status check_applied(struct tears_migrator *migrator, const struct t3_ledger *ledger,
                                  const struct t3_migrate_version *version)
{
    const struct t3_ledger_row *row =
        t3_ledger_find(ledger, version->package->name, version->number);
    if (row != NULL && row->is_applied && migrator->options.allow_changed == 0 &&
        has_changed(version, row))
        return refuse(migrator, TEARS_MIGRATE_CHANGED, version,
                      "its text is not the one that was applied; take the change back and make it "
                      "a version of its own, or accept it");
    return TEARS_OK;
}

/* An interrupted version goes on before anything else happens: so it must be in the plan, in the same direction. */
static tears_status check_interrupted(struct tears_migrator *migrator,
                                      const struct t3_migrate_plan *plan, bool is_down)
{
    for (size_t i = 0; i < plan->ledger.count; i++) {
        const struct t3_ledger_row *row = &plan->ledger.rows[i];
        if (!is_interrupted(row))
            continue;
        const bool same_way = is_down == (row->state == T3_LEDGER_UNDOING);
        bool planned = false;
        for (size_t k = 0; k < plan->count && same_way && !planned; k++)
            planned = plan->versions[k]->number == row->version &&
                      t3_str_equal(plan->versions[k]->package->name, row->package);
        if (!planned)
            return t3_fail_detail(
                &migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN, TEARS_MIGRATE_INTERRUPTED, "",
                "package '" T3_STR_FMT "', version %lld was interrupted %s after %lld statements: "
                "finish that first (%s), or put the schema right by hand and stamp or unstamp it",
                T3_STR_ARG(row->package), (long long)row->version,
                row->state == T3_LEDGER_UNDOING ? "on its way down" : "on its way up",
                (long long)row->steps_done,
                row->state == T3_LEDGER_UNDOING ? "down" : "up, as far as this version");
    }
    return TEARS_OK;
}

/* ---- up ---- */

struct planning {
    struct tears_migrator *migrator;
    const struct tears_migrate_request *request;
    struct t3_migrate_plan *plan;
};

/* The highest version wanted of a package. */
static int64_t target_of(const struct tears_migrate_request *request, struct tears_str package)
{
    for (size_t i = 0; i < request->target_count; i++)
        if (t3_str_equal(request->targets[i].package, package))
            return request->targets[i].version;
    return request->has_target != 0 ? request->target : INT64_MAX;
}

static tears_status check_targets(const struct planning *planning)
{
    const struct tears_migrate_request *request = planning->request;
    struct tears_migrator *migrator = planning->migrator;
    for (size_t i = 0; i <= request->target_count; i++) {
        const struct tears_str name =
            i < request->target_count ? request->targets[i].package : request->package;
        if (name.len == 0)
            continue;
        const struct t3_migrate_package *package = t3_migrate_find_package(migrator, name);
        if (package == NULL || package->scope != migrator->options.scope)
            return t3_fail(&migrator->error, TEARS_NOT_FOUND, T3_MIGRATE_ORIGIN,
                           "there is no package '" T3_STR_FMT "' of this scope", T3_STR_ARG(name));
    }
    return TEARS_OK;
}

static tears_status plan_version(const struct planning *planning,
                                 const struct t3_migrate_version *version, int64_t highest)
{
    struct t3_migrate_plan *plan = planning->plan;
    struct tears_migrator *migrator = planning->migrator;
    const struct t3_ledger_row *row =
        t3_ledger_find(&plan->ledger, version->package->name, version->number);
    if (row != NULL && row->is_applied)
        return TEARS_OK;
    const bool goes_on = row != NULL && is_interrupted(row);
    if (version->number < highest && !goes_on && migrator->options.allow_out_of_order == 0)
        return refuse(migrator, TEARS_MIGRATE_OUT_OF_ORDER, version,
                      "it is not applied, but a later version of the package is; give it a higher "
                      "number, or allow it out of order");
    plan->versions[plan->count++] = version;
    return TEARS_OK;
}

static tears_status plan_package(const struct planning *planning,
                                 const struct t3_migrate_package *package)
{
    const int64_t target = target_of(planning->request, package->name);
    const int64_t highest = highest_applied(&planning->plan->ledger, package->name);
    for (size_t i = 0; i < package->version_count; i++) {
        T3_TRY(check_applied(planning->migrator, &planning->plan->ledger, &package->versions[i]));
        if (package->versions[i].number <= target)
            T3_TRY(plan_version(planning, &package->versions[i], highest));
    }
    return TEARS_OK;
}

static bool has_pending(const struct planning *planning, const struct t3_migrate_package *package)
{
    for (size_t i = 0; i < package->version_count; i++) {
        const struct t3_ledger_row *row =
            t3_ledger_find(&planning->plan->ledger, package->name, package->versions[i].number);
        if (row == NULL || !row->is_applied)
            return true;
    }
    return false;
}

/* One package alone: those it depends on must be complete. */
static tears_status check_dependencies(const struct planning *planning,
                                       const struct t3_migrate_package *package)
{
    for (size_t i = 0; i < package->depends_on_count; i++) {
        const struct t3_migrate_package *other =
            t3_migrate_find_package(planning->migrator, package->depends_on[i]);
        if (other != NULL && has_pending(planning, other))
            return t3_fail_detail(&planning->migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN,
                                  TEARS_MIGRATE_DEPENDENCY, "",
                                  "package '" T3_STR_FMT "' depends on '" T3_STR_FMT
                                  "', which has versions that are not applied",
                                  T3_STR_ARG(package->name), T3_STR_ARG(other->name));
    }
    return TEARS_OK;
}

static tears_status make_room(const struct planning *planning)
{
    size_t most = 0;
    for (const struct t3_migrate_package *package = planning->migrator->packages; package != NULL;
         package = package->next)
        most += package->version_count;
    planning->plan->count = 0;
    planning->plan->versions = t3_arena_array(&planning->migrator->results, most, sizeof(void *));
    return planning->plan->versions != NULL
               ? TEARS_OK
               : t3_fail_memory(&planning->migrator->error, T3_MIGRATE_ORIGIN);
}

tears_status t3_migrate_plan_up(struct tears_migrator *migrator,
                                const struct tears_migrate_request *request,
                                struct t3_migrate_plan *plan)
{
    const struct planning planning = {
        .migrator = migrator, .request = request != NULL ? request : &no_request, .plan = plan};
    const struct t3_migrate_package **packages;
    size_t count;
    T3_TRY(check_targets(&planning));
    T3_TRY(t3_migrate_order(migrator, &migrator->results, &packages, &count));
    T3_TRY(make_room(&planning));
    const struct tears_str only = planning.request->package;
    for (size_t i = 0; i < count; i++) {
        if (only.len > 0 && !t3_str_equal(only, packages[i]->name))
            continue;
        if (only.len > 0)
            T3_TRY(check_dependencies(&planning, packages[i]));
        T3_TRY(plan_package(&planning, packages[i]));
    }
    return check_interrupted(migrator, plan, false);
}

/* ---- down ---- */

static tears_status plan_undo(const struct planning *planning, const struct t3_ledger_row *row)
{
    struct tears_migrator *migrator = planning->migrator;
    const struct t3_migrate_package *package = t3_migrate_find_package(migrator, row->package);
    const struct t3_migrate_version *version =
        package != NULL ? t3_migrate_find_version(package, row->version) : NULL;
    if (version == NULL || !t3_migrate_body_is_there(&version->down))
        return t3_fail_detail(&migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN,
                              TEARS_MIGRATE_NO_DOWN, "",
                              "package '" T3_STR_FMT "', version %lld: %s",
                              T3_STR_ARG(row->package), (long long)row->version,
                              version == NULL ? "it is applied, but the package does not have it"
                                              : "it has no way down");
    planning->plan->versions[planning->plan->count++] = version;
    return TEARS_OK;
}

static bool is_wanted(const struct planning *planning, const struct t3_ledger_row *row)
{
    const struct tears_str only = planning->request->package;
    const struct t3_migrate_package *package =
        t3_migrate_find_package(planning->migrator, row->package);
    return package != NULL && package->scope == planning->migrator->options.scope &&
           (only.len == 0 || t3_str_equal(only, row->package));
}

tears_status t3_migrate_plan_down(struct tears_migrator *migrator,
                                  const struct tears_migrate_request *request,
                                  struct t3_migrate_plan *plan)
{
    const struct planning planning = {
        .migrator = migrator, .request = request != NULL ? request : &no_request, .plan = plan};
    const struct t3_ledger_row **history;
    size_t count;
    if (planning.request->steps == 0)
        return t3_fail(&migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       "at least one version has to be undone");
    T3_TRY(check_targets(&planning));
    if (t3_ledger_history(&plan->ledger, &migrator->results, &history, &count) != TEARS_OK)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    plan->count = 0;
    plan->versions = t3_arena_array(&migrator->results, count, sizeof(void *));
    if (plan->versions == NULL)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    for (size_t i = count; i > 0 && plan->count < planning.request->steps; i--)
        if (is_wanted(&planning, history[i - 1]))
            T3_TRY(plan_undo(&planning, history[i - 1]));
    return check_interrupted(migrator, plan, true);
}
