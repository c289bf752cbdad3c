/*
 * l3_admin.c -- one connection of its own to the durable tier's database: what both databases have in common.
 *
 * Owns:     the waiting for the lock.
 * Must not know: which database it is, beyond its table of operations.
 * Threads:  one at a time.
 * Fails:    as l3_admin.h says.
 * Begin at: t3_admin_open(), t3_admin_lock().
 */
#include "tier/l3_admin_impl.h"

#include "base/fail.h"
#include "base/jitter.h"
#include "base/str.h"

#include <time.h>

#define ORIGIN "l3.admin"

enum {
    PAUSE_US_MIN = 1000,  /* a migration that changes nothing takes about as long */
    PAUSE_US_MAX = 50000, /* longest time that a freed lock lies unused */
    TELL_US_BETWEEN = 1000000,
    UNDO_MS_MAX = 5000 /* of a rollback or an unlocking, whatever the deadline of the call was */
};

tears_status t3_admin_open(struct t3_l3 *l3, const struct t3_admin_options *options,
                           struct t3_admin **admin_out, struct tears_error *error_out)
{
    const struct tears_str name = tears_str_c(l3->ops->name);
    if (t3_str_is(name, "postgresql"))
        return t3_admin_pg_open(l3, options, admin_out, error_out);
    if (t3_str_is(name, "sqlite"))
        return t3_admin_lite_open(l3, options, admin_out, error_out);
    return t3_fail(
        error_out, TEARS_UNSUPPORTED, ORIGIN,
        "work on tables needs PostgreSQL or SQLite, and this client's L3 is of kind \"%s\"",
        l3->ops->name);
}

void t3_admin_free(struct t3_admin *admin)
{
    if (admin == NULL)
        return;
    t3_admin_unlock(admin);
    t3_arena_done(&admin->arena);
    admin->ops->close(admin);
}

void t3_admin_free_auto(struct t3_admin **admin)
{
    t3_admin_free(T3_TAKE(*admin));
}

const struct t3_admin_facts *t3_admin_facts(const struct t3_admin *admin)
{
    return &admin->facts;
}

bool t3_admin_is_alive(const struct t3_admin *admin)
{
    return admin->ops->is_alive(admin);
}

void t3_admin_set_deadline(struct t3_admin *admin, struct t3_deadline deadline)
{
    admin->deadline = deadline;
    admin->ops->set_deadline(admin, deadline);
}

uint32_t t3_admin_position(const struct t3_admin *admin)
{
    return admin->position;
}

/* ---- statements ---- */

/* Set by tests that run one thread. */
static struct {
    void (*before)(void *owner, struct tears_str sql);
    void *owner;
} watch;

void t3_admin_watch(void (*before)(void *owner, struct tears_str sql), void *owner)
{
    watch.before = before;
    watch.owner = owner;
}

tears_status t3_admin_run(struct t3_admin *admin, const struct t3_admin_statement *statement,
                          struct t3_arena *arena, struct t3_result *result_out,
                          struct tears_error *error_out)
{
    admin->position = 0;
    if (statement->sql.len > 0 && memchr(statement->sql.ptr, '\0', statement->sql.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, ORIGIN, "the statement contains a NUL byte");
    if (watch.before != NULL)
        watch.before(watch.owner, statement->sql);
    struct t3_result unwanted;
    return admin->ops->run(admin, statement, arena, result_out != NULL ? result_out : &unwanted,
                           error_out);
}

tears_status t3_admin_execute(struct t3_admin *admin, struct tears_str sql,
                              struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct t3_admin_statement statement = {.sql = sql};
    return t3_admin_run(admin, &statement, &arena, NULL, error_out);
}

tears_status t3_admin_reset(struct t3_admin *admin, struct tears_error *error_out)
{
    T3_ASSERT(!t3_admin_in_transaction(admin));
    return admin->ops->reset(admin, error_out);
}

/* ---- transactions ---- */

tears_status t3_admin_begin(struct t3_admin *admin, struct tears_error *error_out)
{
    return t3_admin_execute(admin, admin->ops->begin, error_out);
}

tears_status t3_admin_begin_read(struct t3_admin *admin, struct tears_error *error_out)
{
    return t3_admin_execute(admin, admin->ops->begin_read, error_out);
}

bool t3_admin_in_transaction(const struct t3_admin *admin)
{
    return admin->ops->in_transaction(admin);
}

tears_status t3_admin_commit(struct t3_admin *admin, struct tears_error *error_out)
{
    if (!t3_admin_in_transaction(admin))
        return TEARS_OK;
    const tears_status status = t3_admin_execute(admin, TEARS_STR("COMMIT"), error_out);
    if (status != TEARS_OK)
        t3_admin_rollback(admin);
    return status;
}

void t3_admin_rollback(struct t3_admin *admin)
{
    if (!t3_admin_is_alive(admin) || !t3_admin_in_transaction(admin))
        return;
    const struct t3_deadline before = admin->deadline;
    const uint32_t position = admin->position; /* of the failure that led here */
    t3_admin_set_deadline(admin, t3_deadline_in_ms(UNDO_MS_MAX));
    /* When this fails the connection is lost, and the server rolls back. */
    (void)t3_admin_execute(admin, TEARS_STR("ROLLBACK"), NULL);
    t3_admin_set_deadline(admin, before);
    admin->position = position;
}

/* ---- the lock ---- */

static void pause_us(uint64_t us)
{
    const struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
                                   .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&pause, NULL);
}

static void tell(const struct t3_admin_wait *wait, uint64_t waited_us)
{
    if (wait->waiting != NULL)
        wait->waiting(wait->owner, waited_us / 1000);
}

tears_status t3_admin_lock(struct t3_admin *admin, const struct t3_admin_wait *wait,
                           struct tears_error *error_out)
{
    const uint64_t start = t3_now_us();
    uint64_t told = 0;
    uint64_t most_us = PAUSE_US_MIN;
    tears_status status = admin->ops->try_lock(admin, error_out);
    while (status == TEARS_CONFLICT) {
        const uint64_t now = t3_now_us();
        if (t3_deadline_passed(wait->deadline))
            return t3_fail(error_out, TEARS_TIMEOUT, ORIGIN,
                           "another process has worked on schema '" T3_STR_FMT
                           "' for the %llu s that were waited",
                           T3_STR_ARG(admin->facts.schema),
                           (unsigned long long)((now - start) / 1000000));
        if (told == 0 || now - told >= TELL_US_BETWEEN) {
            tell(wait, now - start);
            told = now;
        }
        pause_us(most_us / 2 + t3_jitter(most_us / 2));
        most_us = most_us * 2 < PAUSE_US_MAX ? most_us * 2 : PAUSE_US_MAX;
        status = admin->ops->try_lock(admin, error_out);
    }
    admin->locked = status == TEARS_OK;
    return status;
}

void t3_admin_unlock(struct t3_admin *admin)
{
    if (!admin->locked)
        return;
    t3_admin_rollback(admin);
    const struct t3_deadline before = admin->deadline;
    t3_admin_set_deadline(admin, t3_deadline_in_ms(UNDO_MS_MAX));
    admin->ops->unlock(admin);
    t3_admin_set_deadline(admin, before);
    admin->locked = false;
}
