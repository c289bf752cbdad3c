/*
 * test_deferred_crash.c -- a process with a deferred table is killed before every single system call of its saves and flushes, and at random; whoever
 * comes next finds all that was acknowledged, once, and nothing else.
 *
 * A step is one call of the library.  What was acknowledged must be there; the step under way may be there or not; journal, L3 and what is read
 * must agree.  TEARS_CRASH_STRIDE says which calls are tried: 1 all of them (else all on SQLite, every fourth on PostgreSQL).
 */
#include "support/crash_point.h"
#include "support/deferring.h"
#include "support/embedded.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the steps, and what they come to --------------------------------------------------------------- */

enum verb { INSERT, CHILD, UPDATE, PUT, DELETE, MANY, FLUSH };

struct step {
    enum verb verb;
    int64_t id;
    const char *body; /* CHILD: its parent is row `id` - 1 */
};

enum { MANY_ROWS = 5, IDS = 40 };

static const struct step steps[] = {
    {INSERT, 1, "one"},     {INSERT, 2, "two"},    {UPDATE, 1, "one more"}, {CHILD, 3, "child"},
    {FLUSH, 0, NULL},       {UPDATE, 1, "again"},  {DELETE, 3, NULL},       {PUT, 2, "field"},
    {MANY, 10, "many"},     {FLUSH, 0, NULL},      {INSERT, 3, "anew"},     {UPDATE, 3, "anew 2"},
    {DELETE, 2, NULL},      {INSERT, 2, "second"}, {UPDATE, 12, "changed"}, {FLUSH, 0, NULL},
    {PUT, 12, "and again"}, {CHILD, 20, "late"},
};
enum { STEPS = sizeof steps / sizeof steps[0] };

struct model {
    char body[IDS][24]; /* "": no row */
};

static void put(struct model *model, int64_t id, const char *body)
{
    (void)snprintf(model->body[id], sizeof model->body[id], "%s", body);
}

static void apply(struct model *model, const struct step *step)
{
    switch (step->verb) {
    case INSERT:
    case UPDATE:
    case PUT:
        put(model, step->id, step->body);
        break;
    case CHILD:
        put(model, step->id, "child");
        break;
    case DELETE:
        put(model, step->id, "");
        break;
    case MANY:
        for (int64_t i = 0; i < MANY_ROWS; i++)
            put(model, step->id + i, step->body);
        break;
    case FLUSH:
        break;
    }
}

static void model_of(uint32_t done, struct model *model_out)
{
    memset(model_out, 0, sizeof *model_out);
    for (uint32_t i = 0; i < done; i++)
        apply(model_out, &steps[i]);
}

/* ---- the process ------------------------------------------------------------------------------------- */

static tears_status insert_many(struct deferring *here, const struct step *step)
{
    struct tears_field fields[MANY_ROWS][2];
    struct tears_row_input rows[MANY_ROWS];
    for (int64_t i = 0; i < MANY_ROWS; i++) {
        fields[i][0] = field_int("id", step->id + i);
        fields[i][1] = field_text("body", step->body);
        rows[i] = (struct tears_row_input){.fields = fields[i], .field_count = 2};
    }
    return tears_insert_many(here->session, here->notes, rows, MANY_ROWS, NULL);
}

static tears_status take(struct deferring *here, const struct step *step)
{
    const struct tears_value key = tears_int(step->id);
    switch (step->verb) {
    case INSERT:
        deferring_insert(here, step->id, step->body);
        return TEARS_OK;
    case CHILD:
        deferring_insert_child(here, step->id, step->id == 3 ? 2 : 12);
        return TEARS_OK;
    case UPDATE:
        return deferring_update(here, step->id, step->body);
    case PUT:
        return tears_put_field(here->session, here->notes, &key, 1, TEARS_STR("body"),
                               tears_text(tears_str_c(step->body)));
    case DELETE:
        return tears_delete(here->session, here->notes, &key, 1);
    case MANY:
        return insert_many(here, step);
    case FLUSH:
        break;
    }
    (void)deferring_flush(here);
    return TEARS_OK;
}

static void run_steps(struct crash_child *child, void *owner)
{
    const struct deferring_options *options = owner;
    struct deferring here;
    deferring_open(&here, &deferring_case, options);
    crash_point_mark(child);
    for (int i = 0; i < STEPS; i++) {
        if (take(&here, &steps[i]) != TEARS_OK)
            _exit(5);
        tears_session_reset(here.session);
        crash_point_acknowledge(child);
    }
    deferring_close(&here);
}

/* ---- whoever comes next ----------------------------------------------------------------------------------- */

static bool agrees(struct deferring *next, const struct model *model,
                   const char *(*body_of)(struct deferring *process, int64_t id))
{
    for (int64_t id = 0; id < IDS; id++)
        if (strcmp(body_of(next, id), model->body[id]) != 0)
            return false;
    return true;
}

static void show(struct deferring *next, const struct crash_point *point, uint64_t at)
{
    struct model model;
    model_of(point->acknowledged, &model);
    print_message("killed before call %llu, %u steps acknowledged\n", (unsigned long long)at,
                  point->acknowledged);
    for (int64_t id = 0; id < IDS; id++)
        if (strcmp(deferring_body(next, id), model.body[id]) != 0)
            print_message("row %lld: expected '%s', is '%s'\n", (long long)id, model.body[id],
                          deferring_body(next, id));
}

/* What is read, before and after it reaches L3, and what L3 has, is what was acknowledged, with or without the step under way. */
static void check(const struct crash_point *point, uint64_t at)
{
    struct deferring next;
    struct model before;
    struct model after;
    model_of(point->acknowledged, &before);
    model_of(point->acknowledged < STEPS ? point->acknowledged + 1 : STEPS, &after);
    deferring_open(&next, &deferring_case, NULL);
    const bool is_before = agrees(&next, &before, deferring_body);
    const struct model *model = is_before ? &before : &after;
    if (!agrees(&next, model, deferring_body)) {
        show(&next, point, at);
        fail_msg("what is read is not what was acknowledged");
    }
    const struct tears_flush_result result = deferring_flush(&next);
    assert_int_equal(result.waiting, 0);
    assert_int_equal(result.dead, 0);
    assert_int_equal(deferring_stats(&next).dead_letters, 0);
    if (!agrees(&next, model, deferring_body_in_l3) || !agrees(&next, model, deferring_body)) {
        show(&next, point, at);
        fail_msg("what L3 has is not what was acknowledged");
    }
    deferring_close(&next);
}

static void begin_anew(void)
{
    deferring_run(&deferring_case, "DELETE FROM notes");
}

/* ---- every system call --------------------------------------------------------------------------------------- */

static uint64_t stride_or(uint64_t otherwise)
{
    const char *given = getenv("TEARS_CRASH_STRIDE");
    return given != NULL && given[0] != '\0' ? strtoull(given, NULL, 10) : otherwise;
}

static void kill_before_every(uint64_t stride, const char *where)
{
    struct deferring_options options = {.shutdown_ms = 2000};
    uint64_t tried = 0;
    uint64_t acknowledged = 0;
    for (uint64_t at = 1;; at += stride) {
        const struct crash_point point = crash_point_run(run_steps, &options, at);
        check(&point, at);
        tried += point.was_killed ? 1 : 0;
        acknowledged += point.acknowledged;
        begin_anew();
        if (!point.was_killed)
            break;
    }
    print_message("%s: %llu crash points, %llu steps acknowledged, lost: 0\n", where,
                  (unsigned long long)tried, (unsigned long long)acknowledged);
    assert_true(tried > 100 / stride);
}

static void killed_before_each_system_call_on_sqlite(void **state)
{
    (void)state;
    kill_before_every(stride_or(1), "SQLite");
}

static void trap_22_killed_around_the_commit_on_postgresql(void **state)
{
    (void)state;
    kill_before_every(stride_or(4), "PostgreSQL");
}

/* ---- at random, with many threads --------------------------------------------------------------------------------- */

enum { WRITERS = 4, ROWS_EACH = 50, ROUNDS = 12 };

/* Shared with the child: the number of the last write of each row that was acknowledged, and of the last that was begun. */
struct progress {
    atomic_uint acknowledged[WRITERS * ROWS_EACH];
    atomic_uint begun[WRITERS * ROWS_EACH];
};

struct writer {
    struct deferring *here;
    struct progress *progress;
    int number;
    pthread_t thread;
};

static void write_row(const struct writer *writer, tears_session *session, int row)
{
    char body[24];
    const unsigned next = atomic_load(&writer->progress->begun[row]) + 1;
    (void)snprintf(body, sizeof body, "%u", next);
    const struct tears_field fields[] = {field_int("id", row), field_text("body", body)};
    atomic_store(&writer->progress->begun[row], next);
    if (tears_upsert(session, writer->here->notes, fields, 2, NULL) == TEARS_OK)
        atomic_store(&writer->progress->acknowledged[row], next);
    tears_session_reset(session);
}

static void *write_on(void *owner)
{
    const struct writer *writer = owner;
    tears_session *session = NULL;
    unsigned state = (unsigned)writer->number + 1;
    if (tears_session_new(writer->here->client, NULL, &session) != TEARS_OK)
        return NULL;
    for (;;)
        write_row(writer, session,
                  writer->number * ROWS_EACH + (int)((unsigned)rand_r(&state) % ROWS_EACH));
    return NULL;
}

static void write_until_killed(struct progress *progress)
{
    const struct deferring_options options = {.strategy = TEARS_FLUSH_ON_SCHEDULE,
                                              .interval_ms = 20};
    static struct deferring here;
    static struct writer writers[WRITERS];
    deferring_open(&here, &deferring_case, &options);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.here = &here, .progress = progress, .number = i};
        if (pthread_create(&writers[i].thread, NULL, write_on, &writers[i]) != 0)
            _exit(6);
    }
    for (;;)
        (void)pause();
}

static unsigned number_of(const char *body)
{
    return (unsigned)strtoul(body, NULL, 10);
}

static uint64_t check_progress(struct progress *progress)
{
    struct deferring next;
    uint64_t acknowledged = 0;
    deferring_open(&next, &deferring_case, NULL);
    (void)deferring_flush(&next);
    assert_int_equal(deferring_stats(&next).dead_letters, 0);
    for (int row = 0; row < WRITERS * ROWS_EACH; row++) {
        const unsigned is = number_of(deferring_body_in_l3(&next, row));
        assert_true(is >= atomic_load(&progress->acknowledged[row]));
        assert_true(is <= atomic_load(&progress->begun[row]));
        acknowledged += atomic_load(&progress->acknowledged[row]);
        atomic_store(&progress->begun[row], is);
        atomic_store(&progress->acknowledged[row], is);
    }
    deferring_close(&next);
    return acknowledged;
}

static void killed_at_random(void **state)
{
    (void)state;
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(progress != MAP_FAILED);
    unsigned seed = 20;
    uint64_t acknowledged = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test, however that ends */
            write_until_killed(progress);
        }
        (void)usleep(150000 + (useconds_t)rand_r(&seed) % 300000);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        acknowledged = check_progress(progress);
    }
    print_message("killed %d times: %llu writes acknowledged, lost: 0\n", ROUNDS,
                  (unsigned long long)acknowledged);
    (void)munmap(progress, sizeof *progress);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_before_each_system_call_on_sqlite,
                                        deferring_set_up_sqlite, deferring_tear_down),
        cmocka_unit_test_setup_teardown(trap_22_killed_around_the_commit_on_postgresql,
                                        deferring_set_up_postgresql, deferring_tear_down),
        cmocka_unit_test_setup_teardown(killed_at_random, deferring_set_up_sqlite,
                                        deferring_tear_down),
        cmocka_unit_test_setup_teardown(killed_at_random, deferring_set_up_postgresql,
                                        deferring_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
