/*
 * l3_pg_rows.c -- values on their way to PostgreSQL, and rows on their way back.
 *
 * Owns:     nothing; memory is the call's arena.
 * Must not know: which statement is run, or how.
 * Threads:  one at a time.
 * Fails:    TEARS_INVALID (a column's type in the database is not what the schema says),
 * TEARS_CORRUPT, TEARS_LIMIT, TEARS_NO_MEMORY. Begin at: t3_pg_reader_row().
 */
#include "tier/l3_pg_impl.h"

#include "base/str.h"
#include "codec/text.h"

/* ---- parameters -------------------------------------------------------------------------------
 */

tears_status t3_pg_wire_value(struct t3_arena *arena, const struct tears_value *value,
                              struct tears_value *out)
{
    if (value->kind != TEARS_KIND_VECTOR) {
        *out = *value;
        return TEARS_OK;
    }
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_str copy;
    T3_TRY(t3_vector_put(&text, value->as.vector));
    T3_TRY(t3_arena_str(arena, t3_buf_str(&text), &copy));
    *out = tears_text(copy);
    return TEARS_OK;
}

static tears_status param_failed(struct t3_pg_work *work, const struct t3_param *param,
                                 tears_status status)
{
    const struct tears_schema *schema = work->schema;
    struct tears_error *error = work->call->error;
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error, T3_PG_ORIGIN);
    const struct tears_str column =
        param->column != T3_NO_COLUMN ? schema->columns[param->column].name : TEARS_STR("(limit)");
    if (status == TEARS_LIMIT)
        return t3_fail(error, status, T3_PG_ORIGIN,
                       "the values for column '" T3_STR_FMT "' of table '" T3_STR_FMT
                       "' are too large for one statement",
                       T3_STR_ARG(column), T3_STR_ARG(schema->name));
    return t3_fail(error, status, T3_PG_ORIGIN,
                   "a value for column '" T3_STR_FMT "' of table '" T3_STR_FMT
                   "' does not fit its type in the database",
                   T3_STR_ARG(column), T3_STR_ARG(schema->name));
}

tears_status t3_pg_put_param(struct t3_pg_work *work, const struct t3_param *param,
                             const struct tears_value *value, struct t3_pg_params *params)
{
    struct tears_value sent;
    tears_status status = t3_pg_wire_value(work->call->arena, value, &sent);
    if (status == TEARS_OK)
        status = t3_pg_put(params, t3_pg_type_of_wire(param->wire), &sent);
    return status == TEARS_OK ? TEARS_OK : param_failed(work, param, status);
}

/* Vectors have to be converted one by one; everything else is sent from where it is. */
static tears_status convert_all(struct t3_arena *arena, const struct tears_value *const *values,
                                size_t count, const struct tears_value ***converted_out)
{
    struct tears_value *made = t3_arena_array(arena, count, sizeof *made);
    const struct tears_value **converted = t3_arena_array(arena, count, sizeof *converted);
    if (made == NULL || converted == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        T3_TRY(t3_pg_wire_value(arena, values[i], &made[i]));
        converted[i] = &made[i];
    }
    *converted_out = converted;
    return TEARS_OK;
}

static bool is_vector(const struct tears_schema *schema, uint32_t column)
{
    return column != T3_NO_COLUMN && schema->columns[column].kind == TEARS_KIND_VECTOR;
}

tears_status t3_pg_put_param_array(struct t3_pg_work *work, const struct t3_param *param,
                                   const struct tears_value *const *values, size_t count,
                                   struct t3_pg_params *params)
{
    const struct tears_schema *schema = work->schema;
    const uint32_t type = t3_pg_type_of_wire(param->wire);
    const struct tears_value **converted = NULL;
    tears_status status = TEARS_OK;
    if (is_vector(schema, param->column))
        status = convert_all(work->call->arena, values, count, &converted);
    if (status == TEARS_OK)
        status = t3_pg_put_array(params, type, converted != NULL ? converted : values, count);
    return status == TEARS_OK ? TEARS_OK : param_failed(work, param, status);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

tears_status t3_pg_reader_init(struct t3_pg_reader *reader, struct t3_pg_work *work,
                               const struct t3_pg_result *result)
{
    const struct tears_schema *schema = work->schema;
    memset(reader, 0, sizeof *reader);
    reader->schema = schema;
    reader->result = result;
    reader->arena = work->call->arena;
    reader->error = work->call->error;
    if (t3_pg_result_columns(result) != schema->column_count)
        return t3_fail(reader->error, TEARS_INTERNAL, T3_PG_ORIGIN,
                       "a statement on table '" T3_STR_FMT "' gave %u columns instead of %u",
                       T3_STR_ARG(schema->name), t3_pg_result_columns(result),
                       schema->column_count);
    reader->hows = t3_arena_alloc(reader->arena, schema->column_count);
    reader->values = t3_arena_alloc(reader->arena, schema->column_count * sizeof *reader->values);
    if (reader->hows == NULL || reader->values == NULL)
        return t3_fail_memory(reader->error, T3_PG_ORIGIN);
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const uint32_t type = t3_pg_result_type(result, i);
        reader->hows[i] = (uint8_t)t3_pg_how(type, schema->columns[i].kind);
        if (reader->hows[i] == T3_PG_HOW_NONE)
            return t3_fail(reader->error, TEARS_INVALID, T3_PG_ORIGIN,
                           "column '" T3_STR_FMT "' of table '" T3_STR_FMT
                           "' has another type in the database (oid %u) than in its schema",
                           T3_STR_ARG(schema->columns[i].name), T3_STR_ARG(schema->name), type);
    }
    return TEARS_OK;
}

static tears_status cell_failed(const struct t3_pg_reader *reader, uint32_t column,
                                tears_status status)
{
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(reader->error, T3_PG_ORIGIN);
    return t3_fail(
        reader->error, status, T3_PG_ORIGIN,
        "column '" T3_STR_FMT "' of a row of table '" T3_STR_FMT "' could not be decoded",
        T3_STR_ARG(reader->schema->columns[column].name), T3_STR_ARG(reader->schema->name));
}

static tears_status row_failed(const struct t3_pg_reader *reader, tears_status status)
{
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(reader->error, T3_PG_ORIGIN);
    return t3_fail(reader->error, status, T3_PG_ORIGIN,
                   "a row of table '" T3_STR_FMT "' is larger than the limit",
                   T3_STR_ARG(reader->schema->name));
}

tears_status t3_pg_reader_row(struct t3_pg_reader *reader, size_t index, struct t3_row **row_out)
{
    const struct tears_schema *schema = reader->schema;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct tears_str cell = t3_pg_result_cell(reader->result, index, i);
        if (cell.ptr == NULL) {
            reader->values[i].kind = TEARS_KIND_NULL;
            continue;
        }
        const tears_status status =
            t3_pg_decode((enum t3_pg_how)reader->hows[i], schema->columns[i].kind, cell,
                         &reader->scratch, &reader->values[i]);
        if (T3_UNLIKELY(status != TEARS_OK))
            return cell_failed(reader, i, status);
    }
    const tears_status status = t3_row_new(reader->arena, &schema->layout, reader->values, row_out);
    if (reader->scratch.at != NULL)
        t3_arena_reset(&reader->scratch);
    return status == TEARS_OK ? TEARS_OK : row_failed(reader, status);
}

void t3_pg_reader_done(struct t3_pg_reader *reader)
{
    t3_arena_done(&reader->scratch);
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static bool column_is_exact(const struct t3_column *column)
{
    if (column->text_cast)
        return false; /* such as a date, which has several texts */
    switch (column->type) {
    case TEARS_TYPE_UUID:
    case TEARS_TYPE_INT:
    case TEARS_TYPE_BIGINT:
    case TEARS_TYPE_BOOL:
    case TEARS_TYPE_BYTES:
    case TEARS_TYPE_ENUM:
    case TEARS_TYPE_TIMESTAMPTZ:
        return true;
    case TEARS_TYPE_STRING: /* character(n) pads, citext folds case */
        return column->sql_type.len == 0 || t3_str_is(column->sql_type, "text") ||
               t3_str_is(column->sql_type, "name") ||
               t3_str_starts(column->sql_type, "character varying");
    default:
        return false; /* 1.0 and 1.00 are one numeric; 0 and -0 one double */
    }
}

bool t3_pg_key_is_exact(const struct tears_schema *schema)
{
    for (uint32_t i = 0; i < schema->key_count; i++)
        if (!column_is_exact(&schema->columns[schema->key[i]]))
            return false;
    return true;
}
