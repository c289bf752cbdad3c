/*
 * key_queue.h -- rows that a thread is to do something about: a bounded queue in which each row is once.
 *
 * Any thread adds; one takes.  The mutex is a leaf.
 */
#ifndef T3_CORE_KEY_QUEUE_H
#define T3_CORE_KEY_QUEUE_H

#include "core/core.h"

struct t3_key_job {
    struct t3_key_job *next;      /* in the queue, or in the list that was taken */
    struct t3_key_job *next_same; /* with this place in the index */
    struct tears_collection *collection;
    struct t3_arena arena;
    struct t3_key key;
    uint64_t hash;
};

enum { T3_KEY_QUEUE_PLACES = 1024 };

struct t3_key_queue {
    struct t3_mutex mutex;
    struct t3_cond wake;
    struct t3_key_job *first;
    struct t3_key_job *last;
    struct t3_key_job *places[T3_KEY_QUEUE_PLACES];
    uint64_t count;
    uint64_t max;
    bool stopping;
};

void t3_key_queue_init(struct t3_key_queue *queue, uint64_t max);
/* Frees what is left in it. */
void t3_key_queue_done(struct t3_key_queue *queue);

/* Adds a row, unless it is there.  False: the queue is full, has ended, or there is no memory. */
bool t3_key_queue_add(struct t3_key_queue *queue, struct tears_collection *collection,
                      const struct t3_key *key);

/*
 * Waits for rows, and takes up to `max` of one collection, in the order they were added; the caller frees them.  NULL: the queue has ended.
 */
struct t3_key_job *t3_key_queue_take(struct t3_key_queue *queue, size_t max, size_t *count_out);

/* Whoever takes is to end; what is queued stays. */
void t3_key_queue_end(struct t3_key_queue *queue);

void t3_key_jobs_free(struct t3_key_job *jobs);

#endif
