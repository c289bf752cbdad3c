/*
 * server.c -- the bucket: compare-and-swap on revisions, one message for each key, one sequence for all.
 *
 * Owns:     the stream's content.
 * Must not know: what rows are.
 * Threads:  one; every call is one step of the server.
 * Fails:    as the decisions say: a put may be refused, a get may be answered from an older copy.
 * Begin at: sim_server_put().
 */
#include "server.h"

#include "driver/kv_follow.h"
#include "judge.h"
#include "net.h"

#include <string.h>

struct sim_stream sim_stream;

void sim_server_begin(void)
{
    memset(&sim_stream, 0, sizeof sim_stream);
}

void sim_server_make(void)
{
    if (sim_stream.exists)
        return;
    sim_stream.exists = true;
    sim_stream.made++;
    sim_stream.last = 0;
    sim_stream.count = 0;
    sim_tell("the bucket is made");
}

void sim_server_wipe(void)
{
    sim_tell("FAULT: the bucket is wiped");
    sim_tally.wipes++;
    sim_stream.exists = false;
    sim_stream.count = 0;
    sim_stream.last = 0;
    sim_feed_end_all();
    sim_judge_wiped();
}

static struct sim_entry *find(const char *key)
{
    for (uint32_t i = 0; i < sim_stream.count; i++)
        if (strcmp(sim_stream.entries[i].now.key, key) == 0)
            return &sim_stream.entries[i];
    return NULL;
}

const struct sim_message *sim_server_find(const char *key)
{
    const struct sim_entry *entry = find(key);
    return entry != NULL ? &entry->now : NULL;
}

const struct sim_message *sim_server_find_anywhere(const char *key)
{
    const struct sim_entry *entry = find(key);
    if (entry == NULL || !sim_fault(SIM_STALE_ANSWER))
        return entry != NULL ? &entry->now : NULL;
    sim_tally.stale_answers++;
    return entry->before.revision != 0 ? &entry->before : NULL;
}

const char *sim_server_identity(void)
{
    const struct sim_entry *entry = find(T3_FOLLOW_IDENTITY_KEY);
    return entry != NULL && !entry->now.is_marker ? entry->now.value : "";
}

void sim_server_put(struct sim_put *put)
{
    if (!sim_stream.exists) {
        put->outcome = T3_KV_ABSENT;
        return;
    }
    struct sim_entry *entry = find(put->message.key);
    const uint64_t revision = entry != NULL ? entry->now.revision : 0;
    put->outcome = T3_KV_RACED;
    if (put->expected != T3_KV_ANY_REVISION && put->expected != revision)
        return;
    put->outcome = T3_KV_REFUSED;
    if (strcmp(put->message.key, T3_FOLLOW_IDENTITY_KEY) != 0 && sim_fault(SIM_PUT_REFUSED)) {
        sim_tally.refusals++;
        put->code = 10077;
        return;
    }
    if (entry == NULL) {
        T3_ASSERT(sim_stream.count < SIM_ENTRIES_MAX);
        entry = &sim_stream.entries[sim_stream.count++];
        memset(entry, 0, sizeof *entry);
    }
    entry->before = entry->now;
    entry->now = put->message;
    entry->now.revision = ++sim_stream.last;
    entry->now.stored_at_us = sim.now_us;
    put->outcome = T3_KV_STORED;
    put->revision = sim_stream.last;
    sim_judge_stored(&entry->now);
    sim_feed_deliver(&entry->now);
}
