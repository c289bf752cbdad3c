/*
 * dml_reference.h -- the SQL texts of the Python package: the same columns, parameters, casts and
 * conflict clauses.
 *
 * For what has to be understood by peers as theirs (statements sent to a broker, comparisons with
 * recorded traffic).  The tiers run what dml.h writes.  Identifiers are quoted; the package does
 * not quote them in the first three. Source: spec core.md 26, data.md 4 and 5.4.
 */
#ifndef T3_SCHEMA_DML_REFERENCE_H
#define T3_SCHEMA_DML_REFERENCE_H

#include "schema/dml.h"

/* KEY parameters. */
tears_status t3_reference_fetch(const struct tears_schema *schema, struct t3_dml *dml);
tears_status t3_reference_delete(const struct tears_schema *schema, struct t3_dml *dml);

/* A row to write, as a caller of the package gives it: any columns, NULL where it says so. */
struct t3_reference_row {
    const struct t3_cell *cells;
    uint32_t cell_count;
    bool
        has_fence; /* only where the version column equals a value: the last parameter, role BASE */
};

/*
 * An INSERT with the schema's conflict policy, or with a fence (and policy UPDATE and a version
 * column) an UPDATE. CELL parameters; one whose `index` is UINT32_MAX is NULL because the row lacks
 * its nullable column.  TEARS_INVALID when the row lacks a required column.
 */
tears_status t3_reference_upsert(const struct tears_schema *schema,
                                 const struct t3_reference_row *row, struct t3_dml *dml,
                                 struct tears_error *error_out);

/* Why a statement about a table without a schema was refused: struct tears_error.detail. */
enum t3_generic_refusal {
    T3_GENERIC_IDENTIFIER = 1, /* a name contains a quote or is empty */
    T3_GENERIC_ON_CONFLICT = 2,
    T3_GENERIC_KEY = 3 /* no key, or one that is not among the columns */
};

struct t3_generic {
    struct tears_str table;
    const struct tears_str *columns; /* of an upsert; else the names compared */
    size_t column_count;
    const struct tears_str *key; /* upsert only */
    size_t key_count;
    struct tears_str on_conflict; /* upsert only: update, ignore or raise */
};

/* Appends `SELECT * FROM "t" WHERE "a" = $1 AND ...`, without WHERE when there are no columns. */
tears_status t3_generic_select(const struct t3_generic *generic, struct t3_buf *out,
                               struct tears_error *error_out);
tears_status t3_generic_delete(const struct t3_generic *generic, struct t3_buf *out,
                               struct tears_error *error_out);
tears_status t3_generic_upsert(const struct t3_generic *generic, struct t3_buf *out,
                               struct tears_error *error_out);

#endif
