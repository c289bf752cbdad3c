/*
 * l2_doctor.c -- examines L2: reachable, version, the bucket's settings, speed, the feed.
 *
 * Owns:     nothing.
 * Must not know: the other tiers.
 * Threads:  any; the findings are the caller's.
 * Fails:    TEARS_NO_MEMORY only; a broken tier is a finding.
 * Begin at: t3_l2_doctor().
 */
#include "tier/l2_impl.h"

#include "base/str.h"

#include <inttypes.h>

enum severity { FINE = 0, WORTH_CHANGING = 1, BROKEN = 2 };

enum { ROUND_TRIPS = 5, ROUND_TRIP_US_SLOW = 5000 };

static const char tier[] = "l2";

static tears_status add(struct t3_findings *findings, enum severity severity, const char *subject,
                        const struct t3_buf *value, const char *advice)
{
    return t3_finding_add(findings, tier, (uint64_t)severity, subject, t3_buf_str(value),
                          tears_str_c(advice));
}

/* Whether the version is at least 2.`minor`. */
static bool is_at_least(const char *version, unsigned minor)
{
    if (strncmp(version, "2.", 2) != 0)
        return version[0] >= '3' && version[0] <= '9';
    unsigned found = 0;
    for (const char *digit = version + 2; *digit >= '0' && *digit <= '9' && found < 1000; digit++)
        found = found * 10 + (unsigned)(*digit - '0');
    return found >= minor;
}

static tears_status examine_server(struct t3_l2 *l2, struct t3_findings *findings,
                                   struct t3_deadline deadline)
{
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    struct t3_nats_info info = {0};
    if (t3_nats_ask_info(l2->prompt, deadline, &info) != TEARS_OK)
        return TEARS_OK; /* behind a proxy that needs TLS first, say: no news is no fault */
    T3_TRY(t3_buf_printf(&value, "nats-server %s", info.version));
    const bool is_old = !is_at_least(info.version, 9);
    T3_TRY(add(findings, is_old ? WORTH_CHANGING : FINE, "version", &value,
               is_old ? "use nats-server 2.9 or newer: it answers direct gets" : ""));
    t3_buf_clear(&value);
    T3_TRY(t3_buf_printf(&value, "%" PRIu64 " bytes", info.payload_max));
    T3_TRY(add(findings, FINE, "max_payload", &value, ""));
    t3_buf_clear(&value);
    T3_TRY(t3_buf_put(&value, info.has_jetstream ? TEARS_STR("on") : TEARS_STR("off")));
    return add(findings, info.has_jetstream ? FINE : BROKEN, "jetstream", &value,
               info.has_jetstream ? "" : "start nats-server with -js");
}

static tears_status examine_latency(struct t3_l2 *l2, struct t3_findings *findings)
{
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    uint64_t best_us = UINT64_MAX;
    for (int i = 0; i < ROUND_TRIPS; i++) {
        uint64_t us = 0;
        if (t3_nats_round_trip(l2->prompt, l2->wait_ms, &us) == TEARS_OK && us < best_us)
            best_us = us;
    }
    if (best_us == UINT64_MAX) {
        T3_TRY(t3_buf_printf(&value, "no answer within %" PRIu64 " ms", l2->wait_ms));
        return add(findings, BROKEN, "latency", &value, "the server hangs or the network is cut");
    }
    T3_TRY(t3_buf_printf(&value, "%" PRIu64 " us round trip", best_us));
    const bool is_slow = best_us > ROUND_TRIP_US_SLOW;
    return add(findings, is_slow ? WORTH_CHANGING : FINE, "latency", &value,
               is_slow ? "run the server nearer, or fewer hops away" : "");
}

static tears_status add_setting(struct t3_findings *findings, bool is_fine, const char *subject,
                                const char *value, const char *advice)
{
    return t3_finding_add(findings, tier, is_fine ? FINE : WORTH_CHANGING, subject,
                          tears_str_c(value), tears_str_c(is_fine ? "" : advice));
}

static tears_status examine_limits(const struct t3_kv_settings *found, struct t3_findings *findings)
{
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    T3_TRY(add_setting(findings, found->max_age_ns == 0, "bucket ttl",
                       found->max_age_ns == 0 ? "none" : "set",
                       "rows vanish from L2 by age; that is safe, but costs reads of L3"));
    T3_TRY(add_setting(findings, found->max_bytes < 0 || !found->discard_new, "bucket max_bytes",
                       found->max_bytes < 0 ? "unlimited" : "limited",
                       "with discard=new a full bucket refuses every write; use discard=old"));
    T3_TRY(add_setting(
        findings, found->history == 1, "bucket history", found->history == 1 ? "1" : "more than 1",
        "only the last value of a key is used; max_msgs_per_subject 1 saves memory"));
    T3_TRY(t3_buf_printf(&value, "%" PRIu64 " messages, %" PRIu64 " bytes", found->messages,
                         found->bytes));
    return add(findings, FINE, "bucket content", &value, "");
}

/* For a table without L3 the bucket is no cache.  An acknowledged put to one server is not on its disk yet, unless that server syncs
 * always (sync_interval), which it does not tell. */
static tears_status examine_only_copy(struct t3_l2 *l2, const struct t3_kv_settings *found,
                                      struct t3_findings *findings)
{
    static const char in_memory[] =
        "tables without L3 end with the server: make the bucket with storage file, and "
        "replicas 3 on a cluster";
    if (!atomic_load_explicit(&l2->is_only_copy, memory_order_relaxed))
        return TEARS_OK;
    if (!found->on_file)
        return t3_finding_add(findings, tier, WORTH_CHANGING, "tables without L3",
                              TEARS_STR("kept in memory only"), tears_str_c(in_memory));
    return t3_finding_add(findings, tier, FINE, "tables without L3",
                          found->replicas > 1
                              ? TEARS_STR("on files of several servers")
                              : TEARS_STR("on one server's files, written with its sync_interval"),
                          TEARS_STR(""));
}

/* Whether this process hears of what others do. */
static tears_status examine_feed(struct t3_l2 *l2, struct t3_findings *findings)
{
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    struct t3_follow_stats stats;
    struct t3_l2_feed feed;
    t3_l2_feed(l2, &feed);
    t3_l2_feed_stats(l2, &stats);
    if (feed.is_followed) {
        T3_TRY(t3_buf_printf(&value, "followed, to revision %" PRIu64, feed.revision));
        return add(findings, FINE, "feed", &value, "");
    }
    if (stats.consumers == 0)
        return t3_finding_add(
            findings, tier, BROKEN, "feed", TEARS_STR("no consumer"),
            TEARS_STR("the server refuses a consumer on the bucket's stream: check "
                      "the user's permissions ($JS.API.CONSUMER.>) and max_consumers; "
                      "rows in L1 are read again all the time meanwhile"));
    return t3_finding_add(findings, tier, WORTH_CHANGING, "feed", TEARS_STR("not proven"),
                          TEARS_STR("the server is slow or was away a moment ago; rows in L1 are "
                                    "read again until the feed is proven"));
}

static tears_status examine_bucket(struct t3_l2 *l2, struct t3_findings *findings,
                                   struct t3_deadline deadline)
{
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    struct t3_kv_settings found = {0};
    struct tears_error error = {0};
    tears_status status = t3_kv_open_bucket(l2->kv, deadline, &error);
    if (status == TEARS_OK)
        status = t3_kv_settings(l2->kv, deadline, &found, &error);
    if (status != TEARS_OK)
        return t3_finding_add(
            findings, tier, BROKEN, "bucket", tears_str_c(error.message),
            TEARS_STR("check that JetStream is on and that this user may use it"));
    T3_TRY(t3_finding_add(findings, tier, FINE, "bucket", tears_str_c(l2->bucket), TEARS_STR("")));
    T3_TRY(add_setting(
        findings, found.allow_direct, "bucket allow_direct", found.allow_direct ? "true" : "false",
        "made by another program; update the stream to allow_direct for faster reads"));
    T3_TRY(examine_only_copy(l2, &found, findings));
    T3_TRY(add_setting(findings, found.on_file == l2->wanted.on_file, "bucket storage",
                       found.on_file ? "file" : "memory",
                       "not the storage asked for: it is chosen when the bucket is made"));
    T3_TRY(t3_buf_printf(&value, "%" PRIu64, found.replicas));
    T3_TRY(add_setting(findings, found.replicas >= l2->wanted.replicas, "bucket replicas",
                       value.ptr, "fewer than asked for: update the stream's num_replicas"));
    return examine_limits(&found, findings);
}

tears_status t3_l2_doctor(struct t3_l2 *l2, struct t3_findings *findings,
                          struct t3_deadline deadline)
{
    if (!t3_nats_is_connected(l2->prompt) || !t3_nats_is_connected(l2->pumped) ||
        !t3_nats_is_connected(l2->gathering))
        return t3_finding_add(findings, tier, BROKEN, "connection", TEARS_STR("not connected"),
                              TEARS_STR("check the URL, the credentials and that nats-server runs; "
                                        "reads go to L3 meanwhile"));
    T3_TRY(
        t3_finding_add(findings, tier, FINE, "connection", TEARS_STR("connected"), TEARS_STR("")));
    T3_TRY(examine_server(l2, findings, deadline));
    T3_TRY(examine_latency(l2, findings));
    T3_TRY(examine_bucket(l2, findings, deadline));
    return examine_feed(l2, findings);
}
