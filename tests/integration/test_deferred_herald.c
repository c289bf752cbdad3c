/*
 * test_deferred_herald.c -- a pending row is on its way to L2, and lands or is refused before it gets there: it does not stay there as pending.
 *
 * What L2 was told of the landing has been dropped by then, as a bucket with a limit does: what is still there would refuse the older row.
 *
 * The program is linked so that calls of t3_l2_put come by here first (CMakeLists.txt): that is the moment.
 */
#include "support/deferring.h"
#include "support/nats_server.h"
#include "tier/l2.h"

#include <nats/nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the moment ------------------------------------------------------------------------------------------ */

static tears_session *meanwhile; /* that flushes */
static atomic_bool is_armed, loses_answer;
static atomic_int flushed; /* its status; -1: not yet */
static char space[32];

static char l2_key[64];

static void drop_from_l2(void)
{
    char stream[64];
    char subject[160];
    natsConnection *connection = NULL;
    jsCtx *context = NULL;
    jsOptions options;
    (void)snprintf(stream, sizeof stream, "KV_%s-collections", space);
    (void)snprintf(subject, sizeof subject, "$KV.%s-collections.%s", space, l2_key);
    assert_int_equal(jsOptions_Init(&options), NATS_OK);
    options.Stream.Purge.Subject = subject;
    assert_int_equal(natsConnection_ConnectTo(&connection, test_nats_shared_url()), NATS_OK);
    assert_int_equal(natsConnection_JetStream(&context, connection, NULL), NATS_OK);
    assert_int_equal(js_PurgeStream(context, stream, &options, NULL), NATS_OK);
    jsCtx_Destroy(context);
    natsConnection_Destroy(connection);
}

tears_status __real_t3_l2_put(struct t3_l2 *l2, const struct tears_schema *schema,
                              struct t3_l2_put *puts, size_t count, struct t3_arena *arena,
                              struct t3_deadline deadline, struct tears_error *error_out);
tears_status __wrap_t3_l2_put(struct t3_l2 *l2, const struct tears_schema *schema,
                              struct t3_l2_put *puts, size_t count, struct t3_arena *arena,
                              struct t3_deadline deadline, struct tears_error *error_out);

tears_status __wrap_t3_l2_put(struct t3_l2 *l2, const struct tears_schema *schema,
                              struct t3_l2_put *puts, size_t count, struct t3_arena *arena,
                              struct t3_deadline deadline, struct tears_error *error_out)
{
    if (puts[0].is_dirty && atomic_exchange(&is_armed, false)) {
        atomic_store(&flushed, (int)tears_flush(meanwhile, NULL, 0, 10000, NULL));
        drop_from_l2();
    }
    const tears_status status =
        __real_t3_l2_put(l2, schema, puts, count, arena, deadline, error_out);
    if (!puts[0].is_dirty || !atomic_exchange(&loses_answer, false))
        return status;
    puts[0].status = TEARS_TIMEOUT; /* it is there, and nobody knows */
    return TEARS_TIMEOUT;
}

/* ---- the test ---------------------------------------------------------------------------------------------- */

static struct deferring here, peer;

static int begin(void)
{
    test_namespace(space);
    const struct deferring_options owner = {.l2_url = test_nats_shared_url(), .space = space};
    const struct deferring_options other = {
        .l2_url = test_nats_shared_url(), .space = space, .not_deferred = true};
    deferring_open(&here, &deferring_case, &owner);
    deferring_open(&peer, &deferring_case, &other);
    return tears_session_new(here.client, NULL, &meanwhile) == TEARS_OK ? 0 : -1;
}

static int with_versions(void **state)
{
    (void)state;
    deferring_on_sqlite(&deferring_case);
    return begin();
}

/* Then nobody can tell from the rows which one is the newer. */
static int without_versions(void **state)
{
    (void)state;
    deferring_on_sqlite(&deferring_case);
    deferring_run(&deferring_case, "DROP TABLE notes");
    deferring_run(&deferring_case,
                  "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL CHECK "
                  "(length(body) <= 40), parent BIGINT)");
    return begin();
}

static int end(void **state)
{
    (void)state;
    tears_session_free(meanwhile);
    deferring_close(&peer);
    deferring_close(&here);
    deferring_end(&deferring_case);
    return 0;
}

static uint64_t state_in_l2(int64_t id)
{
    const struct tears_value key = tears_int(id);
    const struct tears_explanation *explanation = NULL;
    assert_int_equal(tears_explain(peer.session, peer.notes, &key, 1, &explanation), TEARS_OK);
    const uint64_t state = explanation->l2.state;
    (void)snprintf(l2_key, sizeof l2_key, "%.*s", (int)explanation->l2_key.len,
                   explanation->l2_key.ptr);
    tears_session_reset(peer.session);
    return state;
}

/* A save whose row is flushed between its being looked up for L2 and its getting there. */
static void save_and_flush_meanwhile(const char *body)
{
    assert_int_equal(state_in_l2(1), TEARS_COPY_ABSENT);
    atomic_store(&flushed, -1);
    atomic_store(&is_armed, true);
    deferring_insert(&here, 1, body);
    for (int ms = 0; ms < 10000 && deferring_stats(&here).dirty_puts == 0; ms += 5)
        (void)usleep(5000);
    assert_int_equal(deferring_stats(&here).dirty_puts, 1);
    assert_int_equal(atomic_load(&flushed), TEARS_OK);
    for (int ms = 0; ms < 5000 && state_in_l2(1) == TEARS_COPY_DIRTY; ms += 10)
        (void)usleep(10000);
    assert_int_not_equal(state_in_l2(1), TEARS_COPY_DIRTY);
}

static void trap_19_what_lands_on_its_way_to_l2_does_not_stay_there_as_pending(void **state)
{
    (void)state;
    save_and_flush_meanwhile("landed");
    assert_string_equal(deferring_body(&peer, 1), "landed");
    assert_string_equal(deferring_body(&here, 1), "landed");
}

static void trap_19_what_lands_on_its_way_to_l2_goes_when_the_answer_of_that_is_lost(void **state)
{
    atomic_store(&loses_answer, true);
    trap_19_what_lands_on_its_way_to_l2_does_not_stay_there_as_pending(state);
}

static void trap_19_what_is_refused_on_its_way_to_l2_does_not_stay_there(void **state)
{
    (void)state;
    save_and_flush_meanwhile("a body that is longer than the forty characters it may have");
    assert_int_equal(deferring_stats(&here).dead_letters, 1);
    assert_string_equal(deferring_body(&peer, 1), "");
    assert_string_equal(deferring_body(&here, 1), "");
}

#define ON_ALL(test)                                           \
    cmocka_unit_test_setup_teardown(test, with_versions, end), \
        cmocka_unit_test_setup_teardown(test, without_versions, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(trap_19_what_lands_on_its_way_to_l2_does_not_stay_there_as_pending),
        ON_ALL(trap_19_what_lands_on_its_way_to_l2_goes_when_the_answer_of_that_is_lost),
        ON_ALL(trap_19_what_is_refused_on_its_way_to_l2_does_not_stay_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
