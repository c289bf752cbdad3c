/*
 * vectors_dynamic.c -- sql.jsonl: tables defined at run time, and rows that change their owner.
 *
 * Threads:  one.
 * Begin at: dynamic_create_table(); sql_ops in vectors_sql.c lists them.
 */
#include "vectors/vectors_dynamic.h"
#include "base/str.h"
#include "schema/ddl_reference.h"

static struct tears_str member_text(const json_t *object, const char *member, const char *otherwise)
{
    const json_t *value = json_object_get(object, member);
    return json_is_string(value) ? text_of(value) : tears_str_c(otherwise);
}

static bool member_truth(const json_t *object, const char *member, bool otherwise)
{
    const json_t *value = json_object_get(object, member);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static void *room(struct vector *vector, size_t count, size_t bytes)
{
    void *memory = t3_arena_array(vector->arena, count, bytes);
    if (memory == NULL)
        give_up("out of memory");
    return memory;
}

static void read_columns(struct vector *vector, const json_t *array,
                         struct t3_reference_table *table)
{
    const size_t count = json_array_size(array);
    struct t3_reference_column *columns = room(vector, count, sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        const json_t *column = json_array_get(array, i);
        const json_t *dim = json_object_get(column, "vector_dim");
        columns[i].name = member_text(column, "name", "");
        columns[i].type = member_text(column, "column_type", "");
        columns[i].nullable = member_truth(column, "nullable", true);
        columns[i].primary = member_truth(column, "primary_key", false);
        columns[i].server_default = member_text(column, "default", "");
        columns[i].has_dim = json_is_integer(dim);
        columns[i].vector_dim = json_integer_value(dim);
    }
    table->columns = columns;
    table->column_count = count;
}

static void read_indexes(struct vector *vector, const json_t *array,
                         struct t3_reference_table *table)
{
    const size_t count = json_array_size(array);
    struct tears_index_def *indexes = room(vector, count, sizeof *indexes);
    for (size_t i = 0; i < count; i++) {
        const json_t *index = json_array_get(array, i);
        indexes[i].name = member_text(index, "name", "");
        indexes[i].unique = member_truth(index, "unique", false);
        indexes[i].columns =
            names_of(vector, json_object_get(index, "columns"), &indexes[i].column_count);
    }
    table->indexes = indexes;
    table->index_count = count;
}

static void read_foreign_keys(struct vector *vector, const json_t *array,
                              struct t3_reference_table *table)
{
    const size_t count = json_array_size(array);
    struct tears_foreign_key_def *keys = room(vector, count, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        const json_t *key = json_array_get(array, i);
        keys[i].name = member_text(key, "name", "");
        keys[i].columns = names_of(vector, json_object_get(key, "columns"), &keys[i].column_count);
        keys[i].references_table = member_text(key, "references_table", "");
        keys[i].references_columns = names_of(vector, json_object_get(key, "references_columns"),
                                              &keys[i].references_column_count);
        keys[i].on_delete = member_text(key, "on_delete", "CASCADE");
        keys[i].on_update = member_text(key, "on_update", "NO ACTION");
    }
    table->foreign_keys = keys;
    table->foreign_key_count = count;
}

static const char *fault_name(int32_t fault)
{
    switch ((enum t3_reference_fault)fault) {
    case T3_REFERENCE_IDENTIFIER:
        return "invalid_identifier";
    case T3_REFERENCE_TYPE:
        return "invalid_column_type";
    case T3_REFERENCE_DIM:
        return "invalid_vector_dim";
    case T3_REFERENCE_DIM_MISSING:
        return "vector_dim_required";
    case T3_REFERENCE_DIM_EXTRA:
        return "vector_dim_not_allowed";
    case T3_REFERENCE_ACTION:
        return "invalid_referential_action";
    }
    return "?";
}

/* False: the definition is refused, and the vector says so. */
static bool read_table(struct vector *vector, struct t3_reference_table *table)
{
    const json_t *in = json_object_get(vector->in, "table");
    struct tears_error error;
    memset(table, 0, sizeof *table);
    table->name = member_text(in, "name", "");
    read_columns(vector, json_object_get(in, "columns"), table);
    read_indexes(vector, json_object_get(in, "indexes"), table);
    read_foreign_keys(vector, json_object_get(in, "foreign_keys"), table);
    if (t3_reference_table_check(table, &error) == TEARS_OK)
        return true;
    refuse(vector, fault_name(error.detail));
    return false;
}

json_t *dynamic_create_table(struct vector *vector)
{
    struct t3_reference_table table;
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    if (!read_table(vector, &table))
        return NULL;
    must(t3_reference_create_table(&table, &sql), "t3_reference_create_table");
    json_t *indexes = json_array();
    for (size_t i = 0; i < table.index_count; i++) {
        T3_AUTO(t3_buf_done) struct t3_buf index = {0};
        must(t3_reference_create_index(&table, i, &index), "t3_reference_create_index");
        json_array_append_new(indexes, give_text(t3_buf_str(&index)));
    }
    return json_pack("{s:o, s:o}", "create_table", give_text(t3_buf_str(&sql)), "create_indexes",
                     indexes);
}

json_t *dynamic_delete(struct vector *vector)
{
    struct t3_reference_table table;
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    if (!read_table(vector, &table))
        return NULL;
    must(t3_reference_dynamic_delete(&table, &sql), "t3_reference_dynamic_delete");
    return json_pack("{s:o, s:o}", "pk", give_text(t3_reference_key(&table)), "delete",
                     give_text(t3_buf_str(&sql)));
}

json_t *repoint_rows(struct vector *vector)
{
    struct t3_reference_repoint repoint = {.table = in_text(vector, "table"),
                                           .owner = in_text(vector, "user_column"),
                                           .touched = in_text(vector, "touch_column")};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    repoint.key = names_of(vector, json_object_get(vector->in, "pk_columns"), &repoint.key_count);
    must(t3_reference_repoint(&repoint, &sql), "t3_reference_repoint");
    json_t *params = json_pack("[s, s]", "@from", "@to");
    if (repoint.touched.len > 0)
        json_array_append_new(params, json_string("@now"));
    return json_pack("{s:o, s:o}", "sql", give_text(t3_buf_str(&sql)), "params", params);
}
