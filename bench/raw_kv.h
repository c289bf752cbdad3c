/*
 * raw_kv.h -- the KV bucket through nats.c alone: the floors of the L2 cases.
 */
#ifndef BENCH_RAW_KV_H
#define BENCH_RAW_KV_H

#include "rows.h"

#include <nats/nats.h>

struct raw_kv {
    natsConnection *conn;
    jsCtx *js;
    kvStore *kv;
    natsSubscription *replies; /* of pipelined gets */
    char inbox[64];
};

/* Connects to the bucket `bench-collections`, which must exist; ends the program when it cannot. */
void raw_kv_open(struct raw_kv *raw, const char *url);
void raw_kv_close(struct raw_kv *raw);

/* The key of a row of the table `bench`. */
void raw_kv_key(uint64_t number, char *out, size_t size);

/* One get; the value is read. */
void raw_kv_get(struct raw_kv *raw, uint64_t number);

/* One put of a row's JSON. */
void raw_kv_put(struct raw_kv *raw, uint64_t number, const char *value, int len);

/* Many direct gets on an inbox of one's own, `window` in flight. */
void raw_kv_get_many(struct raw_kv *raw, const uint64_t *numbers, int count, int window);

#endif
