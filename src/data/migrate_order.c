/*
 * migrate_order.c -- packages in an order in which each comes after those it depends on.
 *
 * Owns:     nothing.
 * Must not know: the database.
 * Threads:  the migrator's.
 * Fails:    TEARS_NOT_FOUND (a dependency that is missing, a circle), TEARS_NO_MEMORY.
 * Begin at: t3_migrate_order().
 *
 * Of the packages that could come next the one with the smallest name does, so the order does not depend on the
 * order of registration, and is the Python package's.  A few hundred packages make the square of their number cheap.
 */
#include "data/migrate_impl.h"

#include "base/str.h"

struct sorting {
    const struct t3_migrate_package **waiting; /* of the scope; NULL: taken */
    size_t count;
    const struct t3_migrate_package **taken;
    size_t taken_count;
};

static tears_status missing(struct tears_migrator *migrator,
                            const struct t3_migrate_package *package, struct tears_str name)
{
    const bool other_scope = t3_migrate_find_package(migrator, name) != NULL;
    return t3_fail(&migrator->error, TEARS_NOT_FOUND, T3_MIGRATE_ORIGIN,
                   "package '" T3_STR_FMT "' depends on '" T3_STR_FMT "', which %s",
                   T3_STR_ARG(package->name), T3_STR_ARG(name),
                   other_scope ? "is of the other scope" : "was not added");
}

static tears_status check_dependencies(struct tears_migrator *migrator,
                                       const struct t3_migrate_package *package)
{
    for (size_t i = 0; i < package->depends_on_count; i++) {
        const struct t3_migrate_package *other =
            t3_migrate_find_package(migrator, package->depends_on[i]);
        if (other == NULL || other->scope != package->scope)
            return missing(migrator, package, package->depends_on[i]);
    }
    return TEARS_OK;
}

static bool is_taken(const struct sorting *sorting, struct tears_str name)
{
    for (size_t i = 0; i < sorting->taken_count; i++)
        if (t3_str_equal(sorting->taken[i]->name, name))
            return true;
    return false;
}

static bool is_ready(const struct sorting *sorting, const struct t3_migrate_package *package)
{
    for (size_t i = 0; i < package->depends_on_count; i++)
        if (!is_taken(sorting, package->depends_on[i]))
            return false;
    return true;
}

static bool take_next(struct sorting *sorting)
{
    size_t best = sorting->count;
    for (size_t i = 0; i < sorting->count; i++) {
        const struct t3_migrate_package *package = sorting->waiting[i];
        if (package == NULL || !is_ready(sorting, package))
            continue;
        if (best == sorting->count ||
            t3_str_compare(package->name, sorting->waiting[best]->name) < 0)
            best = i;
    }
    if (best == sorting->count)
        return false;
    sorting->taken[sorting->taken_count++] = sorting->waiting[best];
    sorting->waiting[best] = NULL;
    return true;
}

static tears_status circle(struct tears_migrator *migrator, const struct sorting *sorting)
{
    T3_AUTO(t3_buf_done) struct t3_buf names = {0};
    tears_status status = TEARS_OK;
    for (size_t i = 0; i < sorting->count && status == TEARS_OK; i++)
        if (sorting->waiting[i] != NULL)
            status = t3_buf_printf(&names, "%s'" T3_STR_FMT "'", names.len > 0 ? ", " : "",
                                   T3_STR_ARG(sorting->waiting[i]->name));
    if (status != TEARS_OK)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    return t3_fail_detail(&migrator->error, TEARS_NOT_FOUND, T3_MIGRATE_ORIGIN, TEARS_MIGRATE_CYCLE,
                          "", "packages depend on each other in a circle: %s", names.ptr);
}

tears_status t3_migrate_order(struct tears_migrator *migrator, struct t3_arena *arena,
                              const struct t3_migrate_package ***packages_out, size_t *count_out)
{
    size_t all = 0;
    for (const struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next)
        all++;
    struct sorting sorting = {.waiting = t3_arena_array(arena, all, sizeof(void *)),
                              .taken = t3_arena_array(arena, all, sizeof(void *))};
    if (sorting.waiting == NULL || sorting.taken == NULL)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    for (const struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next) {
        if (package->scope != migrator->options.scope)
            continue;
        T3_TRY(check_dependencies(migrator, package));
        sorting.waiting[sorting.count++] = package;
    }
    while (take_next(&sorting)) {
    }
    if (sorting.taken_count < sorting.count)
        return circle(migrator, &sorting);
    *packages_out = sorting.taken;
    *count_out = sorting.taken_count;
    return TEARS_OK;
}
