/*
 * ddl_reference.h -- the SQL text that the Python package writes for tables defined at run time.
 *
 * Nothing here is run: it is for comparing with recordings (vectors/README.md), and shows where our own DDL differs: ours
 * quotes names, has timestamps with a time zone, and makes key columns NOT NULL.  Source: spec data.md 7, 8, 10; core.md 23.
 */
#ifndef T3_SCHEMA_DDL_REFERENCE_H
#define T3_SCHEMA_DDL_REFERENCE_H

#include "base/buf.h"

#include <tears/schema.h>

/* As the definition has it: nothing is completed. */
struct t3_reference_column {
    struct tears_str name;
    struct tears_str type; /* "text", "vector" ... */
    bool nullable;
    bool primary;
    struct tears_str server_default; /* "" none */
    bool has_dim;
    int64_t vector_dim;
};

struct t3_reference_table {
    struct tears_str name;
    const struct t3_reference_column *columns;
    size_t column_count;
    const struct tears_index_def *indexes; /* name, columns, unique */
    size_t index_count;
    const struct tears_foreign_key_def *foreign_keys;
    size_t foreign_key_count;
};

/* Why a definition is refused; in `detail` of the error of TEARS_INVALID. */
enum t3_reference_fault {
    T3_REFERENCE_IDENTIFIER = 1,
    T3_REFERENCE_TYPE,
    T3_REFERENCE_DIM,
    T3_REFERENCE_DIM_MISSING,
    T3_REFERENCE_DIM_EXTRA,
    T3_REFERENCE_ACTION
};

/* Checks a definition as the package does.  TEARS_INVALID with the fault as detail. */
tears_status t3_reference_table_check(const struct t3_reference_table *table,
                                      struct tears_error *error_out);

/* Of a definition that has passed. */
tears_status t3_reference_create_table(const struct t3_reference_table *table, struct t3_buf *out);
tears_status t3_reference_create_index(const struct t3_reference_table *table, size_t index,
                                       struct t3_buf *out);

/* The one column that the package takes for the key: the first that is flagged, else `id`. */
struct tears_str t3_reference_key(const struct t3_reference_table *table);
tears_status t3_reference_dynamic_delete(const struct t3_reference_table *table,
                                         struct t3_buf *out);

/* The statement that gives one owner's rows to another: $1 from, $2 to, $3 the time (with `touched`, "" none). */
struct t3_reference_repoint {
    struct tears_str table;
    struct tears_str owner;
    const struct tears_str *key;
    size_t key_count;
    struct tears_str touched;
};
tears_status t3_reference_repoint(const struct t3_reference_repoint *repoint, struct t3_buf *out);

#endif
