/*
 * outbox.c -- the thread that works on the outbox when no other client does, and the functions for people.
 *
 * Owns:     the thread, the tail while it has the role, what is known to be covered.
 * Knows:    when to look, when to give up the role.
 * Must not know: what notes mean (outbox_pass.c), how a database keeps them (tier/l3.h).
 * Threads:  one of its own; the mutex is a leaf.
 * Fails:    by logging and trying later; notes wait in the database meanwhile.
 * Begin at: run().
 *
 *      no outbox: look every 10 s     somebody works on it: look every 5 s     the role: tail
 *            ^------------------------------+-----------------------------------'
 *
 * Every pause is jittered, so that clients that start together do not ask together.  A tailer whose L2 does not answer gives up
 * the role: another client may reach L2, and the notes are not lost.
 */
#include "core/outbox_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/jitter.h"
#include "base/sized.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    FIRST_LOOK_MS = 200, /* a command that is over sooner does not look at all */
    ABSENT_MS = 10000,
    TAKEN_MS = 5000,
    FAILED_MS = 2000,
    LOOK_MS_MAX = 5000, /* a look's own deadline */
    WAIT_FIRST_MS =
        20, /* after notes were found: others may be about to commit without a wake-up */
    WAIT_MS_MAX = 1000,
    SWEPT_MS = 1000, /* tables are thrown away no more often */
    NOTES_MAX = 4096,
    COMPLAIN_MS = 60000
};

/* ---- pauses --------------------------------------------------------------------------------- */

static bool is_stopping(const struct t3_outbox *outbox)
{
    return atomic_load_explicit(&outbox->is_stopping, memory_order_acquire);
}

/* Forgets that it was woken. */
static void take_wake(struct t3_outbox *outbox)
{
    eventfd_t ignored;
    (void)eventfd_read(outbox->wake_fd, &ignored); /* EAGAIN: it was not */
}

static void wake(struct t3_outbox *outbox)
{
    (void)eventfd_write(outbox->wake_fd, 1); /* fails only when it is readable already */
}

bool t3_outbox_pause(struct t3_outbox *outbox, uint64_t ms)
{
    struct pollfd watched = {.fd = outbox->wake_fd, .events = POLLIN};
    if (!is_stopping(outbox) && poll(&watched, 1, (int)ms) > 0)
        take_wake(outbox);
    return !is_stopping(outbox);
}

/* Between half and all of it. */
static uint64_t jittered(uint64_t ms)
{
    return ms / 2 + t3_jitter(ms / 2 + 1);
}

/* ---- the log -------------------------------------------------------------------------------- */

/* What goes on failing is told once a minute. */
static void complain(struct t3_outbox *outbox, const struct tears_error *error)
{
    const uint64_t now_ms = t3_now_coarse_ms();
    const bool is_new = error->status != outbox->complained_of || outbox->complained_ms == 0 ||
                        now_ms - outbox->complained_ms >= COMPLAIN_MS;
    t3_log(&outbox->client->log, is_new ? TEARS_LOG_WARN : TEARS_LOG_DEBUG, "outbox",
           "the outbox cannot be worked on, and its notes wait: %s", error->message);
    if (!is_new)
        return;
    outbox->complained_ms = now_ms;
    outbox->complained_of = error->status;
}

/* ---- what is covered ------------------------------------------------------------------------ */

static void cover(struct t3_outbox *outbox, const struct t3_l3_outbox_look *seen)
{
    t3_lock(&outbox->mutex);
    t3_arena_reset(&outbox->covered_arena);
    outbox->covered_count = 0;
    struct tears_str *names =
        t3_arena_array(&outbox->covered_arena, seen->table_count + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < seen->table_count; i++)
        if (t3_arena_str(&outbox->covered_arena, seen->tables[i], &names[i]) == TEARS_OK)
            outbox->covered_count = i + 1;
        else
            break; /* a table that is not in the list is only said not to be covered */
    outbox->covered = names;
    t3_unlock(&outbox->mutex);
}

bool t3_outbox_covers(const struct tears_client *client, struct tears_str table)
{
    struct t3_outbox *outbox = client->outbox;
    bool covers = false;
    if (outbox == NULL)
        return false;
    t3_lock(&outbox->mutex);
    for (size_t i = 0; i < outbox->covered_count && !covers; i++)
        covers = t3_str_equal(outbox->covered[i], table);
    t3_unlock(&outbox->mutex);
    return covers;
}

static tears_status look(struct t3_outbox *outbox, struct t3_l3_outbox_look *seen_out,
                         struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_l3 *l3 = outbox->client->l3;
    struct t3_l3_call call = {
        .arena = &arena, .deadline = t3_deadline_in_ms(LOOK_MS_MAX), .error = error_out};
    T3_TRY(l3->ops->outbox->look(l3, &call, seen_out));
    cover(outbox, seen_out);
    seen_out->tables = NULL; /* they end with the arena */
    outbox->looked_ms = t3_now_coarse_ms();
    return TEARS_OK;
}

/* ---- the role ------------------------------------------------------------------------------- */

struct tailing {
    struct t3_outbox *outbox;
    const struct t3_l3_outbox_ops *ops;
    struct t3_l3_tail *tail;
    struct t3_arena arena; /* of the notes of one turn */
    uint64_t wait_ms;
};

/* Until there may be notes; now and then a look at what is covered.  The tailer that has nothing to do finds out here, too,
 * that the outbox is gone. */
static tears_status rest(struct tailing *tailing, struct tears_error *error_out)
{
    struct t3_outbox *outbox = tailing->outbox;
    struct t3_l3_outbox_look seen;
    tailing->wait_ms = tailing->wait_ms * 2 < WAIT_MS_MAX ? tailing->wait_ms * 2 : WAIT_MS_MAX;
    if (tailing->ops->tail_wait(tailing->tail, t3_deadline_in_ms(tailing->wait_ms),
                                outbox->wake_fd) != TEARS_OK)
        return t3_fail(error_out, TEARS_UNAVAILABLE, "outbox", "the database hung up");
    take_wake(outbox);
    t3_outbox_sweep_again(outbox);
    if (t3_now_coarse_ms() - outbox->looked_ms < ABSENT_MS)
        return TEARS_OK;
    return look(outbox, &seen, error_out);
}

static tears_status work(struct tailing *tailing, struct t3_outbox_notes *notes,
                         struct tears_error *error_out)
{
    const bool done = t3_outbox_pass(tailing->outbox, notes);
    tailing->wait_ms = WAIT_FIRST_MS / 2;
    T3_TRY(tailing->ops->tail_done(tailing->tail, done, error_out));
    if (notes->swept && done)
        (void)t3_outbox_pause(tailing->outbox, SWEPT_MS);
    return done ? TEARS_OK
                : t3_fail(error_out, TEARS_UNAVAILABLE, "outbox", "L2 could not be corrected");
}

/* One turn of the tailer. */
static tears_status turn(struct tailing *tailing, struct tears_error *error_out)
{
    struct t3_outbox_notes notes = {.arena = &tailing->arena};
    t3_arena_reset(&tailing->arena);
    T3_TRY(tailing->ops->tail_take(tailing->tail, &tailing->arena, NOTES_MAX, &notes.notes,
                                   &notes.count, error_out));
    if (notes.count == 0)
        return rest(tailing, error_out);
    return work(tailing, &notes, error_out);
}

static tears_status hold_role(struct tailing *tailing, struct tears_error *error_out)
{
    struct t3_outbox *outbox = tailing->outbox;
    tears_status status = TEARS_OK;
    t3_log(&outbox->client->log, TEARS_LOG_INFO, "outbox", "works on the outbox");
    while (status == TEARS_OK && !is_stopping(outbox)) {
        if (!t3_l2_is_connected(
                outbox->client->l2)) /* what could be taken could only be put back */
            status = t3_fail(error_out, TEARS_UNAVAILABLE, "outbox", "L2 is away");
        else
            status = turn(tailing, error_out);
    }
    if (status == TEARS_OK || is_stopping(outbox))
        return TEARS_OK;
    return status;
}

/* Tries to get the role, and keeps it as long as things go well. */
static tears_status tail(struct t3_outbox *outbox, struct tears_error *error_out)
{
    struct t3_l3 *l3 = outbox->client->l3;
    struct tailing tailing = {.outbox = outbox, .ops = l3->ops->outbox, .wait_ms = WAIT_FIRST_MS};
    T3_TRY(tailing.ops->tail_open(l3, &tailing.tail, error_out));
    const tears_status status = hold_role(&tailing, error_out);
    tailing.ops->tail_free(tailing.tail);
    t3_arena_done(&tailing.arena);
    return status;
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* Looks, and does what there is to do; gives the pause until the next time. */
static uint64_t attend(struct t3_outbox *outbox)
{
    struct tears_error error = {0};
    struct t3_l3_outbox_look seen;
    tears_status status = look(outbox, &seen, &error);
    if (status == TEARS_OK && !seen.is_installed)
        return jittered(ABSENT_MS);
    if (status == TEARS_OK && (seen.has_tailer || !t3_l2_is_connected(outbox->client->l2)))
        return jittered(TAKEN_MS);
    if (status == TEARS_OK)
        status = tail(outbox, &error);
    if (status == TEARS_CONFLICT || status == TEARS_NOT_FOUND)
        return jittered(TAKEN_MS);
    if (status != TEARS_OK)
        complain(outbox, &error);
    return jittered(FAILED_MS);
}

static void *run(void *owner)
{
    struct t3_outbox *outbox = owner;
    uint64_t pause_ms = jittered(FIRST_LOOK_MS);
    while (t3_outbox_pause(outbox, pause_ms)) {
        pause_ms = attend(outbox);
        t3_outbox_sweep_again(outbox);
    }
    return NULL;
}

tears_status t3_outbox_start(struct tears_client *client, struct t3_outbox **outbox_out,
                             struct tears_error *error_out)
{
    struct t3_outbox *outbox = t3_alloc_zero(1, sizeof *outbox);
    if (outbox == NULL)
        return t3_fail_memory(error_out, "core");
    outbox->client = client;
    t3_mutex_init(&outbox->mutex);
    outbox->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    *outbox_out = outbox; /* from here on the client ends it */
    if (outbox->wake_fd < 0)
        return t3_fail_detail(error_out, TEARS_LIMIT, "core", errno, "",
                              "no file descriptor is left for the outbox");
    if (t3_thread_start(&outbox->thread, run, outbox) != TEARS_OK)
        return t3_fail(error_out, TEARS_UNAVAILABLE, "core", "no thread can be started");
    return TEARS_OK;
}

void t3_outbox_free(struct t3_outbox *outbox)
{
    if (outbox == NULL)
        return;
    atomic_store_explicit(&outbox->is_stopping, true, memory_order_release);
    if (outbox->wake_fd >= 0)
        wake(outbox);
    t3_thread_join(&outbox->thread);
    if (outbox->wake_fd >= 0)
        (void)close(outbox->wake_fd); /* nothing was written that could be lost */
    t3_outbox_tables_done(outbox);
    t3_arena_done(&outbox->covered_arena);
    t3_mutex_done(&outbox->mutex);
    t3_free(outbox);
}

/* ---- for people ----------------------------------------------------------------------------- */

static tears_status enter(tears_session *session, const struct t3_l3_outbox_ops **ops_out)
{
    T3_TRY(t3_session_enter(session));
    *ops_out = session->client->l3->ops->outbox;
    if (*ops_out == NULL)
        return t3_fail(&session->error, TEARS_UNSUPPORTED, "core",
                       "this database (%s) cannot note what others change; PostgreSQL can",
                       session->client->l3->ops->name);
    return TEARS_OK;
}

/* Something has changed that this client's own thread should see at once. */
static tears_status changed(tears_session *session, tears_status status)
{
    if (session->client->outbox != NULL)
        wake(session->client->outbox);
    return t3_session_status(session, status);
}

tears_status tears_outbox_install(tears_session *session, const struct tears_str *tables,
                                  size_t table_count)
{
    const struct t3_l3_outbox_ops *ops = NULL;
    T3_TRY(enter(session, &ops));
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    return changed(session, ops->install(session->client->l3, &call, tables, table_count));
}

tears_status tears_outbox_remove(tears_session *session, const struct tears_str *tables,
                                 size_t table_count)
{
    const struct t3_l3_outbox_ops *ops = NULL;
    T3_TRY(enter(session, &ops));
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    return changed(session, ops->remove(session->client->l3, &call, tables, table_count));
}

tears_status tears_outbox_status(tears_session *session, struct tears_outbox_status *status_out)
{
    const struct t3_l3_outbox_ops *ops = NULL;
    struct tears_outbox_status found = TEARS_OUTBOX_STATUS_INIT;
    T3_TRY(enter(session, &ops));
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    const tears_status status = ops->status(session->client->l3, &call, &found);
    if (status != TEARS_OK)
        return t3_session_status(session, status);
    t3_sized_give(status_out, &found, sizeof found);
    return TEARS_OK;
}
