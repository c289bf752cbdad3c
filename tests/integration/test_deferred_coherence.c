/*
 * test_deferred_coherence.c -- what this process and others see of pending rows when they land, when their owner dies, and when a row lands while
 * it is on its way to L2.
 */
#include "support/deferring.h"
#include "support/embedded.h"
#include "support/nats_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ThreadSanitizer ends a child that starts threads, unless it is told that this is meant. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static char space[32];

static int on_sqlite(void **state)
{
    (void)state;
    deferring_on_sqlite(&deferring_case);
    test_namespace(space);
    return 0;
}

static int on_postgresql(void **state)
{
    (void)state;
    deferring_on_postgresql(&deferring_case);
    test_namespace(space);
    return 0;
}

static struct deferring_options owner_on(const char *l2_url)
{
    return (struct deferring_options){.l2_url = l2_url, .space = space};
}

static struct deferring_options peer_on(const char *l2_url)
{
    return (struct deferring_options){.l2_url = l2_url, .space = space, .not_deferred = true};
}

/* The body as a session of that level reads it. */
static const char *body_at(struct deferring *process, uint32_t level, int64_t id)
{
    assert_int_equal(tears_session_set_consistency(process->session, level,
                                                   level == TEARS_READ_BOUNDED ? 60000 : 0),
                     TEARS_OK);
    return deferring_body(process, id);
}

static void wait_for(struct deferring *process, uint32_t level, int64_t id, const char *body)
{
    for (int ms = 0; ms < 15000 && strcmp(body_at(process, level, id), body) != 0; ms += 10)
        (void)usleep(10000);
    assert_string_equal(body_at(process, level, id), body);
}

/* ---- the owner dies ------------------------------------------------------------------------------------------- */

/* Saves, has the row shown in L2, and is killed. */
static void save_and_die(const char *body)
{
    const char *l2_url = test_nats_shared_url(); /* before there are two processes */
    const pid_t pid = fork();
    int status = 0;
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test, however that ends */
        struct deferring here;
        struct tears_error error;
        const struct deferring_options options = owner_on(l2_url);
        if (deferring_try_open(&here, &deferring_case, &options, &error) != TEARS_OK ||
            deferring_update(&here, 1, body) != TEARS_OK)
            _exit(1);
        while (deferring_stats(&here).dirty_puts == 0)
            (void)usleep(1000);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* Whoever wants to be sure reads L3, though the process that knows better is gone. */
static void sees_l3_but_with_any(struct deferring *peer, const char *pending)
{
    assert_string_equal(body_at(peer, TEARS_READ_ANY, 1), pending);
    assert_string_equal(body_at(peer, TEARS_READ_BOUNDED, 1), "one");
    assert_string_equal(body_at(peer, TEARS_READ_SESSION, 1), "one");
    assert_string_equal(body_at(peer, TEARS_READ_STRONG, 1), "one");
    assert_string_equal(body_at(peer, TEARS_READ_ANY, 1), pending);
}

static void all_levels_give(struct deferring *process, const char *body)
{
    wait_for(process, TEARS_READ_ANY, 1, body);
    for (uint32_t level = TEARS_READ_ANY; level <= TEARS_READ_STRONG; level++)
        assert_string_equal(body_at(process, level, 1), body);
}

static void recover_after(const char *pending, const char *in_the_end, uint64_t dead)
{
    struct deferring peer;
    struct deferring next;
    deferring_run(&deferring_case, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    save_and_die(pending);
    const struct deferring_options as_peer = peer_on(test_nats_shared_url());
    const struct deferring_options as_owner = owner_on(test_nats_shared_url());
    deferring_open(&peer, &deferring_case, &as_peer);
    sees_l3_but_with_any(&peer, pending);
    deferring_open(&next, &deferring_case, &as_owner);
    (void)deferring_flush(&next);
    all_levels_give(&next, in_the_end);
    all_levels_give(&peer, in_the_end);
    assert_string_equal(deferring_body_in_l3(&peer, 1), in_the_end);
    assert_int_equal(deferring_stats(&next).dead_letters, dead);
    deferring_close(&next);
    deferring_close(&peer);
}

static void trap_19_a_phantom_whose_owner_died_lands_with_the_next_owner(void **state)
{
    (void)state;
    recover_after("pending", "pending", 0);
}

static void trap_19_a_phantom_whose_owner_died_goes_with_the_next_owner(void **state)
{
    (void)state;
    const char *refused = "a body that is longer than its forty characters";
    recover_after(refused, "one", 1);
}

/* ---- landing on the way to L2 ---------------------------------------------------------------------------------- */

static uint64_t state_in_l2(struct deferring *process, int64_t id)
{
    const struct tears_value key = tears_int(id);
    const struct tears_explanation *explanation = NULL;
    assert_int_equal(tears_explain(process->session, process->notes, &key, 1, &explanation),
                     TEARS_OK);
    const uint64_t state = explanation->l2.state;
    tears_session_reset(process->session);
    return state;
}

/* What the herald and the repairs have to do is done. */
static void settle(const struct deferring *process)
{
    uint64_t before = UINT64_MAX;
    for (int ms = 0; ms < 15000; ms += 100) {
        const struct tears_client_stats stats = deferring_stats(process);
        if (stats.dirty_puts == before && stats.l2_repairs_waiting == 0)
            return;
        before = stats.dirty_puts;
        (void)usleep(100000);
    }
    fail_msg("L2 is not told");
}

/* A put that L2 has not answered so far, and its repair, may take their time on a busy machine; they end. */
static void stays_not_dirty(struct deferring *process, int64_t id)
{
    for (int ms = 0; ms < 10000 && state_in_l2(process, id) == TEARS_COPY_DIRTY; ms += 100)
        (void)usleep(100000);
    assert_int_not_equal(state_in_l2(process, id), TEARS_COPY_DIRTY);
}

enum { RACES = 60 };

/* Saves, and lands while L2 does not answer: the row on its way there and its correction arrive together. */
static void race(struct test_nats *nats, struct deferring *here, int64_t id)
{
    char body[24];
    (void)snprintf(body, sizeof body, "body %d", (int)id);
    test_nats_pause(nats);
    deferring_insert(here, id, body);
    (void)usleep((useconds_t)(id % 4) * 500);
    const struct tears_str notes = TEARS_STR("notes");
    assert_int_equal(tears_flush(here->session, &notes, 1, 10000, NULL), TEARS_OK);
    test_nats_resume(nats);
}

static void lands_on_the_way(void)
{
    struct test_nats *nats = test_nats_start(NULL);
    const struct deferring_options as_owner = owner_on(test_nats_url(nats));
    const struct deferring_options as_peer = peer_on(test_nats_url(nats));
    struct deferring here;
    struct deferring peer;
    deferring_open(&here, &deferring_case, &as_owner);
    deferring_open(&peer, &deferring_case, &as_peer);
    for (int64_t id = 1; id <= RACES; id++) {
        char body[24];
        if (id % 4 == 0) {
            race(nats, &here, id);
        } else { /* as fast as they go */
            (void)snprintf(body, sizeof body, "body %d", (int)id);
            deferring_insert(&here, id, body);
            (void)deferring_flush(&here);
        }
    }
    settle(&here);
    for (int64_t id = 1; id <= RACES; id++) {
        stays_not_dirty(&peer, id);
        assert_true(deferring_body(&peer, id)[0] == 'b');
    }
    deferring_close(&peer);
    deferring_close(&here);
    test_nats_free(nats);
}

static void what_lands_on_its_way_to_l2_does_not_stay_there_as_pending(void **state)
{
    (void)state;
    lands_on_the_way();
}

static void what_lands_on_its_way_to_l2_does_not_stay_there_without_versions(void **state)
{
    (void)state;
    deferring_run(&deferring_case, "DROP TABLE notes");
    deferring_run(&deferring_case,
                  "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL, parent BIGINT)");
    lands_on_the_way();
}

/* ---- this process ------------------------------------------------------------------------------------------------ */

static void what_has_landed_is_read_as_it_landed(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    const struct deferring_options as_owner = owner_on(test_nats_shared_url());
    struct deferring here;
    deferring_open(&here, &deferring_case, &as_owner);
    deferring_sql(&here, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    assert_string_equal(deferring_body(&here, 1), "one"); /* in L1 and L2 now */
    assert_int_equal(deferring_update(&here, 1, "two"), TEARS_OK);
    (void)deferring_flush(&here);
    assert_string_equal(deferring_body(&here, 1), "two");
    assert_int_equal(tears_delete(here.session, here.notes, &key, 1), TEARS_OK);
    (void)deferring_flush(&here);
    assert_string_equal(deferring_body(&here, 1), "");
    deferring_close(&here);
}

static void reads_of_many_rows_and_of_one_cell_give_what_is_pending(void **state)
{
    (void)state;
    const struct tears_value keys[] = {tears_int(1), tears_int(2)};
    tears_entity *entities[2] = {NULL, NULL};
    struct tears_value cell;
    struct deferring here;
    deferring_open(&here, &deferring_case, NULL);
    deferring_sql(&here, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    deferring_sql(&here, "INSERT INTO notes (id, body) VALUES (2, 'two')");
    assert_string_equal(deferring_body(&here, 1), "one"); /* in L1 now */
    assert_int_equal(deferring_update(&here, 1, "pending"), TEARS_OK);
    assert_int_equal(tears_get_many(here.session, here.notes, keys, 2, entities), TEARS_OK);
    assert_string_equal(embedded_text(entities[0], "body"), "pending");
    assert_string_equal(embedded_text(entities[1], "body"), "two");
    assert_int_equal(tears_get_field(here.session, here.notes, keys, 1, TEARS_STR("body"), &cell),
                     TEARS_OK);
    assert_int_equal(cell.as.bytes.len, strlen("pending"));
    assert_memory_equal(cell.as.bytes.ptr, "pending", strlen("pending"));
    deferring_close(&here);
}

/* Another program has changed the row, and no cache knows. */
static void a_field_is_put_again_when_its_row_has_moved_on(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    const struct deferring_options plain = {.not_deferred = true};
    struct deferring here;
    deferring_open(&here, &deferring_case, &plain);
    deferring_sql(&here, "INSERT INTO notes (id, body) VALUES (1, 'one')");
    assert_string_equal(deferring_body(&here, 1), "one");
    deferring_run(&deferring_case,
                  "UPDATE notes SET body = 'theirs', row_version = row_version + 1");
    assert_int_equal(
        tears_put_field(here.session, here.notes, &key, 1, TEARS_STR("parent"), tears_int(1)),
        TEARS_OK);
    assert_string_equal(body_at(&here, TEARS_READ_STRONG, 1), "theirs");
    assert_int_equal(
        deferring_number_above(&here, "SELECT count(*) FROM notes WHERE parent = $1", 1), 1);
    deferring_close(&here);
}

#define ON_SQLITE(test) cmocka_unit_test_setup_teardown(test, on_sqlite, deferring_tear_down)
#define ON_BOTH(test) \
    ON_SQLITE(test), cmocka_unit_test_setup_teardown(test, on_postgresql, deferring_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(what_has_landed_is_read_as_it_landed),
        ON_BOTH(reads_of_many_rows_and_of_one_cell_give_what_is_pending),
        ON_BOTH(a_field_is_put_again_when_its_row_has_moved_on),
        ON_BOTH(trap_19_a_phantom_whose_owner_died_lands_with_the_next_owner),
        ON_BOTH(trap_19_a_phantom_whose_owner_died_goes_with_the_next_owner),
        ON_SQLITE(what_lands_on_its_way_to_l2_does_not_stay_there_as_pending),
        ON_SQLITE(what_lands_on_its_way_to_l2_does_not_stay_there_without_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
