/*
 * announce.c -- writes are made known before they are made (strict mode).
 *
 * Owns:     nothing; the leases are in L2, and end by themselves.
 * Knows:    how long L3 may take after an announcement.
 * Must not know: what is written.
 * Threads:  the session's.
 * Fails:    TEARS_UNAVAILABLE, TEARS_LIMIT, TEARS_NO_MEMORY, before anything is written.
 * Begin at: t3_announce().
 */
#include "core/announce.h"

#include "base/fail.h"

enum { PARTS_OF_LEASE = 2, PARTS_OF_REST = 2 };

static tears_status fail(struct tears_session *session, const struct tears_collection *collection,
                         tears_status status, const struct tears_error *cause)
{
    const char *reason = cause->message[0] != '\0' ? cause->message : tears_status_text(status);
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(session);
    return t3_fail(&session->error, status == TEARS_LIMIT ? status : TEARS_UNAVAILABLE, "l2",
                   "table '" T3_STR_FMT "' is strict, and the write could not be announced in L2; "
                   "nothing was written: %s",
                   T3_STR_ARG(collection->schema->name), reason);
}

/* What follows an announcement: the row is not served any more, and no fill that began before is kept. */
static void settle(struct t3_correction *correction, uint64_t revision, uint64_t at_ms)
{
    correction->seen = revision;
    correction->announced_ms = at_ms;
    correction->announced_since =
        atomic_load_explicit(&correction->collection->client->trust.since_ms, memory_order_acquire);
    t3_collection_drop(correction->collection, &correction->key);
}

tears_status t3_announce(struct tears_session *session, struct t3_correction *const *corrections,
                         size_t count)
{
    struct tears_collection *collection = corrections[0]->collection;
    struct t3_key *keys = t3_arena_array(&session->arena, count, sizeof *keys);
    uint64_t *seen = t3_arena_array(&session->arena, count, sizeof *seen);
    if (keys == NULL || seen == NULL)
        return t3_session_no_memory(session);
    for (size_t i = 0; i < count; i++) {
        keys[i] = corrections[i]->key;
        seen[i] = corrections[i]->seen;
    }
    struct tears_error cause;
    t3_error_clear(&cause);
    const uint64_t lease_ms = collection->strict_lease_ms;
    const uint64_t at_ms = t3_now_coarse_ms();
    const struct t3_deadline deadline =
        t3_deadline_at_most_ms(t3_session_deadline(session), lease_ms / PARTS_OF_LEASE);
    const tears_status status = t3_l2_announce(collection->l2, collection->schema, keys, count,
                                               lease_ms, &session->arena, deadline, seen, &cause);
    if (status != TEARS_OK)
        return fail(session, collection, status, &cause);
    t3_count(&collection->client->counters.announcements, count);
    for (size_t i = 0; i < count; i++)
        settle(corrections[i], seen[i], at_ms);
    return TEARS_OK;
}

uint64_t t3_announce_left_ms(const struct t3_correction *correction)
{
    const uint64_t allowed = correction->collection->strict_lease_ms / PARTS_OF_LEASE;
    const uint64_t passed = t3_now_coarse_ms() - correction->announced_ms;
    return passed < allowed ? allowed - passed : 0;
}

void t3_announce_release(const struct t3_correction *correction)
{
    const tears_status status = t3_l2_fill(
        correction->collection->l2, correction->collection->schema, correction->collection,
        &correction->key, NULL, 0, correction->seen, t3_now_coarse_ms());
    (void)status; /* the lease ends by itself */
}

/* ---- transactions ------------------------------------------------------------------------ */

static bool is_short(const struct t3_correction *correction)
{
    const uint64_t allowed = correction->collection->strict_lease_ms / PARTS_OF_LEASE;
    return t3_announce_left_ms(correction) < allowed / PARTS_OF_REST;
}

/* Announces again all rows of a table from here on in the queue. */
static tears_status renew(struct tears_session *session, struct t3_correction *from)
{
    size_t count = 0;
    for (struct t3_correction *one = from; one != NULL; one = one->next)
        count += one->collection == from->collection && one->announced_ms != 0;
    struct t3_correction **list = t3_arena_array(&session->arena, count, sizeof(void *));
    if (list == NULL)
        return t3_session_no_memory(session);
    size_t n = 0;
    for (struct t3_correction *one = from; one != NULL; one = one->next)
        if (one->collection == from->collection && one->announced_ms != 0)
            list[n++] = one;
    return t3_announce(session, list, n);
}

tears_status t3_announce_commit(struct tears_session *session, struct t3_deadline *deadline)
{
    uint64_t left_ms = UINT64_MAX;
    for (struct t3_correction *one = session->corrections; one != NULL; one = one->next) {
        if (one->announced_ms == 0)
            continue;
        if (is_short(one))
            T3_TRY(renew(session, one));
        const uint64_t left = t3_announce_left_ms(one);
        left_ms = left < left_ms ? left : left_ms;
    }
    if (left_ms != UINT64_MAX)
        *deadline = t3_deadline_at_most_ms(*deadline, left_ms);
    return TEARS_OK;
}
