/*
 * onerow.c -- opens the table of a one-row command and reads its words.
 *
 * Owns:     the order of words: TABLE KEY... column=value...
 * Must not know: what the command does with the row.
 * Threads:  the main thread.
 * Fails:    with the exit code of the problem, after reporting it.
 * Begin at: cli_onerow_open().
 */
#include "onerow.h"

#include <stdlib.h>

int cli_onerow_open(const struct cli_args *args, struct cli_onerow *onerow_out)
{
    CLI_TRY(cli_open(args, &onerow_out->context));
    CLI_TRY(cli_table(&onerow_out->context, cli_word(args, 0), &onerow_out->table));
    onerow_out->target.session = onerow_out->context.session;
    onerow_out->target.schema = tears_collection_schema(onerow_out->table);
    onerow_out->key_count = tears_schema_key_count(onerow_out->target.schema);
    return CLI_EXIT_OK;
}

void cli_onerow_done(struct cli_onerow *onerow)
{
    free(onerow->fields);
    onerow->fields = NULL;
    cli_close(&onerow->context);
}

static int parse_key(struct cli_onerow *onerow, size_t word_count)
{
    CLI_AUTO(cli_problem_done) struct cli_problem problem = {0};
    const struct cli_args *args = onerow->context.args;
    struct tears_str words[CLI_KEY_COLUMNS_MAX];

    for (size_t i = 0; i < word_count && i < CLI_KEY_COLUMNS_MAX; i++)
        words[i] = cli_word(args, 1 + i);
    if (cli_key_parse(&onerow->target, words, word_count, onerow->key, &problem) != TEARS_OK)
        return cli_fail_problem(args, &problem);
    return CLI_EXIT_OK;
}

static int parse_fields(struct cli_onerow *onerow, size_t first_word)
{
    CLI_AUTO(cli_problem_done) struct cli_problem problem = {0};
    const struct cli_args *args = onerow->context.args;

    onerow->field_count = args->word_count - first_word;
    onerow->fields = cli_alloc(onerow->field_count, sizeof *onerow->fields);
    struct tears_str *words = cli_alloc(onerow->field_count, sizeof *words);
    for (size_t i = 0; i < onerow->field_count; i++)
        words[i] = cli_word(args, first_word + i);
    const tears_status status =
        cli_fields_parse(&onerow->target, words, onerow->field_count, onerow->fields, &problem);
    free(words);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_problem(args, &problem);
}

int cli_onerow_key(struct cli_onerow *onerow)
{
    return parse_key(onerow, onerow->context.args->word_count - 1);
}

int cli_onerow_key_and_fields(struct cli_onerow *onerow)
{
    const struct cli_args *args = onerow->context.args;
    const size_t after_table = args->word_count - 1;
    const size_t key_count = after_table < onerow->key_count ? after_table : onerow->key_count;

    CLI_TRY(parse_key(onerow, key_count));
    if (after_table == key_count)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "nothing to set: say column=value after the key");
    return parse_fields(onerow, 1 + key_count);
}

int cli_onerow_fields(struct cli_onerow *onerow)
{
    return parse_fields(onerow, 1);
}

int cli_onerow_fail_absent(struct cli_onerow *onerow)
{
    CLI_AUTO(cli_text_done) struct cli_text key = {0};
    const struct tears_str table = tears_schema_name(onerow->target.schema);

    cli_key_describe(&onerow->target, onerow->key, &key);
    return cli_fail(onerow->context.args, CLI_EXIT_NO, "NOT_FOUND",
                    "no row of '" CLI_STR_FMT "' has %s", CLI_STR_ARG(table), key.ptr);
}

int cli_onerow_read(struct cli_onerow *onerow, tears_entity **row_out)
{
    const double started = cli_now();
    const tears_status status =
        tears_get(onerow->context.session, onerow->table, onerow->key, onerow->key_count, row_out);
    const double seconds = cli_now() - started;

    if (status == TEARS_NOT_FOUND)
        return cli_onerow_fail_absent(onerow);
    if (status != TEARS_OK)
        return cli_fail_session(&onerow->context, status);
    cli_note_degraded(tears_session_degraded(onerow->context.session));
    if (onerow->context.args->verbose) {
        CLI_AUTO(cli_text_done) struct cli_text text = {0};
        cli_text_put_duration(&text, seconds);
        cli_note("%s answered in %s", cli_tier_name(tears_session_tier(onerow->context.session)),
                 text.ptr);
    }
    return CLI_EXIT_OK;
}
