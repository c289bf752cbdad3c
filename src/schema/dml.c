/*
 * dml.c -- SQL text: the pen, and the statements that read and delete by key.
 *
 * Owns:     the text and parameter list in struct t3_dml.
 * Knows:    base/, schema.h.
 * Must not know: libpq, SQLite, values: only shapes.
 * Threads:  any; a t3_dml belongs to one thread at a time.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_dml_fetch(), the shortest statement.
 *
 * Identifiers are always quoted.  The only text that is not ours and not quoted is the name of a
 * type as the catalogue wrote it (format_type quotes where it must).
 */
#include "schema/dml.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "schema/dml_impl.h"
#include "schema/schema_impl.h"

static const char *const wire_names[] = {
    [T3_WIRE_TEXT] = "text",     [T3_WIRE_UUID] = "uuid",
    [T3_WIRE_INT4] = "int4",     [T3_WIRE_INT8] = "int8",
    [T3_WIRE_FLOAT8] = "float8", [T3_WIRE_BOOL] = "bool",
    [T3_WIRE_BYTEA] = "bytea",   [T3_WIRE_TIMESTAMPTZ] = "timestamptz",
};

/* ---- how columns travel -----------------------------------------------------------------------
 */

enum t3_wire t3_wire_of(const struct t3_column *column)
{
    if (column->text_cast)
        return T3_WIRE_TEXT;
    switch (column->type) {
    case TEARS_TYPE_UUID:
        return T3_WIRE_UUID;
    case TEARS_TYPE_INT:
        return T3_WIRE_INT4;
    case TEARS_TYPE_BIGINT:
        return T3_WIRE_INT8;
    case TEARS_TYPE_DOUBLE:
        return T3_WIRE_FLOAT8;
    case TEARS_TYPE_BOOL:
        return T3_WIRE_BOOL;
    case TEARS_TYPE_TIMESTAMPTZ:
        return T3_WIRE_TIMESTAMPTZ;
    case TEARS_TYPE_BYTES:
        return T3_WIRE_BYTEA;
    default:
        return T3_WIRE_TEXT;
    }
}

bool t3_column_selected_as_text(const struct t3_column *column)
{
    return column->text_cast || column->type == TEARS_TYPE_VECTOR ||
           column->type == TEARS_TYPE_TSVECTOR;
}

/*
 * The type that a text parameter of a string column is cast to.  A cast to a type with a length
 * would cut the text without a word, where an assignment reports it; so character types are never
 * cast to their full name.
 */
static struct tears_str cast_of_string(struct tears_str sql_type)
{
    if (sql_type.len == 0 || t3_str_is(sql_type, "text") ||
        t3_str_starts(sql_type, "character varying"))
        return TEARS_STR("");
    if (t3_str_starts(sql_type, "character"))
        return TEARS_STR("bpchar");
    return sql_type;
}

static struct tears_str given_or(struct tears_str sql_type, const char *otherwise)
{
    return sql_type.len > 0 ? sql_type : tears_str_c(otherwise);
}

/* The cast of a value that travels as text; "": none is needed. */
static struct tears_str cast_of(const struct t3_column *column)
{
    if (column->text_cast)
        return given_or(column->sql_type, "text");
    switch (column->type) {
    case TEARS_TYPE_JSONB:
        return given_or(column->sql_type, "jsonb");
    case TEARS_TYPE_NUMERIC:
        return TEARS_STR("numeric");
    case TEARS_TYPE_VECTOR:
        return given_or(column->sql_type, "vector");
    case TEARS_TYPE_TSVECTOR:
        return TEARS_STR("tsvector");
    case TEARS_TYPE_STRING:
        return cast_of_string(column->sql_type);
    default:
        return TEARS_STR("");
    }
}

/* ---- the pen ----------------------------------------------------------------------------------
 */

struct t3_pen t3_pen_start(const struct tears_schema *schema, enum t3_dialect dialect, bool many,
                           struct t3_dml *dml)
{
    T3_ASSERT(!many || dialect == T3_DIALECT_POSTGRESQL);
    t3_buf_clear(&dml->sql);
    dml->sql.len_max = T3_SQL_BYTES_MAX;
    dml->param_count = 0;
    const struct t3_pen pen = {schema, dml, dialect, many, TEARS_OK};
    return pen;
}

void t3_pen_str(struct t3_pen *pen, struct tears_str text)
{
    if (pen->status == TEARS_OK)
        pen->status = t3_buf_put(&pen->dml->sql, text);
}

void t3_pen_text(struct t3_pen *pen, const char *text)
{
    t3_pen_str(pen, tears_str_c(text));
}

void t3_pen_number(struct t3_pen *pen, uint32_t number)
{
    if (pen->status == TEARS_OK)
        pen->status = t3_buf_printf(&pen->dml->sql, "%u", number);
}

void t3_pen_identifier(struct t3_pen *pen, struct tears_str name)
{
    if (pen->status == TEARS_OK)
        pen->status = t3_put_identifier(&pen->dml->sql, name);
}

void t3_pen_own_column(struct t3_pen *pen, uint32_t column)
{
    t3_pen_identifier(pen, pen->schema->columns[column].name);
}

void t3_pen_column(struct t3_pen *pen, uint32_t column)
{
    if (pen->many)
        t3_pen_text(pen, "t3_row.");
    t3_pen_own_column(pen, column);
}

static bool grow_params(struct t3_dml *dml)
{
    const uint32_t capacity = dml->param_capacity < 16 ? 16 : dml->param_capacity * 2;
    struct t3_param *params = t3_resize(dml->params, capacity * sizeof *params);
    if (params == NULL)
        return false;
    dml->params = params;
    dml->param_capacity = capacity;
    return true;
}

uint32_t t3_pen_add(struct t3_pen *pen, enum t3_param_role role, uint32_t column, uint32_t index)
{
    struct t3_dml *dml = pen->dml;
    if (pen->status == TEARS_OK && dml->param_count == dml->param_capacity && !grow_params(dml))
        pen->status = TEARS_NO_MEMORY;
    if (pen->status != TEARS_OK)
        return 0;
    struct t3_param *param = &dml->params[dml->param_count];
    param->column = column;
    param->index = index;
    param->role = (uint8_t)role;
    param->wire = T3_WIRE_INT8; /* a limit, or an integer version of any width */
    if (role != T3_PARAM_LIMIT && role != T3_PARAM_BASE)
        param->wire = (uint8_t)t3_wire_of(&pen->schema->columns[column]);
    else if (role == T3_PARAM_BASE && pen->schema->columns[column].type == TEARS_TYPE_TIMESTAMPTZ)
        param->wire = T3_WIRE_TIMESTAMPTZ;
    return dml->param_count++;
}

static void put_cast(struct t3_pen *pen, const struct t3_param *param)
{
    if (param->role == T3_PARAM_LIMIT || param->role == T3_PARAM_BASE)
        return;
    const struct t3_column *column = &pen->schema->columns[param->column];
    struct tears_str cast = cast_of(column);
    if (column->type == TEARS_TYPE_ENUM && !column->text_cast)
        cast = column->sql_type;
    if (cast.len > 0) {
        t3_pen_text(pen, "::");
        t3_pen_str(pen, cast);
    } else if (column->type == TEARS_TYPE_ENUM && column->enum_name.len > 0) {
        t3_pen_text(pen, "::");
        t3_pen_identifier(pen, column->enum_name);
    }
}

/* k0, c0, base ...: names within unnest, which no name of a column can be mistaken for. */
static void put_unnest_name(struct t3_pen *pen, const struct t3_param *param)
{
    if (param->role == T3_PARAM_BASE) {
        t3_pen_text(pen, "base");
        return;
    }
    t3_pen_text(pen, param->role == T3_PARAM_KEY ? "k" : "c");
    t3_pen_number(pen, param->index);
}

void t3_pen_value(struct t3_pen *pen, uint32_t number)
{
    if (pen->status != TEARS_OK)
        return;
    const struct t3_param *param = &pen->dml->params[number];
    if (pen->many) {
        t3_pen_text(pen, "u.");
        put_unnest_name(pen, param);
    } else {
        t3_pen_text(pen, pen->dialect == T3_DIALECT_POSTGRESQL ? "$" : "?");
        t3_pen_number(pen, number + 1);
    }
    if (pen->dialect == T3_DIALECT_POSTGRESQL)
        put_cast(pen, param);
}

static void put_array_param(struct t3_pen *pen, uint32_t number)
{
    t3_pen_text(pen, "$");
    t3_pen_number(pen, number + 1);
    t3_pen_text(pen, "::");
    t3_pen_text(pen, wire_names[pen->dml->params[number].wire]);
    t3_pen_text(pen, "[]");
}

void t3_pen_unnest(struct t3_pen *pen)
{
    if (pen->status != TEARS_OK)
        return;
    t3_pen_text(pen, "unnest(");
    for (uint32_t i = 0; i < pen->dml->param_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        put_array_param(pen, i);
    }
    t3_pen_text(pen, ") AS u(");
    for (uint32_t i = 0; i < pen->dml->param_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        put_unnest_name(pen, &pen->dml->params[i]);
    }
    t3_pen_text(pen, ")");
}

static void put_selected(struct t3_pen *pen, uint32_t column)
{
    t3_pen_column(pen, column);
    if (pen->dialect != T3_DIALECT_POSTGRESQL ||
        !t3_column_selected_as_text(&pen->schema->columns[column]))
        return;
    t3_pen_text(pen, "::text AS ");
    t3_pen_own_column(pen, column);
}

void t3_pen_select_list(struct t3_pen *pen)
{
    for (uint32_t i = 0; i < pen->schema->column_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        put_selected(pen, i);
    }
}

void t3_pen_add_key(struct t3_pen *pen)
{
    for (uint32_t i = 0; i < pen->schema->key_count; i++)
        t3_pen_add(pen, T3_PARAM_KEY, pen->schema->key[i], i);
}

void t3_pen_where_key(struct t3_pen *pen, uint32_t first)
{
    for (uint32_t i = 0; i < pen->schema->key_count; i++) {
        t3_pen_text(pen, i > 0 ? " AND " : "");
        t3_pen_column(pen, pen->schema->key[i]);
        t3_pen_text(pen, " = ");
        t3_pen_value(pen, first + i);
    }
}

void t3_pen_where_row(struct t3_pen *pen, const struct t3_shape *shape, uint32_t base)
{
    t3_pen_text(pen, " WHERE ");
    t3_pen_where_key(pen, 0);
    if (!shape->has_base)
        return;
    t3_pen_text(pen, " AND ");
    t3_pen_column(pen, pen->schema->version_column);
    t3_pen_text(pen, " = ");
    t3_pen_value(pen, base);
}

void t3_pen_now(struct t3_pen *pen)
{
    t3_pen_text(pen, pen->dialect == T3_DIALECT_POSTGRESQL ? "clock_timestamp()" : "tears_now()");
}

void t3_pen_first_version(struct t3_pen *pen)
{
    if (pen->schema->columns[pen->schema->version_column].type == TEARS_TYPE_TIMESTAMPTZ)
        t3_pen_now(pen);
    else
        t3_pen_text(pen, "1");
}

void t3_pen_next_version(struct t3_pen *pen, bool aliased)
{
    const uint32_t version = pen->schema->version_column;
    const struct t3_column *column = &pen->schema->columns[version];
    const char *before = column->nullable ? "COALESCE(" : "";
    const char *after = column->nullable ? ", 0) + 1" : " + 1";
    if (column->type == TEARS_TYPE_TIMESTAMPTZ && pen->dialect == T3_DIALECT_POSTGRESQL) {
        before = "GREATEST(clock_timestamp(), "; /* which passes over NULL */
        after = " + interval '1 microsecond')";
    } else if (column->type == TEARS_TYPE_TIMESTAMPTZ) {
        before = "tears_next_us(";
        after = ")";
    }
    t3_pen_text(pen, before);
    t3_pen_text(pen, aliased ? "t3_row." : "");
    t3_pen_own_column(pen, version);
    t3_pen_text(pen, after);
}

void t3_dml_done(struct t3_dml *dml)
{
    t3_buf_done(&dml->sql);
    t3_free(dml->params);
    dml->params = NULL;
    dml->param_count = 0;
    dml->param_capacity = 0;
}

/* ---- statements by key ------------------------------------------------------------------------
 */

/* One key column whose type needs no cast: the planner sees a plain array of keys. */
static void put_any(struct t3_pen *pen)
{
    t3_pen_text(pen, "SELECT ");
    t3_pen_select_list(pen);
    t3_pen_text(pen, " FROM ");
    t3_pen_str(pen, pen->schema->sql_name);
    t3_pen_text(pen, " AS t3_row WHERE ");
    t3_pen_column(pen, pen->schema->key[0]);
    t3_pen_text(pen, " = ANY(");
    if (pen->status == TEARS_OK)
        put_array_param(pen, 0);
    t3_pen_text(pen, ")");
}

tears_status t3_dml_fetch(const struct tears_schema *schema, const struct t3_shape *shape,
                          struct t3_dml *dml)
{
    struct t3_pen pen = t3_pen_start(schema, shape->dialect, shape->many, dml);
    t3_pen_add_key(&pen);
    const struct t3_column *first = &schema->columns[schema->key[0]];
    if (shape->many && schema->key_count == 1 && cast_of(first).len == 0 &&
        first->type != TEARS_TYPE_ENUM) {
        put_any(&pen);
        return pen.status;
    }
    t3_pen_text(&pen, "SELECT ");
    t3_pen_select_list(&pen);
    t3_pen_text(&pen, " FROM ");
    if (shape->many) {
        t3_pen_unnest(&pen);
        t3_pen_text(&pen, " JOIN ");
    }
    t3_pen_str(&pen, schema->sql_name);
    t3_pen_text(&pen, shape->many ? " AS t3_row ON " : " WHERE ");
    t3_pen_where_key(&pen, 0);
    return pen.status;
}

void t3_pen_key_and_version(struct t3_pen *pen)
{
    for (uint32_t i = 0; i < pen->schema->key_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        put_selected(pen, pen->schema->key[i]);
    }
    if (pen->schema->version_column != T3_NO_COLUMN) {
        t3_pen_text(pen, ", ");
        put_selected(pen, pen->schema->version_column);
    }
}

tears_status t3_dml_delete(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml)
{
    T3_ASSERT(!shape->has_base || schema->version_column != T3_NO_COLUMN);
    struct t3_pen pen = t3_pen_start(schema, shape->dialect, shape->many, dml);
    t3_pen_add_key(&pen);
    uint32_t base = 0;
    if (shape->has_base)
        base = t3_pen_add(&pen, T3_PARAM_BASE, schema->version_column, 0);
    t3_pen_text(&pen, "DELETE FROM ");
    t3_pen_str(&pen, schema->sql_name);
    if (shape->many) {
        t3_pen_text(&pen, " AS t3_row USING ");
        t3_pen_unnest(&pen);
    }
    t3_pen_where_row(&pen, shape, base);
    t3_pen_text(&pen, " RETURNING ");
    t3_pen_key_and_version(&pen);
    return pen.status;
}
