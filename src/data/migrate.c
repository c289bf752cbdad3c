/*
 * migrate.c -- the migrator: its options, its connection, its lock.
 *
 * Owns:     the migrator.
 * Must not know: what a version does.
 * Threads:  one at a time.
 * Fails:    as tears/migrate.h says.
 * Begin at: tears_migrator_open(); the work is in migrate_up.c.
 */
#include "data/migrate_impl.h"

#include "base/alloc.h"
#include "base/sized.h"
#include "base/str.h"
#include "core/core.h"

#include <pwd.h>
#include <unistd.h>

enum {
    WAIT_MS_DEFAULT = 600000,
    TABLE_LOCK_MS_DEFAULT = 5000,
    CONNECT_MS = 30000,
    SHORT_MS = 60000, /* a statement on the ledger, which nobody else holds for long */
    NAME_BYTES_MAX = 256
};

/* ---- options ---- */

/* "user@host". */
static tears_status name_actor(struct tears_migrator *migrator)
{
    char host[NAME_BYTES_MAX] = "";
    char room[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const bool known =
        getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found != NULL;
    tears_status status = known ? t3_buf_printf(&text, "%s@%s", found->pw_name, host)
                                : t3_buf_printf(&text, "%lu@%s", (unsigned long)geteuid(), host);
    if (status == TEARS_OK)
        status = t3_arena_str(&migrator->arena, t3_buf_str(&text), &migrator->options.actor);
    return status;
}

static tears_status take_options(struct tears_migrator *migrator,
                                 const struct tears_migrator_options *given,
                                 struct tears_error *error_out)
{
    struct tears_migrator_options *options = &migrator->options;
    if (given != NULL)
        T3_TRY(t3_sized_copy(options, sizeof *options, given, T3_MIGRATE_ORIGIN, error_out));
    if (options->scope == 0)
        options->scope = TEARS_SCOPE_PLATFORM;
    if (options->scope > TEARS_SCOPE_AGENT)
        return t3_fail(error_out, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       "the scope is neither platform nor agent");
    if (options->wait_ms == 0)
        options->wait_ms = WAIT_MS_DEFAULT;
    if (options->table_lock_ms == 0)
        options->table_lock_ms = TABLE_LOCK_MS_DEFAULT;
    tears_status status = t3_arena_str(&migrator->arena, options->schema, &options->schema);
    if (status == TEARS_OK)
        status = options->actor.len > 0
                     ? t3_arena_str(&migrator->arena, options->actor, &options->actor)
                     : name_actor(migrator);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, T3_MIGRATE_ORIGIN);
}

/* ---- life ---- */

static tears_status open_checked(struct tears_migrator *migrator,
                                 const struct tears_migrator_options *options,
                                 struct tears_error *error_out)
{
    const struct tears_str kind = tears_str_c(migrator->client->l3->ops->name);
    if (!t3_str_is(kind, "postgresql") && !t3_str_is(kind, "sqlite"))
        return t3_fail(error_out, TEARS_UNSUPPORTED, T3_MIGRATE_ORIGIN,
                       "migrations need PostgreSQL or SQLite, and this client's L3 is of kind "
                       "\"" T3_STR_FMT "\"",
                       T3_STR_ARG(kind));
    migrator->dialect = t3_str_is(kind, "sqlite") ? T3_SQL_SQLITE : T3_SQL_POSTGRES;
    return take_options(migrator, options, error_out);
}

tears_status tears_migrator_open(tears_client *client, const struct tears_migrator_options *options,
                                 tears_migrator **migrator_out, struct tears_error *error_out)
{
    if (client == NULL || migrator_out == NULL || t3_client_is_foreign(client))
        return t3_fail(error_out, TEARS_MISUSE, T3_MIGRATE_ORIGIN,
                       "a migrator needs a client that this process has opened");
    t3_error_clear(error_out);
    struct tears_migrator *migrator = t3_alloc_zero(1, sizeof *migrator);
    if (migrator == NULL)
        return t3_fail_memory(error_out, T3_MIGRATE_ORIGIN);
    migrator->client = client;
    const tears_status status = open_checked(migrator, options, error_out);
    if (status != TEARS_OK) {
        tears_migrator_free(migrator);
        return status;
    }
    *migrator_out = migrator;
    return TEARS_OK;
}

void tears_migrator_free(tears_migrator *migrator)
{
    if (migrator == NULL || t3_client_is_foreign(migrator->client))
        return;
    t3_admin_free(migrator->admin);
    t3_arena_done(&migrator->results);
    t3_arena_done(&migrator->arena);
    t3_free(migrator);
}

const struct tears_error *tears_migrator_error(const tears_migrator *migrator)
{
    return &migrator->error;
}

bool tears_migrator_failure(const tears_migrator *migrator,
                            struct tears_migration_failure *failure_out)
{
    if (migrator->has_failure)
        t3_sized_give(failure_out, &migrator->failure, sizeof migrator->failure);
    return migrator->has_failure;
}

tears_status tears_migrator_add(tears_migrator *migrator, const struct tears_package_def *package)
{
    T3_TRY(t3_migrator_enter(migrator));
    return t3_migrate_add(migrator, package, NULL);
}

tears_status t3_migrator_enter(struct tears_migrator *migrator)
{
    t3_error_clear(&migrator->error);
    if (t3_client_is_foreign(migrator->client))
        return t3_fail(&migrator->error, TEARS_MISUSE, T3_MIGRATE_ORIGIN,
                       "a forked child cannot use its parent's client; open one of its own");
    t3_arena_reset(&migrator->results);
    migrator->has_failure = false;
    return TEARS_OK;
}

/* ---- connection ---- */

tears_status t3_migrator_connect(struct tears_migrator *migrator)
{
    if (migrator->admin != NULL && t3_admin_is_alive(migrator->admin)) {
        t3_migrator_short_deadline(migrator);
        return TEARS_OK;
    }
    t3_admin_free(T3_TAKE(migrator->admin));
    const struct t3_admin_options options = {.schema = migrator->options.schema,
                                             .create_schema = migrator->options.create_schema != 0,
                                             .deadline = t3_deadline_in_ms(CONNECT_MS)};
    return t3_admin_open(migrator->client->l3, &options, &migrator->admin, &migrator->error);
}

void t3_migrator_short_deadline(struct tears_migrator *migrator)
{
    t3_admin_set_deadline(migrator->admin, t3_deadline_in_ms(SHORT_MS));
}

struct t3_deadline t3_migrator_statement_deadline(const struct tears_migrator *migrator)
{
    enum { ANSWER_MS = 5000 }; /* for the server's own timeout to come first */
    if (migrator->options.statement_ms == 0)
        return (struct t3_deadline){UINT64_MAX};
    return t3_deadline_in_ms(migrator->options.statement_ms + ANSWER_MS);
}

void t3_migrator_tell(struct tears_migrator *migrator, struct tears_migrate_event *event)
{
    event->size = sizeof *event;
    if (migrator->options.progress != NULL)
        migrator->options.progress(migrator->options.progress_owner, event);
}

/* ---- the lock ---- */

static void on_waiting(void *owner, uint64_t waited_ms)
{
    struct tears_migrate_event event = {.kind = TEARS_MIGRATE_WAITING,
                                        .elapsed_us = waited_ms * 1000};
    t3_migrator_tell(owner, &event);
}

tears_status t3_migrator_lock(struct tears_migrator *migrator)
{
    T3_TRY(t3_migrator_connect(migrator));
    const struct t3_deadline deadline = t3_deadline_in_ms(migrator->options.wait_ms);
    const struct t3_admin_wait wait = {
        .deadline = deadline, .waiting = on_waiting, .owner = migrator};
    t3_admin_set_deadline(migrator->admin, t3_deadline_in_ms(migrator->options.wait_ms + SHORT_MS));
    const tears_status status = t3_admin_lock(migrator->admin, &wait, &migrator->error);
    t3_migrator_short_deadline(migrator);
    return status;
}

void t3_migrator_unlock(struct tears_migrator *migrator)
{
    t3_admin_unlock(migrator->admin);
}
