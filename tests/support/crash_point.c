/*
 * crash_point.c -- see crash_point.h.
 */
#include "support/crash_point.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MARK = 'm', STEP = 'a', SYSCALL_STOP = SIGTRAP | 0x80 };

struct crash_child {
    int fd;
};

static void tell(const struct crash_child *child, char what)
{
    if (write(child->fd, &what, 1) != 1)
        _exit(3);
}

void crash_point_mark(struct crash_child *child)
{
    tell(child, MARK);
}

void crash_point_acknowledge(struct crash_child *child)
{
    tell(child, STEP);
}

static void run_child(void (*run)(struct crash_child *child, void *owner), void *owner, int fd)
{
    struct crash_child child = {.fd = fd};
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(4);
    (void)raise(SIGSTOP);
    run(&child, owner);
    _exit(0);
}

/* What the child wrote so far: whether it has made its mark, and how many steps are done. */
static void drain(int fd, bool *is_marked, uint32_t *steps)
{
    char bytes[256];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            *is_marked |= bytes[i] == MARK;
            *steps += bytes[i] == STEP;
        }
}

/* One thread of the child, stopped or ended. */
struct stop {
    pid_t thread;
    int status;
};

static bool next_stop(struct stop *stop_out)
{
    do
        stop_out->thread = waitpid(-1, &stop_out->status, __WALL);
    while (stop_out->thread < 0 && errno == EINTR);
    return stop_out->thread > 0;
}

static void go_on(const struct stop *stop)
{
    const int signal = WSTOPSIG(stop->status);
    const bool is_its_own = signal != SYSCALL_STOP && signal != SIGTRAP && signal != SIGSTOP;
    /* a thread that is gone meanwhile is none to go on */
    (void)ptrace(PTRACE_SYSCALL, stop->thread, NULL, (void *)(intptr_t)(is_its_own ? signal : 0));
}

enum { THREADS_MAX = 64 };

/* Threads are stopped before and after each call: every other stop of a thread is the one before. */
struct threads {
    pid_t ids[THREADS_MAX];
    bool is_inside[THREADS_MAX];
    int count;
};

static bool is_before_call(struct threads *threads, pid_t thread)
{
    int at = 0;
    while (at < threads->count && threads->ids[at] != thread)
        at++;
    if (at == threads->count) {
        assert_true(at < THREADS_MAX);
        threads->ids[threads->count++] = thread;
    }
    threads->is_inside[at] = !threads->is_inside[at];
    return threads->is_inside[at];
}

/* Follows the child until it has ended. */
static struct crash_point follow(pid_t child, int fd, uint64_t at)
{
    struct crash_point point = {0};
    struct threads threads = {0};
    struct stop stop;
    bool is_marked = false;
    int exit_status = -1;
    while (exit_status == -1 && next_stop(&stop)) { /* its first thread is reported last */
        if (!WIFSTOPPED(stop.status)) {
            if (stop.thread == child)
                exit_status = stop.status;
            continue;
        }
        if (WSTOPSIG(stop.status) == SYSCALL_STOP && is_before_call(&threads, stop.thread)) {
            drain(fd, &is_marked, &point.acknowledged);
            point.calls += is_marked ? 1 : 0;
        }
        if (at != 0 && point.calls == at && !point.was_killed) {
            point.was_killed = true;
            assert_int_equal(kill(child, SIGKILL), 0);
        }
        go_on(&stop);
    }
    drain(fd, &is_marked, &point.acknowledged);
    if (!point.was_killed && !(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0))
        fail_msg("the child failed by itself: status %d", exit_status);
    return point;
}

struct crash_point crash_point_run(void (*run)(struct crash_child *child, void *owner), void *owner,
                                   uint64_t at)
{
    int fds[2];
    struct stop stop;
    assert_int_equal(pipe(fds), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(fds[0]);
        run_child(run, owner, fds[1]);
    }
    (void)close(fds[1]);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    stop.thread = waitpid(child, &stop.status, 0);
    assert_true(stop.thread == child && WIFSTOPPED(stop.status));
    assert_int_equal(
        ptrace(PTRACE_SETOPTIONS, child, NULL,
               (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)),
        0);
    go_on(&stop);
    const struct crash_point point = follow(child, fds[0], at);
    (void)close(fds[0]);
    return point;
}
