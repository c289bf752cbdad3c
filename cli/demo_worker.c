/*
 * demo_worker.c -- the load of the demo in processes of their own.
 *
 * Owns:     the hidden command `demo-worker` and the pipes from it.
 * Must not know: what is measured.
 * Threads:  the main thread.
 * Fails:    when a process cannot start or does not end well.
 * Begin at: cli_workers_run().
 *
 * Processes are started anew (spawn), never forked: a forked child must not use its parent's
 * client.  Addresses go through the environment, because a command line can be read by everybody on
 * the machine.
 */
#include "commands.h"
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- the worker ---- */

struct worker_state {
    struct cli_context context;
    struct cli_packages packages;
    struct cli_figures figures;
};

static void worker_done(struct worker_state *state)
{
    cli_packages_done(&state->packages);
    cli_close(&state->context);
}

static int run_worker(const struct cli_args *args)
{
    CLI_AUTO(worker_done) struct worker_state state = {.context = {.args = args}};
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    struct cli_load load = {.packages = &state.packages};

    if (!cli_number(cli_word(args, 0), CLI_WORKERS_MAX, &load.process))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "demo-worker needs its number");
    CLI_TRY(cli_load_options(args, &load));
    CLI_TRY(cli_packages_read(args, cli_packages_path(args), &state.packages));
    CLI_TRY(cli_open(args, &state.context));
    load.client = state.context.client;
    CLI_TRY(cli_load_run(args, &load, &state.figures));
    cli_figures_put_json(&state.figures, &line);
    return cli_print_line(args, cli_text_str(&line));
}

const struct cli_command cli_demo_worker = {
    .name = "demo-worker",
    .synopsis = "NUMBER",
    .summary = "one process of the demo's load",
    .details = "Used by `tears demo --processes N`; prints its figures as one JSON object.\n",
    .options = cli_demo_options,
    .run = run_worker,
    .word_min = 1,
    .word_max = 1,
    .hidden = true,
};

/* ---- its parent ---- */

struct process {
    pid_t id; /* 0: not started */
    FILE *output;
};

/* What the parent was told, so that its children find the same tiers. */
static int hand_over_addresses(const struct cli_args *args)
{
    static const char *const pairs[][2] = {
        {"l3", "TEARS_L3_URL"}, {"l2", "TEARS_L2_URL"}, {"namespace", "TEARS_NAMESPACE"}};

    for (size_t i = 0; i < CLI_COUNT(pairs); i++) {
        const char *value = cli_option(args, pairs[i][0]);
        if (value != NULL && setenv(pairs[i][1], value, 1) != 0)
            return cli_fail(args, CLI_EXIT_BROKEN, "NO_MEMORY", "cannot set the environment");
    }
    return CLI_EXIT_OK;
}

static int fail_start(const struct cli_args *args, int number)
{
    return cli_fail(args, CLI_EXIT_BROKEN, "PROCESS", "cannot start a process: %s",
                    strerror(number));
}

/* Starts this program again with its standard output in a pipe. */
static int start(const struct cli_args *args, char **words, struct process *process)
{
    posix_spawn_file_actions_t actions;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail_start(args, errno);
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed == 0) {
        failed = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        if (failed == 0)
            failed = posix_spawn(&process->id, "/proc/self/exe", &actions, NULL, words, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    (void)close(ends[1]);
    if (failed != 0) {
        process->id = 0;
        (void)close(ends[0]);
        return fail_start(args, failed);
    }
    process->output = fdopen(ends[0], "re");
    if (process->output != NULL)
        return CLI_EXIT_OK;
    (void)close(ends[0]);
    return fail_start(args, errno);
}

/* Adds "--name=value" to the words of a command line. */
static void add_word(char **words, size_t *count, const char *name, const char *value)
{
    struct cli_text word = {0};
    cli_text_printf(&word, "--%s=%s", name, value);
    words[(*count)++] = word.ptr;
}

static int start_worker(const struct cli_args *args, const char *l1, uint64_t number,
                        struct process *process)
{
    struct cli_text number_text = {0};
    char *words[16] = {cli_copy(TEARS_STR("tears")), cli_copy(TEARS_STR("demo-worker"))};
    size_t count = 2;

    cli_text_printf(&number_text, "%llu", (unsigned long long)number);
    words[count++] = number_text.ptr;
    add_word(words, &count, "l1", l1);
    for (const struct cli_option *option = cli_demo_options; option->name != NULL; option++) {
        const char *value = cli_option(args, option->name);
        if (value != NULL)
            add_word(words, &count, option->name, value);
    }
    const int result = start(args, words, process);
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    return result;
}

/* Reads the worker's figures and waits for its end. */
static int finish(const struct cli_args *args, struct process *process, struct cli_figures *figures)
{
    char *line = NULL;
    size_t capacity = 0;
    int status = 0;

    if (process->id == 0)
        return CLI_EXIT_OK;
    struct cli_figures *own = cli_alloc(1, sizeof *own);
    const ssize_t len = process->output != NULL ? getline(&line, &capacity, process->output) : -1;
    const bool good = len > 0 && cli_figures_parse(tears_str_n(line, (size_t)len), own);
    if (process->output != NULL)
        (void)fclose(process->output); /* only read */
    while (waitpid(process->id, &status, 0) < 0 && errno == EINTR)
        ;
    if (good)
        cli_figures_merge(figures, own);
    free(own);
    free(line);
    if (good && WIFEXITED(status) && WEXITSTATUS(status) == CLI_EXIT_OK)
        return CLI_EXIT_OK;
    return cli_fail(args, CLI_EXIT_BROKEN, "PROCESS",
                    "a process of the demo ended without figures");
}

int cli_workers_run(const struct cli_args *args, uint64_t count, const char *l1,
                    struct cli_figures *figures)
{
    struct process processes[CLI_WORKERS_MAX] = {{0, NULL}};
    int result = hand_over_addresses(args);

    for (uint64_t i = 0; i < count && i < CLI_WORKERS_MAX && result == CLI_EXIT_OK; i++)
        result = start_worker(args, l1, i, &processes[i]);
    for (size_t i = 0; i < CLI_WORKERS_MAX; i++) {
        const int ended = finish(args, &processes[i], figures);
        result = result != CLI_EXIT_OK ? result : ended;
    }
    return result;
}
