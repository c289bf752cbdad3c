/*
 * l2_sweep.c -- delete markers over all entries of a table.
 *
 * Owns:     nothing.
 * Must not know: why.
 * Threads:  any.
 * Fails:    TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY; some entries may have markers then.
 * Begin at: t3_l2_sweep().
 *
 * The markers have no version: none of what is there is believed any more, and they go over whatever is there.  A marker is always safe
 * (l2_put.c).
 */
#include "tier/l2_sweep.h"

#include "base/arena.h"
#include "base/fail.h"
#include "base/limits.h"
#include "driver/kv_list.h"
#include "tier/l2_impl.h"

static const char origin[] = "l2";

#define WHOLE_TABLE ".0000000000000000000000000000000000000000000000000000000000000000"

/* Keys to mark; a list of blocks, for their number is known at the end. */
struct block {
    struct block *next;
    const char *keys[T3_KV_BATCH_MAX];
    size_t count;
};

struct sweep {
    struct t3_l2 *l2;
    struct t3_arena arena;
    struct block *blocks;
    struct t3_deadline deadline;
    struct t3_kv_request *requests; /* T3_KV_BATCH_MAX */
};

static tears_status add_key(void *owner, struct tears_str key)
{
    struct sweep *sweep = owner;
    struct tears_str copy;
    if (sweep->blocks == NULL || sweep->blocks->count == T3_KV_BATCH_MAX) {
        struct block *block = t3_arena_array(&sweep->arena, 1, sizeof *block);
        if (block == NULL)
            return TEARS_NO_MEMORY;
        block->next = sweep->blocks;
        sweep->blocks = block;
    }
    T3_TRY(t3_arena_str(&sweep->arena, key, &copy));
    sweep->blocks->keys[sweep->blocks->count++] = copy.ptr;
    return TEARS_OK;
}

/* A key that cannot be sent is in no bucket. */
static tears_status judge(const struct t3_kv_request *request)
{
    if (request->outcome == T3_KV_STORED)
        return TEARS_OK;
    if (request->outcome != T3_KV_FAILED)
        return TEARS_UNAVAILABLE;
    return request->status == TEARS_LIMIT || request->status == TEARS_INVALID ? TEARS_OK
                                                                              : request->status;
}

static tears_status mark(struct sweep *sweep, const char *const *keys, size_t count)
{
    memset(sweep->requests, 0, count * sizeof *sweep->requests);
    for (size_t i = 0; i < count; i++) {
        sweep->requests[i].verb = T3_KV_DELETE;
        sweep->requests[i].key = keys[i];
        sweep->requests[i].expected = T3_KV_ANY_REVISION;
    }
    const struct t3_kv_call call = {
        .requests = sweep->requests, .count = count, .deadline = sweep->deadline};
    tears_status status = t3_kv_run(sweep->l2->kv, &call, NULL);
    for (size_t i = 0; i < count && status == TEARS_OK; i++)
        status = judge(&sweep->requests[i]);
    t3_kv_release(sweep->requests, count);
    return status;
}

static tears_status mark_table(struct sweep *sweep, struct tears_str table)
{
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    T3_TRY(t3_buf_put(&key, table));
    T3_TRY(t3_buf_put(&key, TEARS_STR(WHOLE_TABLE)));
    const char *const keys[] = {key.ptr};
    return mark(sweep, keys, 1);
}

static tears_status run(struct sweep *sweep, struct tears_str table)
{
    sweep->requests = t3_arena_array(&sweep->arena, T3_KV_BATCH_MAX, sizeof(struct t3_kv_request));
    if (sweep->requests == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(t3_kv_list(sweep->l2->kv, table, sweep->deadline, add_key, sweep));
    for (const struct block *block = sweep->blocks; block != NULL; block = block->next)
        T3_TRY(mark(sweep, block->keys, block->count));
    return mark_table(sweep, table); /* last: whoever reads again now finds the markers */
}

tears_status t3_l2_sweep(struct t3_l2 *l2, struct tears_str table, struct t3_deadline deadline,
                         struct tears_error *error_out)
{
    struct sweep sweep = {.l2 = l2, .deadline = deadline};
    const tears_status status = run(&sweep, table);
    t3_arena_done(&sweep.arena);
    if (status == TEARS_OK)
        return TEARS_OK;
    return t3_fail(error_out, status, origin,
                   "table '" T3_STR_FMT "' could not be swept out of L2: %s", T3_STR_ARG(table),
                   tears_status_text(status));
}
