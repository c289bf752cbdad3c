/*
 * lease_run.c -- `tears lease run`: a command that runs while a lease is held.
 *
 * Owns:     the command's process, and the process group it is in when no person sits at the terminal.
 * Must not know: what the command does.
 * Threads:  the main thread; signals are blocked in all others and read from a descriptor.
 * Fails:    1 and 3 without having run it; 3 when the lease was lost; 127 when the command cannot be started.
 * Begin at: cli_lease_run().
 */
#include "lease.h"
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { EXIT_NOT_STARTED = 127, EXIT_SIGNAL = 128 };

struct running {
    const struct cli_args *args;
    tears_coord *coord;
    tears_lease *lease;
    uint64_t grace_ms;
    sigset_t before; /* the signals that were blocked */
    int signals;     /* descriptor */
    pid_t pid;
    bool has_group;
    bool is_lost;
    double kill_at; /* seconds of cli_now; 0: not to be killed */
};

/* ---- signals ---- */

/* Before any thread is started, so that all of them leave the signals to us. */
static int catch_signals(struct running *running)
{
    static const int caught[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < CLI_COUNT(caught); i++)
        (void)sigaddset(&set, caught[i]);
    if (pthread_sigmask(SIG_BLOCK, &set, &running->before) != 0 ||
        (running->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return cli_fail(running->args, CLI_EXIT_BROKEN, "INTERNAL", "signals cannot be read");
    return CLI_EXIT_OK;
}

static void send_signal(const struct running *running, int number)
{
    (void)kill(running->has_group ? -running->pid : running->pid, number);
}

/* What we are told, the command is told; a terminal tells it by itself. */
static void pass_signals(struct running *running)
{
    struct signalfd_siginfo info;

    while (read(running->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        const int number = (int)info.ssi_signo;
        const bool is_from_terminal =
            !running->has_group && (number == SIGINT || number == SIGQUIT);
        if (number != SIGCHLD && !is_from_terminal)
            send_signal(running, number);
    }
}

/* ---- the command ---- */

static int start(struct running *running)
{
    char token[24];
    char **words = cli_alloc(running->args->word_count - 1, sizeof *words);
    posix_spawnattr_t attributes;
    short flags = POSIX_SPAWN_SETSIGMASK;

    (void)snprintf(token, sizeof token, "%llu",
                   (unsigned long long)tears_lease_token(running->lease));
    if (setenv("TEARS_LEASE_TOKEN", token, 1) != 0 ||
        setenv("TEARS_LEASE_NAME", running->args->words[1], 1) != 0 ||
        posix_spawnattr_init(&attributes) != 0) {
        free(words);
        return cli_fail(running->args, CLI_EXIT_BROKEN, "NO_MEMORY", "out of memory");
    }
    for (size_t i = 2; i < running->args->word_count; i++)
        words[i - 2] = cli_copy(cli_word(running->args, i));
    running->has_group = isatty(STDIN_FILENO) == 0;
    if (running->has_group)
        flags |= POSIX_SPAWN_SETPGROUP;
    (void)posix_spawnattr_setsigmask(&attributes, &running->before);
    (void)posix_spawnattr_setflags(&attributes, flags);
    const int failed = posix_spawnp(&running->pid, words[0], NULL, &attributes, words, environ);
    (void)posix_spawnattr_destroy(&attributes);
    const int result = failed == 0
                           ? CLI_EXIT_OK
                           : cli_fail(running->args, EXIT_NOT_STARTED, "NOT_FOUND",
                                      "'%s' cannot be started: %s", words[0], strerror(failed));
    for (size_t i = 2; i < running->args->word_count; i++)
        free(words[i - 2]);
    free(words);
    return result;
}

static void stop(struct running *running)
{
    running->is_lost = true;
    running->kill_at = cli_now() + (double)running->grace_ms / 1000;
    cli_note("the lease '%s' is lost; the command is stopped", running->args->words[1]);
    send_signal(running, SIGTERM);
}

static int poll_ms(const struct running *running)
{
    if (running->kill_at == 0.0)
        return -1;
    const double left = running->kill_at - cli_now();
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* Waits for its end; `status_out` is that of waitpid. */
static int attend(struct running *running, int *status_out)
{
    const int lost_fd = tears_lease_fd(running->lease);

    if (lost_fd < 0) {
        send_signal(running, SIGKILL);
        return cli_fail(running->args, CLI_EXIT_BROKEN, "INTERNAL", "the lease cannot be watched");
    }
    for (;;) {
        struct pollfd waits[2] = {{.fd = running->signals, .events = POLLIN},
                                  {.fd = running->is_lost ? -1 : lost_fd, .events = POLLIN}};
        const int ready = poll(waits, CLI_COUNT(waits), poll_ms(running));
        if (ready > 0 && waits[1].revents != 0)
            stop(running);
        pass_signals(running);
        if (running->kill_at > 0.0 && cli_now() >= running->kill_at) {
            send_signal(running, SIGKILL);
            running->kill_at = 0.0;
        }
        if (waitpid(running->pid, status_out, WNOHANG) == running->pid)
            return CLI_EXIT_OK;
    }
}

static int exit_of(const struct running *running, int status)
{
    if (running->is_lost)
        return cli_fail(running->args, CLI_EXIT_UNAVAILABLE, "CONFLICT",
                        "the lease '%s' was lost while the command ran", running->args->words[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status);
}

/* ---- together ---- */

static int acquire(struct running *running)
{
    struct tears_lease_options wanted = TEARS_LEASE_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    const struct cli_args *args = running->args;
    uint64_t ttl = 0;
    uint64_t wait = 0;
    uint64_t grace = 0;

    CLI_TRY(cli_option_number(args, "ttl",
                              (struct cli_range){.min = 1, .max = 604800, .otherwise = 30}, &ttl));
    CLI_TRY(cli_option_number(args, "wait", (struct cli_range){.max = 31536000}, &wait));
    CLI_TRY(
        cli_option_number(args, "grace", (struct cli_range){.max = 3600, .otherwise = 5}, &grace));
    running->grace_ms = grace * 1000;
    wanted.ttl_ms = ttl * 1000;
    wanted.wait_ms = wait * 1000;
    CLI_TRY(cli_lease_open(args, &running->coord));
    const tears_status status =
        tears_lease_acquire(running->coord, cli_word(args, 1), &wanted, &running->lease, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_lease_fail(args, status, &error);
}

static int run_command(struct running *running)
{
    int status = 0;

    CLI_TRY(catch_signals(running));
    CLI_TRY(acquire(running));
    CLI_TRY(start(running));
    CLI_TRY(attend(running, &status));
    return exit_of(running, status);
}

int cli_lease_run(const struct cli_args *args)
{
    struct running running = {.args = args, .signals = -1};
    const int result = run_command(&running);

    tears_lease_free(running.lease);
    tears_coord_free(running.coord);
    if (running.signals >= 0)
        (void)close(running.signals);
    return result;
}
