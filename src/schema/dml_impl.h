/*
 * dml_impl.h -- the pen the SQL builders write with; private to src/schema.
 *
 * The first failure stays in pen->status and everything after it writes nothing, so that a
 * statement reads from top to bottom.
 */
#ifndef T3_SCHEMA_DML_IMPL_H
#define T3_SCHEMA_DML_IMPL_H

#include "schema/dml.h"

struct t3_pen {
    const struct tears_schema *schema;
    struct t3_dml *dml;
    enum t3_dialect dialect;
    bool many;
    tears_status status;
};

/* Starts a statement: the old text and parameters are forgotten. */
struct t3_pen t3_pen_start(const struct tears_schema *schema, enum t3_dialect dialect, bool many,
                           struct t3_dml *dml);

void t3_pen_text(struct t3_pen *pen, const char *text);
void t3_pen_str(struct t3_pen *pen, struct tears_str text);
void t3_pen_number(struct t3_pen *pen, uint32_t number);
void t3_pen_identifier(struct t3_pen *pen, struct tears_str name);

/* A column's quoted name; qualified with the row's alias in statements that join, where it could be
 * ambiguous. */
void t3_pen_column(struct t3_pen *pen, uint32_t column);
void t3_pen_own_column(struct t3_pen *pen, uint32_t column);

/* Adds a parameter; the returned number (from 0) names it in t3_pen_value. */
uint32_t t3_pen_add(struct t3_pen *pen, enum t3_param_role role, uint32_t column, uint32_t index);

/* Writes a parameter's value: $n or ?n, or in a many-row statement its column of unnest, with its
 * cast. */
void t3_pen_value(struct t3_pen *pen, uint32_t param);

/* Writes `unnest($1::int8[], ...) AS u(k0, ...)` over all parameters. */
void t3_pen_unnest(struct t3_pen *pen);

/* Writes the columns of the schema as they are selected; only the key's, and the version. */
void t3_pen_select_list(struct t3_pen *pen);
void t3_pen_key_and_version(struct t3_pen *pen);

/* Adds the KEY parameters, and writes `"k" = value AND ...` over the parameters that start at
 * `first`. */
void t3_pen_add_key(struct t3_pen *pen);
void t3_pen_where_key(struct t3_pen *pen, uint32_t first);

/* Writes ` WHERE ` the key, and, with a base, that the version column is still parameter `base`. */
void t3_pen_where_row(struct t3_pen *pen, const struct t3_shape *shape, uint32_t base);

/* Writes the version column's value in a new row, and after an update (`aliased`: the old row is
 * t3_row). */
void t3_pen_first_version(struct t3_pen *pen);
void t3_pen_next_version(struct t3_pen *pen, bool aliased);

/* Writes the expression for "now". */
void t3_pen_now(struct t3_pen *pen);

#endif
