/*
 * repair.c -- the queue of rows that L2 must still forget, and the thread that sees to it.
 *
 * Owns:     the queue, and one thread that exists only once something had to be repaired.
 * Knows:    that a delete marker and a notice are always safe.
 * Must not know: what the rows hold.
 * Threads:  any may add; the mutex is a leaf, and never held while L2 is asked.
 * Fails:    by logging; a full queue drops the row and counts it.
 * Begin at: run().
 */
#include "core/repair.h"

#include "base/alloc.h"
#include "base/thread.h"

enum {
    QUEUE_MAX =
        65536, /* rows; past this the age bound of L1 is all that is left, and it is logged */
    BATCH_MAX = 256,
    PAUSE_MIN_MS = 50,
    PAUSE_MAX_MS = 2000
};

struct job {
    struct job *next;
    struct tears_collection *collection;
    struct t3_arena arena;
    struct t3_key key;
};

struct t3_repair {
    struct tears_client *client;
    struct t3_mutex mutex;
    struct t3_cond wake;
    struct job *first;
    struct job *last;
    const struct job
        *mending; /* taken from the queue; its keys stay until it is put back or freed */
    uint64_t count;
    bool stopping;
    bool woken;
    struct t3_thread thread;
};

tears_status t3_repair_new(struct tears_client *client, struct t3_repair **repair_out)
{
    struct t3_repair *repair = t3_alloc_zero(1, sizeof *repair);
    if (repair == NULL)
        return TEARS_NO_MEMORY;
    repair->client = client;
    t3_mutex_init(&repair->mutex);
    t3_cond_init(&repair->wake);
    *repair_out = repair;
    return TEARS_OK;
}

static void job_free(struct job *job)
{
    if (job == NULL)
        return;
    t3_arena_done(&job->arena);
    t3_free(job);
}

static void push_locked(struct t3_repair *repair, struct job *job) T3_REQUIRES(repair->mutex)
{
    job->next = NULL;
    if (repair->last != NULL)
        repair->last->next = job;
    else
        repair->first = job;
    repair->last = job;
    repair->count++;
}

static struct job *take_locked(struct t3_repair *repair, size_t *count_out)
    T3_REQUIRES(repair->mutex)
{
    struct job *batch = repair->first;
    struct job *end = batch;
    size_t count = batch != NULL;
    /* one collection at a time: L2's batches are of one table */
    while (end != NULL && end->next != NULL && count < BATCH_MAX &&
           end->next->collection == batch->collection) {
        end = end->next;
        count++;
    }
    if (end != NULL) {
        repair->first = end->next;
        if (repair->first == NULL)
            repair->last = NULL;
        end->next = NULL;
    }
    repair->count -= count;
    *count_out = count;
    return batch;
}

/* Puts a delete marker for each and tells everyone.  False: try again later. */
static bool mend(struct tears_client *client, struct job *batch, size_t count)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_collection *collection = batch->collection;
    struct t3_l2_put *puts = t3_arena_array(&arena, count, sizeof *puts);
    struct t3_key *keys = t3_arena_array(&arena, count, sizeof *keys);
    if (puts == NULL || keys == NULL)
        return false;
    size_t n = 0;
    for (const struct job *job = batch; job != NULL; job = job->next, n++) {
        puts[n].key = &job->key;
        puts[n].seen = UINT64_MAX;
        puts[n].authoritative = true;
        keys[n] = job->key;
    }
    const struct t3_deadline deadline = t3_deadline_in_ms(client->options.l2_wait_ms * 2);
    tears_status status = TEARS_OK;
    if (collection->l2 != NULL && !collection->lives_in_l2)
        status = t3_l2_put(collection->l2, collection->schema, puts, n, &arena, deadline, NULL);
    /* What was read from L2 meanwhile is old.  A marker whose answer did not come may be there, or come yet: then its news are obeyed. */
    for (size_t i = 0; i < n; i++)
        t3_collection_drop(collection, &keys[i]);
    return status == TEARS_OK &&
           t3_l2_notify(client->l2, collection->schema, keys, n, NULL) == TEARS_OK;
}

static void put_back_locked(struct t3_repair *repair, struct job *batch) T3_REQUIRES(repair->mutex)
{
    while (batch != NULL) {
        struct job *next = batch->next;
        push_locked(repair, batch);
        batch = next;
    }
}

static void free_batch(struct job *batch)
{
    while (batch != NULL) {
        struct job *next = batch->next;
        job_free(batch);
        batch = next;
    }
}

static void pause_locked(struct t3_repair *repair, uint64_t ms) T3_REQUIRES(repair->mutex)
{
    const struct t3_deadline deadline = t3_deadline_in_ms(ms);
    while (!repair->stopping && !repair->woken && !t3_deadline_passed(deadline))
        (void)t3_cond_wait(&repair->wake, &repair->mutex, deadline);
    repair->woken = false;
}

static void *run(void *owner)
{
    struct t3_repair *repair = owner;
    uint64_t pause_ms = PAUSE_MIN_MS;
    t3_lock(&repair->mutex);
    while (!repair->stopping) {
        size_t count;
        struct job *batch = take_locked(repair, &count);
        if (batch == NULL) {
            pause_locked(repair, 60000);
            continue;
        }
        repair->mending = batch;
        t3_unlock(&repair->mutex);
        const bool mended = mend(repair->client, batch, count);
        t3_lock(&repair->mutex);
        repair->mending = NULL;
        if (mended) {
            t3_count(&repair->client->counters.repairs, count);
            free_batch(batch);
            pause_ms = PAUSE_MIN_MS;
            continue;
        }
        put_back_locked(repair, batch);
        pause_locked(repair, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
    t3_unlock(&repair->mutex);
    return NULL;
}

static struct job *job_new(struct tears_collection *collection, const struct t3_key *key)
{
    struct job *job = t3_alloc_zero(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->collection = collection;
    if (t3_key_copy(key, &job->arena, &job->key) == TEARS_OK)
        return job;
    job_free(job);
    return NULL;
}

void t3_repair_add(struct t3_repair *repair, struct tears_collection *collection,
                   const struct t3_key *key)
{
    if (repair->client->l2 == NULL)
        return;
    struct job *job = job_new(collection, key);
    t3_lock(&repair->mutex);
    bool kept = job != NULL && repair->count < QUEUE_MAX;
    if (kept && !repair->thread.has_started)
        kept = t3_thread_start(&repair->thread, run, repair) == TEARS_OK;
    if (kept) {
        push_locked(repair, job);
        repair->woken = true;
        t3_cond_signal(&repair->wake);
    }
    t3_unlock(&repair->mutex);
    if (kept)
        return;
    job_free(job);
    t3_count(&repair->client->counters.repairs_dropped, 1);
    t3_log(&repair->client->log, TEARS_LOG_ERROR, "core",
           "a row of table '" T3_STR_FMT "' could not be corrected in L2 and cannot be queued",
           T3_STR_ARG(collection->schema->name));
}

void t3_repair_wake(struct t3_repair *repair)
{
    t3_lock(&repair->mutex);
    repair->woken = true;
    t3_cond_signal(&repair->wake);
    t3_unlock(&repair->mutex);
}

static bool is_among(const struct job *job, const struct tears_collection *collection,
                     const struct t3_key *key)
{
    while (job != NULL && (job->collection != collection || !t3_key_equal(&job->key, key)))
        job = job->next;
    return job != NULL;
}

bool t3_repair_holds(struct t3_repair *repair, const struct tears_collection *collection,
                     const struct t3_key *key)
{
    t3_lock(&repair->mutex);
    const bool holds =
        is_among(repair->first, collection, key) || is_among(repair->mending, collection, key);
    t3_unlock(&repair->mutex);
    return holds;
}

uint64_t t3_repair_count(struct t3_repair *repair)
{
    t3_lock(&repair->mutex);
    const uint64_t count = repair->count;
    t3_unlock(&repair->mutex);
    return count;
}

void t3_repair_stop(struct t3_repair *repair)
{
    if (repair == NULL)
        return;
    t3_lock(&repair->mutex);
    repair->stopping = true;
    t3_cond_signal(&repair->wake);
    t3_unlock(&repair->mutex);
    t3_thread_join(&repair->thread);
}

void t3_repair_free(struct t3_repair *repair)
{
    if (repair == NULL)
        return;
    t3_repair_stop(repair);
    if (repair->count > 0)
        t3_log(&repair->client->log, TEARS_LOG_WARN, "core",
               "%llu rows could not be corrected in L2 before the client ended",
               (unsigned long long)repair->count);
    free_batch(repair->first);
    t3_cond_done(&repair->wake);
    t3_mutex_done(&repair->mutex);
    t3_free(repair);
}
