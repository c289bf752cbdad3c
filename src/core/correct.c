/*
 * correct.c -- brings L1, L2 and the other processes up to date with L3.
 *
 * Owns:     the queue of corrections of each session's transaction.
 * Knows:    the order L1, L2, notice, and why.
 * Must not know: what was written, or how.
 * Threads:  a session is one thread.
 * Fails:    never; it degrades.
 * Begin at: t3_correct().
 *
 * Why the stripe moves twice: the first move, before L1 gets the row, kills fills that read L3
 * before the commit.  The second, after L2 is corrected, kills fills that began in between and
 * found the old value in L2.  Other processes do the same when the notice reaches them, which is
 * why it goes last.
 */
#include "core/correct.h"

#include "base/alloc.h"
#include "core/announce.h"
#include "core/repair.h"

/* ---- L1 ---------------------------------------------------------------------------------- */

/*
 * News of another writer's newer row may have come and gone while L3 was asked: then the own row is not put where that one was dropped.
 * With L2 the put would find out, but until then readers would be given a row that is known to be history.
 */
static void correct_l1(struct tears_session *session, const struct t3_correction *correction)
{
    struct tears_collection *collection = correction->collection;
    struct t3_l1 *l1 = collection->l1;
    if (correction->kind == T3_CORRECT_RELEASE)
        return; /* nothing has changed */
    const bool was_overtaken =
        correction->ticket != 0 && /* 0: the database has made the key */
        t3_collection_ticket(collection, &correction->key) != correction->ticket;
    if (correction->kind != T3_CORRECT_WRITTEN || l1 == NULL || was_overtaken) {
        t3_collection_drop(collection, &correction->key);
        return;
    }
    if (correction->inserted) /* a version from before a deletion must not win over the new row's */
        l1->ops->drop(l1, collection->space, &correction->key);
    const struct t3_l1_put put = {
        .key = &correction->key,
        .row = correction->row,
        .version = correction->version,
        .ticket = correction->ticket,
        .confirmed_ms = correction->confirmed_ms,
        .age_ms_max = collection->l1_age_ms,
        .own_write = true,
    };
    if (l1->ops->put(l1, collection->space, &put) != TEARS_OK)
        session->degraded |= TEARS_DEGRADED_L1;
}

/*
 * Whether news moved the stripe between the own row's way into L1, which moved it once, and now.  They may have dropped the row, and a
 * reader may have filled in what L2 held before it was corrected.
 */
static bool was_disturbed(const struct t3_correction *correction)
{
    return correction->ticket != 0 &&
           t3_collection_ticket(correction->collection, &correction->key) != correction->ticket + 1;
}

/* L2 is corrected: fills that found the old row there meanwhile are too late, and one that was kept goes. */
static void settle_l1(const struct t3_correction *correction)
{
    struct tears_collection *collection = correction->collection;
    struct t3_l1 *l1 = collection->l1;
    const bool is_row = l1 != NULL && correction->kind == T3_CORRECT_WRITTEN;
    if (is_row && collection->schema->version_column != T3_NO_COLUMN)
        (void)l1->ops->drop_older(l1, collection->space, &correction->key, correction->version);
    else if (correction->kind == T3_CORRECT_RELEASE || (is_row && !was_disturbed(correction)))
        t3_collection_bump(collection, &correction->key);
    else /* no row is right, or perhaps not this one */
        t3_collection_drop(collection, &correction->key);
    if (is_row && correction->revision != 0)
        l1->ops->set_revision(l1, collection->space, &correction->key, correction->version,
                              correction->revision);
}

/* ---- L2 ---------------------------------------------------------------------------------- */

/* What the put may rely on: a revision that was announced in a bucket that is gone may be another entry's by now.  A client that did
 * not follow the stream yet has not lost anything since. */
static uint64_t seen_of(const struct t3_correction *correction)
{
    const struct t3_trust *trust = &correction->collection->client->trust;
    const uint64_t then = correction->announced_since;
    const bool is_same_bucket =
        then == UINT64_MAX || then == atomic_load_explicit(&trust->since_ms, memory_order_acquire);
    return correction->announced_ms == 0 || is_same_bucket ? correction->seen : UINT64_MAX;
}

static struct t3_l2_put l2_put_of(const struct t3_correction *correction)
{
    const struct tears_schema *schema = correction->collection->schema;
    struct t3_l2_put put = {
        .key = &correction->key,
        .row = correction->kind == T3_CORRECT_WRITTEN ? correction->row : NULL,
        .version = correction->version,
        .seen = seen_of(correction),
        .known_ms = correction->confirmed_ms,
        .versioned = schema->version_column != T3_NO_COLUMN && correction->kind != T3_CORRECT_STALE,
        .authoritative = correction->inserted || correction->kind == T3_CORRECT_DELETED,
    };
    return put;
}

/* What became of one put. */
static void take_put(struct tears_session *session, struct t3_correction *correction,
                     const struct t3_l2_put *put)
{
    struct tears_collection *collection = correction->collection;
    if (put->status == TEARS_OK) {
        correction->revision = put->revision;
        return;
    }
    if (put->status == TEARS_CONFLICT) {
        /* newer than ours is there, and its news may have come before our row went into L1 */
        t3_collection_drop(collection, &correction->key);
        return;
    }
    session->degraded |= TEARS_DEGRADED_L2_WRITE;
    t3_repair_add(collection->client->repair, collection, &correction->key);
}

/* Whether L2 has a copy that has to be corrected now. */
static bool is_for_l2(const struct t3_correction *correction)
{
    if (correction->kind == T3_CORRECT_RELEASE)
        t3_announce_release(correction);
    return correction->kind != T3_CORRECT_RELEASE && !correction->keep_lease;
}

/* One round trip for all of them; those that fail are left to the repair queue. */
static void correct_l2(struct tears_session *session, struct tears_collection *collection,
                       struct t3_correction **corrections, size_t count)
{
    struct t3_l2_put *puts = t3_arena_array(&session->arena, count, sizeof *puts);
    const struct t3_l2_put failed = {.status = TEARS_NO_MEMORY};
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_for_l2(corrections[i]))
            continue;
        if (puts != NULL)
            puts[n++] = l2_put_of(corrections[i]);
        else
            take_put(session, corrections[i], &failed);
    }
    if (n == 0)
        return;
    /* the deadline of the call is not used: the write is done, its caches deserve their own time */
    (void)t3_l2_put(collection->l2, collection->schema, puts, n, &session->arena,
                    t3_deadline_in_ms(collection->client->options.l2_wait_ms * 2), NULL);
    n = 0;
    for (size_t i = 0; i < count; i++)
        if (corrections[i]->kind != T3_CORRECT_RELEASE && !corrections[i]->keep_lease)
            take_put(session, corrections[i], &puts[n++]);
}

/* ---- notices ----------------------------------------------------------------------------- */

static bool needs_notice(const struct t3_correction *correction)
{
    return !correction->foreign && correction->kind != T3_CORRECT_RELEASE;
}

static void notify(struct tears_session *session, struct tears_collection *collection,
                   struct t3_correction **corrections, size_t count)
{
    struct tears_client *client = collection->client;
    struct t3_key *keys = t3_arena_array(&session->arena, count, sizeof *keys);
    size_t n = 0;
    for (size_t i = 0; keys != NULL && i < count; i++)
        if (needs_notice(corrections[i]))
            keys[n++] = corrections[i]->key;
    if (keys != NULL && n == 0)
        return;
    if (keys != NULL && t3_l2_notify(client->l2, collection->schema, keys, n, NULL) == TEARS_OK) {
        t3_count(&client->counters.notices_sent, n);
        return;
    }
    session->degraded |= TEARS_DEGRADED_NOTICE;
    for (size_t i = 0; i < count; i++)
        if (needs_notice(corrections[i]))
            t3_repair_add(client->repair, collection, &corrections[i]->key);
}

/* ---- all tiers --------------------------------------------------------------------------- */

/* Corrections of one collection, in order. */
static void correct_now(struct tears_session *session, struct t3_correction **corrections,
                        size_t count)
{
    struct tears_collection *collection = corrections[0]->collection;
    for (size_t i = 0; i < count; i++)
        correct_l1(session, corrections[i]);
    if (collection->l2 != NULL && !collection->lives_in_l2) {
        correct_l2(session, collection, corrections, count);
        for (size_t i = 0; i < count; i++)
            settle_l1(corrections[i]);
    }
    if (collection->client->l2 != NULL)
        notify(session, collection, corrections, count);
    if ((session->degraded & (TEARS_DEGRADED_L2_WRITE | TEARS_DEGRADED_NOTICE)) != 0)
        t3_count(&collection->client->counters.degraded_writes, 1);
}

/* Without memory for the list the corrections are made one by one. */
static void correct_list(struct tears_session *session, struct t3_correction *first, size_t count)
{
    struct t3_correction **list = t3_arena_array(&session->arena, count, sizeof(void *));
    size_t n = 0;
    for (struct t3_correction *one = first; one != NULL; one = one->next) {
        if (list == NULL) {
            correct_now(session, &one, 1);
            continue;
        }
        if (n > 0 && list[0]->collection != one->collection) {
            correct_now(session, list, n);
            n = 0;
        }
        list[n++] = one;
    }
    if (n > 0)
        correct_now(session, list, n);
}

/* ---- transactions ------------------------------------------------------------------------ */

static tears_status append(struct tears_session *session, const struct t3_correction *correction,
                           struct t3_correction **copy_out)
{
    struct t3_arena *arena = &session->tx_arena;
    struct t3_correction *copy = t3_arena_alloc(arena, sizeof *copy);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    *copy = *correction;
    T3_TRY(t3_key_copy(&correction->key, arena, &copy->key));
    copy->next = NULL;
    if (session->corrections_last != NULL)
        session->corrections_last->next = copy;
    else
        session->corrections = copy;
    session->corrections_last = copy;
    *copy_out = copy;
    return TEARS_OK;
}

static bool same_row(const struct t3_correction *a, const struct t3_correction *b)
{
    return a->collection == b->collection && t3_key_equal(&a->key, &b->key);
}

/* The row was announced, and its place in the queue now says all that could be kept: that it was written.  False: it has none. */
static bool spoil_expected(struct tears_session *session, const struct t3_correction *correction)
{
    bool found = false;
    for (struct t3_correction *one = session->corrections; one != NULL; one = one->next) {
        if (one->announced_ms == 0 || !same_row(one, correction))
            continue;
        one->kind = T3_CORRECT_STALE;
        found = true;
    }
    return found;
}

/* Keeps a correction until the commit.  One that cannot be kept for want of memory is handed to the
 * repair queue at once: it drops the row from all caches, now and not at the commit, which is the
 * best that is left. */
static void queue(struct tears_session *session, const struct t3_correction *correction)
{
    struct t3_correction *copy;
    if (append(session, correction, &copy) != TEARS_OK) {
        if (spoil_expected(session, correction))
            return;
        t3_collection_bump(correction->collection, &correction->key);
        t3_repair_add(session->client->repair, correction->collection, &correction->key);
        session->degraded |= TEARS_DEGRADED_L1 | TEARS_DEGRADED_L2_WRITE;
        return;
    }
    if (correction->row == NULL)
        return;
    copy->row = t3_arena_alloc(&session->tx_arena, correction->row->size);
    if (copy->row != NULL)
        memcpy(copy->row, correction->row, correction->row->size);
    else
        copy->kind = T3_CORRECT_STALE;
}

tears_status t3_correct_expect(struct tears_session *session,
                               struct t3_correction *const *announced, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct t3_correction expected = *announced[i];
        struct t3_correction *copy;
        expected.kind = T3_CORRECT_RELEASE;
        T3_TRY(append(session, &expected, &copy));
    }
    return TEARS_OK;
}

void t3_correct(struct tears_session *session, struct t3_correction *corrections, size_t count)
{
    struct t3_correction *first = NULL;
    struct t3_correction **link = &first;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct t3_correction *one = &corrections[i];
        if (one->kind == T3_CORRECT_NOTHING)
            continue;
        if (session->tx != NULL && one->collection->l3 == session->tx_l3) {
            queue(session, one);
            continue;
        }
        one->next = NULL;
        *link = one;
        link = &one->next;
        n++;
    }
    if (n > 0)
        correct_list(session, first, n);
}

/* Of several corrections of one row, what counts is the last that knows what was written; the row is new if any of
 * them made it.  What L2 holds is the last announcement. */
static void merge(struct t3_correction *kept, const struct t3_correction *later)
{
    const bool inserted = kept->inserted || later->inserted;
    struct t3_correction *next = kept->next;
    if (later->kind != T3_CORRECT_RELEASE)
        *kept = *later;
    kept->seen = later->seen;
    kept->announced_ms = later->announced_ms;
    kept->announced_since = later->announced_since;
    kept->inserted = inserted;
    kept->next = next;
}

/* Finds the place of a correction in a hash table of `size` places (a power of two, never full). */
static struct t3_correction **place_of(struct t3_correction **table, size_t size,
                                       const struct t3_correction *one)
{
    size_t at = (size_t)one->key.hash & (size - 1);
    while (table[at] != NULL && !same_row(table[at], one))
        at = (at + 1) & (size - 1);
    return &table[at];
}

static void drop_queue(struct tears_session *session)
{
    session->corrections = NULL;
    session->corrections_last = NULL;
    t3_arena_reset(&session->tx_arena);
}

static size_t count_queue(const struct tears_session *session)
{
    size_t count = 0;
    for (const struct t3_correction *one = session->corrections; one != NULL; one = one->next)
        count++;
    return count;
}

/* Without memory for the table the queue stays as it is: corrections made twice in order are slower, not wrong. */
void t3_correct_merge_queue(struct tears_session *session)
{
    const size_t count = count_queue(session);
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    struct t3_correction **table = t3_arena_array(&session->tx_arena, size, sizeof(void *));
    if (table == NULL)
        return;
    struct t3_correction **link = &session->corrections;
    while (*link != NULL) {
        struct t3_correction *one = *link;
        struct t3_correction **place = place_of(table, size, one);
        if (*place == NULL) {
            *place = one;
            session->corrections_last = one;
            link = &one->next;
            continue;
        }
        merge(*place, one);
        *link = one->next;
    }
}

/* What a commit, or its unknown outcome, makes of a queued correction. */
static void conclude(struct t3_correction *correction, bool known, uint64_t began_ms)
{
    correction->confirmed_ms = began_ms;
    if (correction->announced_ms == 0)
        correction->seen = UINT64_MAX; /* other sessions may have corrected L2 since it was seen */
    if (known || correction->kind == T3_CORRECT_RELEASE)
        return;
    correction->kind = T3_CORRECT_STALE;
    correction->keep_lease = correction->announced_ms != 0;
}

void t3_correct_queued(struct tears_session *session, bool known, uint64_t began_ms)
{
    t3_correct_merge_queue(session);
    const size_t count = count_queue(session);
    for (struct t3_correction *one = session->corrections; one != NULL; one = one->next)
        conclude(one, known, began_ms);
    if (count > 0)
        correct_list(session, session->corrections, count);
    drop_queue(session);
}

void t3_correct_rolled_back(struct tears_session *session)
{
    t3_correct_merge_queue(session);
    for (struct t3_correction *one = session->corrections; one != NULL; one = one->next)
        if (one->announced_ms != 0)
            t3_announce_release(one);
    drop_queue(session);
}
