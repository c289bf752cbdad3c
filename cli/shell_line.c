/*
 * shell_line.c -- lines for the shell: edited and remembered on a terminal, plain from a pipe.
 *
 * Owns:     the history file, $XDG_STATE_HOME/tears/history or ~/.local/state/tears/history.
 * Must not know: what a line means.
 * Threads:  the main thread.
 * Fails:    softly: without a history file there is no history.
 * Begin at: cli_lines_next().
 */
#include "shell.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifdef TEARS_HAS_EDIT

/* libedit's header predates strict prototypes; its functions are declared here as it defines them.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <editline/readline.h>
#pragma GCC diagnostic pop

enum { HISTORY_LINES = 1000 };

/* Creates a directory and those above it; that they exist already is fine. */
static void make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* what is missing in the end shows when the file is written */
        *slash = '/';
    }
}

static char *history_path(void)
{
    struct cli_text path = {0};
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (state != NULL && state[0] == '/')
        cli_text_printf(&path, "%s/tears/history", state);
    else if (home != NULL && home[0] == '/')
        cli_text_printf(&path, "%s/.local/state/tears/history", home);
    else
        return NULL;
    make_directories(path.ptr);
    return path.ptr;
}

/* Gives the verbs that start with `text`, one for each call; readline's protocol. */
static char *next_verb(const char *text, int again)
{
    static size_t at;

    if (again == 0)
        at = 0;
    while (cli_verbs[at].name != NULL) {
        const char *name = cli_verbs[at++].name;
        if (strncmp(name, text, strlen(text)) == 0)
            return cli_copy(tears_str_c(name));
    }
    return NULL;
}

/* Only the first word is completed; a table's keys are not known here, and files are no use. */
static char **complete(const char *text, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1;
    return start == 0 ? rl_completion_matches(text, next_verb) : NULL;
}

static void edit_init(struct cli_lines *lines)
{
    rl_readline_name = "tears";
    rl_attempted_completion_function = complete;
    using_history();
    stifle_history(HISTORY_LINES);
    lines->history_path = history_path();
    if (lines->history_path != NULL)
        (void)read_history(lines->history_path); /* the first time there is none */
}

static bool edit_next(struct cli_lines *lines, const char *prompt, struct tears_str *line_out)
{
    free(lines->line);
    lines->line = readline(prompt);
    if (lines->line == NULL)
        return false;
    if (lines->line[0] != '\0')
        (void)add_history(lines->line);
    *line_out = tears_str_c(lines->line);
    return true;
}

static void edit_done(struct cli_lines *lines)
{
    if (lines->history_path != NULL)
        (void)write_history(lines->history_path);
}

#endif

void cli_lines_init(struct cli_lines *lines, bool human)
{
    *lines = (struct cli_lines){.human = human};
#ifdef TEARS_HAS_EDIT
    if (human)
        edit_init(lines);
#endif
}

bool cli_lines_next(struct cli_lines *lines, const char *prompt, struct tears_str *line_out)
{
#ifdef TEARS_HAS_EDIT
    if (lines->human)
        return edit_next(lines, prompt, line_out);
#endif
    if (lines->human) {
        (void)fputs(prompt, stdout);
        (void)fflush(stdout);
    }
    const ssize_t len = getline(&lines->line, &lines->capacity, stdin);
    if (len < 0)
        return false;
    size_t used = (size_t)len;
    while (used > 0 && (lines->line[used - 1] == '\n' || lines->line[used - 1] == '\r'))
        used--;
    *line_out = tears_str_n(lines->line, used);
    return true;
}

void cli_lines_done(struct cli_lines *lines)
{
#ifdef TEARS_HAS_EDIT
    if (lines->human)
        edit_done(lines);
#endif
    free(lines->line);
    free(lines->history_path);
    *lines = (struct cli_lines){0};
}
