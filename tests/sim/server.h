/*
 * server.h -- the message server: one bucket with the stream behind it, and who listens.
 */
#ifndef TESTS_SIM_SERVER_H
#define TESTS_SIM_SERVER_H

#include "driver/kv.h"
#include "world.h"

enum {
    SIM_KEY_BYTES = 112,
    SIM_VALUE_BYTES = 640,
    SIM_TEXT_BYTES = 64,
    SIM_IDS_BYTES = 160,
    SIM_ENTRIES_MAX = 48
};

/* A message of the stream. */
struct sim_message {
    uint64_t revision; /* 0: none */
    uint64_t stored_at_us;
    const struct sim_process *from;
    char key[SIM_KEY_BYTES];
    char value[SIM_VALUE_BYTES];
    size_t value_len;
    bool is_marker;
    bool has_version;
    bool is_fill;
    int64_t version;
    uint64_t lease_ms;
    char origin[SIM_TEXT_BYTES];
    char epoch[SIM_TEXT_BYTES];
    char ids[SIM_IDS_BYTES];
};

struct sim_entry {
    struct sim_message now;
    struct sim_message before; /* what a follower that lags still has */
};

struct sim_stream {
    bool exists;
    uint64_t made; /* times it was made */
    uint64_t last; /* sequence */
    struct sim_entry entries[SIM_ENTRIES_MAX];
    uint32_t count;
};

extern struct sim_stream sim_stream;

void sim_server_begin(void);

/* Makes the bucket if there is none. */
void sim_server_make(void);
/* The bucket is gone, with all consumers.  Sequences start again. */
void sim_server_wipe(void);

struct sim_put {
    struct sim_message message;
    uint64_t expected; /* or T3_KV_ANY_REVISION */
    /* results */
    enum t3_kv_outcome outcome; /* ABSENT: there is no bucket */
    uint64_t revision;
    int64_t code;
};

void sim_server_put(struct sim_put *put);

/* The message under a key, or NULL. */
const struct sim_message *sim_server_find(const char *key);
/* The same, but perhaps as it was before. */
const struct sim_message *sim_server_find_anywhere(const char *key);

/* The bucket's identity now; "" none. */
const char *sim_server_identity(void);

/* fake_bus.c: to all who listen but the sender. */
void sim_bus_deliver(const struct sim_process *from, struct tears_str payload);
/* fake_follow.c: to all consumers. */
void sim_feed_deliver(const struct sim_message *message);
void sim_feed_end_all(void);

#endif
