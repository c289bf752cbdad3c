/*
 * kv_impl.h -- what the files of the KV driver share.
 *
 *   kv.c           the bucket's state, calls, combining
 *   kv_exchange.c  one batch: send, collect, match
 *   kv_message.c   one request as a message, one reply as a result
 */
#ifndef T3_DRIVER_KV_IMPL_H
#define T3_DRIVER_KV_IMPL_H

#include "base/combine.h"
#include "base/limits.h"
#include "driver/breaker.h"
#include "driver/kv.h"
#include "driver/kv_wire.h"
#include "driver/nats_impl.h"

enum {
    KV_SMALL_REQUESTS_MAX = 16, /* a call up to this size is combined with others */
    KV_SMALL_CALLS_MAX = 128,   /* calls combined into one batch */
    KV_SMALL_RUNNING_MAX = 1,   /* who leads has borrowed the pump */
    KV_LARGE_RUNNING_MAX = 2,
    KV_FLUSHED_REQUESTS_MAX =
        512,                    /* above, the buffer fills and flushes itself while answers come */
    KV_GRAVES = 128,            /* replies that are done with, kept for one to destroy them all */
    KV_GRAVE_BYTES_MAX = 4096,  /* a larger one is not kept */
    KV_CONTROL_LINE_MAX = 4000, /* the server cuts the connection above 4096 bytes */
    KV_INBOX_BYTES = 64
};

/* Where answers of one batch at a time come in, on one of the connections. */
struct kv_inbox {
    struct t3_nats *nats;
    natsSubscription *subscription; /* NULL: none yet, or given up with answers missing */
    char prefix[KV_INBOX_BYTES];    /* "_INBOX.xxx." */
    size_t prefix_len;
    uint32_t
        next; /* number of the next request; an answer that comes twice, or late, is nobody else's */
    bool is_taken; /* of the large ones */
};

/* A ring.  A slot that is found occupied by the next one to be buried is emptied first. */
struct kv_graveyard {
    _Atomic(natsMsg *) slots[KV_GRAVES];
    atomic_size_t buried;
    size_t emptied; /* the leader's */
};

enum kv_bucket_state { KV_BUCKET_UNKNOWN, KV_BUCKET_DIRECT, KV_BUCKET_INDIRECT };

struct t3_kv {
    struct t3_kv_options options;
    char bucket[T3_KV_BUCKET_BYTES_MAX + 1];
    char writer[64];
    _Atomic uint64_t age_max_ms; /* see t3_kv_age_max_ms */
    _Atomic uint64_t epoch;      /* the 16 hexadecimal digits; 0: none.  Orders nothing */
    char direct_prefix[2 * T3_KV_BUCKET_BYTES_MAX + 64]; /* "$JS.API.DIRECT.GET.KV_b.$KV.b." */
    char stored_get[T3_KV_BUCKET_BYTES_MAX + 64];        /* "$JS.API.STREAM.MSG.GET.KV_b" */
    char subject_prefix[T3_KV_BUCKET_BYTES_MAX + 16];    /* "$KV.b." */
    atomic_int bucket_state;
    _Atomic uint64_t bucket_losses; /* the connection's losses when the state was found out */
    atomic_bool bucket_is_suspect;
    atomic_bool differences_logged;
    struct t3_breaker breaker;
    struct t3_combine small;
    struct t3_combine large;
    struct t3_combine opening;
    struct kv_inbox small_inbox; /* this and the next belong to the leader of the small calls */
    struct t3_kv_request *small_requests[KV_SMALL_CALLS_MAX * KV_SMALL_REQUESTS_MAX];
    struct kv_graveyard graveyard;
    struct t3_mutex mutex; /* guards is_taken of the large inboxes */
    struct kv_inbox large_inboxes[KV_LARGE_RUNNING_MAX];
};

/* One batch. */
struct kv_exchange {
    struct t3_kv *kv;
    struct t3_kv_request **requests;
    size_t count;
    struct t3_deadline deadline; /* of the whole */
    void (*answered)(void *owner, struct t3_kv_request *request);
    void *owner;
    struct kv_inbox *inbox;
    /* the exchange's own */
    bool is_direct;
    uint32_t first; /* number of the first request */
    size_t sent;
    size_t done;          /* answered, or failed to be sent */
    size_t no_responders; /* answers "nobody listens", which do not say to whom */
    uint64_t losses;
    uint64_t started_us;
    uint64_t heard_us;
};

void t3_kv_exchange_run(struct kv_exchange *exchange);

/* Gives up what the inbox holds. */
void t3_kv_inbox_done(struct kv_inbox *inbox);

/* Sends the request as a message; its answer is to go to `reply_to`. */
tears_status t3_kv_message_send(struct t3_kv *kv, const struct t3_kv_request *request,
                                struct t3_nats *nats, const char *reply_to);

/* The same, but flushes the connection and waits for the answer, which *reply_out receives. */
natsStatus t3_kv_message_exchange(struct t3_kv *kv, const struct t3_kv_request *request,
                                  struct t3_nats *nats, int64_t wait_ms, natsMsg **reply_out);

/* Reads the reply that came for the request, if that has not been done. */
void t3_kv_message_read(struct t3_kv *kv, struct t3_kv_request *request);

/* Destroys the reply, now or with others.  Any thread. */
void t3_kv_message_bury(struct t3_kv *kv, natsMsg *reply);

/* Destroys what is buried, if that is enough to be worth it.  The leader of the small calls, and
 * the last one of all. */
void t3_kv_messages_empty_graves(struct t3_kv *kv, size_t enough);

/* Whether the request can be sent at all; else it is given its outcome. */
bool t3_kv_message_is_sendable(struct t3_kv *kv, struct t3_kv_request *request);

#endif
