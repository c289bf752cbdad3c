/*
 * shell_subject.c -- reads what a verb is about, and says why it cannot be done.
 *
 * Owns:     the way from words to a table, keys and fields.
 * Must not know: verbs.
 * Threads:  the main thread.
 * Fails:    into the answer.
 * Begin at: cli_subject_row().
 */
#include "shell.h"

/* ---- answers ---- */

void cli_answer_done(struct cli_answer *answer)
{
    cli_text_done(&answer->error);
    cli_text_done(&answer->text);
}

void cli_answer_fail(struct cli_answer *answer, tears_status status, const char *message)
{
    answer->status = status;
    cli_text_clear(&answer->error);
    cli_text_put_c(&answer->error, message);
}

void cli_answer_conclude(struct cli_shell *shell, struct cli_answer *answer, tears_status status,
                         double started)
{
    const struct tears_error *error = tears_session_error(shell->context.session);

    answer->seconds = cli_now() - started;
    answer->tiered = true;
    answer->tier = tears_session_tier(shell->context.session);
    answer->degraded = tears_session_degraded(shell->context.session);
    if (status != TEARS_OK)
        cli_answer_fail(answer, status,
                        error->message[0] != '\0' ? error->message : tears_status_text(status));
}

/* ---- table and key ---- */

void cli_subject_done(struct cli_subject *subject)
{
    cli_text_done(&subject->id);
}

bool cli_subject_table(struct cli_shell *shell, struct tears_str name, struct cli_subject *subject,
                       struct cli_answer *answer)
{
    struct tears_error error = {.status = TEARS_OK};
    tears_status status = tears_collection_find(shell->context.client, name, &subject->table);

    if (status != TEARS_OK) /* once more, for the text of the failure */
        status = tears_collection_open(shell->context.client, name, NULL, &subject->table, &error);
    if (status != TEARS_OK) {
        cli_answer_fail(answer, status,
                        error.message[0] != '\0' ? error.message : tears_status_text(status));
        return false;
    }
    subject->target.session = shell->context.session;
    subject->target.schema = tears_collection_schema(subject->table);
    subject->key_count = tears_schema_key_count(subject->target.schema);
    return true;
}

static bool take_problem(const struct cli_problem *problem, struct cli_answer *answer)
{
    /* A wrong number of values or an unknown column is bad data here: the shell has no usage to
     * explain. */
    const bool misuse = problem->status == TEARS_MISUSE;
    cli_answer_fail(answer, misuse ? TEARS_INVALID : problem->status,
                    problem->message.ptr != NULL ? problem->message.ptr
                                                 : tears_status_text(problem->status));
    return false;
}

void cli_subject_name(struct cli_subject *subject, const struct tears_value *key)
{
    struct cli_text *id = &subject->id;

    cli_text_clear(id);
    cli_text_put(id, tears_schema_name(subject->target.schema));
    for (size_t i = 0; i < subject->key_count; i++) {
        cli_text_put_char(id, '\0');
        /* Without memory such rows share a place; a base of the wrong row is refused by its key. */
        if (cli_value_text(subject->target.session, &key[i], id) != TEARS_OK)
            cli_text_put_char(id, '?');
    }
}

bool cli_subject_row(struct cli_shell *shell, const struct tears_str *words, size_t count,
                     struct cli_subject *subject, struct cli_answer *answer)
{
    CLI_AUTO(cli_problem_done) struct cli_problem problem = {0};

    if (!cli_subject_table(shell, words[0], subject, answer))
        return false;
    if (cli_key_parse(&subject->target, words + 1, count - 1, subject->key, &problem) != TEARS_OK)
        return take_problem(&problem, answer);
    cli_subject_name(subject, subject->key);
    return true;
}

bool cli_subject_keys(struct cli_shell *shell, const struct tears_str *words, size_t count,
                      struct cli_subject *subject, struct cli_answer *answer)
{
    CLI_AUTO(cli_problem_done) struct cli_problem problem = {0};

    if (!cli_subject_table(shell, words[0], subject, answer))
        return false;
    const size_t value_count = count - 1;
    const size_t width = subject->key_count;
    if (value_count % width != 0) {
        (void)cli_key_parse(&subject->target, words + 1, value_count, subject->key, &problem);
        return take_problem(&problem, answer);
    }
    struct tears_value *keys =
        tears_session_alloc(shell->context.session, value_count * sizeof *keys);
    if (keys == NULL) {
        cli_answer_fail(answer, TEARS_NO_MEMORY, tears_status_text(TEARS_NO_MEMORY));
        return false;
    }
    for (size_t at = 0; at < value_count; at += width) {
        if (cli_key_parse(&subject->target, words + 1 + at, width, keys + at, &problem) != TEARS_OK)
            return take_problem(&problem, answer);
    }
    subject->keys = keys;
    subject->row_count = value_count / width;
    return true;
}

bool cli_subject_fields(struct cli_shell *shell, const struct tears_str *words, size_t count,
                        struct cli_subject *subject, struct cli_answer *answer)
{
    CLI_AUTO(cli_problem_done) struct cli_problem problem = {0};

    subject->field_count = count;
    subject->fields =
        tears_session_alloc(shell->context.session, (count + 1) * sizeof *subject->fields);
    if (subject->fields == NULL) {
        cli_answer_fail(answer, TEARS_NO_MEMORY, tears_status_text(TEARS_NO_MEMORY));
        return false;
    }
    if (cli_fields_parse(&subject->target, words, count, subject->fields, &problem) != TEARS_OK)
        return take_problem(&problem, answer);
    return true;
}

void cli_answer_absent(struct cli_subject *subject, struct cli_answer *answer)
{
    answer->status = TEARS_NOT_FOUND;
    cli_text_clear(&answer->error);
    cli_text_printf(&answer->error, "no row of '" CLI_STR_FMT "' has ",
                    CLI_STR_ARG(tears_schema_name(subject->target.schema)));
    cli_key_describe(&subject->target, subject->key, &answer->error);
}
