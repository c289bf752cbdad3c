/*
 * shell.c -- `tears shell`: many commands through one client with a warm L1.
 *
 * Owns:     the command: the loop from lines to answers.
 * Must not know: verbs (shell_verbs.c), the look of answers (shell_answer.c), the terminal
 * (shell_line.c). Threads:  the main thread. Fails:    when the client cannot be opened; a verb
 * that fails is an answer. Begin at: run_shell().
 */
#include "shell.h"

#include "commands.h"

static const struct cli_option options[] = {
    {"deferred", "TABLES", "tables whose writes are deferred, separated by commas"},
    {"journal", "PATH", "where they wait (else TEARS_JOURNAL, else beside the database)"},
    {NULL, NULL, NULL},
};

static void shell_done(struct cli_shell *shell)
{
    cli_memory_done(&shell->memory);
    cli_words_done(&shell->words);
    cli_close(&shell->context);
}

/* Blank lines and comments are no commands and get no answer. */
static bool is_command(struct tears_str line)
{
    size_t at = 0;
    while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '\t'))
        at++;
    return at < line.len && line.ptr[at] != '#';
}

static int answer_lines(struct cli_shell *shell, struct cli_lines *lines)
{
    struct tears_str line = {NULL, 0};

    while (!shell->ended &&
           cli_lines_next(lines, shell->in_transaction ? "tears*> " : "tears> ", &line)) {
        if (!is_command(line))
            continue;
        CLI_AUTO(cli_answer_done) struct cli_answer answer = {0};
        cli_shell_run(shell, line, &answer);
        CLI_TRY(cli_answer_print(shell, &answer));
        tears_session_reset(shell->context.session); /* an open transaction stays */
    }
    return CLI_EXIT_OK;
}

static int run_shell(const struct cli_args *args)
{
    CLI_AUTO(shell_done) struct cli_shell shell = {0};
    CLI_AUTO(cli_lines_done) struct cli_lines lines = {0};

    if (cli_flag(args, "journal") && !cli_flag(args, "deferred"))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--journal goes with --deferred TABLES");
    CLI_TRY(cli_open(args, &shell.context));
    if (cli_memory_init(&shell.memory, shell.context.client) != TEARS_OK)
        return cli_fail(args, CLI_EXIT_BROKEN, "NO_MEMORY", "%s",
                        tears_status_text(TEARS_NO_MEMORY));
    shell.human = cli_is_terminal(stdin) && cli_is_terminal(stdout) && !args->json;
    if (shell.human)
        cli_note("%s; `help` lists the verbs, `quit` leaves", TEARS_VERSION);
    cli_lines_init(&lines, shell.human);
    return answer_lines(&shell, &lines);
}

const struct cli_command cli_shell = {
    .name = "shell",
    .synopsis = "",
    .summary = "many commands through one client with a warm L1",
    .details =
        "On a terminal with line editing and history.  From a pipe it reads one command per line "
        "and answers\n"
        "each with exactly one JSON line; blank lines and lines that start with # get no answer:\n"
        "\n"
        "  "
        "{\"ok\":true,\"row\":{...},\"tier\":\"l1\",\"version\":\"7\",\"degraded\":[],\"us\":1.3}\n"
        "  {\"ok\":false,\"status\":\"CONFLICT\",\"error\":\"...\"}\n"
        "\n"
        "verbs: get, getmany, field, set, put, insert, delete, evict, invalidate, ensure, flush, "
        "begin, commit,\n"
        "rollback, explain, status, stats, sleep, help, quit.  `set` is based on the row last read "
        "for its key, so\n"
        "somebody else's change shows as a conflict, with the winning row; the next `set` is then "
        "based on that\n"
        "one.  `put` sets one value of whatever row is there.\n"
        "\n"
        "Words may be quoted: name=\"Ada Lovelace\" (with the escapes of JSON) or "
        "'tags:=[\"a\",\"b\"]' (only \\' and\n"
        "\\\\ are escapes).\n"
        "\n"
        "With --deferred, writes of those tables are saved to a journal and reach the database "
        "later: every 30\n"
        "seconds, on `flush`, and when the shell ends.  The tier \"pending\" answers reads of "
        "them.\n"
        "\n"
        "  printf 'get packages dpkg\\nget packages dpkg\\n' | tears shell\n",
    .options = options,
    .run = run_shell,
    .word_min = 0,
    .word_max = 0,
};
