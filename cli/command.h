/*
 * command.h -- what a command of `tears` is, and how its words and options reach it.
 *
 * One file per command defines one `const struct cli_command`; commands.c lists them.  The parser
 * knows options from the tables here, so help and parser cannot disagree.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "text.h"

/* Exit codes; `tears help exit-codes` prints them. */
enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_NO = 1, /* no such row, or a conflict */
    CLI_EXIT_USAGE =
        2, /* the command line is wrong: command, option, table, number of key values */
    CLI_EXIT_UNAVAILABLE = 3, /* a tier cannot be reached, or the deadline passed */
    CLI_EXIT_INVALID = 4,     /* the data is refused: type, missing column, constraint, limit */
    CLI_EXIT_DENIED = 5,      /* not permitted */
    CLI_EXIT_BROKEN = 6, /* stored data is damaged, a file cannot be read, out of memory, a bug */
    CLI_EXIT_INTERRUPTED = 130
};

/* Returns the exit code of `expr` when it is not 0.  The only macro with control flow. */
#define CLI_TRY(expr)                    \
    do {                                 \
        const int cli_try_exit = (expr); \
        if (cli_try_exit != CLI_EXIT_OK) \
            return cli_try_exit;         \
    } while (0)

#define CLI_AUTO(done) __attribute__((cleanup(done)))

/* An option: `--name VALUE`, or a plain `--name` when value_name is NULL.  A table ends with name
 * NULL. */
struct cli_option {
    const char *name;
    const char *value_name;
    const char *help;
};

struct cli_args;

struct cli_command {
    const char *name;
    const char *synopsis; /* what follows the name */
    const char *summary;  /* one line for the list of commands */
    const char *details;  /* explanation and examples */
    const struct cli_option *options;
    int (*run)(const struct cli_args *args);
    size_t word_min;
    size_t word_max;
    bool hidden;
};

/* One option as given on the command line. */
struct cli_given {
    const struct cli_option *option;
    const char *value; /* "" for a plain option */
};

struct cli_args {
    const struct cli_command *command;
    const char **words; /* what is not an option, without the command's name */
    size_t word_count;
    struct cli_given *given;
    size_t given_count;
    bool json;
    bool verbose;
};

/* The options every command takes. */
extern const struct cli_option cli_global_options[];

/* All commands, ended by NULL, and one by name. */
extern const struct cli_command *const cli_commands[];
const struct cli_command *cli_command_find(const char *name);

/*
 * Reads the command line.  Reports what is wrong itself.  Asked for help or the version, it prints
 * that, and args_out->command is NULL.  cli_args_done ends it in every case.
 */
int cli_args_parse(int count, char **words, struct cli_args *args_out);
void cli_args_done(struct cli_args *args);

/* The last value given for an option, NULL when it was not given. */
const char *cli_option(const struct cli_args *args, const char *name);
bool cli_flag(const struct cli_args *args, const char *name);

/* The option as a number between min and max; `otherwise` when it was not given. */
struct cli_range {
    uint64_t min;
    uint64_t max;
    uint64_t otherwise;
};
int cli_option_number(const struct cli_args *args, const char *name, struct cli_range range,
                      uint64_t *out);

/* The word at `index` as text. */
struct tears_str cli_word(const struct cli_args *args, size_t index);

/* Prints help: of the whole command when `topic` is NULL.  CLI_EXIT_USAGE for an unknown topic. */
int cli_help(const struct cli_args *args, const char *topic);

/* The candidate that is most like `word`, or NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *candidates, size_t count);

#endif
