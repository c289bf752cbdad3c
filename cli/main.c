/*
 * main.c -- the command `tears`.
 *
 * Owns:     nothing; it finds the command and runs it.
 * Must not know: any command.
 * Threads:  the main thread.
 * Fails:    with the exit codes of command.h.
 * Begin at: main().
 *
 * The command uses the public API of libtears only: include/tears/.
 */
#include "command.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>

/* A full disk shows only when the last buffer is written; an exit code of 0 must mean that all is
 * out. */
static int flush_output(const struct cli_args *args, int result)
{
    if (fflush(stdout) == 0 || result != CLI_EXIT_OK)
        return result;
    return cli_fail(args, CLI_EXIT_BROKEN, "OUTPUT", "cannot write to standard output: %s",
                    strerror(errno));
}

int main(int count, char **words)
{
    struct cli_args args;
    int result = cli_args_parse(count, words, &args);

    if (result == CLI_EXIT_OK && args.command != NULL)
        result = args.command->run(&args);
    result = flush_output(&args, result);
    cli_args_done(&args);
    return result;
}
