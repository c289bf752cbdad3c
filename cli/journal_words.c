/*
 * journal_words.c -- the journal that a command means, and how its entries look.
 *
 * Owns:     the words for what a pending write does.
 * Must not know: what is done with an entry.
 * Threads:  the main thread.
 * Fails:    with the exit code of the library's status; 1 when there is no journal.
 * Begin at: cli_action_run().
 */
#include "journal_words.h"

#include <stdlib.h>

enum { LIST_ROWS = 100 };

/* ---- the journal ---- */

int cli_journal_fail(const struct cli_args *args, tears_status status,
                     const struct tears_error *error)
{
    return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                    error->message[0] != '\0' ? error->message : tears_status_text(status));
}

tears_status cli_journal_open(const struct cli_args *args, tears_journal **journal_out,
                              struct tears_error *error_out)
{
    const char *l3 = cli_option(args, "l3");

    /* the library looks beside the database that the environment names */
    if (l3 != NULL && setenv("TEARS_L3_URL", l3, 1) != 0)
        return TEARS_NO_MEMORY;
    return tears_journal_open(tears_str_c(cli_option(args, "journal")), journal_out, error_out);
}

void cli_journal_close(tears_journal **journal)
{
    tears_journal_free(*journal);
    *journal = NULL;
}

int cli_journal_look(const struct cli_args *args, tears_journal *journal,
                     struct tears_journal_status *status_out)
{
    struct tears_error error = {.status = TEARS_OK};

    *status_out = (struct tears_journal_status)TEARS_JOURNAL_STATUS_INIT;
    const tears_status status = tears_journal_look(journal, status_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_journal_fail(args, status, &error);
}

/* ---- the command line ---- */

static const struct cli_action *find_action(const struct cli_args *args,
                                            const struct cli_action *actions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cli_str_is(cli_word(args, 0), actions[i].name))
            return &actions[i];
    }
    return NULL;
}

static int fail_action(const struct cli_args *args, const struct cli_action *actions, size_t count)
{
    CLI_AUTO(cli_text_done) struct cli_text names = {0};

    for (size_t i = 0; i < count; i++)
        cli_text_printf(&names, "%s%s", i > 0 ? ", " : "", actions[i].name);
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is none of %s", args->words[0], names.ptr);
}

int cli_action_run(const struct cli_args *args, const struct cli_action *actions, size_t count)
{
    CLI_AUTO(cli_journal_close) tears_journal *journal = NULL;
    struct tears_error error = {.status = TEARS_OK};
    const struct cli_action *action = find_action(args, actions, count);

    if (action == NULL)
        return fail_action(args, actions, count);
    if (args->word_count < action->word_min || args->word_count > action->word_max)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "usage: tears %s %s", args->command->name,
                        action->usage);
    const tears_status status = cli_journal_open(args, &journal, &error);
    if (status != TEARS_OK)
        return cli_journal_fail(args, status, &error);
    return action->run(args, journal);
}

int cli_journal_id(const struct cli_args *args, size_t index, uint64_t *id_out)
{
    if (cli_number(cli_word(args, index), INT64_MAX, id_out) && *id_out > 0)
        return CLI_EXIT_OK;
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                    "'%s' is not the number of an entry; `tears %s list` shows them",
                    args->words[index], args->command->name);
}

int cli_part_of(const struct cli_args *args, struct cli_part *part_out)
{
    part_out->table = cli_word(args, 1);
    CLI_TRY(
        cli_option_number(args, "after", (struct cli_range){.max = INT64_MAX}, &part_out->after));
    return cli_option_number(args, "limit",
                             (struct cli_range){.min = 1, .max = INT64_MAX, .otherwise = LIST_ROWS},
                             &part_out->limit);
}

/* ---- entries ---- */

const char *cli_pending_kind(const struct tears_pending *pending)
{
    static const char *const names[] = {
        [TEARS_PENDING_INSERT] = "insert",   [TEARS_PENDING_UPSERT] = "upsert",
        [TEARS_PENDING_UPDATE] = "update",   [TEARS_PENDING_DELETE] = "delete",
        [TEARS_PENDING_REPLACE] = "replace",
    };
    return pending->kind < CLI_COUNT(names) && names[pending->kind] != NULL ? names[pending->kind]
                                                                            : "?";
}

static void put_json_or_null(struct tears_str json, struct cli_text *out)
{
    cli_text_put(out, json.len > 0 ? json : TEARS_STR("null"));
}

void cli_pending_put_members(const struct tears_pending *pending, struct cli_text *out)
{
    cli_text_printf(out, "\"kind\":\"%s\",\"table\":", cli_pending_kind(pending));
    cli_text_put_json(out, pending->table);
    cli_text_put_c(out, ",\"key\":");
    cli_text_put_json(out, pending->key);
    cli_text_put_c(out, ",\"row\":");
    put_json_or_null(pending->row, out);
    cli_text_put_c(out, ",\"changed\":");
    put_json_or_null(pending->changed, out);
    if (pending->has_base != 0)
        cli_text_printf(out, ",\"base\":\"%lld\"", (long long)pending->base);
    else
        cli_text_put_c(out, ",\"base\":null");
    cli_text_put_c(out, ",\"since\":\"");
    cli_text_put_time(out, pending->since_us);
    cli_text_printf(out, "\",\"bytes\":%llu", (unsigned long long)pending->bytes);
}

static void put_fact(struct cli_grid *grid, const char *name, struct tears_str value)
{
    cli_grid_put_c(grid, name);
    cli_grid_put(grid, value);
}

void cli_pending_put_facts(const struct tears_pending *pending, struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    if (pending->table.len == 0)
        return; /* damaged: nothing of it can be read */
    put_fact(grid, "table", pending->table);
    put_fact(grid, "key", pending->key);
    put_fact(grid, "write", tears_str_c(cli_pending_kind(pending)));
    put_fact(grid, "row", pending->row);
    put_fact(grid, "changed", pending->changed);
    cli_text_printf(&text, "%lld", (long long)pending->base);
    put_fact(grid, "base version", pending->has_base != 0 ? cli_text_str(&text) : TEARS_STR("-"));
    cli_text_clear(&text);
    cli_text_put_time(&text, pending->since_us);
    put_fact(grid, "since", cli_text_str(&text));
}

void cli_text_put_age(struct cli_text *text, int64_t us)
{
    const int64_t age_us = cli_calendar_us() - us;
    cli_text_put_duration(text, age_us > 0 ? (double)age_us / 1e6 : 0);
}
