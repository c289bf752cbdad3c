/*
 * migrate_up.c -- applying and undoing: look, take the lock, look again, do.
 *
 * Owns:     the lock, for as long as a call lasts.
 * Must not know: how a version is run.
 * Threads:  the migrator's.
 * Fails:    as tears/migrate.h says.
 * Begin at: tears_migrate_up().
 *
 * The first look is without the lock: when nothing is pending, which is what all but one of twenty processes that start
 * together find, nobody waits for anybody.
 */
#include "data/migrate_impl.h"

#include "base/sized.h"

static tears_status read_ledger(struct tears_migrator *migrator, struct t3_migrate_plan *plan)
{
    return t3_ledger_read(migrator->admin, &migrator->results, &plan->ledger, &migrator->error);
}

static tears_status make_plan(struct tears_migrator *migrator,
                              const struct tears_migrate_request *request, bool is_down,
                              struct t3_migrate_plan *plan)
{
    T3_TRY(read_ledger(migrator, plan));
    return is_down ? t3_migrate_plan_down(migrator, request, plan)
                   : t3_migrate_plan_up(migrator, request, plan);
}

static tears_status carry_out(struct tears_migrator *migrator, const struct t3_migrate_plan *plan,
                              bool is_down, uint64_t *count_out)
{
    for (size_t i = 0; i < plan->count; i++) {
        bool done = false;
        T3_TRY(t3_migrate_run(migrator, &plan->ledger, plan->versions[i], is_down, &done));
        *count_out += done ? 1 : 0;
    }
    return TEARS_OK;
}

/* With the lock: what is there now may be another thing than a moment ago. */
static tears_status work(struct tears_migrator *migrator,
                         const struct tears_migrate_request *request, bool is_down,
                         uint64_t *count_out)
{
    struct t3_migrate_plan plan = {0};
    T3_TRY(read_ledger(migrator, &plan));
    T3_TRY(t3_ledger_make(migrator->admin, &plan.ledger, &migrator->error));
    T3_TRY(t3_ledger_adopt(migrator->admin, &migrator->results, &plan.ledger, &migrator->error));
    T3_TRY(make_plan(migrator, request, is_down, &plan));
    return carry_out(migrator, &plan, is_down, count_out);
}

static tears_status migrate(struct tears_migrator *migrator,
                            const struct tears_migrate_request *given, bool is_down,
                            uint64_t *count_out)
{
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    struct t3_migrate_plan plan = {0};
    if (given != NULL)
        T3_TRY(t3_sized_copy(&request, sizeof request, given, T3_MIGRATE_ORIGIN, &migrator->error));
    T3_TRY(t3_migrator_connect(migrator));
    tears_status status = make_plan(migrator, &request, is_down, &plan);
    /* A refusal may be about what another process is in the middle of. */
    if (status != TEARS_CONFLICT && (status != TEARS_OK || plan.count == 0))
        return status;
    t3_error_clear(&migrator->error);
    T3_TRY(t3_migrator_lock(migrator));
    status = work(migrator, &request, is_down, count_out);
    t3_migrator_unlock(migrator);
    return status;
}

static tears_status migrate_counted(struct tears_migrator *migrator,
                                    const struct tears_migrate_request *request, bool is_down,
                                    uint64_t *count_out)
{
    uint64_t count = 0;
    T3_TRY(t3_migrator_enter(migrator));
    const tears_status status = migrate(migrator, request, is_down, &count);
    if (count_out != NULL)
        *count_out = count;
    return status;
}

tears_status tears_migrate_up(tears_migrator *migrator, const struct tears_migrate_request *request,
                              uint64_t *applied_out)
{
    return migrate_counted(migrator, request, false, applied_out);
}

tears_status tears_migrate_down(tears_migrator *migrator,
                                const struct tears_migrate_request *request, uint64_t *undone_out)
{
    return migrate_counted(migrator, request, true, undone_out);
}
