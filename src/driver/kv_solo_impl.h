/*
 * kv_solo_impl.h -- what the files of the solo KV driver share: kv_solo.c asks, kv_solo_inbox.c waits for the answer, kv_solo_hear.c
 * hears.
 */
#ifndef T3_DRIVER_KV_SOLO_IMPL_H
#define T3_DRIVER_KV_SOLO_IMPL_H

#include "driver/kv_solo.h"
#include "driver/kv_wire.h"
#include "driver/nats_impl.h"

#define T3_SOLO_ATTEMPT "Tears-Attempt"
#define T3_SOLO_TTL     "Tears-Ttl"

enum {
    T3_JS_WRONG_REVISION_CONSTANT = 10164, /* as newer servers say it */
    T3_SOLO_INBOX_BYTES = 80
};

/* Where the answer to one question at a time comes in. */
struct t3_solo_inbox {
    struct t3_solo_inbox *next; /* that is idle */
    natsSubscription *answers;
    uint64_t number; /* of the question */
    size_t prefix_len;
    bool is_asked; /* and not answered */
    char reply_to[T3_SOLO_INBOX_BYTES];
};

struct t3_solo {
    struct t3_solo_options options;
    char bucket[T3_KV_BUCKET_BYTES_MAX + 1];
    char subject_prefix[T3_KV_BUCKET_BYTES_MAX + 16]; /* "$KV.b." */
    struct t3_solo_sink sink;
    natsSubscription *entries;
    struct t3_nats_end entries_end;
    struct t3_mutex mutex; /* guards what follows */
    struct t3_solo_inbox *idle;
    size_t idle_count;
};

/* An inbox with the reply subject of a new question.  Given back when its answer came, or whoever asked does not wait any more. */
natsStatus t3_solo_inbox_take(struct t3_solo *solo, struct t3_solo_inbox **inbox_out);
void t3_solo_inbox_give(struct t3_solo *solo, struct t3_solo_inbox *inbox);

/* Waits for the answer.  NATS_NO_RESPONDERS, NATS_TIMEOUT, NATS_CONNECTION_DISCONNECTED (`losses`: as before the question), ... */
natsStatus t3_solo_inbox_wait(struct t3_solo *solo, struct t3_solo_inbox *inbox, uint64_t losses,
                              struct t3_deadline deadline, natsMsg **answer_out);

void t3_solo_inboxes_end(struct t3_solo *solo);

#endif
