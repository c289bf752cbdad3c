/*
 * l2_impl.h -- what the files of the L2 tier share.
 *
 *   l2.c         beginning, end, notices, dead letters, counters
 *   l2_get.c     reading
 *   l2_put.c     writing by compare-and-swap
 *   l2_fill.c    fills that nobody waits for
 *   l2_doctor.c  what a person should know
 */
#ifndef T3_TIER_L2_IMPL_H
#define T3_TIER_L2_IMPL_H

#include "base/buf.h"
#include "base/lock.h"
#include "driver/bus.h"
#include "driver/kv.h"
#include "driver/nats_conn.h"
#include "tier/l2.h"

#include <stdatomic.h>

enum {
    L2_FILLS_MAX = 4096, /* fills under way; a power of two */
    L2_FILL_MS_MAX =
        5000, /* a fill unanswered for this long is forgotten when its place is needed */
    L2_DEAD_LETTERS_MAX = 10, /* in each ... */
    L2_DEAD_LETTER_MS = 10000,
    L2_ORIGIN_BYTES_MAX = 63
};

struct l2_fill; /* one place of the table */

struct l2_fills {
    struct t3_mutex mutex;
    struct l2_fill *places; /* L2_FILLS_MAX */
    uint64_t next;          /* tickets are counted up; the place is the lowest bits */
};

struct t3_l2 {
    struct t3_nats *prompt;
    struct t3_nats *pumped;
    struct t3_nats *gathering;
    struct t3_kv *kv;
    struct t3_bus *bus;
    struct t3_l2_sink sink;
    const struct t3_log *log;
    struct t3_kv_settings wanted;
    uint64_t wait_ms;
    char origin[L2_ORIGIN_BYTES_MAX + 1];
    char bucket[T3_KV_BUCKET_BYTES_MAX + 1];
    char dead_subject[T3_KV_BUCKET_BYTES_MAX + 64];
    struct l2_fills fills;
    struct t3_mutex dead_mutex; /* guards the two below */
    uint64_t dead_window_ms;
    uint32_t dead_in_window;
    _Atomic uint64_t puts, put_conflicts, fill_count, fills_lost, damaged;
};

static inline void t3_l2_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Appends the L2 text of each key, each with a NUL at its end; starts[i] is where it begins. */
tears_status t3_l2_put_keys(const struct tears_schema *schema, const struct t3_key *keys,
                            size_t count, struct t3_buf *out, size_t *starts);

/*
 * Makes an entry of an answered get: decodes and checks the value.  TEARS_OK, TEARS_NO_MEMORY.
 */
tears_status t3_l2_read_entry(struct t3_l2 *l2, const struct tears_schema *schema,
                              const struct t3_key *key, const struct t3_kv_request *request,
                              struct t3_arena *arena, struct t3_l2_entry *entry_out);

tears_status t3_l2_fills_init(struct t3_l2 *l2);
void t3_l2_fills_done(struct t3_l2 *l2);
/* The answer to a fill; for the bus. */
void t3_l2_fill_answered(void *owner, uint64_t ticket, const struct t3_kv_ack *ack);

#endif
