/*
 * test_lease_processes.c -- leases between real processes: a thousand contenders, and a holder that is stopped past its time and then
 * writes to a database.
 *
 * The program starts itself again as a worker: `test_lease_processes ROLE URL NAMESPACE ...`.
 */
#include "base/clock.h"
#include "base/macros.h"
#include "support/nats_server.h"
#include "support/pg_server.h"
#include "support/temp_folder.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tears/fence.h>
#include <tears/lease.h>
#include <tears/tears.h>
#include <unistd.h>

enum { PROCESSES = 8, THREADS = 125 };

/* What all processes of a test see. */
struct shared {
    atomic_int holders;      /* at this moment */
    atomic_int most_holders; /* ever */
    atomic_uint acquisitions;
    atomic_uint failures;
    _Atomic uint64_t last_token;
    atomic_uint tokens_back; /* acquisitions whose token was not larger than the one before */
    atomic_bool holds;       /* the holder that is to be stopped has the lease */
    atomic_bool go_on;       /* and may write now */
    _Atomic uint64_t token;  /* its */
    atomic_int status;       /* of its write */
    atomic_bool thinks_it_holds;
};

static struct shared *map_shared(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct shared)) != 0)
        abort();
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static tears_coord *open_coord(const char *url, const char *space)
{
    struct tears_coord_options options = TEARS_COORD_OPTIONS_INIT;
    tears_coord *coord = NULL;
    struct tears_error error;
    options.url = tears_str_c(url);
    options.namespace_name = tears_str_c(space);
    options.holder = TEARS_STR("all have one name");
    options.wait_ms = 5000; /* a busy machine */
    if (tears_coord_open(&options, &coord, &error) != TEARS_OK) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    return coord;
}

/* ---- workers ---- */

struct contender {
    tears_coord *coord;
    struct shared *shared;
};

static void hold(struct shared *shared, const tears_lease *lease)
{
    const int holders = atomic_fetch_add(&shared->holders, 1) + 1;
    int most = atomic_load(&shared->most_holders);
    while (holders > most && !atomic_compare_exchange_weak(&shared->most_holders, &most, holders))
        ;
    if (atomic_exchange(&shared->last_token, tears_lease_token(lease)) >= tears_lease_token(lease))
        atomic_fetch_add(&shared->tokens_back, 1);
    usleep(200);
    if (!tears_lease_is_held(lease))
        atomic_fetch_add(&shared->failures, 1);
    atomic_fetch_sub(&shared->holders, 1);
    atomic_fetch_add(&shared->acquisitions, 1);
}

static void *contend(void *owner)
{
    struct contender *contender = owner;
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    tears_lease *lease = NULL;
    options.ttl_ms = 30000;
    options.wait_ms = 120000;
    if (tears_lease_acquire(contender->coord, TEARS_STR("the.one"), &options, &lease, &error) !=
        TEARS_OK) {
        fprintf(stderr, "%s\n", error.message);
        atomic_fetch_add(&contender->shared->failures, 1);
        return NULL;
    }
    hold(contender->shared, lease);
    if (tears_lease_release(lease, &error) != TEARS_OK)
        atomic_fetch_add(&contender->shared->failures, 1);
    tears_lease_free(lease);
    return NULL;
}

static int run_contenders(tears_coord *coord, struct shared *shared)
{
    pthread_t threads[THREADS];
    struct contender contender = {coord, shared};
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, contend, &contender) != 0)
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static tears_session *open_session(const char *l3_url, tears_client **client_out)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    tears_session *session = NULL;
    options.l3_url = tears_str_c(l3_url);
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, client_out, NULL) != TEARS_OK ||
        tears_session_new(*client_out, NULL, &session) != TEARS_OK)
        abort();
    return session;
}

static tears_status write_fenced(tears_session *session, uint64_t token, const char *who)
{
    const struct tears_fence fence = {TEARS_STR("nightly"), token};
    const struct tears_value who_value = tears_text(tears_str_c(who));
    return tears_fence_execute(session, &fence,
                               TEARS_STR("UPDATE results SET writer = $1 WHERE id = 1"), &who_value,
                               1, NULL);
}

/* Holds the lease, is stopped from outside, and when it goes on writes as if nothing had happened. */
static int run_stopped(tears_coord *coord, struct shared *shared, const char *l3_url)
{
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    tears_client *client = NULL;
    tears_session *session = open_session(l3_url, &client);
    tears_lease *lease = NULL;
    options.ttl_ms = 500;
    if (tears_lease_acquire(coord, TEARS_STR("nightly"), &options, &lease, NULL) != TEARS_OK)
        return 1;
    atomic_store(&shared->token, tears_lease_token(lease));
    if (write_fenced(session, tears_lease_token(lease), "first") != TEARS_OK)
        return 1;
    atomic_store(&shared->holds, true);
    while (!atomic_load(&shared->go_on))
        sleep_ms(1);
    atomic_store(&shared->thinks_it_holds, tears_lease_is_held(lease));
    atomic_store(&shared->status, (int)write_fenced(session, tears_lease_token(lease), "late"));
    tears_lease_free(lease);
    tears_session_free(session);
    tears_client_free(client);
    return 0;
}

static int run_worker(char **words)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    tears_coord *coord = open_coord(words[2], words[3]);
    struct shared *shared = map_shared(words[4]);
    const int result = strcmp(words[1], "contend") == 0 ? run_contenders(coord, shared)
                                                        : run_stopped(coord, shared, words[5]);
    tears_coord_free(coord);
    return result;
}

/* ---- tests ---- */

static char space[32];
static const char *program;

static pid_t start(const char *role, const char *shared_path, const char *l3_url)
{
    const char *url = test_nats_shared_url();
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(program, program, role, url, space, shared_path, l3_url, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int end_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void test_a_thousand_contenders(void **state)
{
    (void)state;
    struct temp_folder folder;
    char path[96];
    pid_t pids[PROCESSES];
    temp_folder_make(&folder);
    snprintf(path, sizeof path, "%s", temp_folder_path(&folder, "shared"));
    struct shared *shared = map_shared(path);
    const double began = (double)t3_now_us();
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = start("contend", path, "");
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(end_of(pids[i]), 0);
    print_message("%u acquisitions by %d processes of %d threads in %.1f s\n",
                  atomic_load(&shared->acquisitions), PROCESSES, THREADS,
                  ((double)t3_now_us() - began) / 1e6);
    assert_int_equal(atomic_load(&shared->failures), 0);
    assert_int_equal(atomic_load(&shared->acquisitions), PROCESSES * THREADS);
    assert_int_equal(atomic_load(&shared->most_holders), 1);
    assert_int_equal(atomic_load(&shared->tokens_back), 0);
    munmap(shared, sizeof *shared);
    temp_folder_remove(&folder);
}

static char *writer_of(tears_session *session)
{
    static char writer[32];
    tears_cursor *cursor = NULL;
    const struct tears_field *fields = NULL;
    size_t count = 0;
    assert_int_equal(tears_query(session, TEARS_STR("SELECT writer FROM results WHERE id = 1"),
                                 NULL, 0, &cursor),
                     TEARS_OK);
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    snprintf(writer, sizeof writer, "%.*s", (int)fields[0].value.as.bytes.len,
             fields[0].value.as.bytes.ptr);
    return writer;
}

static tears_session *prepare(const char *l3_url, tears_client **client_out)
{
    tears_session *session = open_session(l3_url, client_out);
    assert_int_equal(tears_fence_install(session), TEARS_OK);
    assert_int_equal(tears_fence_install(session), TEARS_OK); /* it may be there */
    assert_int_equal(
        tears_execute(session,
                      TEARS_STR("CREATE TABLE results (id INTEGER PRIMARY KEY, writer TEXT)"), NULL,
                      0, NULL),
        TEARS_OK);
    assert_int_equal(tears_execute(session, TEARS_STR("INSERT INTO results VALUES (1, 'nobody')"),
                                   NULL, 0, NULL),
                     TEARS_OK);
    return session;
}

/* The holder is stopped until its lease is over; another one takes it and writes; the first one goes on and writes too late. */
static void stop_past_expiry(const char *l3_url)
{
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    struct temp_folder folder;
    char path[96];
    tears_client *client = NULL;
    tears_session *session = prepare(l3_url, &client);
    tears_coord *coord = open_coord(test_nats_shared_url(), space);
    tears_lease *lease = NULL;
    uint64_t token = 0;
    temp_folder_make(&folder);
    snprintf(path, sizeof path, "%s", temp_folder_path(&folder, "shared"));
    struct shared *shared = map_shared(path);
    const pid_t pid = start("stopped", path, l3_url);
    while (!atomic_load(&shared->holds))
        sleep_ms(1);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    options.ttl_ms = 5000;
    options.wait_ms = 10000;
    assert_int_equal(tears_lease_acquire(coord, TEARS_STR("nightly"), &options, &lease, NULL),
                     TEARS_OK);
    assert_true(tears_lease_token(lease) > atomic_load(&shared->token));
    assert_int_equal(write_fenced(session, tears_lease_token(lease), "second"), TEARS_OK);
    atomic_store(&shared->go_on, true);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(end_of(pid), 0);
    assert_int_equal(atomic_load(&shared->status), TEARS_DENIED);
    assert_false(atomic_load(&shared->thinks_it_holds));
    assert_string_equal(writer_of(session), "second");
    assert_int_equal(tears_fence_read(session, TEARS_STR("nightly"), &token), TEARS_OK);
    assert_int_equal(token, tears_lease_token(lease));
    assert_int_equal(tears_fence_read(session, TEARS_STR("unknown"), &token), TEARS_OK);
    assert_int_equal(token, 0);
    tears_lease_free(lease);
    tears_coord_free(coord);
    tears_session_free(session);
    tears_client_free(client);
    munmap(shared, sizeof *shared);
    temp_folder_remove(&folder);
}

static void test_late_write_is_refused_by_postgresql(void **state)
{
    (void)state;
    char url[256];
    test_pg_database(url, sizeof url);
    stop_past_expiry(url);
}

static void test_late_write_is_refused_by_sqlite(void **state)
{
    (void)state;
    struct temp_folder folder;
    char url[128];
    temp_folder_make(&folder);
    snprintf(url, sizeof url, "sqlite:%s", temp_folder_path(&folder, "l3.db"));
    stop_past_expiry(url);
    temp_folder_remove(&folder);
}

static void check_fences(const char *l3_url, const char *condition)
{
    tears_client *client = NULL;
    tears_session *session = prepare(l3_url, &client);
    const struct tears_str name = TEARS_STR("f");
    const struct tears_value params[] = {tears_text(name), tears_int(7)};
    char sql[256];
    uint64_t rows = 0;
    assert_int_equal(tears_fence_check(session, name, 5), TEARS_MISUSE);
    assert_int_equal(tears_begin(session), TEARS_OK);
    assert_int_equal(tears_fence_check(session, name, 7), TEARS_OK);
    assert_int_equal(tears_fence_check(session, name, 7), TEARS_OK);
    assert_int_equal(tears_fence_check(session, TEARS_STR(""), 7), TEARS_INVALID);
    assert_int_equal(tears_fence_check(session, name, 0), TEARS_INVALID);
    assert_int_equal(tears_commit(session), TEARS_OK);
    snprintf(sql, sizeof sql, "UPDATE results SET writer = 'x' WHERE id = 1 AND %s", condition);
    assert_int_equal(tears_execute(session, tears_str_c(sql), params, 2, &rows), TEARS_OK);
    assert_int_equal(rows, 1);
    assert_int_equal(tears_begin(session), TEARS_OK);
    assert_int_equal(tears_fence_check(session, name, 8), TEARS_OK);
    assert_int_equal(tears_commit(session), TEARS_OK);
    assert_int_equal(tears_execute(session, tears_str_c(sql), params, 2, &rows), TEARS_OK);
    assert_int_equal(rows, 0);
    assert_int_equal(tears_begin(session), TEARS_OK);
    assert_int_equal(tears_fence_check(session, name, 7), TEARS_DENIED);
    assert_non_null(strstr(tears_session_error(session)->message, "fenced off"));
    assert_int_equal(tears_rollback(session), TEARS_OK);
    tears_session_free(session);
    tears_client_free(client);
}

static void test_fences(void **state)
{
    (void)state;
    struct temp_folder folder;
    char url[256];
    test_pg_database(url, sizeof url);
    check_fences(url, TEARS_FENCE_CONDITION_PG("$1", "$2"));
    temp_folder_make(&folder);
    snprintf(url, sizeof url, "sqlite:%s", temp_folder_path(&folder, "l3.db"));
    check_fences(url, TEARS_FENCE_CONDITION_SQLITE("$1", "$2"));
    temp_folder_remove(&folder);
}

/* Everything that knew the tokens is lost but the database, and the calendar is behind. */
static void test_token_above_what_a_database_has_seen(void **state)
{
    (void)state;
    struct tears_lease_options options = TEARS_LEASE_OPTIONS_INIT;
    tears_coord *coord = open_coord(test_nats_shared_url(), space);
    tears_coord *other = open_coord(test_nats_shared_url(), space);
    tears_lease *lease = NULL;
    assert_int_equal(tears_lease_acquire(coord, TEARS_STR("raised"), NULL, &lease, NULL), TEARS_OK);
    const uint64_t seen = tears_lease_token(lease) + 1000000000000;
    tears_lease_free(lease);
    options.token_above = seen;
    assert_int_equal(tears_lease_acquire(coord, TEARS_STR("raised"), &options, &lease, NULL),
                     TEARS_OK);
    const uint64_t raised = tears_lease_token(lease);
    assert_true(raised > seen);
    tears_lease_free(lease);
    assert_int_equal(tears_lease_acquire(other, TEARS_STR("raised"), NULL, &lease, NULL), TEARS_OK);
    assert_true(tears_lease_token(lease) > raised);
    tears_lease_free(lease);
    tears_coord_free(coord);
    tears_coord_free(other);
}

int main(int argc, char **argv)
{
    test_nats_alone();
    if (argc > 4)
        return run_worker(argv);
    program = argv[0];
    test_namespace(space);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_write_is_refused_by_postgresql),
        cmocka_unit_test(test_late_write_is_refused_by_sqlite),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_token_above_what_a_database_has_seen),
        cmocka_unit_test(test_a_thousand_contenders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
