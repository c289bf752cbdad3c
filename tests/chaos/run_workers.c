/*
 * run_workers.c -- starts workers, listens to them, and ends them.
 *
 * Owns:     the worker processes and the pipes to them.
 * Must not know: why a worker is killed.
 * Threads:  one.
 * Fails:    by ending the program when a process cannot be started.
 * Begin at: run_spawn().
 */
#include "run.h"
#include "support/pg_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS_MAX = 15000 };

static const char *bug_of(const struct run *run, unsigned who)
{
    static const char *const each[] = {"old-copy", "no-floor",    "lost-write",
                                       "phantom",  "weak-strong", "stuck"};
    return strcmp(run->options.bug, "all") == 0 ? each[who % 6] : run->options.bug;
}

/* "nats://127.0.0.1:PORT,...": this worker's ports of the proxy. */
static void put_url(const struct run *run, unsigned who, char *url, size_t size)
{
    size_t length = 0;
    for (unsigned node = 0; node < run->node_count; node++)
        length += (size_t)snprintf(url + length, size - length, "%snats://127.0.0.1:%u",
                                   node > 0 ? "," : "", run->ports[who][node]);
}

struct words {
    char text[24][256];
    char *all[26];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void add_word(struct words *words, const char *format,
                                                           ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(words->text[words->count], sizeof words->text[0], format, args);
    va_end(args);
    words->all[words->count] = words->text[words->count];
    words->count++;
}

static void exec_worker(const struct run *run, unsigned who)
{
    const struct run_options *options = &run->options;
    static struct words words;
    char path[512];
    char url[200];
    char log[200];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash - path) + sizeof "/chaos_worker" > sizeof path)
        _exit(127);
    memcpy(slash, "/chaos_worker", sizeof "/chaos_worker");
    put_url(run, who, url, sizeof url);
    add_word(&words, "chaos_worker");
    add_word(&words, "--pg=%s", test_pg_url(run->pg));
    add_word(&words, "--nats=%s", url);
    add_word(&words, "--namespace=chaos");
    add_word(&words, "--folder=%s", run->folder);
    add_word(&words, "--worker=%u", who);
    add_word(&words, "--life=%u", run->workers[who].life);
    add_word(&words, "--seed=%llu", (unsigned long long)options->seed);
    add_word(&words, "--threads=%u", options->threads);
    add_word(&words, "--keys=%u", options->keys);
    add_word(&words, "--pause=%u", options->pause_us);
    add_word(&words, "--replicas=%u", run->node_count);
    add_word(&words, "--bug=%s", bug_of(run, who));
    snprintf(log, sizeof log, "%s/worker-%u.log", run->folder, who);
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
    execv(path, words.all);
    _exit(127);
}

void run_spawn(struct run *run, unsigned who)
{
    struct run_worker *worker = &run->workers[who];
    int input[2];
    int output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC | O_NONBLOCK) != 0) {
        perror("chaos_run: pipes");
        exit(2);
    }
    const pid_t pid = fork();
    if (pid < 0) {
        perror("chaos_run: fork");
        exit(2);
    }
    if (pid == 0) {
        dup2(input[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        fcntl(STDOUT_FILENO, F_SETFL, 0);
        exec_worker(run, who);
    }
    close(input[0]);
    close(output[1]);
    const unsigned life = worker->life + 1;
    *worker = (struct run_worker){.pid = pid, .life = life, .input = input[1], .output = output[0]};
}

static void obey_line(struct run_worker *worker)
{
    if (strcmp(worker->line, "open") == 0)
        worker->is_open = true;
    else if (strcmp(worker->line, "resting") == 0)
        worker->is_resting = true;
    else if (strcmp(worker->line, "done") == 0)
        worker->is_done = true;
}

static void hear_one(struct run_worker *worker)
{
    char byte = 0;
    while (read(worker->output, &byte, 1) == 1) {
        if (byte == '\n') {
            worker->line[worker->line_length] = '\0';
            worker->line_length = 0;
            obey_line(worker);
        } else if (worker->line_length < sizeof worker->line - 1) {
            worker->line[worker->line_length++] = byte;
        }
    }
}

static void forget(struct run_worker *worker)
{
    close(worker->input);
    close(worker->output);
    worker->pid = 0;
    worker->is_open = false;
}

void run_hear(struct run *run)
{
    for (unsigned i = 0; i < run->options.workers; i++) {
        struct run_worker *worker = &run->workers[i];
        int status = 0;
        if (worker->pid == 0)
            continue;
        hear_one(worker);
        if (waitpid(worker->pid, &status, WNOHANG) != worker->pid)
            continue;
        forget(worker);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            continue; /* that was us; the agenda has its next life */
        run->counts.crashes++;
        run_note(run, "worker %u ended by itself (%s %d)", i,
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        fprintf(stderr, "chaos_run: worker %u ended by itself: %s %d\n", i,
                WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        run_spawn(run, i);
    }
}

void run_tell_all(struct run *run, const char *word)
{
    char line[32];
    const int length = snprintf(line, sizeof line, "%s\n", word);
    for (unsigned i = 0; i < run->options.workers; i++)
        if (run->workers[i].pid != 0 &&
            write(run->workers[i].input, line, (size_t)length) != length)
            run_note(run, "worker %u does not listen", i);
}

/* The end of its input ends a worker; one that takes too long is killed. */
static int end_worker(struct run_worker *worker)
{
    int status = 0;
    close(worker->input);
    for (int waited_ms = 0; waited_ms < END_MS_MAX && !run_is_interrupted; waited_ms += 50) {
        if (waitpid(worker->pid, &status, WNOHANG) == worker->pid)
            return status;
        run_pause_ms(50);
    }
    kill(worker->pid, SIGKILL);
    waitpid(worker->pid, &status, 0);
    return status;
}

void run_stop_workers(struct run *run)
{
    for (unsigned i = 0; i < run->options.workers; i++) {
        struct run_worker *worker = &run->workers[i];
        if (worker->pid == 0)
            continue;
        const int status = end_worker(worker);
        close(worker->output);
        worker->pid = 0;
        if (status == 0 || run_is_interrupted)
            continue;
        run->counts.crashes++; /* what a sanitizer found shows here at the latest */
        fprintf(stderr, "chaos_run: worker %u did not end well; see %s/worker-%u.log\n", i,
                run->folder, i);
    }
}

uint64_t run_operations(const struct run *run)
{
    uint64_t count = 0;
    char path[256];
    for (unsigned i = 0; i < run->options.workers; i++)
        for (unsigned life = 0; life < run->workers[i].life; life++) {
            struct chaos_log_view view;
            snprintf(path, sizeof path, "%s/worker-%u-%u%s", run->folder, i, life,
                     CHAOS_LOG_ENDING);
            if (!chaos_log_open(path, &view))
                continue;
            count += view.count;
            chaos_log_close(&view);
        }
    return count;
}
