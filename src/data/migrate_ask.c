/*
 * migrate_ask.c -- what is applied, what is pending, what was; and corrections of that by hand.
 *
 * Owns:     nothing; results are the migrator's.
 * Must not know: bodies.
 * Threads:  the migrator's.
 * Fails:    as tears/migrate.h says.
 * Begin at: tears_migrate_status().
 */
#include "data/migrate_impl.h"

#include "base/str.h"

static tears_status no_memory(struct tears_migrator *migrator)
{
    return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
}

static tears_status enter_and_read(struct tears_migrator *migrator, struct t3_ledger *ledger)
{
    T3_TRY(t3_migrator_enter(migrator));
    T3_TRY(t3_migrator_connect(migrator));
    return t3_ledger_read(migrator->admin, &migrator->results, ledger, &migrator->error);
}

static size_t count_versions(const struct tears_migrator *migrator)
{
    size_t count = 0;
    for (const struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next)
        count += package->version_count;
    return count;
}

/* ---- sequence ---- */

tears_status tears_migrate_sequence(tears_migrator *migrator,
                                    const struct tears_package_version **versions_out,
                                    size_t *count_out)
{
    const struct t3_migrate_package **packages;
    size_t package_count;
    size_t count = 0;
    T3_TRY(t3_migrator_enter(migrator));
    T3_TRY(t3_migrate_order(migrator, &migrator->results, &packages, &package_count));
    struct tears_package_version *versions =
        t3_arena_array(&migrator->results, count_versions(migrator), sizeof *versions);
    if (versions == NULL)
        return no_memory(migrator);
    for (size_t i = 0; i < package_count; i++)
        for (size_t k = 0; k < packages[i]->version_count; k++)
            versions[count++] =
                (struct tears_package_version){.package = packages[i]->name,
                                               .version = packages[i]->versions[k].number,
                                               .description = packages[i]->versions[k].description};
    *versions_out = versions;
    *count_out = count;
    return TEARS_OK;
}

/* ---- status ---- */

static void take_row(struct tears_migration_status *status, const struct t3_ledger_row *row)
{
    if (row == NULL)
        return;
    status->date_applied_us = row->is_applied ? row->date_us : 0;
    status->steps_done = (uint64_t)row->steps_done;
    status->error = row->error.ptr != NULL ? row->error : TEARS_STR("");
    status->down = row->state == T3_LEDGER_UNDOING;
}

static struct tears_migration_status status_of(const struct t3_ledger *ledger,
                                               const struct t3_migrate_version *version)
{
    const struct t3_ledger_row *row =
        t3_ledger_find(ledger, version->package->name, version->number);
    struct tears_migration_status status = {
        .size = sizeof status,
        .package = version->package->name,
        .version = version->number,
        .description = version->description,
        .state = t3_migrate_state(ledger, version, row),
        .has_down = t3_migrate_body_is_there(&version->down),
        .no_transaction = (version->flags & TEARS_MIGRATION_NO_TRANSACTION) != 0 ||
                          version->up.needs_no_transaction,
        .file = version->up.file,
        .error = TEARS_STR("")};
    take_row(&status, row);
    return status;
}

static bool is_registered(const struct tears_migrator *migrator, const struct t3_ledger_row *row)
{
    for (const struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next)
        if (t3_str_equal(package->name, row->package) &&
            t3_migrate_find_version(package, row->version) != NULL)
            return true;
    return false;
}

static struct tears_migration_status status_of_unknown(const struct t3_ledger_row *row)
{
    struct tears_migration_status status = {.size = sizeof status,
                                            .package = row->package,
                                            .version = row->version,
                                            .description = row->description,
                                            .state = TEARS_MIGRATION_UNKNOWN,
                                            .file = TEARS_STR(""),
                                            .error = TEARS_STR("")};
    if (row->state == T3_LEDGER_APPLYING || row->state == T3_LEDGER_UNDOING)
        status.state = TEARS_MIGRATION_INTERRUPTED;
    take_row(&status, row);
    return status;
}

tears_status tears_migrate_status(tears_migrator *migrator,
                                  const struct tears_migration_status **statuses_out,
                                  size_t *count_out)
{
    struct t3_ledger ledger = {0};
    const struct t3_migrate_package **packages;
    size_t package_count;
    size_t count = 0;
    T3_TRY(enter_and_read(migrator, &ledger));
    T3_TRY(t3_migrate_order(migrator, &migrator->results, &packages, &package_count));
    struct tears_migration_status *statuses = t3_arena_array(
        &migrator->results, count_versions(migrator) + ledger.count, sizeof *statuses);
    if (statuses == NULL)
        return no_memory(migrator);
    for (size_t i = 0; i < package_count; i++)
        for (size_t k = 0; k < packages[i]->version_count; k++)
            statuses[count++] = status_of(&ledger, &packages[i]->versions[k]);
    for (size_t i = 0; i < ledger.count; i++) {
        const struct t3_ledger_row *row = &ledger.rows[i];
        const bool matters = row->is_applied || row->state == T3_LEDGER_APPLYING;
        if (matters && !is_registered(migrator, row))
            statuses[count++] = status_of_unknown(row);
    }
    *statuses_out = statuses;
    *count_out = count;
    return TEARS_OK;
}

/* ---- history ---- */

static struct tears_str or_empty(struct tears_str text)
{
    return text.ptr != NULL ? text : TEARS_STR("");
}

tears_status tears_migrate_history(tears_migrator *migrator,
                                   const struct tears_migration_record **records_out,
                                   size_t *count_out)
{
    struct t3_ledger ledger = {0};
    const struct t3_ledger_row **rows;
    size_t count;
    T3_TRY(enter_and_read(migrator, &ledger));
    if (t3_ledger_history(&ledger, &migrator->results, &rows, &count) != TEARS_OK)
        return no_memory(migrator);
    struct tears_migration_record *records =
        t3_arena_array(&migrator->results, count, sizeof *records);
    if (records == NULL)
        return no_memory(migrator);
    for (size_t i = 0; i < count; i++)
        records[i] = (struct tears_migration_record){.size = sizeof records[i],
                                                     .package = rows[i]->package,
                                                     .version = rows[i]->version,
                                                     .description = rows[i]->description,
                                                     .date_applied_us = rows[i]->date_us,
                                                     .sequence = rows[i]->sequence,
                                                     .checksum = or_empty(rows[i]->checksum),
                                                     .duration_us = (uint64_t)rows[i]->duration_us,
                                                     .actor = or_empty(rows[i]->actor),
                                                     .tool = or_empty(rows[i]->tool)};
    *records_out = records;
    *count_out = count;
    return TEARS_OK;
}

/* The packages of the scope, by name. */
static size_t sorted_packages(const struct tears_migrator *migrator,
                              const struct t3_migrate_package **packages)
{
    size_t count = 0;
    for (const struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next) {
        if (package->scope != migrator->options.scope)
            continue;
        size_t at = count++;
        for (; at > 0 && t3_str_compare(packages[at - 1]->name, package->name) > 0; at--)
            packages[at] = packages[at - 1];
        packages[at] = package;
    }
    return count;
}

tears_status tears_migrate_current(tears_migrator *migrator,
                                   const struct tears_package_version **versions_out,
                                   size_t *count_out)
{
    struct t3_ledger ledger = {0};
    size_t most = 0;
    T3_TRY(enter_and_read(migrator, &ledger));
    for (const struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next)
        most++;
    const struct t3_migrate_package **packages =
        t3_arena_array(&migrator->results, most, sizeof(void *));
    struct tears_package_version *versions =
        t3_arena_array(&migrator->results, most, sizeof *versions);
    if (packages == NULL || versions == NULL)
        return no_memory(migrator);
    const size_t count = sorted_packages(migrator, packages);
    for (size_t i = 0; i < count; i++) {
        versions[i].package = packages[i]->name;
        for (size_t k = 0; k < ledger.count; k++) {
            const struct t3_ledger_row *row = &ledger.rows[k];
            if (!row->is_applied || row->version <= versions[i].version ||
                !t3_str_equal(row->package, packages[i]->name))
                continue;
            versions[i].version = row->version;
            versions[i].description = row->description;
        }
    }
    *versions_out = versions;
    *count_out = count;
    return TEARS_OK;
}

/* ---- corrections ---- */

/* A change of the ledger, in a transaction under the lock. */
struct correction {
    struct tears_migrator *migrator;
    struct t3_ledger ledger;
    struct tears_str package;
    int64_t version;
    struct tears_str description;
    uint64_t count;
    tears_status (*make)(struct correction *correction);
};

static tears_status make_locked(struct correction *correction)
{
    struct tears_migrator *migrator = correction->migrator;
    struct tears_error *error = &migrator->error;
    T3_TRY(t3_ledger_read(migrator->admin, &migrator->results, &correction->ledger, error));
    T3_TRY(t3_ledger_make(migrator->admin, &correction->ledger, error));
    T3_TRY(t3_ledger_adopt(migrator->admin, &migrator->results, &correction->ledger, error));
    T3_TRY(t3_admin_begin(migrator->admin, error));
    const tears_status status = correction->make(correction);
    if (status != TEARS_OK) {
        t3_admin_rollback(migrator->admin);
        return status;
    }
    return t3_admin_commit(migrator->admin, error);
}

static tears_status correct(struct correction *correction)
{
    T3_TRY(t3_migrator_enter(correction->migrator));
    T3_TRY(t3_migrator_lock(correction->migrator));
    const tears_status status = make_locked(correction);
    t3_migrator_unlock(correction->migrator);
    return status;
}

static tears_status stamp(struct correction *correction)
{
    struct tears_migrator *migrator = correction->migrator;
    const struct t3_migrate_package *package =
        t3_migrate_find_package(migrator, correction->package);
    const struct t3_migrate_version *version =
        package != NULL ? t3_migrate_find_version(package, correction->version) : NULL;
    const struct t3_ledger_row *row =
        t3_ledger_find(&correction->ledger, correction->package, correction->version);
    if (package != NULL && version == NULL)
        return t3_fail(&migrator->error, TEARS_NOT_FOUND, T3_MIGRATE_ORIGIN,
                       "package '" T3_STR_FMT "' has no version %lld",
                       T3_STR_ARG(correction->package), (long long)correction->version);
    if (row != NULL && row->is_applied)
        return t3_fail(&migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN,
                       "package '" T3_STR_FMT "', version %lld is in the ledger already",
                       T3_STR_ARG(correction->package), (long long)correction->version);
    const struct t3_ledger_note note = {.package = correction->package,
                                        .version = correction->version,
                                        .description = correction->description,
                                        .checksum =
                                            version != NULL ? version->checksum : TEARS_STR(""),
                                        .actor = migrator->options.actor,
                                        .started_us = t3_calendar_us()};
    return t3_ledger_enter(migrator->admin, &note, &migrator->error);
}

static tears_status check_names(struct tears_migrator *migrator, struct tears_str package,
                                int64_t version)
{
    enum { NAME_BYTES_MAX = 255 };
    T3_TRY(t3_migrator_enter(migrator));
    if (package.len > 0 && package.len <= NAME_BYTES_MAX && version >= 1 && version <= INT32_MAX)
        return TEARS_OK;
    return t3_fail(&migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                   "a package's name has 1 to 255 bytes, and versions are numbers from 1 to "
                   "2147483647");
}

tears_status tears_migrate_stamp(tears_migrator *migrator, struct tears_str package,
                                 int64_t version, struct tears_str description)
{
    T3_TRY(check_names(migrator, package, version));
    struct correction correction = {.migrator = migrator,
                                    .package = package,
                                    .version = version,
                                    .description =
                                        description.len > 0 ? description : TEARS_STR("stamped"),
                                    .make = stamp};
    return correct(&correction);
}

static tears_status unstamp(struct correction *correction)
{
    struct tears_migrator *migrator = correction->migrator;
    const struct t3_ledger_row *row =
        t3_ledger_find(&correction->ledger, correction->package, correction->version);
    if (row == NULL || (!row->is_applied && row->state == T3_LEDGER_NONE))
        return t3_fail(&migrator->error, TEARS_NOT_FOUND, T3_MIGRATE_ORIGIN,
                       "package '" T3_STR_FMT "', version %lld is not in the ledger",
                       T3_STR_ARG(correction->package), (long long)correction->version);
    return t3_ledger_remove(migrator->admin, correction->package, correction->version,
                            &migrator->error);
}

tears_status tears_migrate_unstamp(tears_migrator *migrator, struct tears_str package,
                                   int64_t version)
{
    T3_TRY(check_names(migrator, package, version));
    struct correction correction = {
        .migrator = migrator, .package = package, .version = version, .make = unstamp};
    return correct(&correction);
}

static tears_status accept(struct correction *correction)
{
    struct tears_migrator *migrator = correction->migrator;
    for (const struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next) {
        if (package->scope != migrator->options.scope ||
            (correction->package.len > 0 && !t3_str_equal(correction->package, package->name)))
            continue;
        for (size_t i = 0; i < package->version_count; i++) {
            const struct t3_migrate_version *version = &package->versions[i];
            const struct t3_ledger_row *row =
                t3_ledger_find(&correction->ledger, package->name, version->number);
            if (t3_migrate_state(&correction->ledger, version, row) != TEARS_MIGRATION_CHANGED)
                continue;
            T3_TRY(t3_ledger_accept(migrator->admin, version, &migrator->error));
            correction->count++;
        }
    }
    return TEARS_OK;
}

tears_status tears_migrate_accept(tears_migrator *migrator, struct tears_str package,
                                  uint64_t *accepted_out)
{
    struct correction correction = {.migrator = migrator, .package = package, .make = accept};
    T3_TRY(correct(&correction));
    if (accepted_out != NULL)
        *accepted_out = correction.count;
    return TEARS_OK;
}
