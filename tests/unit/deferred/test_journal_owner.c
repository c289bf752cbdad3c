/*
 * test_journal_owner.c -- one owner at a time: conflicts, take-over of a process that sleeps, kill -9.
 *
 * Children are forked while this process has nothing open.
 */
#include "deferred/journal_impl.h"

#include "support/journal_content.h"
#include "support/temp_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct temp_folder folder;
    char path[128];
    char log[2048];
    struct t3_log hook;
    struct tears_error error;
};

static void keep_log(void *owner, uint64_t level, const char *origin, const char *message)
{
    struct world *world = owner;
    const size_t len = strlen(world->log);
    (void)level;
    snprintf(world->log + len, sizeof world->log - len, "%s: %s\n", origin, message);
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){0};
    temp_folder_make(&world.folder);
    snprintf(world.path, sizeof world.path, "%s/pending.db", world.folder.path);
    world.hook = (struct t3_log){.put = keep_log, .owner = &world, .level_max = 3};
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    temp_folder_remove(&world->folder);
    return 0;
}

static struct t3_deadline soon(void)
{
    return t3_deadline_in_ms(20000);
}

static void pause_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static tears_status try_open(struct world *world, uint64_t take_over_ms,
                             struct t3_journal **journal_out)
{
    const struct t3_journal_options options = {
        .path = tears_str_c(world->path), .take_over_ms = take_over_ms, .log = &world->hook};
    return t3_journal_open(&options, soon(), journal_out, &world->error);
}

static struct t3_journal *opened(struct world *world, uint64_t take_over_ms)
{
    struct t3_journal *journal = NULL;
    if (try_open(world, take_over_ms, &journal) != TEARS_OK)
        fail_msg("%s", world->error.message);
    return journal;
}

static tears_status save(struct t3_journal *journal, uint64_t seq, struct tears_error *error_out)
{
    char text[600];
    struct t3_journal_put put = {.seq = seq, .layout = 1};
    memset(text, (int)('a' + seq % 26), sizeof text);
    put.bytes = tears_str_n(text, seq % 5 == 0 ? sizeof text : 40);
    return t3_journal_write(journal, &put, 1, soon(), error_out);
}

static size_t count_records(struct t3_journal *journal)
{
    struct journal_content content = {0};
    assert_int_equal(journal_content_read(journal, &content, NULL), TEARS_OK);
    const size_t count = content.record_count;
    assert_int_equal(content.damaged, 0);
    journal_content_done(&content);
    return count;
}

/* ---- another process that owns the journal ---- */

/* A child that ends with this process, even when it is stopped and a test has failed. */
static pid_t fork_child(void)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

struct child {
    pid_t pid;
    int says; /* a byte for each thing it has done */
    int told; /* a byte for each thing it is to do */
};

/* Opens, says so, and then writes whenever it is told to, saying 'k', 'd' (denied) or 'x'. */
static _Noreturn void be_owner(struct world *world, int says, int told)
{
    struct t3_journal *journal = NULL;
    char word = try_open(world, 0, &journal) == TEARS_OK ? 'k' : 'x';
    for (uint64_t seq = 1; write(says, &word, 1) == 1 && read(told, &word, 1) == 1; seq++) {
        t3_journal_touch(journal);
        const bool is_lost = t3_journal_is_lost(journal);
        const tears_status status = save(journal, seq, NULL);
        word = status == TEARS_OK ? 'k' : status == TEARS_DENIED ? 'd' : 'x';
        if (status == TEARS_DENIED && !t3_journal_is_lost(journal))
            word = 'x';
        if (is_lost && status == TEARS_OK)
            word = 'x';
    }
    t3_journal_free(journal);
    _exit(0);
}

static struct child start_owner(struct world *world)
{
    struct child child = {0};
    int says[2];
    int told[2];
    assert_int_equal(pipe(says), 0);
    assert_int_equal(pipe(told), 0);
    child.pid = fork_child();
    if (child.pid == 0) {
        (void)close(says[0]);
        (void)close(told[1]);
        be_owner(world, says[1], told[0]);
    }
    (void)close(says[1]);
    (void)close(told[0]);
    child.says = says[0];
    child.told = told[1];
    return child;
}

static char hear(const struct child *child)
{
    char word = '?';
    assert_int_equal(read(child->says, &word, 1), 1);
    return word;
}

static char have_write(const struct child *child)
{
    assert_int_equal(write(child->told, "w", 1), 1);
    return hear(child);
}

static void end_child(const struct child *child)
{
    int how;
    (void)close(child->told);
    (void)close(child->says);
    assert_int_equal(waitpid(child->pid, &how, 0), child->pid);
}

static void kill_child(const struct child *child)
{
    assert_int_equal(kill(child->pid, SIGKILL), 0);
    end_child(child);
}

/* As if the owner had been silent for that long. */
static void make_idle(struct world *world, long seconds)
{
    char name[160];
    struct timespec times[2];
    snprintf(name, sizeof name, "%s.owner", world->path);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &times[0]), 0);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

/* ---- one owner ---- */

static void a_second_owner_is_told_who_the_first_is(void **state)
{
    struct world *world = *state;
    const struct child child = start_owner(world);
    struct t3_journal *journal = NULL;
    char who[64];
    assert_int_equal(hear(&child), 'k');
    make_idle(world, 7);
    assert_int_equal(try_open(world, 0, &journal), TEARS_CONFLICT);
    snprintf(who, sizeof who, "process %d, which gave a sign of life 7", (int)child.pid);
    assert_non_null(strstr(world->error.message, who));
    assert_int_equal(have_write(&child), 'k'); /* not disturbed */
    end_child(&child);
    journal = opened(world, 0);
    assert_int_equal(count_records(journal), 1);
    t3_journal_free(journal);
}

static void the_same_process_cannot_open_it_twice(void **state)
{
    struct world *world = *state;
    struct t3_journal *first = opened(world, 0);
    struct t3_journal *second = NULL;
    assert_int_equal(try_open(world, 0, &second), TEARS_CONFLICT);
    assert_non_null(strstr(world->error.message, "(this one)"));
    assert_int_equal(save(first, 1, NULL), TEARS_OK);
    t3_journal_free(first);
    second = opened(world, 0);
    assert_int_equal(count_records(second), 1);
    t3_journal_free(second);
}

static void an_owner_that_died_is_followed_at_once(void **state)
{
    struct world *world = *state;
    const struct child child = start_owner(world);
    assert_int_equal(hear(&child), 'k');
    assert_int_equal(have_write(&child), 'k');
    kill_child(&child);
    struct t3_journal *journal = opened(world, 0);
    assert_int_equal(t3_journal_epoch(journal), 2);
    assert_int_equal(count_records(journal), 1);
    t3_journal_free(journal);
}

/* ---- take-over ---- */

static void trap_21_a_process_that_slept_past_its_take_over_writes_nothing(void **state)
{
    struct world *world = *state;
    const struct child child = start_owner(world);
    assert_int_equal(hear(&child), 'k');
    assert_int_equal(have_write(&child), 'k');
    assert_int_equal(kill(child.pid, SIGSTOP), 0);
    pause_ms(1100);
    struct t3_journal *journal = opened(world, 1000);
    assert_int_equal(t3_journal_epoch(journal), 2);
    assert_non_null(strstr(world->log, "taken over from process"));
    assert_int_equal(count_records(journal), 1);
    assert_int_equal(save(journal, 10, NULL), TEARS_OK);
    assert_int_equal(kill(child.pid, SIGCONT), 0);
    assert_int_equal(have_write(&child), 'd');
    assert_int_equal(have_write(&child), 'd');
    assert_int_equal(save(journal, 11, NULL), TEARS_OK);
    assert_int_equal(count_records(journal), 3);
    assert_false(t3_journal_is_lost(journal));
    end_child(&child); /* its closing disturbs nothing either */
    assert_int_equal(save(journal, 12, NULL), TEARS_OK);
    t3_journal_free(journal);
    journal = opened(world, 0);
    assert_int_equal(count_records(journal), 4);
    t3_journal_free(journal);
}

static void an_owner_that_gives_signs_of_life_is_not_taken_over(void **state)
{
    struct world *world = *state;
    const struct child child = start_owner(world);
    struct t3_journal *journal = NULL;
    assert_int_equal(hear(&child), 'k');
    assert_int_equal(have_write(&child), 'k');
    assert_int_equal(try_open(world, 60000, &journal), TEARS_CONFLICT);
    assert_int_equal(have_write(&child), 'k');
    end_child(&child);
}

/* Somebody sets the calendar an hour forward: to the taker every owner seems to be silent. */
static void a_calendar_that_jumps_takes_nothing_over(void **state)
{
    struct world *world = *state;
    const struct child child = start_owner(world);
    struct t3_journal *journal = NULL;
    assert_int_equal(hear(&child), 'k');
    const pid_t teller = fork_child();
    if (teller == 0) { /* has the owner write, which touches, all the while */
        for (int i = 0; i < 40; i++) {
            (void)!write(child.told, "w", 1);
            pause_ms(100);
        }
        _exit(0);
    }
    t3_calendar_shift_us((int64_t)3600 * 1000000);
    const tears_status status = try_open(world, 5000, &journal);
    t3_calendar_shift_us(0);
    assert_int_equal(status, TEARS_CONFLICT);
    assert_int_equal(kill(teller, SIGKILL), 0);
    assert_int_equal(waitpid(teller, NULL, 0), teller);
    end_child(&child);
}

enum { TAKERS = 5 };

/* Waits for the word, and takes the journal over.  Exit status 0: it is the owner; 1: it was told of another; 2: neither. */
static _Noreturn void be_taker(struct world *world, int starts)
{
    struct t3_journal *journal = NULL;
    char word;
    (void)!read(starts, &word, 1);
    const tears_status status = try_open(world, 300, &journal);
    if (status == TEARS_OK)
        pause_ms(1000); /* the others must see an owner, not a free journal */
    const bool is_owner = status == TEARS_OK && save(journal, 1, NULL) == TEARS_OK;
    _exit(is_owner ? 0 : status == TEARS_CONFLICT ? 1 : 2);
}

/* Lets the takers run while SQLite's lock is held, so that all of them have found the owner silent before the first may go on. */
static void release_takers(struct world *world, int starts)
{
    const struct t3_lite_options options = {.path = tears_str_c(world->path), .origin = "test"};
    struct t3_lite *lite = NULL;
    struct t3_lite_conn *conn = NULL;
    assert_int_equal(t3_lite_open(&options, soon(), &lite, NULL), TEARS_OK);
    assert_int_equal(t3_lite_take_writer(lite, soon(), &conn, NULL), TEARS_OK);
    assert_int_equal(t3_lite_begin(conn, true, NULL), TEARS_OK);
    assert_int_equal(write(starts, "sssss", TAKERS), TAKERS);
    pause_ms(1500);
    t3_lite_give(conn);
    t3_lite_free(lite);
}

/* Several processes find the same silent owner at once: exactly one of them becomes its successor. */
static void of_several_takers_one_wins(void **state)
{
    struct world *world = *state;
    const struct child sleeper = start_owner(world);
    pid_t takers[TAKERS];
    int starts[2];
    int owners = 0;
    assert_int_equal(hear(&sleeper), 'k');
    assert_int_equal(kill(sleeper.pid, SIGSTOP), 0);
    make_idle(world, 60);
    assert_int_equal(pipe(starts), 0);
    for (int i = 0; i < TAKERS; i++) {
        takers[i] = fork_child();
        if (takers[i] == 0)
            be_taker(world, starts[0]);
    }
    release_takers(world, starts[1]);
    for (int i = 0; i < TAKERS; i++) {
        int how;
        assert_int_equal(waitpid(takers[i], &how, 0), takers[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) <= 1);
        owners += WEXITSTATUS(how) == 0 ? 1 : 0;
    }
    (void)close(starts[0]);
    (void)close(starts[1]);
    assert_int_equal(owners, 1);
    assert_int_equal(kill(sleeper.pid, SIGCONT), 0);
    assert_int_equal(have_write(&sleeper), 'd');
    end_child(&sleeper);
}

/* A stopped process may hold SQLite's lock: then nobody can write, and the message says why. */
static void an_owner_stopped_in_the_middle_of_a_write_is_named(void **state)
{
    struct world *world = *state;
    int says[2];
    assert_int_equal(pipe(says), 0);
    const pid_t pid = fork_child();
    if (pid == 0) {
        struct t3_journal *journal = NULL;
        struct t3_lite_conn *conn = NULL;
        const bool is_in = try_open(world, 0, &journal) == TEARS_OK &&
                           t3_journal_begin(journal, soon(), &conn, NULL) == TEARS_OK;
        (void)!write(says[1], is_in ? "k" : "x", 1);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    char word = '?';
    assert_int_equal(read(says[0], &word, 1), 1);
    assert_int_equal(word, 'k');
    make_idle(world, 60);
    const struct t3_journal_options options = {
        .path = tears_str_c(world->path), .take_over_ms = 100, .log = &world->hook};
    struct t3_journal *journal = NULL;
    assert_int_equal(t3_journal_open(&options, t3_deadline_in_ms(1500), &journal, &world->error),
                     TEARS_CONFLICT);
    assert_non_null(strstr(world->error.message, "in the middle of a write"));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(says[0]);
    (void)close(says[1]);
    journal = opened(world, 0);
    t3_journal_free(journal);
}

/* ---- kill -9 ---- */

static uint64_t drain(int fd)
{
    char words[4096];
    uint64_t count = 0;
    for (ssize_t got = read(fd, words, sizeof words); got > 0; got = read(fd, words, sizeof words))
        count += (uint64_t)got;
    return count;
}

/* Writes for ever, and says so after each. */
static _Noreturn void write_for_ever(struct world *world, int says)
{
    struct t3_journal *journal = NULL;
    if (try_open(world, 0, &journal) != TEARS_OK)
        _exit(1);
    for (uint64_t seq = 1;; seq++)
        if (save(journal, seq, NULL) != TEARS_OK || write(says, "k", 1) != 1)
            _exit(1);
}

static void kill_at_any_moment_loses_nothing_that_was_acknowledged(void **state)
{
    struct world *world = *state;
    uint64_t acknowledged = 0;
    unsigned random = 12345;
    for (int round = 0; round < 40; round++) {
        int says[2];
        assert_int_equal(pipe(says), 0);
        const pid_t pid = fork_child();
        if (pid == 0)
            write_for_ever(world, says[1]);
        (void)close(says[1]);
        random = random * 1103515245u + 12345u;
        char word;
        if (round % 4 != 0) /* else it may be killed while it opens */
            acknowledged += read(says[0], &word, 1) == 1 ? 1 : 0;
        const struct timespec pause = {.tv_nsec = (long)(random >> 8) % 40000000};
        (void)nanosleep(&pause, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        acknowledged += drain(says[0]);
        (void)close(says[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        struct t3_journal *journal = opened(world, 0);
        const size_t found = count_records(journal);
        assert_true(found >= acknowledged);
        assert_true(found <= acknowledged + 1); /* the one that was being written */
        acknowledged = found;
        t3_journal_free(journal);
    }
    print_message("%llu writes, 40 kills, none lost\n", (unsigned long long)acknowledged);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(a_second_owner_is_told_who_the_first_is),
        CASE(the_same_process_cannot_open_it_twice),
        CASE(an_owner_that_died_is_followed_at_once),
        CASE(trap_21_a_process_that_slept_past_its_take_over_writes_nothing),
        CASE(an_owner_that_gives_signs_of_life_is_not_taken_over),
        CASE(a_calendar_that_jumps_takes_nothing_over),
        CASE(of_several_takers_one_wins),
        CASE(an_owner_stopped_in_the_middle_of_a_write_is_named),
        CASE(kill_at_any_moment_loses_nothing_that_was_acknowledged),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
