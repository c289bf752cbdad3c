/*
 * kv_follow_impl.h -- what the files of the follower share.
 *
 *   kv_follow_track.c  decides                      (no I/O)
 *   kv_follow_wire.c   JSON and subjects            (no I/O)
 *   kv_follow_hear.c   one message from the server  -> an input of the tracker
 *   kv_follow.c        a task of the tracker        -> a message to the server; the thread
 */
#ifndef T3_DRIVER_KV_FOLLOW_IMPL_H
#define T3_DRIVER_KV_FOLLOW_IMPL_H

#include "base/thread.h"
#include "driver/kv_follow_track.h"
#include "driver/kv_follow_wire.h"
#include "driver/kv_wire.h"
#include "driver/nats_impl.h"

enum {
    FOLLOW_HEARTBEAT_MS = 1000,
    FOLLOW_INACTIVE_MS = 5000, /* what a killed process leaves on the server is gone after that */
    FOLLOW_INBOX_BYTES = 64,
    FOLLOW_SUBJECT_BYTES = T3_KV_BUCKET_BYTES_MAX + 64
};

struct t3_follow {
    struct t3_follow_options options;
    char bucket[T3_KV_BUCKET_BYTES_MAX + 1];
    char key_prefix[T3_KV_BUCKET_BYTES_MAX + 16]; /* "$KV.b." */
    size_t key_prefix_len;
    /* From here on the thread's own. */
    struct t3_track track;
    uint64_t losses;                /* the connection's, when it was last looked at */
    natsSubscription *answers;      /* to what is asked; NULL: none yet */
    natsSubscription *deliveries;   /* of one consumer; NULL: none */
    char inbox[FOLLOW_INBOX_BYTES]; /* "_INBOX.xxx." of the answers: a ticket's number follows */
    size_t inbox_len;
    char deliver[FOLLOW_INBOX_BYTES]; /* where the consumer delivers */
    struct t3_track_task asked;       /* the last task whose answer comes as a message */
    uint64_t consumer;                /* its name for the tracker */
    char consumer_name[T3_FOLLOW_CONSUMER_BYTES]; /* its name for the server; "" not known */
    char left_behind[T3_FOLLOW_CONSUMER_BYTES];   /* one that could not be deleted yet; "" none */
    uint64_t unopened; /* consumers asked for in a row that did not come */
    uint64_t replicas; /* of the bucket, as it was last seen; 0: not seen */
    bool allow_direct;
    /* Shared. */
    struct t3_thread thread;
    atomic_bool is_woken;
    struct t3_mutex mutex; /* guards what follows */
    struct t3_cond changed;
    bool is_ending;
    bool was_current;
};

/* Hands what came from the consumer, or as an answer, to the tracker. */
void t3_follow_hear_delivery(struct t3_follow *follow, natsMsg *message);
void t3_follow_hear_answer(struct t3_follow *follow, natsMsg *message);

#endif
