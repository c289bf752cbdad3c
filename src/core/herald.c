/*
 * herald.c -- the thread that puts pending rows into L2.
 *
 * Owns:     a queue of keys, one thread.
 * Knows:    that a row may land while it is on its way to L2, and that then it must not stay there as pending.
 * Must not know: how pending rows are kept.
 * Threads:  any may tell; one works.
 * Fails:    by not showing a row: other processes see it when it lands.
 * Begin at: show().
 *
 * In a table with versions a landed row outranks what is put here.  In one without, nobody can tell; and in both the
 * owner may die.  So what has landed while it was put is repaired: a marker and a notice, and readers ask L3.
 */
#include "core/herald.h"

#include "base/alloc.h"
#include "base/thread.h"
#include "core/key_queue.h"
#include "core/repair.h"
#include "deferred/pending.h"

enum { QUEUE_MAX = 65536, BATCH_MAX = 256 };

struct t3_herald {
    struct tears_client *client;
    struct t3_key_queue queue;
    struct t3_thread thread;
};

/* Rows of one collection on their way. */
struct showing {
    struct tears_collection *collection;
    struct t3_arena arena;
    struct t3_key *keys;
    struct t3_l2_put *puts;
    uint64_t *seqs;
    size_t count;
};

/* Adds the row of a key that is still pending.  A pending deletion is nothing to be shown: until it has landed the row is there. */
static tears_status add(struct showing *showing, const struct t3_key *key)
{
    struct tears_collection *collection = showing->collection;
    enum t3_pending_answer answer;
    struct t3_pending_hit hit;
    T3_TRY(t3_pending_look(collection->pending, key, &showing->arena, &answer, &hit));
    if (answer != T3_PENDING_ROW)
        return TEARS_OK;
    const size_t n = showing->count++;
    showing->keys[n] = *key;
    showing->seqs[n] = hit.seq;
    showing->puts[n] = (struct t3_l2_put){
        .key = &showing->keys[n],
        .row = hit.row,
        .version = t3_schema_row_version(collection->schema, hit.row),
        .seen = UINT64_MAX,
        .versioned = collection->schema->version_column != T3_NO_COLUMN,
        .is_dirty = true,
    };
    return TEARS_OK;
}

static tears_status gather(struct showing *showing, const struct t3_key_job *jobs, size_t count)
{
    showing->keys = t3_arena_array(&showing->arena, count, sizeof *showing->keys);
    showing->puts = t3_arena_array(&showing->arena, count, sizeof *showing->puts);
    showing->seqs = t3_arena_array(&showing->arena, count, sizeof *showing->seqs);
    if (showing->keys == NULL || showing->puts == NULL || showing->seqs == NULL)
        return TEARS_NO_MEMORY;
    for (const struct t3_key_job *job = jobs; job != NULL; job = job->next)
        T3_TRY(add(showing, &job->key));
    return TEARS_OK;
}

/*
 * What has landed, or has been refused, since it was looked up may have been put after its correction; also when the answer was lost, or came too
 * late.
 */
static void repair_settled(struct showing *showing)
{
    struct tears_collection *collection = showing->collection;
    for (size_t i = 0; i < showing->count; i++) {
        enum t3_pending_answer answer = T3_PENDING_NOTHING;
        struct t3_pending_hit hit;
        if (showing->puts[i].status != TEARS_CONFLICT &&
            (t3_pending_look(collection->pending, &showing->keys[i], &showing->arena, &answer,
                             &hit) != TEARS_OK ||
             answer == T3_PENDING_NOTHING))
            t3_repair_add(collection->client->repair, collection, &showing->keys[i]);
    }
}

static void show(struct t3_herald *herald, const struct t3_key_job *jobs, size_t count)
{
    struct tears_client *client = herald->client;
    struct showing showing = {.collection = jobs->collection};
    if (gather(&showing, jobs, count) == TEARS_OK && showing.count > 0) {
        (void)t3_l2_put(client->l2, showing.collection->schema, showing.puts, showing.count,
                        &showing.arena, t3_deadline_in_ms(client->options.l2_wait_ms), NULL);
        repair_settled(&showing);
        if (t3_l2_notify(client->l2, showing.collection->schema, showing.keys, showing.count,
                         NULL) == TEARS_OK)
            t3_count(&client->counters.notices_sent, showing.count);
        t3_count(&client->counters.dirty_puts, showing.count);
    }
    t3_arena_done(&showing.arena);
}

static void *run(void *owner)
{
    struct t3_herald *herald = owner;
    size_t count;
    struct t3_key_job *jobs;
    while ((jobs = t3_key_queue_take(&herald->queue, BATCH_MAX, &count)) != NULL) {
        show(herald, jobs, count);
        t3_key_jobs_free(jobs);
    }
    return NULL;
}

tears_status t3_herald_new(struct tears_client *client, struct t3_herald **herald_out)
{
    struct t3_herald *herald = t3_alloc_zero(1, sizeof *herald);
    if (herald == NULL)
        return TEARS_NO_MEMORY;
    herald->client = client;
    t3_key_queue_init(&herald->queue, QUEUE_MAX);
    if (t3_thread_start(&herald->thread, run, herald) != TEARS_OK) {
        t3_key_queue_done(&herald->queue);
        t3_free(herald);
        return TEARS_NO_MEMORY;
    }
    *herald_out = herald;
    return TEARS_OK;
}

void t3_herald_free(struct t3_herald *herald)
{
    if (herald == NULL)
        return;
    t3_key_queue_end(&herald->queue);
    t3_thread_join(&herald->thread);
    t3_key_queue_done(&herald->queue);
    t3_free(herald);
}

void t3_herald_tell(struct t3_herald *herald, struct tears_collection *collection,
                    const struct t3_key *key)
{
    if (herald != NULL && collection->l2 != NULL)
        (void)t3_key_queue_add(&herald->queue, collection, key);
}
