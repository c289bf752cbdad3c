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
#include "core/repair.h"

/* ---- L1 ---------------------------------------------------------------------------------- */

static void correct_l1(struct tears_session *session, const struct t3_correction *correction)
{
    struct tears_collection *collection = correction->collection;
    struct t3_l1 *l1 = collection->l1;
    if (correction->kind != T3_CORRECT_WRITTEN || l1 == NULL) {
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
        .age_ms_max = collection->l1_age_ms,
        .own_write = true,
    };
    if (l1->ops->put(l1, collection->space, &put) != TEARS_OK)
        session->degraded |= TEARS_DEGRADED_L1;
}

static void settle_l1(const struct t3_correction *correction)
{
    struct tears_collection *collection = correction->collection;
    struct t3_l1 *l1 = collection->l1;
    t3_collection_bump(collection, &correction->key);
    if (l1 != NULL && correction->kind == T3_CORRECT_WRITTEN && correction->revision != 0)
        l1->ops->set_revision(l1, collection->space, &correction->key, correction->version,
                              correction->revision);
}

/* ---- L2 ---------------------------------------------------------------------------------- */

static struct t3_l2_put l2_put_of(const struct t3_correction *correction)
{
    const struct tears_schema *schema = correction->collection->schema;
    struct t3_l2_put put = {
        .key = &correction->key,
        .row = correction->kind == T3_CORRECT_WRITTEN ? correction->row : NULL,
        .version = correction->version,
        .seen = correction->seen,
        .versioned = schema->version_column != T3_NO_COLUMN && correction->kind != T3_CORRECT_STALE,
        .authoritative = correction->inserted || correction->kind == T3_CORRECT_DELETED,
    };
    return put;
}

/* One round trip for all of them; those that fail are left to the repair queue. */
static void correct_l2(struct tears_session *session, struct tears_collection *collection,
                       struct t3_correction **corrections, size_t count)
{
    struct t3_l2_put *puts = t3_arena_array(&session->arena, count, sizeof *puts);
    if (puts != NULL) {
        for (size_t i = 0; i < count; i++)
            puts[i] = l2_put_of(corrections[i]);
        /* the deadline of the call is not used: the write is done, its caches deserve their own
         * time */
        (void)t3_l2_put(collection->l2, collection->schema, puts, count, &session->arena,
                        t3_deadline_in_ms(collection->client->options.l2_wait_ms * 2), NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (puts != NULL && (puts[i].status == TEARS_OK || puts[i].status == TEARS_CONFLICT)) {
            corrections[i]->revision = puts[i].status == TEARS_OK ? puts[i].revision : 0;
            continue;
        }
        session->degraded |= TEARS_DEGRADED_L2_WRITE;
        t3_repair_add(collection->client->repair, collection, &corrections[i]->key);
    }
}

/* ---- notices ----------------------------------------------------------------------------- */

static void notify(struct tears_session *session, struct tears_collection *collection,
                   struct t3_correction **corrections, size_t count)
{
    struct tears_client *client = collection->client;
    struct t3_key *keys = t3_arena_array(&session->arena, count, sizeof *keys);
    size_t n = 0;
    for (size_t i = 0; keys != NULL && i < count; i++)
        if (!corrections[i]->foreign)
            keys[n++] = corrections[i]->key;
    if (keys != NULL && n == 0)
        return;
    if (keys != NULL && t3_l2_notify(client->l2, collection->schema, keys, n, NULL) == TEARS_OK) {
        t3_count(&client->counters.notices_sent, n);
        return;
    }
    session->degraded |= TEARS_DEGRADED_NOTICE;
    for (size_t i = 0; i < count; i++)
        if (!corrections[i]->foreign)
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
    if (collection->l2 != NULL) {
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

/* Keeps a correction until the commit.  One that cannot be kept for want of memory is handed to the
 * repair queue at once: it drops the row from all caches, now and not at the commit, which is the
 * best that is left. */
static void queue(struct tears_session *session, const struct t3_correction *correction)
{
    struct t3_arena *arena = &session->tx_arena;
    struct t3_correction *copy = t3_arena_alloc(arena, sizeof *copy);
    if (copy != NULL)
        *copy = *correction;
    if (copy == NULL || t3_key_copy(&correction->key, arena, &copy->key) != TEARS_OK) {
        t3_collection_bump(correction->collection, &correction->key);
        t3_repair_add(session->client->repair, correction->collection, &correction->key);
        session->degraded |= TEARS_DEGRADED_L1 | TEARS_DEGRADED_L2_WRITE;
        return;
    }
    copy->next = NULL;
    if (correction->row != NULL) {
        copy->row = t3_arena_alloc(arena, correction->row->size);
        if (copy->row != NULL)
            memcpy(copy->row, correction->row, correction->row->size);
        else
            copy->kind = T3_CORRECT_STALE;
    }
    if (session->corrections_last != NULL)
        session->corrections_last->next = copy;
    else
        session->corrections = copy;
    session->corrections_last = copy;
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
        if (session->tx != NULL && one->collection->l3 == session->client->l3) {
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

/* Of several corrections of one row, what counts is the last; the row is new if any of them made
 * it. */
static void merge(struct t3_correction *kept, const struct t3_correction *later)
{
    const bool inserted = kept->inserted || later->inserted;
    struct t3_correction *next = kept->next;
    *kept = *later;
    kept->inserted = inserted;
    kept->next = next;
}

static bool same_row(const struct t3_correction *a, const struct t3_correction *b)
{
    return a->collection == b->collection && t3_key_equal(&a->key, &b->key);
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

/* Leaves one correction per row in the queue.  Without memory for the table the queue stays as it
 * is: corrections made twice in order are slower, not wrong. */
static size_t merge_queue(struct tears_session *session, size_t count)
{
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    struct t3_correction **table = t3_arena_array(&session->tx_arena, size, sizeof(void *));
    if (table == NULL)
        return count;
    struct t3_correction **link = &session->corrections;
    while (*link != NULL) {
        struct t3_correction *one = *link;
        struct t3_correction **place = place_of(table, size, one);
        if (*place == NULL) {
            *place = one;
            link = &one->next;
            continue;
        }
        merge(*place, one);
        *link = one->next;
        count--;
    }
    return count;
}

void t3_correct_queued(struct tears_session *session, bool known)
{
    size_t count = 0;
    for (struct t3_correction *one = session->corrections; one != NULL; one = one->next) {
        if (!known)
            one->kind = T3_CORRECT_STALE;
        one->seen = UINT64_MAX; /* other sessions may have corrected L2 since it was seen */
        count++;
    }
    if (count > 0) {
        count = merge_queue(session, count);
        correct_list(session, session->corrections, count);
    }
    t3_correct_drop_queued(session);
}

void t3_correct_drop_queued(struct tears_session *session)
{
    session->corrections = NULL;
    session->corrections_last = NULL;
    t3_arena_reset(&session->tx_arena);
}
