/*
 * dml_write.c -- SQL text of inserts, updates and upserts.
 *
 * Owns:     nothing beyond what dml.c does.
 * Knows:    the pen (dml_impl.h).
 * Must not know: libpq, SQLite, values: only shapes.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_dml_upsert(), which has every part of the others.
 */
#include "base/str.h"
#include "schema/dml_impl.h"

bool t3_column_is_stamped(const struct t3_column *column)
{
    return column->type == TEARS_TYPE_TIMESTAMPTZ && !column->nullable && !column->generated &&
           !column->primary && !column->version && column->server_default.len == 0 &&
           t3_str_is(column->name, "date_created");
}

/*
 * Whether an insert says the first version.  A default that computes one is better: a number that always begins with 1 makes
 * the second life of a deleted row look older than the first.
 */
static bool writes_first_version(const struct tears_schema *schema)
{
    if (schema->version_column == T3_NO_COLUMN)
        return false;
    const struct t3_column *column = &schema->columns[schema->version_column];
    const struct tears_str made = column->server_default;
    const bool computes = made.len > 0 && memchr(made.ptr, '(', made.len) != NULL;
    return column->type == TEARS_TYPE_TIMESTAMPTZ || !computes;
}

static bool is_given(const struct t3_shape *shape, uint32_t column)
{
    for (uint32_t i = 0; i < shape->cell_count; i++)
        if (shape->cells[i].column == column)
            return true;
    return false;
}

/* The date_created column that this insert has to fill by itself, or T3_NO_COLUMN. */
static uint32_t stamped_column(const struct tears_schema *schema, const struct t3_shape *shape)
{
    const uint32_t column = t3_schema_find(schema, TEARS_STR("date_created"));
    if (column == T3_NO_COLUMN || !t3_column_is_stamped(&schema->columns[column]) ||
        is_given(shape, column))
        return T3_NO_COLUMN;
    return column;
}

static void add_cells(struct t3_pen *pen, const struct t3_shape *shape)
{
    for (uint32_t i = 0; i < shape->cell_count; i++)
        t3_pen_add(pen, T3_PARAM_CELL, shape->cells[i].column, i);
}

/* ---- insert -----------------------------------------------------------------------------------
 */

static void put_insert_columns(struct t3_pen *pen, const struct t3_shape *shape, uint32_t stamped)
{
    const char *separator = " (";
    for (uint32_t i = 0; i < shape->cell_count; i++) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, shape->cells[i].column);
        separator = ", ";
    }
    if (stamped != T3_NO_COLUMN) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, stamped);
        separator = ", ";
    }
    if (writes_first_version(pen->schema)) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, pen->schema->version_column);
    }
    t3_pen_text(pen, ")");
}

static void put_insert_values(struct t3_pen *pen, const struct t3_shape *shape, uint32_t stamped)
{
    const char *separator = pen->many ? " SELECT " : " VALUES (";
    for (uint32_t i = 0; i < shape->cell_count; i++) {
        t3_pen_text(pen, separator);
        t3_pen_value(pen, i);
        separator = ", ";
    }
    if (stamped != T3_NO_COLUMN) {
        t3_pen_text(pen, separator);
        t3_pen_now(pen);
        separator = ", ";
    }
    if (writes_first_version(pen->schema)) {
        t3_pen_text(pen, separator);
        t3_pen_first_version(pen);
    }
    if (pen->many) {
        t3_pen_text(pen, " FROM ");
        t3_pen_unnest(pen);
    } else {
        t3_pen_text(pen, ")");
    }
}

/* Whether the row consists of the database's own values only. */
static bool is_all_defaults(const struct tears_schema *schema, const struct t3_shape *shape,
                            uint32_t stamped)
{
    return shape->cell_count == 0 && stamped == T3_NO_COLUMN && !writes_first_version(schema);
}

static void put_insert(struct t3_pen *pen, const struct t3_shape *shape)
{
    T3_ASSERT(!shape->many || shape->cell_count > 0); /* an unnest of no arrays has no rows */
    const uint32_t stamped = stamped_column(pen->schema, shape);
    add_cells(pen, shape);
    t3_pen_text(pen, "INSERT INTO ");
    t3_pen_str(pen, pen->schema->sql_name);
    t3_pen_text(pen, " AS t3_row");
    if (is_all_defaults(pen->schema, shape, stamped)) {
        t3_pen_text(pen, " DEFAULT VALUES");
        return;
    }
    put_insert_columns(pen, shape, stamped);
    put_insert_values(pen, shape, stamped);
}

static void put_conflict_target(struct t3_pen *pen)
{
    t3_pen_text(pen, " ON CONFLICT (");
    for (uint32_t i = 0; i < pen->schema->key_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : "");
        t3_pen_own_column(pen, pen->schema->key[i]);
    }
    t3_pen_text(pen, ")");
}

static tears_status finish(struct t3_pen *pen, const struct t3_shape *shape)
{
    t3_pen_text(pen, " RETURNING ");
    if (shape->is_brief)
        t3_pen_key_and_version(pen);
    else
        t3_pen_select_list(pen);
    return pen->status;
}

/* What an INSERT gives back: its own columns only are in scope, so none needs the alias. */
static tears_status finish_insert(struct t3_pen *pen, const struct t3_shape *shape)
{
    pen->many = false;
    return finish(pen, shape);
}

tears_status t3_dml_insert(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml)
{
    struct t3_pen pen = t3_pen_start(schema, shape->dialect, shape->many, dml);
    put_insert(&pen, shape);
    /* SQLite's grammar has no ON CONFLICT after DEFAULT VALUES; such a row cannot name a key that
     * exists */
    if (shape->cell_count > 0 || shape->dialect == T3_DIALECT_POSTGRESQL) {
        put_conflict_target(&pen);
        t3_pen_text(&pen, " DO NOTHING");
    }
    return finish_insert(&pen, shape);
}

/* ---- upsert -----------------------------------------------------------------------------------
 */

static bool is_updatable(const struct t3_column *column)
{
    return !column->primary && !column->immutable && !column->version && !column->generated;
}

static void put_excluded(struct t3_pen *pen, uint32_t column)
{
    t3_pen_own_column(pen, column);
    t3_pen_text(pen, " = EXCLUDED.");
    t3_pen_own_column(pen, column);
}

/* Sets the given cells that may change; returns what has to stand before the next assignment. */
static const char *put_excluded_cells(struct t3_pen *pen, const struct t3_shape *shape)
{
    const char *separator = " DO UPDATE SET ";
    for (uint32_t i = 0; i < shape->cell_count; i++) {
        if (!is_updatable(&pen->schema->columns[shape->cells[i].column]))
            continue;
        t3_pen_text(pen, separator);
        put_excluded(pen, shape->cells[i].column);
        separator = ", ";
    }
    return separator;
}

static void put_do_update(struct t3_pen *pen, const struct t3_shape *shape)
{
    const char *separator = put_excluded_cells(pen, shape);
    if (writes_first_version(pen->schema)) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, pen->schema->version_column);
        t3_pen_text(pen, " = ");
        t3_pen_next_version(pen, true); /* the old value, not EXCLUDED's */
    } else if (separator[0] != ',') {
        t3_pen_text(pen, separator);
        put_excluded(pen, pen->schema->key[0]); /* changes nothing, but gives the row back */
    }
}

tears_status t3_dml_upsert(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml)
{
    struct t3_pen pen = t3_pen_start(schema, shape->dialect, shape->many, dml);
    put_insert(&pen, shape);
    if (shape->on_conflict != TEARS_ON_CONFLICT_RAISE) {
        put_conflict_target(&pen);
        if (shape->on_conflict == TEARS_ON_CONFLICT_IGNORE)
            t3_pen_text(&pen, " DO NOTHING");
        else
            put_do_update(&pen, shape);
    }
    return finish_insert(&pen, shape);
}

/* ---- update -----------------------------------------------------------------------------------
 */

static void put_assignments(struct t3_pen *pen, const struct t3_shape *shape, uint32_t first)
{
    const struct tears_schema *schema = pen->schema;
    const char *separator = " SET ";
    for (uint32_t i = 0; i < shape->cell_count; i++) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, shape->cells[i].column);
        t3_pen_text(pen, " = ");
        t3_pen_value(pen, first + i);
        separator = ", ";
    }
    if (schema->version_column != T3_NO_COLUMN) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, schema->version_column);
        t3_pen_text(pen, " = ");
        t3_pen_next_version(pen, pen->many);
    } else if (shape->cell_count == 0) {
        t3_pen_text(pen, separator);
        t3_pen_own_column(pen, schema->key[0]); /* changes nothing, but gives the row back */
        t3_pen_text(pen, " = ");
        t3_pen_column(pen, schema->key[0]);
    }
}

tears_status t3_dml_update(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml)
{
    T3_ASSERT(!shape->has_base || schema->version_column != T3_NO_COLUMN);
    struct t3_pen pen = t3_pen_start(schema, shape->dialect, shape->many, dml);
    t3_pen_add_key(&pen);
    add_cells(&pen, shape);
    uint32_t base = 0;
    if (shape->has_base)
        base = t3_pen_add(&pen, T3_PARAM_BASE, schema->version_column, 0);
    t3_pen_text(&pen, "UPDATE ");
    t3_pen_str(&pen, schema->sql_name);
    t3_pen_text(&pen, shape->many ? " AS t3_row" : "");
    put_assignments(&pen, shape, schema->key_count);
    if (shape->many) {
        t3_pen_text(&pen, " FROM ");
        t3_pen_unnest(&pen);
    }
    t3_pen_where_row(&pen, shape, base);
    return finish(&pen, shape);
}
