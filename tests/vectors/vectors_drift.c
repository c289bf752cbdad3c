/*
 * vectors_drift.c -- migrations.jsonl: drift as the Python package looks for it, in the text of DDL.
 *
 * Threads:  one.
 * Begin at: drift_ops.
 */
#include "base/str.h"
#include "data/drift_text.h"
#include "data/drift_type.h"
#include "vectors/vectors.h"

/* ---- drift_parse ------------------------------------------------------------------------------ */

static json_t *give_columns(const struct t3_text_table *table)
{
    json_t *columns = json_array();
    for (size_t i = 0; i < table->column_count; i++)
        json_array_append_new(columns, json_pack("[o, o]", give_text(table->columns[i].name),
                                                 give_text(table->columns[i].type)));
    return columns;
}

static json_t *drift_parse(struct vector *vector)
{
    struct t3_text_tables tables = {.arena = vector->arena};
    size_t count = 0;
    const struct tears_str *statements =
        names_of(vector, json_object_get(vector->in, "statements"), &count);
    for (size_t i = 0; i < count; i++)
        must(t3_text_read(&tables, statements[i]), "t3_text_read");
    json_t *all = json_object();
    for (size_t i = 0; i < tables.count; i++) {
        const struct t3_text_table *table = &tables.tables[i];
        json_t *schema = table->schema.ptr != NULL ? give_text(table->schema) : json_null();
        json_object_set_new(
            all, table->name.ptr,
            json_pack("{s:o, s:o}", "schema", schema, "columns", give_columns(table)));
    }
    return json_pack("{s:o}", "tables", all);
}

/* ---- normalize_type --------------------------------------------------------------------------- */

static json_t *normalize_type(struct vector *vector)
{
    T3_AUTO(t3_buf_done) struct t3_buf type = {0};
    must(t3_drift_put_type(&type, in_text(vector, "type")), "t3_drift_put_type");
    return give_member("type", t3_buf_str(&type));
}

/* ---- drift_diff ------------------------------------------------------------------------------- */

static void read_columns(struct t3_text_tables *tables, const char *name, const json_t *columns)
{
    struct t3_text_table *table = t3_text_table(tables, tears_str_c(name));
    const char *column = NULL;
    json_t *type = NULL;
    if (table == NULL)
        give_up("out of memory");
    json_object_foreach((json_t *)(uintptr_t)columns, column, type)
        must(t3_text_column(tables, table, tears_str_c(column), text_of(type)), "t3_text_column");
}

static struct t3_text_tables read_expected(struct vector *vector)
{
    struct t3_text_tables tables = {.arena = vector->arena};
    const char *name = NULL;
    json_t *table = NULL;
    json_object_foreach(json_object_get(vector->in, "expected"), name, table)
    {
        read_columns(&tables, name, json_object_get(table, "columns"));
        if (json_is_string(json_object_get(table, "schema")))
            tables.tables[tables.count - 1].schema = text_of(json_object_get(table, "schema"));
    }
    return tables;
}

static struct t3_text_tables read_live(struct vector *vector)
{
    struct t3_text_tables tables = {.arena = vector->arena};
    const char *name = NULL;
    json_t *columns = NULL;
    json_object_foreach(json_object_get(vector->in, "live"), name, columns)
        read_columns(&tables, name, columns);
    return tables;
}

static json_t *give_lines(struct tears_str text)
{
    json_t *lines = json_array();
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\n')
            continue;
        json_array_append_new(lines, give_text(tears_str_n(text.ptr + start, i - start)));
        start = i + 1;
    }
    return lines;
}

static json_t *drift_diff(struct vector *vector)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const struct t3_text_tables expected = read_expected(vector);
    const struct t3_text_tables live = read_live(vector);
    struct t3_drift_list list = {.arena = vector->arena};
    must(t3_text_compare(&expected, &live, in_text(vector, "current_schema"), &list),
         "t3_text_compare");
    must(t3_buf_put_char(&json, '{'), "t3_buf_put_char");
    must(t3_drift_put_json(&json, &list, false), "t3_drift_put_json");
    must(t3_buf_put_char(&json, '}'), "t3_buf_put_char");
    must(t3_drift_put_text(&text, &list), "t3_drift_put_text");
    json_t *report = json_loadb(json.ptr, json.len, 0, NULL);
    if (report == NULL)
        give_up("the report is not JSON");
    return json_pack("{s:o, s:o}", "report", report, "lines", give_lines(t3_buf_str(&text)));
}

const struct vector_op drift_ops[] = {
    {"migrations", "drift_parse", drift_parse, false},
    {"migrations", "normalize_type", normalize_type, false},
    {"migrations", "drift_diff", drift_diff, false},
    {NULL, NULL, NULL, false},
};
