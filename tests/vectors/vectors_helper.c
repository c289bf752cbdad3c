/*
 * vectors_helper.c -- migrations.jsonl: the statements of the helpers.
 *
 * Threads:  one.
 * Begin at: helper_ops.
 */
#include "base/str.h"
#include "data/helper_impl.h"
#include "vectors/vectors.h"

/* A text among the arguments; absent and null are "". */
static struct tears_str argument(const json_t *args, const char *name)
{
    const json_t *value = json_object_get(args, name);
    return json_is_string(value) ? text_of(value) : TEARS_STR("");
}

static bool flag(const json_t *args, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(args, name);
    return value == NULL || json_is_null(value) ? otherwise : json_is_true(value);
}

static void put_statement(json_t *statements, struct t3_words *words)
{
    must(words->status, "a statement");
    json_array_append_new(statements, give_text(t3_buf_str(&words->sql)));
    t3_words_clear(words);
}

static json_t *add_column(const json_t *args)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    json_t *statements = json_array();
    const struct tears_add_column add = {.schema = argument(args, "schema"),
                                         .table = argument(args, "table"),
                                         .column = argument(args, "column"),
                                         .type = argument(args, "column_type"),
                                         .default_value = argument(args, "default"),
                                         .not_null = flag(args, "not_null", false),
                                         .backfill = argument(args, "backfill_value_sql"),
                                         .predicate = argument(args, "backfill_predicate"),
                                         .no_guard = !flag(args, "backfill_replay_guard", true)};
    t3_text_add_column(&add, true, &words);
    put_statement(statements, &words);
    if (add.backfill.len > 0) {
        t3_text_column_backfill(&add, &words);
        put_statement(statements, &words);
    }
    return json_pack("{s:o}", "statements", statements);
}

static json_t *add_index(struct vector *vector, const json_t *args)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    json_t *statements = json_array();
    struct tears_add_index add = {.schema = argument(args, "schema"),
                                  .table = argument(args, "table"),
                                  .index = {.name = argument(args, "name"),
                                            .unique = flag(args, "unique", false),
                                            .where = argument(args, "where")}};
    add.index.columns = names_of(vector, json_object_get(args, "columns"), &add.index.column_count);
    t3_text_add_index(&add, T3_DIALECT_POSTGRESQL, &words);
    put_statement(statements, &words);
    return json_pack("{s:o}", "statements", statements);
}

static json_t *create_policy(struct vector *vector, const json_t *args)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    struct tears_error error = {0};
    json_t *statements = json_array();
    const struct tears_policy policy = {.schema = argument(args, "schema"),
                                        .table = argument(args, "table"),
                                        .name = argument(args, "policy_name"),
                                        .using_expression = argument(args, "using"),
                                        .check = argument(args, "check"),
                                        .command = argument(args, "command"),
                                        .to_role = argument(args, "to_role"),
                                        .restrictive = !flag(args, "permissive", true)};
    if (t3_text_check_policy(&policy, &error) != TEARS_OK) {
        json_decref(statements);
        return refuse(vector, error.detail == TEARS_POLICY_COMMAND ? "invalid_command"
                                                                   : "check_not_allowed");
    }
    t3_text_policy(&policy, &words);
    put_statement(statements, &words);
    return json_pack("{s:o}", "statements", statements);
}

static json_t *helper(struct vector *vector)
{
    const struct tears_str name = in_text(vector, "helper");
    const json_t *args = json_object_get(vector->in, "args");
    if (t3_str_is(name, "add_column_with_backfill"))
        return add_column(args);
    if (t3_str_is(name, "add_index"))
        return add_index(vector, args);
    if (t3_str_is(name, "create_policy_if_not_exists"))
        return create_policy(vector, args);
    give_up("a helper that the runner does not know");
}

const struct vector_op helper_ops[] = {
    {"migrations", "helper", helper, false},
    {NULL, NULL, NULL, false},
};
