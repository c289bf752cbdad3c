/*
 * verify.c -- rows in L1 are compared with L2, a batch at a time.
 *
 * Owns:     one thread, that exists only once something was lost.
 * Knows:    that what L2 has was right when L2 was asked, and that a ticket tells whether that still holds.
 * Must not know: L3; a row that L2 does not have stays as it is, and its next reader sees to it.
 * Threads:  its own; any may start it.  The mutex is a leaf, never held while L2 is asked.
 * Fails:    by leaving rows unverified: they are read anew when somebody wants them.
 * Begin at: run().
 */
#include "core/verify.h"

#include "base/alloc.h"
#include "base/jitter.h"
#include "base/thread.h"

enum {
    START_MS_MAX = 1000, /* many processes lose the same bucket at the same moment */
    BATCH_ROWS = 256,
    ROWS_PER_SECOND =
        2000 /* 50 processes of 10,000 rows: 100,000 reads a second, for five seconds */
};

struct t3_verify {
    struct tears_client *client;
    struct t3_mutex mutex;
    struct t3_cond wake;
    struct t3_thread thread;
    uint64_t before_ms;
    uint64_t wanted; /* runs asked for so far */
    bool stopping;
};

tears_status t3_verify_new(struct tears_client *client, struct t3_verify **verify_out)
{
    struct t3_verify *verify = t3_alloc_zero(1, sizeof *verify);
    if (verify == NULL)
        return TEARS_NO_MEMORY;
    verify->client = client;
    t3_mutex_init(&verify->mutex);
    t3_cond_init(&verify->wake);
    *verify_out = verify;
    return TEARS_OK;
}

/* ---- one batch ------------------------------------------------------------------------------- */

static bool is_versioned(const struct tears_collection *collection)
{
    return collection->schema->version_column != T3_NO_COLUMN;
}

/* What L2 holds of a key, and what was true before it was asked. */
struct answer {
    const struct t3_key *key;
    const struct t3_l2_entry *entry;
    uint64_t ticket;
    uint64_t asked_ms;
};

/* Puts L2's row in the place of L1's, as a reader would do. */
static bool replace(struct tears_collection *collection, const struct answer *answer)
{
    struct t3_l1 *l1 = collection->l1;
    const struct t3_l1_put put = {.key = answer->key,
                                  .row = answer->entry->row,
                                  .version = answer->entry->version,
                                  .revision = answer->entry->revision,
                                  .ticket = answer->ticket,
                                  .age_ms_max = collection->l1_age_ms,
                                  .confirmed_ms = answer->asked_ms};
    return l1->ops->put(l1, collection->space, &put) == TEARS_OK;
}

/*
 * L2's row counts as read now.  One of L1's version is only confirmed.  Of a table without versions it is always put: the revision that
 * L1 remembers may be of a bucket that is not there any more.  True: L1 has what L2 has.
 */
static bool settle(struct tears_collection *collection, const struct answer *answer,
                   struct t3_arena *arena)
{
    struct t3_l1 *l1 = collection->l1;
    const struct t3_l2_entry *entry = answer->entry;
    enum t3_l1_answer held = T3_L1_MISS;
    struct t3_l1_hit hit;
    if (entry->state != T3_L2_ROW ||
        l1->ops->peek(l1, collection->space, answer->key, arena, &held, &hit) != TEARS_OK ||
        (held != T3_L1_HIT && held != T3_L1_EXPIRED))
        return false;
    if (!is_versioned(collection))
        return replace(collection, answer);
    const int64_t version = t3_schema_row_version(collection->schema, hit.row);
    if (version < entry->version)
        return replace(collection, answer);
    if (version > entry->version)
        return false;
    l1->ops->confirm(l1, collection->space, answer->key, entry->version, entry->revision,
                     answer->ticket, answer->asked_ms, collection->l1_age_ms);
    return true;
}

/* A run: what is looked at, and what came of it. */
struct pass {
    struct t3_verify *verify;
    uint64_t number;
    uint64_t before_ms;
    uint64_t seen;
    uint64_t confirmed;
};

/* TEARS_OK, or why L2 could not be asked. */
static tears_status verify_keys(struct pass *pass, struct tears_collection *collection,
                                const struct t3_key *keys, size_t count, struct t3_arena *arena)
{
    struct tears_client *client = collection->client;
    struct t3_l2_entry *entries = t3_arena_array(arena, count, sizeof *entries);
    uint64_t *tickets = t3_arena_array(arena, count, sizeof *tickets);
    if (entries == NULL || tickets == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        tickets[i] = t3_collection_ticket(collection, &keys[i]);
    const uint64_t asked_ms = t3_now_coarse_ms();
    T3_TRY(t3_l2_get(collection->l2, collection->schema, keys, count, arena,
                     t3_deadline_in_ms(client->options.l2_wait_ms * 2), entries, NULL));
    uint64_t confirmed = 0;
    for (size_t i = 0; i < count; i++) {
        const struct answer answer = {
            .key = &keys[i], .entry = &entries[i], .ticket = tickets[i], .asked_ms = asked_ms};
        confirmed += settle(collection, &answer, arena);
    }
    t3_count(&client->counters.l1_verified, confirmed);
    pass->seen += count;
    pass->confirmed += confirmed;
    return TEARS_OK;
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* Sleeps.  False when the run is to end: the client does, or something else was lost meanwhile. */
static bool rest(const struct pass *pass, uint64_t ms)
{
    struct t3_verify *verify = pass->verify;
    const struct t3_deadline deadline = t3_deadline_in_ms(ms);
    t3_lock(&verify->mutex);
    while (!verify->stopping && verify->wanted == pass->number && !t3_deadline_passed(deadline))
        (void)t3_cond_wait(&verify->wake, &verify->mutex, deadline);
    const bool goes_on = !verify->stopping && verify->wanted == pass->number;
    t3_unlock(&verify->mutex);
    return goes_on;
}

/* Waits until the feed is proven: before that, what L2 says would not be vouched for either. */
static bool wait_for_proof(const struct pass *pass)
{
    const struct t3_trust *trust = &pass->verify->client->trust;
    while (atomic_load_explicit(&trust->proof_ms, memory_order_acquire) == 0)
        if (!rest(pass, 100))
            return false;
    return true;
}

/* One batch of a table, and the pause that keeps to the rate. *cursor is 0 again when the table is done. */
static bool step(struct pass *pass, struct tears_collection *collection, uint64_t *cursor)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_l1 *l1 = collection->l1;
    struct t3_key *keys = t3_arena_array(&arena, BATCH_ROWS, sizeof *keys);
    uint64_t next = *cursor;
    size_t count = 0;
    tears_status status = TEARS_NO_MEMORY;
    if (!wait_for_proof(pass))
        return false;
    if (keys != NULL)
        status = l1->ops->collect(l1, collection->space, pass->before_ms, &next, BATCH_ROWS, &arena,
                                  keys, &count);
    if (status == TEARS_OK && count > 0)
        status = verify_keys(pass, collection, keys, count, &arena);
    if (status != TEARS_OK)
        return rest(pass, START_MS_MAX); /* the same batch again */
    *cursor = next;
    const uint64_t ms = count * 1000 / ROWS_PER_SECOND;
    return rest(pass, ms - ms / 8 + t3_jitter(ms / 4));
}

static void verify_table(struct pass *pass, struct tears_collection *collection)
{
    uint64_t cursor = 0;
    if (collection->l1 == NULL || collection->l2 == NULL)
        return;
    while (step(pass, collection, &cursor))
        if (cursor == 0)
            return;
}

static void run_pass(struct pass *pass)
{
    struct tears_client *client = pass->verify->client;
    if (!rest(pass, t3_jitter(START_MS_MAX)))
        return;
    t3_log(&client->log, TEARS_LOG_INFO, "feed", "comparing what is cached with L2");
    struct tears_collection *one = atomic_load_explicit(&client->collections, memory_order_acquire);
    for (; one != NULL; one = one->next)
        verify_table(pass, one);
    t3_log(&client->log, TEARS_LOG_INFO, "feed",
           "compared %llu cached rows with L2: %llu are right, the others are read anew on demand",
           (unsigned long long)pass->seen, (unsigned long long)pass->confirmed);
}

static void *run(void *owner)
{
    struct t3_verify *verify = owner;
    uint64_t done = 0;
    t3_lock(&verify->mutex);
    while (!verify->stopping) {
        if (verify->wanted == done) {
            (void)t3_cond_wait(&verify->wake, &verify->mutex, t3_deadline_in_ms(60000));
            continue;
        }
        struct pass pass = {
            .verify = verify, .number = verify->wanted, .before_ms = verify->before_ms};
        t3_unlock(&verify->mutex);
        run_pass(&pass);
        t3_lock(&verify->mutex);
        done = pass.number;
    }
    t3_unlock(&verify->mutex);
    return NULL;
}

/* ---- from outside ------------------------------------------------------------------------------ */

static bool has_rows(const struct tears_client *client)
{
    struct t3_l1_stats stats = {0};
    if (client->l1 != NULL)
        client->l1->ops->stats(client->l1, &stats);
    return stats.rows > 0;
}

void t3_verify_start(struct t3_verify *verify, uint64_t before_ms)
{
    if (verify == NULL || !has_rows(verify->client))
        return; /* nothing to verify, and no thread for it */
    t3_lock(&verify->mutex);
    verify->before_ms = before_ms;
    verify->wanted++;
    bool has_started = true;
    if (!verify->stopping && !verify->thread.has_started)
        has_started = t3_thread_start(&verify->thread, run, verify) == TEARS_OK;
    t3_cond_signal(&verify->wake);
    t3_unlock(&verify->mutex);
    if (!has_started)
        t3_log(&verify->client->log, TEARS_LOG_WARN, "feed",
               "no thread to compare cached rows with L2; they are read anew on demand");
}

void t3_verify_stop(struct t3_verify *verify)
{
    if (verify == NULL)
        return;
    t3_lock(&verify->mutex);
    verify->stopping = true;
    t3_cond_signal(&verify->wake);
    t3_unlock(&verify->mutex);
    t3_thread_join(&verify->thread);
}

void t3_verify_free(struct t3_verify *verify)
{
    if (verify == NULL)
        return;
    t3_verify_stop(verify);
    t3_cond_done(&verify->wake);
    t3_mutex_done(&verify->mutex);
    t3_free(verify);
}
