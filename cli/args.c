/*
 * args.c -- reads the command line by the tables of options.
 *
 * Owns:     struct cli_args and what it points to.
 * Must not know: what any option means to its command.
 * Threads:  one, at start.
 * Fails:    CLI_EXIT_USAGE, after saying what is wrong and what is near.
 * Begin at: cli_args_parse().
 *
 * Options may stand anywhere, before or after the command's name; "--" ends them.  A word such as
 * -5 is a negative number, not an option, so that keys can be written as they are.
 */
#include "command.h"
#include "output.h"

#include <ctype.h>
#include <stdlib.h>

const struct cli_option cli_global_options[] = {
    {"l3", "URL", "database: postgresql://... or sqlite:PATH (TEARS_L3_URL; else sqlite:tears.db)"},
    {"l2", "URL", "NATS: nats://host:port, or none (TEARS_L2_URL; else none)"},
    {"namespace", "NAME", "names the L2 bucket NAME-collections (TEARS_NAMESPACE; else 3tears)"},
    {"l1", "KIND", "memory:64MiB, sqlite, sqlite:64MiB or none (else memory:64MiB)"},
    {"timeout", "MS", "deadline of each call in milliseconds (else 5000)"},
    {"json", NULL, "one JSON object per line"},
    {"verbose", NULL, "also say which tier answered and what the library logs"},
    {"help", NULL, "explain the command"},
    {"version", NULL, "print the version"},
    {NULL, NULL, NULL},
};

/* ---- finding options ---- */

static const struct cli_option *find_in(const struct cli_option *options, struct tears_str name)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (cli_str_is(name, options->name))
            return options;
    }
    return NULL;
}

static const struct cli_option *option_find(const struct cli_command *command,
                                            struct tears_str name)
{
    const struct cli_option *option = command != NULL ? find_in(command->options, name) : NULL;
    return option != NULL ? option : find_in(cli_global_options, name);
}

static int option_unknown(const struct cli_args *args, struct tears_str name)
{
    const char *names[64];
    size_t count = 0;
    const struct cli_option *own = args->command != NULL ? args->command->options : NULL;

    for (; own != NULL && own->name != NULL && count < CLI_COUNT(names); own++)
        names[count++] = own->name;
    for (own = cli_global_options; own->name != NULL && count < CLI_COUNT(names); own++)
        names[count++] = own->name;

    char *copy = cli_copy(name);
    const char *near = cli_nearest(copy, names, count);
    const int result =
        near != NULL
            ? cli_fail(args, CLI_EXIT_USAGE, "USAGE", "unknown option --%s; did you mean --%s?",
                       copy, near)
            : cli_fail(args, CLI_EXIT_USAGE, "USAGE", "unknown option --%s; see `tears help%s%s`",
                       copy, args->command != NULL ? " " : "",
                       args->command != NULL ? args->command->name : "");
    free(copy);
    return result;
}

static int command_unknown(const struct cli_args *args, const char *name)
{
    const char *names[64];
    size_t count = 0;

    for (; cli_commands[count] != NULL && count < CLI_COUNT(names); count++)
        names[count] = cli_commands[count]->name;
    const char *near = cli_nearest(name, names, count);
    if (near != NULL)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "unknown command '%s'; did you mean '%s'?",
                        name, near);
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "unknown command '%s'; see `tears help`", name);
}

/* ---- reading ---- */

/* The words of the command line and where the reader is. */
struct reader {
    int count;
    char **words;
    int at;
    bool options_ended;
};

static bool is_option(const struct reader *reader, const char *word)
{
    return !reader->options_ended && word[0] == '-' && word[1] != '\0' &&
           !isdigit((unsigned char)word[1]) && word[1] != '.';
}

/* The long name of an option word; short forms exist for three options only. */
static struct tears_str option_name(const char *word)
{
    if (strcmp(word, "-h") == 0)
        return TEARS_STR("help");
    if (strcmp(word, "-v") == 0)
        return TEARS_STR("verbose");
    if (strcmp(word, "-j") == 0)
        return TEARS_STR("json");
    const char *name = word + (word[1] == '-' ? 2 : 1);
    return tears_str_n(name, strcspn(name, "="));
}

static int read_option(struct reader *reader, struct cli_args *args)
{
    const char *word = reader->words[reader->at];
    const struct tears_str name = option_name(word);
    const struct cli_option *option = option_find(args->command, name);
    const char *value = strchr(word, '=');

    if (option == NULL)
        return option_unknown(args, name);
    if (option->value_name == NULL && value != NULL)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "option --%s takes no value", option->name);
    if (value != NULL)
        value++;
    else if (option->value_name != NULL) {
        if (reader->at + 1 >= reader->count)
            return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "option --%s needs a value: --%s %s",
                            option->name, option->name, option->value_name);
        value = reader->words[++reader->at];
    }
    args->given[args->given_count++] =
        (struct cli_given){.option = option, .value = value != NULL ? value : ""};
    return CLI_EXIT_OK;
}

/*
 * The command is the first word that is no option; it has to be known before its options are read.
 * Values of global options that stand before it are stepped over.
 */
static int find_command(const struct reader *reader, struct cli_args *args, int *command_at)
{
    for (int at = 1; at < reader->count; at++) {
        const char *word = reader->words[at];
        if (strcmp(word, "--") == 0)
            continue;
        if (!is_option(reader, word)) {
            args->command = cli_command_find(word);
            *command_at = at;
            return args->command != NULL ? CLI_EXIT_OK : command_unknown(args, word);
        }
        const struct cli_option *option = find_in(cli_global_options, option_name(word));
        if (option != NULL && option->value_name != NULL && strchr(word, '=') == NULL)
            at++;
    }
    *command_at = -1;
    return CLI_EXIT_OK;
}

static int read_all(struct reader *reader, int command_at, struct cli_args *args)
{
    for (reader->at = 1; reader->at < reader->count; reader->at++) {
        const char *word = reader->words[reader->at];
        if (!reader->options_ended && strcmp(word, "--") == 0)
            reader->options_ended = true;
        else if (is_option(reader, word))
            CLI_TRY(read_option(reader, args));
        else if (reader->at != command_at)
            args->words[args->word_count++] = word;
    }
    return CLI_EXIT_OK;
}

static int check_words(const struct cli_args *args)
{
    const struct cli_command *command = args->command;

    if (args->word_count >= command->word_min && args->word_count <= command->word_max)
        return CLI_EXIT_OK;
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "%s: usage: tears %s %s",
                    args->word_count < command->word_min ? "something is missing"
                                                         : "too many words",
                    command->name, command->synopsis);
}

int cli_args_parse(int count, char **words, struct cli_args *args_out)
{
    struct cli_args *args = args_out;
    struct reader reader = {.count = count, .words = words};
    int command_at = -1;

    *args = (struct cli_args){0};
    args->words = cli_alloc((size_t)count, sizeof *args->words);
    args->given = cli_alloc((size_t)count, sizeof *args->given);
    for (int i = 1; i < count; i++) /* known first, so that errors of the parser are JSON as well */
        args->json = args->json || strcmp(words[i], "--json") == 0;

    CLI_TRY(find_command(&reader, args, &command_at));
    CLI_TRY(read_all(&reader, command_at, args));
    args->json = cli_flag(args, "json");
    args->verbose = cli_flag(args, "verbose");
    if (cli_flag(args, "version")) {
        args->command = NULL;
        return cli_print_line(args, TEARS_STR("tears " TEARS_VERSION));
    }
    if (args->command == NULL || cli_flag(args, "help")) {
        const char *topic = args->command != NULL ? args->command->name : NULL;
        args->command = NULL;
        return cli_help(args, topic);
    }
    return check_words(args);
}

void cli_args_done(struct cli_args *args)
{
    free(args->words);
    free(args->given);
    *args = (struct cli_args){0};
}

/* ---- asking ---- */

const char *cli_option(const struct cli_args *args, const char *name)
{
    for (size_t i = args->given_count; i > 0; i--) {
        if (strcmp(args->given[i - 1].option->name, name) == 0)
            return args->given[i - 1].value;
    }
    return NULL;
}

bool cli_flag(const struct cli_args *args, const char *name)
{
    return cli_option(args, name) != NULL;
}

int cli_option_number(const struct cli_args *args, const char *name, struct cli_range range,
                      uint64_t *out)
{
    const char *value = cli_option(args, name);
    uint64_t number = range.otherwise;

    if (value != NULL &&
        (!cli_number(tears_str_c(value), range.max, &number) || number < range.min))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "option --%s needs a whole number from %llu to %llu; '%s' is none", name,
                        (unsigned long long)range.min, (unsigned long long)range.max, value);
    *out = number;
    return CLI_EXIT_OK;
}

struct tears_str cli_word(const struct cli_args *args, size_t index)
{
    return index < args->word_count ? tears_str_c(args->words[index]) : TEARS_STR("");
}
