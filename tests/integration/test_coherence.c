/*
 * test_coherence.c -- several clients on one nats-server, as separate processes are: what one writes the others read, nobody
 * reads what is older than the bound, and news that are lost, late or doubtful change only the costs.
 *
 * L3 is a hook store, so that rows can be changed and reads counted behind the caches' back.
 */
#include "base/clock.h"
#include "core/coherence.h"
#include "core/verify.h"
#include "support/embedded.h"
#include "support/items.h"
#include "support/l2_fixture.h"
#include "support/nats_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    BOUND_MS = 600,
    CALM_BOUND_MS = 2000, /* where a proof that comes late on a busy machine would spoil the test */
    WAIT_MS_MAX = 10000
};

static struct hook_store hook;
static tears_schema *schema;
static struct test_nats *server; /* NULL: the shared one */
static char space[32];
static uint64_t bound_ms;
static struct items here;
static struct items there;

static void open_items(struct items *items, const struct tears_collection_options *options)
{
    struct tears_client_options client = TEARS_CLIENT_OPTIONS_INIT;
    client.l2_url = tears_str_c(server != NULL ? test_nats_url(server) : test_nats_shared_url());
    client.namespace_name = tears_str_c(space);
    client.l2_storage = TEARS_STR("file");
    client.staleness_ms_max = bound_ms;
    client.l2_wait_ms = 200;
    items_open(items, &hook, schema, &client, options);
}

static uint64_t feed_of(const struct items *items)
{
    struct tears_collection_status status = TEARS_COLLECTION_STATUS_INIT;
    tears_collection_status(items->rows, &status);
    return status.feed;
}

static bool wait_for_feed(const struct items *items, uint64_t feed)
{
    for (int ms = 0; ms < WAIT_MS_MAX && feed_of(items) != feed; ms += 5)
        usleep(5000);
    return feed_of(items) == feed;
}

static void open_both(const struct tears_collection_options *options)
{
    open_items(&here, options);
    open_items(&there, options);
    assert_true(wait_for_feed(&here, TEARS_FEED_CURRENT));
    assert_true(wait_for_feed(&there, TEARS_FEED_CURRENT));
    usleep(
        70000); /* moments of confirmation are coarse: what is read now is certainly after the beginning */
}

static int open_rows(void **state)
{
    (void)state;
    hook_store_init(&hook);
    schema = hook_store_schema();
    test_namespace(space);
    bound_ms = BOUND_MS;
    return 0;
}

static int open_shared(void **state)
{
    open_rows(state);
    open_both(NULL);
    return 0;
}

static int open_calm(void **state)
{
    open_rows(state);
    bound_ms = CALM_BOUND_MS;
    open_both(NULL);
    return 0;
}

/* A server that can be stopped and killed. */
static int open_own(void **state)
{
    server = test_nats_start(NULL);
    return open_shared(state);
}

static int close_world(void **state)
{
    (void)state;
    if (here.client != NULL)
        items_close(&here);
    if (there.client != NULL)
        items_close(&there);
    tears_schema_free(schema);
    test_nats_free(server);
    server = NULL;
    return 0;
}

static const char *name_here(int64_t id)
{
    return items_name(here.session, &here, id);
}

static const char *name_there(int64_t id)
{
    return items_name(there.session, &there, id);
}

/* Reads until the row has the name; how long it took, or UINT64_MAX. */
static uint64_t wait_for_name(const struct items *items, int64_t id, const char *name)
{
    const uint64_t began_us = t3_now_us();
    while (t3_now_us() - began_us < WAIT_MS_MAX * UINT64_C(1000)) {
        if (strcmp(items_name(items->session, items, id), name) == 0)
            return (t3_now_us() - began_us) / 1000;
        tears_session_reset(items->session);
        usleep(1000);
    }
    return UINT64_MAX;
}

/* All news of what was done so far have been obeyed: nothing is dropped late. */
static void let_news_arrive(void)
{
    usleep(150000);
}

static uint64_t fetches(void)
{
    return atomic_load(&hook.fetches);
}

/* ---- what one writes the others read ---------------------------------------------------------------- */

static void writes_are_seen_within_moments(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        char name[24];
        snprintf(name, sizeof name, "take %d", i);
        items_put(here.session, &here, 1, name);
        assert_true(wait_for_name(&there, 1, name) < 200);
        tears_session_reset(here.session);
    }
    items_delete(here.session, &here, 1);
    assert_true(wait_for_name(&there, 1, "") < 200);
    items_put(here.session, &here, 1, "again"); /* its versions begin anew */
    assert_true(wait_for_name(&there, 1, "again") < 200);
}

/* Rows that are proven are L1 hits for much longer than the bound. */
static void quiet_rows_stay_hits(void **state)
{
    (void)state;
    items_put(here.session, &here, 1, "quiet");
    assert_true(wait_for_name(&there, 1, "quiet") < 200);
    const uint64_t before = fetches();
    for (int i = 0; i < 60; i++) {
        assert_string_equal(name_there(1), "quiet");
        usleep(50000);
    }
    assert_int_equal(fetches(), before);
    assert_int_equal(items_stats(&there).l1_suspects, 0);
}

/* Trap 23: a cached "no such row" goes when the row is made. */
static void trap_23_absence_yields_to_creation_elsewhere(void **state)
{
    (void)state;
    assert_string_equal(name_there(1), "");
    assert_string_equal(name_there(1), "");
    assert_int_equal(items_stats(&there).l1_negative_hits, 1);
    items_put(here.session, &here, 1, "made");
    assert_true(wait_for_name(&there, 1, "made") < 200);
}

static void create_elsewhere(void *owner, int64_t id)
{
    (void)owner;
    const uint64_t before = items_stats(&there).feed_events;
    items_put(here.session, &here, id, "made");
    for (int ms = 0; ms < WAIT_MS_MAX && items_stats(&there).feed_events == before; ms++)
        usleep(1000);
}

/* Trap 23: the row is made while L3 is already on its way to say that there is none. */
static void trap_23_absence_on_its_way_is_not_kept(void **state)
{
    (void)state;
    hook.after_read = create_elsewhere;
    assert_string_equal(name_there(1), "");
    assert_string_equal(name_there(1), "made");
}

/* Trap 1, between processes: the old row is on its way from L3 when another process changes it. */
static void trap_01_a_stale_row_on_its_way_is_not_kept(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    hook.after_read = create_elsewhere;
    assert_string_equal(name_there(1), "old");
    assert_string_equal(name_there(1), "made");
}

/* Trap 15: readers tell nobody anything, and what they put into L2 drops nothing elsewhere. */
static void trap_15_reading_sends_nothing(void **state)
{
    (void)state;
    enum { ROWS = 100 };
    for (int64_t id = 0; id < ROWS; id++)
        hook_store_put(&hook, id, "row");
    for (int64_t id = 0; id < ROWS; id += 2)
        assert_string_equal(name_there(id), "row");
    for (int64_t id = 0; id < ROWS; id++)
        assert_string_equal(name_here(id), "row");
    for (int64_t id = 0; id < ROWS; id++)
        assert_string_equal(name_there(id), "row");
    usleep(200000); /* whatever was sent has come */
    for (int64_t id = 0; id < ROWS; id += 2)
        assert_true(items_in_l1(&there, id));
    assert_int_equal(items_stats(&here).notices_sent + items_stats(&there).notices_sent, 0);
    assert_int_equal(items_stats(&here).notices_received + items_stats(&there).notices_received, 0);
}

/* Trap 8: a client that starts late has missed nothing. */
static void trap_08_a_late_client_loses_nothing(void **state)
{
    (void)state;
    struct items late;
    for (int64_t id = 0; id < 50; id++)
        items_put(here.session, &here, id, "before");
    open_items(&late, NULL);
    assert_true(wait_for_feed(&late, TEARS_FEED_CURRENT));
    usleep(70000);
    assert_string_equal(items_name(late.session, &late, 1), "before");
    items_put(here.session, &here, 1, "after");
    assert_true(wait_for_name(&late, 1, "after") < 200);
    let_news_arrive();
    assert_string_equal(items_name(late.session, &late, 1), "after"); /* and now it stays */
    usleep(3 * CALM_BOUND_MS / 2 * 1000);
    assert_string_equal(items_name(late.session, &late, 1), "after");
    assert_int_equal(items_stats(&late).l1_suspects, 0);
    assert_int_equal(items_stats(&late).feed_gaps, 0);
    items_close(&late);
}

/* ---- one feed alone ------------------------------------------------------------------------------------ */

/* Puts a row into L2 and tells nobody: what remains of a write whose notice is lost. */
static void put_without_notice(int64_t id, const char *name, int64_t version)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    static struct test_news nobody;
    const char *url = server != NULL ? test_nats_url(server) : test_nats_shared_url();
    struct t3_l2 *l2 = test_l2_open(url, space, "01a20510-7849-76bb-8905-57c1b562c65c", &nobody);
    const struct tears_value key_value = tears_int(id);
    struct tears_value storage;
    struct t3_key key;
    assert_int_equal(t3_key_init(schema, &key_value, 1, &storage, &arena, &key, NULL), TEARS_OK);
    const struct tears_value values[] = {tears_int(id), tears_text(tears_str_c(name)),
                                         tears_int(version)};
    struct t3_row *row = NULL;
    assert_int_equal(t3_row_new(&arena, &schema->layout, values, &row), TEARS_OK);
    struct t3_l2_put put = {
        .key = &key, .row = row, .version = version, .seen = UINT64_MAX, .versioned = true};
    assert_int_equal(t3_l2_put(l2, schema, &put, 1, &arena, t3_deadline_in_ms(2000), NULL),
                     TEARS_OK);
    t3_l2_free(l2);
}

static void trap_06_without_notices_the_stream_tells(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_there(1), "old");
    hook_store_put(&hook, 1, "new");
    put_without_notice(1, "new", 2);
    assert_true(wait_for_name(&there, 1, "new") < 300);
    assert_int_equal(items_stats(&there).notices_received, 0);
}

/* News of a version that L1 has, or has overtaken, drop nothing. */
static void news_of_an_older_version_drop_nothing(void **state)
{
    (void)state;
    items_put(here.session, &here, 1, "one");
    items_put(here.session, &here, 1, "two");
    let_news_arrive();
    assert_string_equal(name_there(1), "two");
    const struct t3_l2_sink sink = t3_coherence_sink(there.client);
    const struct t3_l2_event late = {.kind = T3_L2_EVENT_PUT,
                                     .key = TEARS_STR("items.1"),
                                     .revision = 1,
                                     .has_version = true,
                                     .version = 1,
                                     .origin = TEARS_STR("somebody")};
    sink.event(sink.owner, &late);
    assert_true(items_in_l1(&there, 1));
    struct t3_l2_event same = late;
    same.version = 2;
    same.kind = T3_L2_EVENT_FILL;
    sink.event(sink.owner, &same);
    assert_true(items_in_l1(&there, 1));
    same.kind = T3_L2_EVENT_FILL_LEASE;
    sink.event(sink.owner, &same);
    assert_true(items_in_l1(&there, 1));
    same.kind = T3_L2_EVENT_PUT;
    same.has_version = false; /* a Python process: nobody knows what it is */
    sink.event(sink.owner, &same);
    assert_false(items_in_l1(&there, 1));
}

/* Deleted and inserted again while the marker was not heard: the last word of the stream has a lower version, and counts. */
static void news_of_a_row_that_began_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        items_put(here.session, &here, 1, "first life");
    let_news_arrive();
    assert_string_equal(name_there(1), "first life");
    const struct t3_l2_sink sink = t3_coherence_sink(there.client);
    const struct t3_l2_event put = {.kind = T3_L2_EVENT_PUT,
                                    .key = TEARS_STR("items.1"),
                                    .revision = 1000000,
                                    .has_version = true,
                                    .version = 1,
                                    .origin = TEARS_STR("somebody")};
    assert_true(items_in_l1(&there, 1));
    sink.event(sink.owner, &put);
    assert_false(items_in_l1(&there, 1));
}

static void announced_writes_drop_rows(void **state)
{
    (void)state;
    items_put(here.session, &here, 1, "row");
    let_news_arrive();
    assert_string_equal(name_there(1), "row");
    const struct t3_l2_sink sink = t3_coherence_sink(there.client);
    struct t3_l2_event event = {.kind = T3_L2_EVENT_WRITE_LEASE,
                                .key = TEARS_STR("items.1"),
                                .revision = 1000000,
                                .is_own = true};
    sink.event(sink.owner, &event);
    assert_true(items_in_l1(&there, 1)); /* one's own are no news */
    event.is_own = false;
    sink.event(sink.owner, &event);
    assert_false(items_in_l1(&there, 1));
}

/* ---- the bound ------------------------------------------------------------------------------------------ */

/*
 * Traps 6 and 7: this process hears nothing any more, and nobody tells it so.  Silence is no proof: within the bound
 * it may serve what it has, then it asks L3.
 */
static void trap_07_silence_is_no_proof(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_there(1), "old");
    usleep(2 * BOUND_MS * 1000); /* proven several times since it was read */
    assert_string_equal(name_there(1), "old");
    test_nats_pause(server);
    hook_store_put(&hook, 1, "new");
    const uint64_t changed_us = t3_now_us();
    for (;;) {
        const uint64_t began_us = t3_now_us();
        if (strcmp(name_there(1), "new") == 0)
            break;
        assert_true(began_us - changed_us < (BOUND_MS + 100) * UINT64_C(1000));
        usleep(5000);
    }
    assert_true(items_stats(&there).l1_suspects >= 1);
    test_nats_resume(server);
}

/*
 * The row is changed all the time, by somebody who cannot reach L2 either: within the bound the old one may be read, never later,
 * however often the server stops and goes on.
 */
static void no_read_is_older_than_the_bound(void **state)
{
    (void)state;
    enum { ROUNDS = 150 };
    static uint64_t written_us[ROUNDS + 3];
    assert_int_equal(tears_session_set_consistency(there.session, TEARS_READ_ANY, 0), TEARS_OK);
    hook_store_put(&hook, 1, "row");
    assert_string_equal(name_there(1), "row");
    usleep(BOUND_MS * 1000);
    test_nats_pause(server);
    for (int round = 2; round <= ROUNDS; round++) {
        const struct tears_value key = tears_int(1);
        tears_entity *entity = NULL;
        hook_store_put(&hook, 1, "row");
        written_us[round] = t3_now_us();
        const uint64_t began_us = t3_now_us();
        assert_int_equal(tears_get(there.session, there.rows, &key, 1, &entity), TEARS_OK);
        const int64_t version = tears_entity_version(entity);
        if (version < round) /* it was overtaken then: not longer ago than the bound */
            assert_true(began_us - written_us[version + 1] < (BOUND_MS + 50) * UINT64_C(1000));
        tears_session_reset(there.session);
        usleep(15000);
    }
    test_nats_resume(server);
}

/* Trap 14: the server stands still and goes on; nothing is read again, for with the next proof all is good again. */
static void trap_14_after_a_pause_nothing_is_read_again(void **state)
{
    (void)state;
    enum { ROWS = 50 };
    for (int64_t id = 0; id < ROWS; id++) {
        hook_store_put(&hook, id, "row");
        assert_string_equal(name_there(id), "row");
    }
    test_nats_pause(server);
    assert_true(wait_for_feed(&there, TEARS_FEED_AWAY));
    usleep(BOUND_MS * 1000); /* no row is good for having been read lately */
    test_nats_resume(server);
    assert_true(wait_for_feed(&there, TEARS_FEED_CURRENT));
    const uint64_t before = fetches();
    const uint64_t l2_before = items_stats(&there).l2_hits;
    for (int64_t id = 0; id < ROWS; id++)
        assert_string_equal(name_there(id), "row");
    assert_int_equal(fetches(), before);
    assert_int_equal(items_stats(&there).l2_hits, l2_before);
}

/* The same when the server was killed and its bucket is on disk: changes made meanwhile are heard, the rest stays. */
static void trap_14_after_a_restart_only_changes_are_read_again(void **state)
{
    (void)state;
    enum { ROWS = 50 };
    for (int64_t id = 0; id < ROWS; id++) {
        hook_store_put(&hook, id, "row");
        assert_string_equal(name_there(id), "row");
    }
    usleep(100000); /* the fills have reached L2 */
    test_nats_end(server);
    assert_true(wait_for_feed(&there, TEARS_FEED_AWAY));
    usleep(BOUND_MS * 1000); /* no row is good for having been read lately */
    test_nats_again(server);
    assert_true(wait_for_feed(&here, TEARS_FEED_CURRENT));
    assert_true(wait_for_feed(&there, TEARS_FEED_CURRENT));
    items_put(here.session, &here, 7, "changed");
    assert_true(wait_for_name(&there, 7, "changed") < 500);
    let_news_arrive();
    assert_string_equal(name_there(7), "changed");
    const uint64_t before = fetches();
    const uint64_t l2_before = items_stats(&there).l2_hits;
    for (int64_t id = 0; id < ROWS; id++)
        assert_string_equal(name_there(id), id == 7 ? "changed" : "row");
    assert_int_equal(fetches(), before);
    assert_int_equal(items_stats(&there).l2_hits, l2_before);
    assert_int_equal(items_stats(&there).l1_verified, 0); /* nor behind our back */
}

/* ---- loss ------------------------------------------------------------------------------------------------ */

/* Says to the client that what it read before now is not vouched for, as another bucket's identity does. */
static void lose(const struct items *items)
{
    const struct t3_l2_sink sink = t3_coherence_sink(items->client);
    usleep(70000); /* moments of confirmation are coarse */
    sink.lost(sink.owner, t3_now_coarse_ms(), "the test says so");
}

/* Trap 9: after a loss rows are as of when they were read, whatever is proven later; read anew, they are proven again. */
static void trap_09_after_a_loss_rows_are_read_again(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_there(1), "old");
    usleep((CALM_BOUND_MS + 100) * 1000);
    t3_verify_stop(there.client->verify); /* it would be faster */
    lose(&there);
    assert_true(wait_for_feed(&there, TEARS_FEED_CURRENT));
    const uint64_t before = items_stats(&there).l2_hits;
    assert_string_equal(name_there(1), "old");
    assert_int_equal(items_stats(&there).l1_suspects, 1);
    assert_int_equal(items_stats(&there).l2_hits, before + 1);
    usleep(3 * CALM_BOUND_MS / 2 * 1000);
    assert_string_equal(name_there(1), "old");
    assert_int_equal(items_stats(&there).l1_suspects, 1);
}

static void after_a_loss_rows_are_verified_by_l2_alone(void **state)
{
    (void)state;
    enum { ROWS = 100 };
    for (int64_t id = 0; id < ROWS; id++) {
        items_put(here.session, &here, id, "row");
    }
    let_news_arrive();
    for (int64_t id = 0; id < ROWS; id++)
        assert_string_equal(name_there(id), "row");
    usleep((CALM_BOUND_MS + 100) * 1000);
    const uint64_t before = fetches();
    lose(&there);
    for (int ms = 0; ms < WAIT_MS_MAX && items_stats(&there).l1_verified < ROWS; ms++)
        usleep(1000);
    assert_int_equal(items_stats(&there).l1_verified, ROWS);
    usleep((CALM_BOUND_MS + 100) * 1000);
    const uint64_t l2_before = items_stats(&there).l2_hits;
    for (int64_t id = 0; id < ROWS; id++)
        assert_string_equal(name_there(id), "row");
    assert_int_equal(items_stats(&there).l2_hits, l2_before);
    assert_int_equal(items_stats(&there).l1_suspects, 0);
    assert_int_equal(fetches(), before);
}

/* ---- clocks ---------------------------------------------------------------------------------------------- */

/* Trap 12: the clock jumps by minutes, both ways; versions order the rows, and no row is served for longer. */
static void trap_12_clocks_order_nothing(void **state)
{
    (void)state;
    items_put(here.session, &here, 1, "one");
    assert_true(wait_for_name(&there, 1, "one") < 200);
    t3_clock_shift_ms(10 * 60000);
    items_put(here.session, &here, 1, "two");
    assert_true(wait_for_name(&there, 1, "two") < 200);
    assert_true(wait_for_feed(&there, TEARS_FEED_CURRENT));
    t3_clock_shift_ms((uint64_t)-10 * 60000);
    items_put(here.session, &here, 1, "three");
    assert_true(wait_for_name(&there, 1, "three") < 200);
    assert_string_equal(name_here(1), "three");
}

/* ---- strong and session reads with L2 ------------------------------------------------------------------------ */

/* A writer has died between L3 and L2: a strong read finds L2 older than L3, and puts it right for all. */
static void a_strong_read_puts_l2_right(void **state)
{
    (void)state;
    items_put(here.session, &here, 1, "old");
    assert_true(wait_for_name(&there, 1, "old") < 200);
    hook_store_put(&hook, 1, "new");
    assert_string_equal(name_there(1), "old");
    tears_session *strong = items_session(&here);
    assert_int_equal(tears_session_set_consistency(strong, TEARS_READ_STRONG, 0), TEARS_OK);
    assert_string_equal(items_name(strong, &here, 1), "new");
    assert_true(wait_for_name(&there, 1, "new") < 300);
    tears_session_free(strong);
}

/* The same for a row that is gone. */
static void a_strong_read_of_nothing_clears_l2(void **state)
{
    (void)state;
    items_put(here.session, &here, 1, "old");
    assert_true(wait_for_name(&there, 1, "old") < 200);
    pthread_mutex_lock(&hook.mutex);
    for (size_t i = 0; i < HOOK_ROWS; i++)
        hook.rows[i].used = false;
    pthread_mutex_unlock(&hook.mutex);
    assert_string_equal(name_there(1), "old");
    tears_session *strong = items_session(&here);
    assert_int_equal(tears_session_set_consistency(strong, TEARS_READ_STRONG, 0), TEARS_OK);
    assert_string_equal(items_name(strong, &here, 1), "");
    assert_true(wait_for_name(&there, 1, "") < 300);
    tears_session_free(strong);
}

/* Trap 10: what L2 answers is older than what the session has seen, here through a process that uses no L2. */
static void trap_10_l2_is_behind_the_session(void **state)
{
    (void)state;
    struct items lone;
    struct tears_str token;
    const struct tears_value key = tears_int(1);
    items_open(&lone, &hook, schema, NULL, NULL);
    items_put(here.session, &here, 1, "old");
    let_news_arrive();
    assert_string_equal(name_there(1), "old");
    assert_int_equal(tears_session_set_consistency(lone.session, TEARS_READ_SESSION, 0), TEARS_OK);
    items_put(lone.session, &lone, 1, "new");
    assert_int_equal(tears_session_token(lone.session, &token), TEARS_OK);
    assert_int_equal(tears_evict(there.session, there.rows, &key, 1), TEARS_OK);
    assert_string_equal(name_there(1), "old"); /* as L2 has it */
    assert_int_equal(tears_evict(there.session, there.rows, &key, 1), TEARS_OK);
    assert_int_equal(tears_session_follow(there.session, token), TEARS_OK);
    assert_string_equal(name_there(1), "new");
    assert_int_equal(items_stats(&there).strong_reads, 1);
    assert_true(wait_for_name(&here, 1, "new") < 300); /* and L2 was put right */
    items_close(&lone);
}

/*
 * L2 was not corrected, and L1 knows: a row that is suspect is still proof that L2's older one is not the last word.
 */
static void l2_is_behind_a_suspect_row(void **state)
{
    (void)state;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct tears_value values[] = {tears_int(1), tears_text(TEARS_STR("new")), tears_int(2)};
    struct tears_value storage;
    struct t3_key key;
    struct t3_row *row = NULL;
    struct t3_l1 *l1 = there.rows->l1;
    items_put(here.session, &here, 1, "old");
    let_news_arrive();
    hook_store_put(&hook, 1, "new");
    assert_int_equal(t3_row_new(&arena, &schema->layout, values, &row), TEARS_OK);
    t3_key_of_row(schema, row, &storage, &key);
    t3_verify_stop(there.client->verify);
    const struct t3_l1_put put = {.key = &key,
                                  .row = row,
                                  .version = 2,
                                  .ticket = t3_collection_ticket(there.rows, &key),
                                  .age_ms_max = 60000,
                                  .confirmed_ms = t3_now_coarse_ms()};
    assert_int_equal(l1->ops->put(l1, there.rows->space, &put), TEARS_OK);
    usleep(BOUND_MS * 1000);
    lose(&there);
    assert_true(wait_for_feed(&there, TEARS_FEED_CURRENT));
    assert_string_equal(name_there(1), "new");
    assert_int_equal(tears_session_tier(there.session), TEARS_TIER_L3);
    assert_true(wait_for_name(&here, 1, "new") < 300); /* and L2 was put right */
}

/* Trap 9: the number of an entry in a bucket that is not there any more says nothing about the entry of that number now. */
static void trap_09_remembered_revisions_end_with_the_bucket(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    items_put(here.session, &here, 1, "row");
    let_news_arrive();
    assert_string_equal(name_there(1), "row");
    assert_int_equal(tears_get(there.session, there.rows, &key, 1, &entity), TEARS_OK);
    assert_true(t3_entity_revision(entity) != 0);
    lose(&there);
    assert_true(wait_for_feed(&there, TEARS_FEED_CURRENT)); /* proven, but not of that bucket */
    assert_int_equal(t3_entity_revision(entity), 0);
}

/* ---- many processes ------------------------------------------------------------------------------------------ */

enum { PROCESSES = 4, THREADS = 25 };

struct cold {
    pthread_t thread;
    struct items *items;
    tears_status status;
};

static void *read_cold(void *owner)
{
    struct cold *cold = owner;
    const struct tears_value key = tears_int(1);
    tears_session *session = NULL;
    tears_entity *entity = NULL;
    cold->status = tears_session_new(cold->items->client, NULL, &session);
    if (cold->status != TEARS_OK)
        return NULL;
    cold->status = tears_get(session, cold->items->rows, &key, 1, &entity);
    tears_session_free(session);
    return NULL;
}

static void take_a_while(void *owner, int64_t id)
{
    (void)owner;
    (void)id;
    usleep(200000);
}

static void read_from_all(struct items *processes, struct cold *colds)
{
    for (int i = 0; i < PROCESSES * THREADS; i++) {
        colds[i].items = &processes[i % PROCESSES];
        assert_int_equal(pthread_create(&colds[i].thread, NULL, read_cold, &colds[i]), 0);
    }
    for (int i = 0; i < PROCESSES * THREADS; i++)
        pthread_join(colds[i].thread, NULL);
}

/* Trap 13: a hundred cold readers of one row in four processes make one load. */
static void trap_13_many_processes_make_one_load(void **state)
{
    (void)state;
    struct items processes[PROCESSES];
    struct cold colds[PROCESSES * THREADS];
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    uint64_t won = 0;
    options.fill_lease_ms = 3000;
    hook_store_put(&hook, 1, "wanted");
    hook.after_read = take_a_while;
    for (int i = 0; i < PROCESSES; i++)
        open_items(&processes[i], &options);
    read_from_all(processes, colds);
    for (int i = 0; i < PROCESSES * THREADS; i++)
        assert_int_equal(colds[i].status, TEARS_OK);
    assert_int_equal(fetches(), 1);
    for (int i = 0; i < PROCESSES; i++) {
        won += items_stats(&processes[i]).fill_leases_won;
        items_close(&processes[i]);
    }
    assert_int_equal(won, 1);
}

/* Of a row that does not exist each process learns by itself, but nobody waits for the lease's end. */
static void a_winner_that_finds_nothing_says_so(void **state)
{
    (void)state;
    struct items processes[PROCESSES];
    struct cold colds[PROCESSES * THREADS];
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.fill_lease_ms = 3000;
    for (int i = 0; i < PROCESSES; i++)
        open_items(&processes[i], &options);
    const uint64_t began_us = t3_now_us();
    read_from_all(processes, colds);
    assert_true(t3_now_us() - began_us < 2000000);
    for (int i = 0; i < PROCESSES * THREADS; i++)
        assert_int_equal(colds[i].status, TEARS_NOT_FOUND);
    assert_in_range(fetches(), 1, PROCESSES);
    for (int i = 0; i < PROCESSES; i++)
        items_close(&processes[i]);
}

/* Takes the lease of a row as a process would that dies then. */
static void lease_and_die(int64_t id, uint64_t lease_ms)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    static struct test_news nobody;
    struct t3_l2 *l2 = test_l2_open(test_nats_shared_url(), space,
                                    "01a20510-7849-76bb-8905-57c1b562c65c", &nobody);
    const struct tears_value key_value = tears_int(id);
    struct tears_value storage;
    struct t3_key key;
    uint64_t revision;
    assert_int_equal(t3_key_init(schema, &key_value, 1, &storage, &arena, &key, NULL), TEARS_OK);
    assert_int_equal(
        t3_l2_lease(l2, schema, &key, 0, 0, lease_ms, t3_deadline_in_ms(2000), &revision),
        TEARS_OK);
    t3_l2_free(l2);
}

static void a_winner_that_dies_is_outlived(void **state)
{
    (void)state;
    struct items waiter;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.fill_lease_ms = 500;
    open_items(&waiter, &options);
    hook_store_put(&hook, 1, "wanted");
    lease_and_die(1, 500);
    const uint64_t began_us = t3_now_us();
    assert_string_equal(items_name(waiter.session, &waiter, 1), "wanted");
    const uint64_t took_ms = (t3_now_us() - began_us) / 1000;
    assert_in_range(took_ms, 300, 1500);
    assert_int_equal(items_stats(&waiter).fill_leases_waited, 1);
    items_close(&waiter);
}

/* Who has little time does not spend it on waiting. */
static void waiting_leaves_time_for_l3(void **state)
{
    (void)state;
    struct items waiter;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    options.fill_lease_ms = 5000;
    open_items(&waiter, &options);
    hook_store_put(&hook, 1, "wanted");
    lease_and_die(1, 5000);
    tears_session_set_timeout(waiter.session, 400);
    assert_string_equal(items_name(waiter.session, &waiter, 1), "wanted");
    assert_int_equal(items_stats(&waiter).fill_leases_expired, 1);
    items_close(&waiter);
}

/* A batch of rows, some of them leased by somebody else: the others are not held up by more than one round. */
static void a_batch_waits_for_what_is_leased(void **state)
{
    (void)state;
    struct items waiter;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    const struct tears_value keys[] = {tears_int(1), tears_int(2), tears_int(3)};
    tears_entity *entities[3];
    options.fill_lease_ms = 500;
    open_items(&waiter, &options);
    for (int64_t id = 1; id <= 3; id++)
        hook_store_put(&hook, id, "wanted");
    lease_and_die(2, 500);
    assert_int_equal(tears_get_many(waiter.session, waiter.rows, keys, 3, entities), TEARS_OK);
    for (int i = 0; i < 3; i++)
        assert_string_equal(embedded_text(entities[i], "name"), "wanted");
    assert_int_equal(items_stats(&waiter).fill_leases_waited, 1);
    items_close(&waiter);
}

int main(void)
{
    test_nats_alone();
#define SHARED(name)    cmocka_unit_test_setup_teardown(name, open_shared, close_world)
#define CALM(name)      cmocka_unit_test_setup_teardown(name, open_calm, close_world)
#define OWN(name)       cmocka_unit_test_setup_teardown(name, open_own, close_world)
#define ROWS_ONLY(name) cmocka_unit_test_setup_teardown(name, open_rows, close_world)
    const struct CMUnitTest tests[] = {
        SHARED(writes_are_seen_within_moments),
        CALM(quiet_rows_stay_hits),
        SHARED(trap_23_absence_yields_to_creation_elsewhere),
        SHARED(trap_23_absence_on_its_way_is_not_kept),
        SHARED(trap_01_a_stale_row_on_its_way_is_not_kept),
        SHARED(trap_15_reading_sends_nothing),
        CALM(trap_08_a_late_client_loses_nothing),
        SHARED(trap_06_without_notices_the_stream_tells),
        SHARED(news_of_an_older_version_drop_nothing),
        SHARED(news_of_a_row_that_began_anew),
        SHARED(announced_writes_drop_rows),
        OWN(trap_07_silence_is_no_proof),
        OWN(no_read_is_older_than_the_bound),
        OWN(trap_14_after_a_pause_nothing_is_read_again),
        OWN(trap_14_after_a_restart_only_changes_are_read_again),
        CALM(trap_09_after_a_loss_rows_are_read_again),
        CALM(after_a_loss_rows_are_verified_by_l2_alone),
        SHARED(trap_12_clocks_order_nothing),
        SHARED(a_strong_read_puts_l2_right),
        SHARED(a_strong_read_of_nothing_clears_l2),
        SHARED(trap_10_l2_is_behind_the_session),
        SHARED(l2_is_behind_a_suspect_row),
        SHARED(trap_09_remembered_revisions_end_with_the_bucket),
        ROWS_ONLY(trap_13_many_processes_make_one_load),
        ROWS_ONLY(a_winner_that_finds_nothing_says_so),
        ROWS_ONLY(a_winner_that_dies_is_outlived),
        ROWS_ONLY(waiting_leaves_time_for_l3),
        ROWS_ONLY(a_batch_waits_for_what_is_leased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
