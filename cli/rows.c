/*
 * rows.c -- reads keys and fields as people write them, prints rows as people read them.
 *
 * Owns:     the forms `column=text` and `column:=json`, and the look of a row.
 * Must not know: options, files.
 * Threads:  one per session.
 * Fails:    with a status and a message that names column and value.
 * Begin at: cli_fields_parse().
 */
#include "rows.h"

#include <stdlib.h>

static const struct tears_column_info no_column = {.name = {"", 0}};

static struct tears_column_info column_at(const tears_schema *schema, size_t index)
{
    struct tears_column_info info = no_column;
    if (tears_schema_column(schema, index, &info) != TEARS_OK)
        return no_column; /* the index came from the schema itself */
    return info;
}

void cli_problem_done(struct cli_problem *problem)
{
    cli_text_done(&problem->message);
}

int cli_fail_problem(const struct cli_args *args, const struct cli_problem *problem)
{
    return cli_fail(args, cli_exit_of(problem->status), tears_status_name(problem->status), "%s",
                    problem->message.ptr != NULL ? problem->message.ptr
                                                 : tears_status_text(problem->status));
}

/* Takes over the session's message. */
static tears_status problem_of_session(const tears_session *session, tears_status status,
                                       struct cli_problem *problem)
{
    const struct tears_error *error = tears_session_error(session);
    problem->status = status;
    cli_text_clear(&problem->message);
    cli_text_put_c(&problem->message,
                   error->message[0] != '\0' ? error->message : tears_status_text(status));
    return status;
}

/* ---- keys ---- */

static void put_key_columns(const tears_schema *schema, struct cli_text *out)
{
    for (size_t i = 0; i < tears_schema_key_count(schema); i++) {
        cli_text_put_c(out, i > 0 ? ", " : "");
        cli_text_put(out, column_at(schema, tears_schema_key_column(schema, i)).name);
    }
}

tears_status cli_key_parse(const struct cli_target *target, const struct tears_str *words,
                           size_t word_count, struct tears_value *key_out,
                           struct cli_problem *problem)
{
    const size_t count = tears_schema_key_count(target->schema);

    if (word_count != count || count > CLI_KEY_COLUMNS_MAX) {
        problem->status = TEARS_MISUSE;
        cli_text_clear(&problem->message);
        cli_text_printf(&problem->message, "the key of '" CLI_STR_FMT "' has %zu value%s (",
                        CLI_STR_ARG(tears_schema_name(target->schema)), count,
                        count == 1 ? "" : "s");
        put_key_columns(target->schema, &problem->message);
        cli_text_printf(&problem->message, "); %zu given", word_count);
        return TEARS_MISUSE;
    }
    for (size_t i = 0; i < count; i++) {
        const size_t column = tears_schema_key_column(target->schema, i);
        const tears_status status =
            tears_value_parse(target->session, target->schema,
                              column_at(target->schema, column).name, words[i], &key_out[i]);
        if (status != TEARS_OK)
            return problem_of_session(target->session, status, problem);
    }
    return TEARS_OK;
}

void cli_key_describe(const struct cli_target *target, const struct tears_value *key,
                      struct cli_text *out)
{
    const size_t count = tears_schema_key_count(target->schema);

    cli_text_put_c(out, count > 1 ? "(" : "");
    put_key_columns(target->schema, out);
    cli_text_put_c(out, count > 1 ? ") = (" : " = ");
    for (size_t i = 0; i < count; i++) {
        cli_text_put_c(out, i > 0 ? ", " : "");
        if (cli_value_text(target->session, &key[i], out) != TEARS_OK)
            cli_text_put_c(out, "?");
    }
    cli_text_put_c(out, count > 1 ? ")" : "");
}

/* ---- fields ---- */

const char *cli_nearest_column(const tears_schema *schema, struct tears_str name)
{
    const size_t count = tears_schema_column_count(schema);
    const char **names = cli_alloc(count, sizeof *names);
    char *wanted = cli_copy(name);

    for (size_t i = 0; i < count; i++)
        names[i] = column_at(schema, i).name.ptr;
    const char *near = cli_nearest(wanted, names, count);
    free(wanted);
    free(names);
    return near;
}

static tears_status fail_no_column(const tears_schema *schema, struct tears_str name,
                                   struct cli_problem *problem)
{
    const struct tears_str table = tears_schema_name(schema);
    const char *near = cli_nearest_column(schema, name);

    problem->status = TEARS_MISUSE;
    cli_text_clear(&problem->message);
    cli_text_printf(&problem->message, "table '" CLI_STR_FMT "' has no column '" CLI_STR_FMT "'",
                    CLI_STR_ARG(table), CLI_STR_ARG(name));
    if (near != NULL)
        cli_text_printf(&problem->message, "; did you mean '%s'?", near);
    else
        cli_text_printf(&problem->message, "; `tears describe " CLI_STR_FMT "` lists them",
                        CLI_STR_ARG(table));
    return TEARS_MISUSE;
}

/* A value given as JSON goes through the reader of rows, as an object with this one member. */
static tears_status parse_json_value(const struct cli_target *target, struct tears_str column,
                                     struct tears_str json, struct tears_field *field_out)
{
    CLI_AUTO(cli_text_done) struct cli_text object = {0};
    const struct tears_field *fields = NULL;
    size_t count = 0;

    cli_text_put_char(&object, '{');
    cli_text_put_json(&object, column);
    cli_text_put_char(&object, ':');
    cli_text_put(&object, json);
    cli_text_put_char(&object, '}');
    /* The reader's results may point into its input, which must therefore belong to the session. */
    char *copy = tears_session_alloc(target->session, object.len + 1);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    memcpy(copy, object.ptr, object.len + 1);
    const tears_status status = tears_fields_from_json(
        target->session, target->schema, tears_str_n(copy, object.len), &fields, &count);
    if (status == TEARS_OK && count == 1)
        *field_out = fields[0];
    return status == TEARS_OK && count != 1 ? TEARS_INVALID : status;
}

static tears_status parse_field(const struct cli_target *target, struct tears_str word,
                                struct tears_field *field_out, struct cli_problem *problem)
{
    const char *equals = memchr(word.ptr, '=', word.len);
    size_t index = 0;

    if (equals == NULL || equals == word.ptr) {
        problem->status = TEARS_MISUSE;
        cli_text_clear(&problem->message);
        cli_text_printf(&problem->message, "'" CLI_STR_FMT "' is not column=value",
                        CLI_STR_ARG(word));
        return TEARS_MISUSE;
    }
    const size_t name_len = (size_t)(equals - word.ptr);
    const struct tears_str text = tears_str_n(equals + 1, word.len - name_len - 1);
    struct tears_str name = tears_str_n(word.ptr, name_len);
    bool json = false;
    if (tears_schema_find_column(target->schema, name, &index) != TEARS_OK) {
        json = name.ptr[name.len - 1] == ':';
        name.len -= json ? 1 : 0;
        if (tears_schema_find_column(target->schema, name, &index) != TEARS_OK)
            return fail_no_column(target->schema, name, problem);
    }
    field_out->name = column_at(target->schema, index).name;
    const tears_status status = json ? parse_json_value(target, field_out->name, text, field_out)
                                     : tears_value_parse(target->session, target->schema,
                                                         field_out->name, text, &field_out->value);
    return status == TEARS_OK ? TEARS_OK : problem_of_session(target->session, status, problem);
}

tears_status cli_fields_parse(const struct cli_target *target, const struct tears_str *words,
                              size_t word_count, struct tears_field *fields_out,
                              struct cli_problem *problem)
{
    for (size_t i = 0; i < word_count; i++) {
        const tears_status status = parse_field(target, words[i], &fields_out[i], problem);
        if (status != TEARS_OK)
            return status;
        for (size_t before = 0; before < i; before++) {
            if (!cli_str_equal(fields_out[before].name, fields_out[i].name))
                continue;
            problem->status = TEARS_MISUSE;
            cli_text_clear(&problem->message);
            cli_text_printf(&problem->message, "column '" CLI_STR_FMT "' is given twice",
                            CLI_STR_ARG(fields_out[i].name));
            return TEARS_MISUSE;
        }
    }
    return TEARS_OK;
}

/* ---- values ---- */

static void put_hex(struct tears_str bytes, struct cli_text *out)
{
    cli_text_put_c(out, "\\x");
    for (size_t i = 0; i < bytes.len; i++)
        cli_text_printf(out, "%02x", (unsigned char)bytes.ptr[i]);
}

tears_status cli_value_text(tears_session *session, const struct tears_value *value,
                            struct cli_text *out)
{
    struct tears_str json = {NULL, 0};

    if (value->kind == TEARS_KIND_TEXT || value->kind == TEARS_KIND_DECIMAL ||
        value->kind == TEARS_KIND_JSON) {
        cli_text_put(out, value->as.bytes);
        return TEARS_OK;
    }
    if (value->kind == TEARS_KIND_BYTES) {
        put_hex(value->as.bytes, out);
        return TEARS_OK;
    }
    const tears_status status = tears_value_json(session, value, &json);
    if (status != TEARS_OK)
        return status;
    /* The kinds left have JSON texts without escapes; of a string only the quotes go. */
    if (json.len >= 2 && json.ptr[0] == '"')
        json = tears_str_n(json.ptr + 1, json.len - 2);
    cli_text_put(out, json);
    return TEARS_OK;
}

/* ---- rows ---- */

/* Puts the row's value at a column into the grid; NULL is shown as an empty cell of tables, "-" of
 * one row. */
static tears_status put_cell(const struct cli_context *context, const tears_entity *row,
                             size_t index, struct cli_grid *grid, const char *null)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    struct tears_value value = tears_null();
    tears_status status = tears_entity_at(row, index, &value);

    if (status == TEARS_OK && value.kind != TEARS_KIND_NULL)
        status = cli_value_text(context->session, &value, &text);
    else
        cli_text_put_c(&text, null);
    cli_grid_put(grid, cli_text_str(&text));
    return status;
}

static int print_json(const struct cli_context *context, const tears_entity *row)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    struct tears_str json = {NULL, 0};
    const tears_status status = tears_entity_json(row, &json);

    if (status != TEARS_OK)
        return cli_fail_session(context, status);
    cli_text_put(&line, json);
    return cli_print_line(context->args, cli_text_str(&line));
}

int cli_row_print(const struct cli_context *context, const tears_entity *row)
{
    if (context->args->json)
        return print_json(context, row);

    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    const tears_schema *schema = tears_collection_schema(tears_entity_collection(row));
    cli_grid_init(&grid, 2);
    grid.whole = true;
    for (size_t i = 0; i < tears_schema_column_count(schema); i++) {
        cli_grid_put(&grid, column_at(schema, i).name);
        const tears_status status = put_cell(context, row, i, &grid, "-");
        if (status != TEARS_OK)
            return cli_fail_session(context, status);
    }
    return cli_grid_print(context->args, &grid);
}

static bool is_number(uint64_t kind)
{
    return kind == TEARS_KIND_INT || kind == TEARS_KIND_DOUBLE || kind == TEARS_KIND_DECIMAL;
}

int cli_rows_print(const struct cli_context *context, const tears_schema *schema,
                   tears_entity *const *rows, size_t count)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid = {0};
    const size_t column_count = tears_schema_column_count(schema);

    for (size_t i = 0; context->args->json && i < count; i++)
        CLI_TRY(print_json(context, rows[i]));
    if (context->args->json)
        return CLI_EXIT_OK;
    cli_grid_init(&grid, column_count);
    for (size_t column = 0; column < column_count; column++) {
        cli_grid_put(&grid, column_at(schema, column).name);
        grid.right[column] = is_number(column_at(schema, column).kind);
    }
    for (size_t i = 0; i < count * column_count; i++) {
        const tears_status status =
            put_cell(context, rows[i / column_count], i % column_count, &grid, "");
        if (status != TEARS_OK)
            return cli_fail_session(context, status);
    }
    return cli_grid_print(context->args, &grid);
}
