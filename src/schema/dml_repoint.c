/*
 * dml_repoint.c -- the statement that gives all rows of one owner to another.
 *
 * Owns:     nothing beyond what dml.c does.
 * Knows:    the pen (dml_impl.h).
 * Must not know: who owns what.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_dml_repoint().
 */
#include "schema/dml_impl.h"

static void put_assignment(struct t3_pen *pen, uint32_t column)
{
    t3_pen_text(pen, ", ");
    t3_pen_own_column(pen, column);
    t3_pen_text(pen, " = ");
}

static void put_key(struct t3_pen *pen)
{
    const struct tears_schema *schema = pen->schema;
    for (uint32_t i = 0; i < schema->key_count; i++) {
        t3_pen_text(pen, i > 0 ? ", " : " RETURNING ");
        t3_pen_own_column(pen, schema->key[i]);
        if (pen->dialect == T3_DIALECT_POSTGRESQL &&
            t3_column_selected_as_text(&schema->columns[schema->key[i]]))
            t3_pen_text(pen, "::text");
    }
}

tears_status t3_dml_repoint(const struct tears_schema *schema, enum t3_dialect dialect,
                            const struct t3_dml_repoint *repoint, struct t3_dml *dml)
{
    struct t3_pen pen = t3_pen_start(schema, dialect, false, dml);
    t3_pen_text(&pen, "UPDATE ");
    t3_pen_str(&pen, schema->sql_name);
    t3_pen_text(&pen, " SET ");
    t3_pen_own_column(&pen, repoint->column);
    t3_pen_text(&pen, " = $2");
    if (schema->version_column != T3_NO_COLUMN) {
        put_assignment(&pen, schema->version_column);
        t3_pen_next_version(&pen, false);
    }
    if (repoint->touched != T3_NO_COLUMN && repoint->touched != schema->version_column) {
        put_assignment(&pen, repoint->touched);
        t3_pen_now(&pen);
    }
    t3_pen_text(&pen, " WHERE ");
    t3_pen_own_column(&pen, repoint->column);
    t3_pen_text(&pen, " = $1");
    put_key(&pen);
    return pen.status;
}
