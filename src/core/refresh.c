/*
 * refresh.c -- a queue of rows to be read anew, and the thread that reads them.
 *
 * Owns:     the queue, the marks of what is in it, one thread and its session once something is queued.
 * Must not know: why a row was queued.
 * Threads:  any may queue; the mutex is a leaf, never held while a row is read.
 * Fails:    by not refreshing: the row's age ends, and its next reader reads it.
 * Begin at: t3_refresh_soon().
 *
 * A hot row is hit thousands of times between the moment at which it should be refreshed and the moment at which it is.  The marks
 * keep these hits from the mutex: one word for each of MARKS places, the hash of the row that is queued there.  Two rows of one
 * place cannot be queued at once; the second is queued by a later hit.
 */
#include "core/refresh.h"

#include "base/alloc.h"
#include "base/thread.h"
#include "core/read.h"

enum { MARKS = 1024, QUEUE_MAX = 256 };

struct job {
    struct job *next;
    struct tears_collection *collection;
    struct t3_arena arena;
    struct t3_key key;
    uint64_t mark;
};

struct t3_refresh {
    struct tears_client *client;
    struct t3_mutex mutex;
    struct t3_cond wake;
    struct t3_thread thread;
    struct job *first;
    struct job *last;
    uint64_t count;
    bool stopping;
    _Atomic uint64_t marks[MARKS]; /* 0: free */
};

tears_status t3_refresh_new(struct tears_client *client, struct t3_refresh **refresh_out)
{
    struct t3_refresh *refresh = t3_alloc_zero(1, sizeof *refresh);
    if (refresh == NULL)
        return TEARS_NO_MEMORY;
    refresh->client = client;
    t3_mutex_init(&refresh->mutex);
    t3_cond_init(&refresh->wake);
    *refresh_out = refresh;
    return TEARS_OK;
}

static void job_free(struct job *job)
{
    if (job == NULL)
        return;
    t3_arena_done(&job->arena);
    t3_free(job);
}

static struct job *job_new(struct tears_collection *collection, const struct t3_key *key,
                           uint64_t mark)
{
    struct job *job = t3_alloc_zero(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->collection = collection;
    job->mark = mark;
    if (t3_key_copy(key, &job->arena, &job->key) == TEARS_OK)
        return job;
    job_free(job);
    return NULL;
}

/* Relaxed: a mark orders nothing; what it protects from is only double work. */
static _Atomic uint64_t *place_of(struct t3_refresh *refresh, uint64_t mark)
{
    return &refresh->marks[(mark >> 16) % MARKS];
}

static void unmark(struct t3_refresh *refresh, uint64_t mark)
{
    atomic_store_explicit(place_of(refresh, mark), 0, memory_order_relaxed);
}

/* ---- the thread -------------------------------------------------------------------------------- */

static struct job *take(struct t3_refresh *refresh)
{
    struct job *job = NULL;
    t3_lock(&refresh->mutex);
    while (!refresh->stopping && refresh->first == NULL)
        (void)t3_cond_wait(&refresh->wake, &refresh->mutex, t3_deadline_in_ms(60000));
    if (!refresh->stopping) {
        job = refresh->first;
        refresh->first = job->next;
        if (refresh->first == NULL)
            refresh->last = NULL;
        refresh->count--;
    }
    t3_unlock(&refresh->mutex);
    return job;
}

static void *run(void *owner)
{
    struct t3_refresh *refresh = owner;
    tears_session *session = NULL;
    for (struct job *job = take(refresh); job != NULL; job = take(refresh)) {
        struct t3_found found = {0};
        if (session == NULL && tears_session_new(refresh->client, NULL, &session) != TEARS_OK)
            session = NULL;
        if (session != NULL && t3_session_enter(session) == TEARS_OK &&
            t3_read_anew(session, job->collection, &job->key, &found) == TEARS_OK)
            t3_count(&refresh->client->counters.early_refreshes, 1);
        if (session != NULL)
            tears_session_reset(session);
        unmark(refresh, job->mark);
        job_free(job);
    }
    tears_session_free(session);
    return NULL;
}

/* ---- from outside ------------------------------------------------------------------------------ */

static bool queue_locked(struct t3_refresh *refresh, struct job *job) T3_REQUIRES(refresh->mutex)
{
    if (refresh->stopping || refresh->count == QUEUE_MAX)
        return false;
    if (!refresh->thread.has_started && t3_thread_start(&refresh->thread, run, refresh) != TEARS_OK)
        return false;
    if (refresh->last != NULL)
        refresh->last->next = job;
    else
        refresh->first = job;
    refresh->last = job;
    refresh->count++;
    t3_cond_signal(&refresh->wake);
    return true;
}

void t3_refresh_soon(struct t3_refresh *refresh, struct tears_collection *collection,
                     const struct t3_key *key)
{
    const uint64_t mark = t3_ticket_hash(collection->space, key) | 1; /* never 0 */
    _Atomic uint64_t *place = place_of(refresh, mark);
    uint64_t none = 0;
    if (atomic_load_explicit(place, memory_order_relaxed) != 0 ||
        !atomic_compare_exchange_strong_explicit(place, &none, mark, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    struct job *job = job_new(collection, key, mark);
    bool is_queued = false;
    if (job != NULL) {
        t3_lock(&refresh->mutex);
        is_queued = queue_locked(refresh, job);
        t3_unlock(&refresh->mutex);
    }
    if (is_queued)
        return;
    unmark(refresh, mark);
    job_free(job);
}

void t3_refresh_free(struct t3_refresh *refresh)
{
    if (refresh == NULL)
        return;
    t3_lock(&refresh->mutex);
    refresh->stopping = true;
    t3_cond_signal(&refresh->wake);
    t3_unlock(&refresh->mutex);
    t3_thread_join(&refresh->thread);
    while (refresh->first != NULL) {
        struct job *next = refresh->first->next;
        job_free(refresh->first);
        refresh->first = next;
    }
    t3_cond_done(&refresh->wake);
    t3_mutex_done(&refresh->mutex);
    t3_free(refresh);
}
