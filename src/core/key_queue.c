/*
 * key_queue.c -- a queue of rows without duplicates.
 *
 * Owns:     copies of the keys.
 * Must not know: what is done about them.
 * Threads:  any; the mutex is a leaf.
 * Fails:    by not taking a row.
 * Begin at: t3_key_queue_add().
 */
#include "core/key_queue.h"

#include "base/alloc.h"

enum { WAIT_MS = 60000 };

void t3_key_queue_init(struct t3_key_queue *queue, uint64_t max)
{
    t3_mutex_init(&queue->mutex);
    t3_cond_init(&queue->wake);
    queue->max = max;
}

void t3_key_jobs_free(struct t3_key_job *jobs)
{
    while (jobs != NULL) {
        struct t3_key_job *next = jobs->next;
        t3_arena_done(&jobs->arena);
        t3_free(jobs);
        jobs = next;
    }
}

void t3_key_queue_done(struct t3_key_queue *queue)
{
    t3_key_jobs_free(queue->first);
    t3_cond_done(&queue->wake);
    t3_mutex_done(&queue->mutex);
}

static struct t3_key_job *job_new(struct tears_collection *collection, const struct t3_key *key,
                                  uint64_t hash)
{
    struct t3_key_job *job = t3_alloc_zero(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->collection = collection;
    job->hash = hash;
    if (t3_key_copy(key, &job->arena, &job->key) == TEARS_OK)
        return job;
    t3_key_jobs_free(job);
    return NULL;
}

static struct t3_key_job **place_of(struct t3_key_queue *queue, uint64_t hash)
{
    return &queue->places[(hash >> 16) % T3_KEY_QUEUE_PLACES];
}

static bool is_queued_locked(struct t3_key_queue *queue, const struct tears_collection *collection,
                             const struct t3_key *key, uint64_t hash) T3_REQUIRES(queue->mutex)
{
    for (struct t3_key_job *one = *place_of(queue, hash); one != NULL; one = one->next_same)
        if (one->hash == hash && one->collection == collection && t3_key_equal(&one->key, key))
            return true;
    return false;
}

static void append_locked(struct t3_key_queue *queue, struct t3_key_job *job)
    T3_REQUIRES(queue->mutex)
{
    struct t3_key_job **place = place_of(queue, job->hash);
    job->next_same = *place;
    *place = job;
    if (queue->last != NULL)
        queue->last->next = job;
    else
        queue->first = job;
    queue->last = job;
    queue->count++;
    t3_cond_signal(&queue->wake);
}

bool t3_key_queue_add(struct t3_key_queue *queue, struct tears_collection *collection,
                      const struct t3_key *key)
{
    const uint64_t hash = t3_ticket_hash(collection->space, key);
    t3_lock(&queue->mutex);
    bool is_there = is_queued_locked(queue, collection, key, hash);
    if (!is_there && !queue->stopping && queue->count < queue->max) {
        struct t3_key_job *job = job_new(collection, key, hash);
        is_there = job != NULL;
        if (job != NULL)
            append_locked(queue, job);
    }
    t3_unlock(&queue->mutex);
    return is_there;
}

static void forget_locked(struct t3_key_queue *queue, const struct t3_key_job *job)
    T3_REQUIRES(queue->mutex)
{
    struct t3_key_job **link = place_of(queue, job->hash);
    while (*link != job)
        link = &(*link)->next_same;
    *link = job->next_same;
}

struct t3_key_job *t3_key_queue_take(struct t3_key_queue *queue, size_t max, size_t *count_out)
{
    struct t3_key_job *taken = NULL;
    struct t3_key_job **end = &taken;
    *count_out = 0;
    t3_lock(&queue->mutex);
    while (!queue->stopping && queue->first == NULL)
        (void)t3_cond_wait(&queue->wake, &queue->mutex, t3_deadline_in_ms(WAIT_MS));
    while (!queue->stopping && queue->first != NULL && *count_out < max &&
           (taken == NULL || queue->first->collection == taken->collection)) {
        struct t3_key_job *job = queue->first;
        queue->first = job->next;
        if (queue->first == NULL)
            queue->last = NULL;
        queue->count--;
        forget_locked(queue, job);
        job->next = NULL;
        *end = job;
        end = &job->next;
        ++*count_out;
    }
    t3_unlock(&queue->mutex);
    return taken;
}

void t3_key_queue_end(struct t3_key_queue *queue)
{
    t3_lock(&queue->mutex);
    queue->stopping = true;
    t3_cond_broadcast(&queue->wake);
    t3_unlock(&queue->mutex);
}
