/*
 * shell_verbs.c -- what each verb of the shell does.
 *
 * Owns:     the verbs, and the rule that a `set` is based on the row read last.
 * Must not know: how answers look, where lines come from.
 * Threads:  the main thread.
 * Fails:    into the answer; the shell goes on.
 * Begin at: cli_shell_run().
 */
#include "shell.h"

#include <stdlib.h>
#include <time.h>

/* ---- reading ---- */

static void verb_get(struct cli_shell *shell, const struct tears_str *words, size_t count,
                     struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_row(shell, words, count, &subject, answer))
        return;
    const double started = cli_now();
    const tears_status status = tears_get(shell->context.session, subject.table, subject.key,
                                          subject.key_count, &answer->row);
    cli_answer_conclude(shell, answer, status, started);
    answer->shape = CLI_SHAPE_ROW;
    if (status == TEARS_OK)
        cli_memory_keep(&shell->memory, cli_text_str(&subject.id), answer->row);
    if (status == TEARS_NOT_FOUND) {
        cli_memory_forget(&shell->memory, cli_text_str(&subject.id));
        cli_answer_absent(&subject, answer);
    }
}

static void verb_getmany(struct cli_shell *shell, const struct tears_str *words, size_t count,
                         struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_keys(shell, words, count, &subject, answer))
        return;
    const size_t row_count = subject.row_count;
    tears_entity **rows = tears_session_alloc(shell->context.session, row_count * sizeof *rows);
    if (rows == NULL) {
        cli_answer_fail(answer, TEARS_NO_MEMORY, tears_status_text(TEARS_NO_MEMORY));
        return;
    }
    const double started = cli_now();
    const tears_status status =
        tears_get_many(shell->context.session, subject.table, subject.keys, row_count, rows);
    cli_answer_conclude(shell, answer, status, started);
    answer->shape = CLI_SHAPE_ROWS;
    answer->rows = rows;
    answer->row_count = row_count;
    answer->tier = TEARS_TIER_NONE;
    for (size_t i = 0; status == TEARS_OK && i < row_count; i++) {
        cli_subject_name(&subject, subject.keys + i * subject.key_count);
        if (rows[i] == NULL) {
            cli_memory_forget(&shell->memory, cli_text_str(&subject.id));
            continue;
        }
        cli_memory_keep(&shell->memory, cli_text_str(&subject.id), rows[i]);
        if (tears_entity_tier(rows[i]) > answer->tier)
            answer->tier = tears_entity_tier(rows[i]); /* the farthest one that was asked */
    }
}

static void verb_field(struct cli_shell *shell, const struct tears_str *words, size_t count,
                       struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_row(shell, words, count - 1, &subject, answer))
        return;
    const double started = cli_now();
    const tears_status status =
        tears_get_field(shell->context.session, subject.table, subject.key, subject.key_count,
                        words[count - 1], &answer->value);
    cli_answer_conclude(shell, answer, status, started);
    answer->shape = CLI_SHAPE_VALUE;
    if (status == TEARS_NOT_FOUND)
        cli_answer_absent(&subject, answer);
}

static void verb_ensure(struct cli_shell *shell, const struct tears_str *words, size_t count,
                        struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_keys(shell, words, count, &subject, answer))
        return;
    const double started = cli_now();
    const tears_status status = tears_ensure(shell->context.session, subject.table, subject.keys,
                                             subject.row_count, &answer->found);
    cli_answer_conclude(shell, answer, status, started);
    answer->tier = TEARS_TIER_NONE;
    answer->shape = CLI_SHAPE_FOUND;
}

/* ---- writing ---- */

/* The row to base a write on: the one read last for the key, in the shell's session, or else read
 * now. */
static tears_status find_base(struct cli_shell *shell, struct cli_subject *subject,
                              tears_entity **base_out)
{
    const tears_entity *kept = cli_memory_find(&shell->memory, cli_text_str(&subject->id));

    if (kept != NULL)
        return tears_entity_copy(kept, shell->context.session, base_out);
    return tears_get(shell->context.session, subject->table, subject->key, subject->key_count,
                     base_out);
}

static void verb_set(struct cli_shell *shell, const struct tears_str *words, size_t count,
                     struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_table(shell, words[0], &subject, answer))
        return;
    const size_t key_words = count - 1 < subject.key_count ? count - 1 : subject.key_count;
    const size_t field_count = count - 1 - key_words;
    if (!cli_subject_row(shell, words, 1 + key_words, &subject, answer) ||
        !cli_subject_fields(shell, words + 1 + key_words, field_count, &subject, answer))
        return;
    if (field_count == 0) {
        cli_answer_fail(answer, TEARS_INVALID, "nothing to set: say column=value after the key");
        return;
    }
    const double started = cli_now();
    answer->shape = CLI_SHAPE_ROW;
    tears_status status = find_base(shell, &subject, &answer->row);
    if (status == TEARS_OK)
        status = tears_update(shell->context.session, answer->row, subject.fields, field_count,
                              &answer->row);
    cli_answer_conclude(shell, answer, status, started);
    if (status == TEARS_OK || (status == TEARS_CONFLICT && answer->row != NULL))
        cli_memory_keep(&shell->memory, cli_text_str(&subject.id), answer->row);
    else if (status == TEARS_CONFLICT || status == TEARS_NOT_FOUND)
        cli_memory_forget(&shell->memory, cli_text_str(&subject.id));
    if (status == TEARS_NOT_FOUND)
        cli_answer_absent(&subject, answer);
}

/* The key of a row just inserted is known only from the row: the database may have made it. */
static void keep_inserted(struct cli_shell *shell, struct cli_subject *subject, tears_entity *row)
{
    for (size_t i = 0; i < subject->key_count; i++) {
        const size_t column = tears_schema_key_column(subject->target.schema, i);
        if (tears_entity_at(row, column, &subject->key[i]) != TEARS_OK)
            return;
    }
    cli_subject_name(subject, subject->key);
    cli_memory_keep(&shell->memory, cli_text_str(&subject->id), row);
}

static void verb_insert(struct cli_shell *shell, const struct tears_str *words, size_t count,
                        struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_table(shell, words[0], &subject, answer) ||
        !cli_subject_fields(shell, words + 1, count - 1, &subject, answer))
        return;
    const double started = cli_now();
    const tears_status status = tears_insert(shell->context.session, subject.table, subject.fields,
                                             count - 1, &answer->row);
    cli_answer_conclude(shell, answer, status, started);
    answer->shape = CLI_SHAPE_ROW;
    if (status == TEARS_OK)
        keep_inserted(shell, &subject, answer->row);
}

static void verb_delete(struct cli_shell *shell, const struct tears_str *words, size_t count,
                        struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_row(shell, words, count, &subject, answer))
        return;
    const double started = cli_now();
    const tears_status status =
        tears_delete(shell->context.session, subject.table, subject.key, subject.key_count);
    cli_answer_conclude(shell, answer, status, started);
    cli_memory_forget(&shell->memory, cli_text_str(&subject.id));
    if (status == TEARS_NOT_FOUND)
        cli_answer_absent(&subject, answer);
}

/* COLUMN VALUE is read as column=value, and `COLUMN: JSON` as column:=json. */
static bool read_field(struct cli_shell *shell, const struct tears_str *words,
                       struct cli_subject *subject, struct cli_answer *answer)
{
    CLI_AUTO(cli_text_done) struct cli_text field = {0};

    cli_text_put(&field, words[0]);
    cli_text_put_char(&field, '=');
    cli_text_put(&field, words[1]);
    char *word = tears_session_alloc(shell->context.session, field.len);
    if (word == NULL) {
        cli_answer_fail(answer, TEARS_NO_MEMORY, tears_status_text(TEARS_NO_MEMORY));
        return false;
    }
    memcpy(word, field.ptr, field.len); /* the value may point into it */
    const struct tears_str text = tears_str_n(word, field.len);
    return cli_subject_fields(shell, &text, 1, subject, answer);
}

static void verb_put(struct cli_shell *shell, const struct tears_str *words, size_t count,
                     struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_row(shell, words, count - 2, &subject, answer) ||
        !read_field(shell, words + count - 2, &subject, answer))
        return;
    const double started = cli_now();
    const tears_status status =
        tears_put_field(shell->context.session, subject.table, subject.key, subject.key_count,
                        subject.fields[0].name, subject.fields[0].value);
    cli_answer_conclude(shell, answer, status, started);
    cli_memory_forget(&shell->memory, cli_text_str(&subject.id)); /* the row has moved on */
    if (status == TEARS_NOT_FOUND)
        cli_answer_absent(&subject, answer);
}

static void verb_flush(struct cli_shell *shell, const struct tears_str *words, size_t count,
                       struct cli_answer *answer)
{
    const double started = cli_now();

    answer->flushed = (struct tears_flush_result)TEARS_FLUSH_RESULT_INIT;
    const tears_status status =
        tears_flush(shell->context.session, words, count, 0, &answer->flushed);
    cli_answer_conclude(shell, answer, status, started);
    answer->tier = TEARS_TIER_NONE;
    answer->shape = CLI_SHAPE_FLUSH;
}

/* ---- caches ---- */

/* A call of the library that takes a row's key and gives nothing but its status. */
typedef tears_status (*row_call)(tears_session *session, tears_collection *collection,
                                 const struct tears_value *key, size_t key_count);

static void call_on_row(struct cli_shell *shell, const struct cli_subject *subject, row_call call,
                        struct cli_answer *answer)
{
    const double started = cli_now();
    const tears_status status =
        call(shell->context.session, subject->table, subject->key, subject->key_count);
    cli_answer_conclude(shell, answer, status, started);
    answer->tier = TEARS_TIER_NONE;
}

static void verb_evict(struct cli_shell *shell, const struct tears_str *words, size_t count,
                       struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (cli_subject_row(shell, words, count, &subject, answer))
        call_on_row(shell, &subject, tears_evict, answer);
}

static void verb_invalidate(struct cli_shell *shell, const struct tears_str *words, size_t count,
                            struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (cli_subject_row(shell, words, count, &subject, answer))
        call_on_row(shell, &subject, tears_invalidate, answer);
}

/* ---- what is known of a row, and of a table ---- */

static void verb_explain(struct cli_shell *shell, const struct tears_str *words, size_t count,
                         struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    if (!cli_subject_row(shell, words, count, &subject, answer))
        return;
    const double started = cli_now();
    const tears_status status = tears_explain(shell->context.session, subject.table, subject.key,
                                              subject.key_count, &answer->explanation);
    cli_answer_conclude(shell, answer, status, started);
    answer->tier = TEARS_TIER_NONE;
    answer->shape = CLI_SHAPE_EXPLANATION;
}

static void verb_status(struct cli_shell *shell, const struct tears_str *words, size_t count,
                        struct cli_answer *answer)
{
    CLI_AUTO(cli_subject_done) struct cli_subject subject = {0};

    (void)count;
    if (!cli_subject_table(shell, words[0], &subject, answer))
        return;
    answer->in_force.size = sizeof answer->in_force;
    tears_collection_status(subject.table, &answer->in_force);
    answer->shape = CLI_SHAPE_STATUS;
}

/* ---- transactions ---- */

static void verb_begin(struct cli_shell *shell, const struct tears_str *words, size_t count,
                       struct cli_answer *answer)
{
    (void)words;
    (void)count;
    const double started = cli_now();
    const tears_status status = tears_begin(shell->context.session);
    cli_answer_conclude(shell, answer, status, started);
    answer->tier = TEARS_TIER_NONE;
    if (status != TEARS_OK)
        return;
    shell->in_transaction = true;
    shell->memory_at_begin = shell->memory.last;
}

/* Rows read inside a transaction that did not happen are no base for anything. */
static void transaction_ended(struct cli_shell *shell, bool happened)
{
    if (shell->in_transaction && !happened)
        cli_memory_forget_since(&shell->memory, shell->memory_at_begin);
    shell->in_transaction = false;
}

static void verb_commit(struct cli_shell *shell, const struct tears_str *words, size_t count,
                        struct cli_answer *answer)
{
    (void)words;
    (void)count;
    const double started = cli_now();
    const tears_status status = tears_commit(shell->context.session);
    cli_answer_conclude(shell, answer, status, started);
    answer->tier = TEARS_TIER_NONE;
    transaction_ended(shell, status == TEARS_OK);
}

static void verb_rollback(struct cli_shell *shell, const struct tears_str *words, size_t count,
                          struct cli_answer *answer)
{
    (void)words;
    (void)count;
    const double started = cli_now();
    const tears_status status = tears_rollback(shell->context.session);
    cli_answer_conclude(shell, answer, status, started);
    answer->tier = TEARS_TIER_NONE;
    transaction_ended(shell, false);
}

/* ---- the rest ---- */

static void verb_stats(struct cli_shell *shell, const struct tears_str *words, size_t count,
                       struct cli_answer *answer)
{
    (void)shell;
    (void)words;
    (void)count;
    answer->shape = CLI_SHAPE_STATS; /* read when it is printed */
}

static void verb_sleep(struct cli_shell *shell, const struct tears_str *words, size_t count,
                       struct cli_answer *answer)
{
    uint64_t ms = 0;

    (void)shell;
    (void)count;
    if (!cli_number(words[0], 3600000, &ms)) {
        cli_answer_fail(answer, TEARS_INVALID, "sleep needs milliseconds, at most 3600000");
        return;
    }
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    const double started = cli_now();
    while (nanosleep(&left, &left) != 0)
        ; /* a signal woke it; `left` is what remains, so this ends */
    answer->seconds = cli_now() - started;
}

static void verb_quit(struct cli_shell *shell, const struct tears_str *words, size_t count,
                      struct cli_answer *answer)
{
    (void)words;
    (void)count;
    (void)answer;
    shell->ended = true;
}

static void verb_help(struct cli_shell *shell, const struct tears_str *words, size_t count,
                      struct cli_answer *answer)
{
    (void)shell;
    (void)words;
    (void)count;
    answer->shape = CLI_SHAPE_TEXT;
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        CLI_AUTO(cli_text_done) struct cli_text usage = {0};
        cli_text_printf(&usage, "%s %s", verb->name, verb->synopsis);
        cli_text_printf(&answer->text, "%s  %-36s %s", verb == cli_verbs ? "" : "\n", usage.ptr,
                        verb->help);
    }
}

enum { WORDS_MAX = 1 << 20 };

const struct cli_verb cli_verbs[] = {
    {"get", "TABLE KEY...", "one row", 2, WORDS_MAX, verb_get},
    {"getmany", "TABLE KEY1 KEY2...", "many rows in few round trips", 2, WORDS_MAX, verb_getmany},
    {"field", "TABLE KEY... COLUMN", "one value of a row", 3, WORDS_MAX, verb_field},
    {"set", "TABLE KEY... column=value...", "change the row read last", 2, WORDS_MAX, verb_set},
    {"put", "TABLE KEY... COLUMN VALUE", "set one value, whatever else has changed", 4, WORDS_MAX,
     verb_put},
    {"insert", "TABLE column=value...", "add a row", 2, WORDS_MAX, verb_insert},
    {"delete", "TABLE KEY...", "remove a row", 2, WORDS_MAX, verb_delete},
    {"evict", "TABLE KEY...", "drop a row from this process's L1", 2, WORDS_MAX, verb_evict},
    {"invalidate", "TABLE KEY...", "drop a row from every cache", 2, WORDS_MAX, verb_invalidate},
    {"ensure", "TABLE KEY1 KEY2...", "bring rows into L1", 2, WORDS_MAX, verb_ensure},
    {"flush", "[TABLE...]", "write what is pending to the database", 0, WORDS_MAX, verb_flush},
    {"begin", "", "start a transaction", 0, 0, verb_begin},
    {"commit", "", "end it, keep its writes", 0, 0, verb_commit},
    {"rollback", "", "end it, undo its writes", 0, 0, verb_rollback},
    {"explain", "TABLE KEY...", "what each tier holds of a row", 2, WORDS_MAX, verb_explain},
    {"status", "TABLE", "the bound in force, and the state of the feed", 1, 1, verb_status},
    {"stats", "", "counters of the tiers", 0, 0, verb_stats},
    {"sleep", "MS", "wait", 1, 1, verb_sleep},
    {"help", "", "this list", 0, 0, verb_help},
    {"quit", "", "leave", 0, 0, verb_quit},
    {NULL, NULL, NULL, 0, 0, NULL},
};

static const struct cli_verb *find_verb(struct tears_str name)
{
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        if (cli_str_is(name, verb->name))
            return verb;
    }
    return NULL;
}

static void fail_verb(struct tears_str name, struct cli_answer *answer)
{
    const char *names[CLI_COUNT(cli_verbs)];
    size_t count = 0;
    char *copy = cli_copy(name);

    for (; cli_verbs[count].name != NULL; count++)
        names[count] = cli_verbs[count].name;
    const char *near = cli_nearest(copy, names, count);
    answer->status = TEARS_MISUSE;
    cli_text_printf(&answer->error, "unknown verb '%s'; %s%s%s", copy,
                    near != NULL ? "did you mean '" : "`help` lists them", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
    free(copy);
}

void cli_shell_run(struct cli_shell *shell, struct tears_str line, struct cli_answer *answer_out)
{
    struct cli_answer *answer = answer_out;
    const char *defect = cli_words_split(line, &shell->words);

    *answer = (struct cli_answer){.status = TEARS_OK};
    if (defect != NULL) {
        cli_answer_fail(answer, TEARS_MISUSE, defect);
        return;
    }
    const struct tears_str name = shell->words.words[0];
    const size_t count = shell->words.count - 1;
    const struct cli_verb *verb = find_verb(name);
    if (verb == NULL) {
        fail_verb(name, answer);
        return;
    }
    if (count < verb->word_min || count > verb->word_max) {
        answer->status = TEARS_MISUSE;
        cli_text_printf(&answer->error, "usage: %s %s", verb->name, verb->synopsis);
        return;
    }
    verb->run(shell, shell->words.words + 1, count, answer);
}
