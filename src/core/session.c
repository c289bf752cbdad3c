/*
 * session.c -- one unit of work: its deadline, error and memory.
 *
 * Owns:     the session's arena; its place in the client's list.
 * Must not know: what is read or written through it.
 * Threads:  one at a time; making and ending one takes the client's mutex.
 * Fails:    TEARS_NO_MEMORY, TEARS_MISUSE (a forked child), TEARS_INVALID (a level that does not exist).
 * Begin at: tears_session_new().
 */
#include "core/core.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/sized.h"
#include "core/correct.h"
#include "core/floors.h"

tears_status tears_session_new(tears_client *client, const struct tears_session_options *options,
                               tears_session **session_out)
{
    struct tears_session_options given = TEARS_SESSION_OPTIONS_INIT;
    if (client == NULL || session_out == NULL || t3_client_is_foreign(client))
        return TEARS_MISUSE;
    if (options != NULL)
        T3_TRY(t3_sized_copy(&given, sizeof given, options, "core", NULL));
    struct tears_session *session = t3_alloc_zero(1, sizeof *session);
    if (session == NULL)
        return TEARS_NO_MEMORY;
    session->client = client;
    session->timeout_ms = given.timeout_ms != 0 ? given.timeout_ms : client->options.timeout_ms;
    session->arena.bytes_max = given.memory_bytes_max;
    session->with_deleted = given.with_deleted != 0;
    if (t3_session_set_level(session, given.consistency, given.bound_ms) != TEARS_OK) {
        t3_free(session);
        return TEARS_INVALID;
    }
    t3_lock(&client->mutex);
    session->next = client->sessions;
    if (session->next != NULL)
        session->next->before = session;
    client->sessions = session;
    t3_unlock(&client->mutex);
    *session_out = session;
    return TEARS_OK;
}

/* Takes the session off the client's list; its counters live on in the client's. */
static void unlist(struct tears_session *session)
{
    struct tears_client *client = session->client;
    t3_lock(&client->mutex);
    if (session->before != NULL)
        session->before->next = session->next;
    else
        client->sessions = session->next;
    if (session->next != NULL)
        session->next->before = session->before;
    t3_count(&client->counters.l1_hits, t3_counted(&session->counters.l1_hits));
    t3_count(&client->counters.l1_misses, t3_counted(&session->counters.l1_misses));
    t3_count(&client->counters.l1_negative_hits, t3_counted(&session->counters.l1_negative_hits));
    t3_unlock(&client->mutex);
}

void tears_session_free(tears_session *session)
{
    if (session == NULL || t3_client_is_foreign(session->client))
        return; /* a forked child may not touch the parent's locks and connections */
    if (session->tx != NULL) {
        session->tx_l3->ops->rollback(session->tx_l3, session->tx);
        t3_correct_rolled_back(session);
    }
    unlist(session);
    t3_floors_free(session->floors);
    t3_arena_done(&session->tx_arena);
    t3_arena_done(&session->arena);
    t3_free(session);
}

void tears_session_reset(tears_session *session)
{
    t3_arena_reset(&session->arena);
    t3_error_clear(&session->error);
    session->degraded = 0;
}

const struct tears_error *tears_session_error(const tears_session *session)
{
    return &session->error;
}

uint32_t tears_session_degraded(const tears_session *session)
{
    return session->degraded;
}

uint32_t tears_session_tier(const tears_session *session)
{
    return session->tier;
}

void tears_session_set_timeout(tears_session *session, uint64_t timeout_ms)
{
    session->timeout_ms = timeout_ms != 0 ? timeout_ms : session->client->options.timeout_ms;
}

void *tears_session_alloc(tears_session *session, size_t bytes)
{
    return t3_arena_alloc(&session->arena, bytes);
}

tears_status t3_session_enter(struct tears_session *session)
{
    if (T3_UNLIKELY(session->error.status != TEARS_OK))
        t3_error_clear(&session->error);
    session->degraded = 0;
    session->tier = TEARS_TIER_NONE;
    session->deadline.at_us = 0;
    if (T3_UNLIKELY(t3_client_is_foreign(session->client)))
        return t3_fail(&session->error, TEARS_MISUSE, "core",
                       "a forked child cannot use its parent's client; open one of its own");
    return TEARS_OK;
}

struct t3_deadline t3_session_deadline(struct tears_session *session)
{
    if (session->deadline.at_us == 0)
        session->deadline = t3_deadline_in_ms(session->timeout_ms);
    return session->deadline;
}

tears_status t3_session_no_memory(struct tears_session *session)
{
    const struct t3_arena *arena = &session->arena;
    if (arena->limited)
        return t3_fail(&session->error, TEARS_LIMIT, "core",
                       "the session holds %zu bytes, and more than its limit of %zu would be "
                       "needed: reset it, or raise memory_bytes_max",
                       arena->bytes, arena->bytes_max != 0 ? arena->bytes_max : T3_ARENA_BYTES_MAX);
    return t3_fail_memory(&session->error, "core");
}

tears_status t3_session_status(struct tears_session *session, tears_status status)
{
    return status == TEARS_NO_MEMORY ? t3_session_no_memory(session) : status;
}

struct t3_l3_call t3_session_l3_call(struct tears_session *session,
                                     const struct tears_collection *collection)
{
    const struct t3_l3 *l3 = collection != NULL ? collection->l3 : session->client->l3;
    struct t3_l3_call call = {
        .tx = l3 == session->tx_l3 ? session->tx : NULL,
        .arena = &session->arena,
        .deadline = t3_session_deadline(session),
        .error = &session->error,
    };
    return call;
}
