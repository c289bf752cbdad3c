/*
 * schema.h -- a table's columns, key and version: what the layers below core know of a table.
 *
 * Immutable after construction; shared by reference count.  All memory is in its own arena.
 */
#ifndef T3_SCHEMA_SCHEMA_H
#define T3_SCHEMA_SCHEMA_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/row.h"

#include <stdatomic.h>
#include <tears/schema.h>

#define T3_NO_COLUMN UINT32_MAX

struct t3_column {
    struct tears_str name;
    uint8_t type; /* TEARS_TYPE_* */
    uint8_t kind; /* TEARS_KIND_* */
    bool nullable;
    bool immutable;
    bool partition;
    bool primary;
    bool version;
    bool generated; /* the database always computes it: never written (catalogue only) */
    bool
        text_cast; /* a native type we have no tag for: read as "c"::text, written as $n::sql_type */
    struct tears_str server_default; /* "" none */
    struct tears_str sql_type;       /* the catalogue's name of the type, "" when declared */
    struct tears_str enum_name;
    const struct tears_str *enum_values;
    uint32_t enum_value_count;
    uint32_t vector_dim;
    uint32_t precision;
    uint32_t scale;
    bool has_scale;
    struct tears_str references_table;
    struct tears_str references_column;
    struct tears_str json_name; /* `"name": ` as it stands in an L2 value */
};

struct tears_schema {
    atomic_uint references;
    struct t3_arena arena;
    struct tears_str name;
    struct tears_str sql_name; /* quoted, ready for SQL; with its database schema when it has one */
    struct t3_column *columns;
    uint32_t column_count;
    uint32_t key[16]; /* indices of the key columns, in key order */
    uint32_t key_count;
    uint32_t version_column;   /* T3_NO_COLUMN: none */
    uint32_t partition_column; /* T3_NO_COLUMN: none */
    uint8_t on_conflict;       /* TEARS_ON_CONFLICT_* */
    uint8_t byte_codec;        /* TEARS_BYTES_* */
    bool dynamic;              /* from a JSON table definition (spec data.md 7) */
    struct t3_layout layout;
    const struct tears_foreign_key_def *foreign_keys;
    size_t foreign_key_count;
    const struct tears_index_def *indexes;
    size_t index_count;
    const struct tears_unique_def *unique_constraints;
    size_t unique_constraint_count;
};

/* A column and a value for it, of the column's kind. */
struct t3_cell {
    uint32_t column;
    struct tears_value value;
};

/* What the catalogue of a database says of a column beyond its declaration; used by introspection. */
struct t3_catalogue_column {
    struct tears_column_def def;
    struct tears_str sql_type;
    bool generated;
    bool text_cast;
};

/*
 * Makes a schema of what a catalogue says: `columns` has def->column_count entries (def->columns is not looked at); a
 * foreign key, index or constraint in `def` may name only columns that are there.  Validation as tears_schema_new, except that rules about declarations
 * only (enum names, precision) do not apply.  `version_column`: as in struct tears_collection_options
 * ("" by convention, "none").
 */
tears_status t3_schema_from_catalogue(const struct tears_schema_def *def,
                                      const struct t3_catalogue_column *columns,
                                      struct tears_str version_column,
                                      struct tears_schema **schema_out,
                                      struct tears_error *error_out);

/*
 * Gives the schema another name than its table has in SQL: the one by which caches and messages know it.  Only before
 * anybody else has the schema.  TEARS_INVALID (empty or too long), TEARS_NO_MEMORY.
 */
tears_status t3_schema_call(struct tears_schema *schema, struct tears_str name);

struct tears_schema *t3_schema_hold(struct tears_schema *schema);

uint32_t t3_schema_find(const struct tears_schema *schema,
                        struct tears_str name); /* or T3_NO_COLUMN */

/*
 * Turns an input value into one of the column's kind (spec core.md 3.5): same kind passes; text is parsed for uuid,
 * timestamp, numeric, jsonb, vector; int is accepted for double and numeric; UTF-8 is checked, enum labels,
 * int range (32 bits for TEARS_TYPE_INT), finite vectors, JSON well-formedness, vector dimensions.
 * NULL passes when `allow_null`.  Memory (only if needed) comes from the arena; strings may stay borrowed.
 * TEARS_INVALID with a message naming table, column and value; TEARS_NO_MEMORY.
 */
tears_status t3_value_coerce(const struct tears_schema *schema, uint32_t column,
                             const struct tears_value *in, bool allow_null, struct t3_arena *arena,
                             struct tears_value *out, struct tears_error *error_out);

/* The same from a person's text for any type (tears_value_parse). */
tears_status t3_value_from_text(const struct tears_schema *schema, uint32_t column,
                                struct tears_str text, struct t3_arena *arena,
                                struct tears_value *out, struct tears_error *error_out);

/*
 * Whether the cells are enough for an insert: every column that is not nullable must be given, unless the database fills it
 * (server default, generated, version column, tsvector) or the statement does (a timestamptz named date_created).
 * TEARS_INVALID, naming table and column.
 */
tears_status t3_schema_check_insert(const struct tears_schema *schema, const struct t3_cell *cells,
                                    size_t cell_count, struct tears_error *error_out);

/* Whether an insert that lacks this column has it stamped with the time (date_created, as the peers do). */
bool t3_column_is_stamped(const struct t3_column *column);

/* The row's version: the integer, or microseconds; 0 when the table has none or it is NULL. */
int64_t t3_schema_row_version(const struct tears_schema *schema, const struct t3_row *row);

/* Appends a name in double quotes, quotes in it doubled. */
tears_status t3_put_identifier(struct t3_buf *out, struct tears_str name);

/* The same for a table's name: the parts of `schema.table` are quoted one by one. */
tears_status t3_put_table_name(struct t3_buf *out, struct tears_str name);

#endif
