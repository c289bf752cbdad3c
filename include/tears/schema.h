/**
 * @file schema.h
 * What a table is: columns, primary key, version column.
 *
 * A schema comes from C (tears_schema_new), from a JSON table definition (tears_schema_from_json),
 * or from the catalogue of an existing table (tears_collection_find does that on its own).
 * It is immutable and reference-counted by the library; source: spec data.md sections 3 and 7.
 */
#ifndef TEARS_SCHEMA_H
#define TEARS_SCHEMA_H

#include "value.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tears_schema tears_schema;

/** Column types.  Fixed numbers, appended only.  The comment gives the kind of the column's values.
 */
enum {
    TEARS_TYPE_UUID = 1,        /**< UUID */
    TEARS_TYPE_STRING = 2,      /**< TEXT */
    TEARS_TYPE_ENUM = 3,        /**< TEXT, one of the labels */
    TEARS_TYPE_NUMERIC = 4,     /**< DECIMAL */
    TEARS_TYPE_TSVECTOR = 5,    /**< TEXT; filled by the database, never updated */
    TEARS_TYPE_TIMESTAMPTZ = 6, /**< TIMESTAMP */
    TEARS_TYPE_JSONB = 7,       /**< JSON */
    TEARS_TYPE_BYTES = 8,       /**< BYTES */
    TEARS_TYPE_INT = 9,         /**< INT, 32 bits in PostgreSQL */
    TEARS_TYPE_BIGINT = 10,     /**< INT, 64 bits */
    TEARS_TYPE_BOOL = 11,       /**< BOOL */
    TEARS_TYPE_VECTOR = 12,     /**< VECTOR (pgvector) */
    TEARS_TYPE_DOUBLE = 13      /**< DOUBLE */
};

/** What an insert does when the primary key exists already (for tears_upsert and tears_insert). */
enum {
    TEARS_ON_CONFLICT_UPDATE = 0, /**< the row is overwritten */
    TEARS_ON_CONFLICT_IGNORE = 1, /**< the row stays */
    TEARS_ON_CONFLICT_RAISE = 2   /**< the database reports the duplicate */
};

/** How byte columns are written inside L2 values: Python's schema tables and dynamic tables differ.
 */
enum {
    TEARS_BYTES_BASE64 = 0, /**< schema tables */
    TEARS_BYTES_HEX = 1     /**< dynamic tables */
};

/** One column, as declared.  Zero means "not set" in every member. */
struct tears_column_def {
    struct tears_str name;
    uint64_t type;                       /**< TEARS_TYPE_* */
    bool nullable;                       /**< may be absent or NULL */
    bool immutable;                      /**< written by insert, never by update */
    bool partition;                      /**< the partition column: part of the key, immutable */
    struct tears_str server_default;     /**< raw SQL expression the database applies; "" none */
    const struct tears_str *enum_values; /**< labels of an enum column */
    size_t enum_value_count;
    struct tears_str enum_name; /**< name of the enum type */
    uint64_t vector_dim;        /**< dimensions of a vector column */
    uint64_t precision;         /**< of a numeric column; 0: not given */
    uint64_t scale;
    bool has_scale;                    /**< a scale was given (it may be 0) */
    struct tears_str references_table; /**< foreign key of this one column; "" none */
    struct tears_str references_column;
};

struct tears_foreign_key_def {
    struct tears_str name; /**< "": the database names it */
    const struct tears_str *columns;
    size_t column_count;
    struct tears_str references_table;
    const struct tears_str *references_columns;
    size_t references_column_count;
    struct tears_str on_delete; /**< CASCADE, SET NULL, RESTRICT, NO ACTION; "": NO ACTION */
    struct tears_str on_update; /**< the same words; "": NO ACTION */
};

/** A storage parameter of an index: `WITH (name = value)`. */
struct tears_parameter_def {
    struct tears_str name;
    struct tears_str value;
};

/** SQLite has unique and partial indexes only; it passes over the other members. */
struct tears_index_def {
    struct tears_str name;
    const struct tears_str *columns;
    size_t column_count;
    bool unique;
    struct tears_str where;            /**< raw SQL of a partial index; "" none */
    struct tears_str using_method;     /**< access method; "" the database's default */
    const struct tears_str *opclasses; /**< operator class of each column, "" the type's default;
                                            NULL: all of them the default */
    const struct tears_str *include;   /**< columns that are kept in the index beside its key */
    size_t include_count;
    const struct tears_parameter_def *parameters;
    size_t parameter_count;
};

struct tears_unique_def {
    struct tears_str name;
    const struct tears_str *columns;
    size_t column_count;
};

/** A table, as declared.  The library copies everything. */
struct tears_schema_def {
    struct tears_str name;
    const struct tears_str *primary_key; /**< column names, in key order */
    size_t primary_key_count;
    const struct tears_column_def *columns;
    size_t column_count;
    /** Integer or timestamptz column that the database moves forward on every update; "" none. */
    struct tears_str version_column;
    uint64_t on_conflict; /**< TEARS_ON_CONFLICT_* */
    uint64_t byte_codec;  /**< TEARS_BYTES_* */
    const struct tears_foreign_key_def *foreign_keys;
    size_t foreign_key_count;
    const struct tears_index_def *indexes;
    size_t index_count;
    const struct tears_unique_def *unique_constraints;
    size_t unique_constraint_count;
};

/** One column, as the library sees it.  Borrowed from the schema. */
struct tears_column_info {
    struct tears_str name;
    uint64_t type; /**< TEARS_TYPE_* */
    uint64_t kind; /**< TEARS_KIND_* of its values */
    bool nullable;
    bool immutable;
    bool partition;
    bool primary_key;
    bool version; /**< this is the version column */
    struct tears_str server_default;
    struct tears_str
        sql_type; /**< the database's own name of the type, "" when declared in C or JSON */
    const struct tears_str *enum_values;
    size_t enum_value_count;
    uint64_t vector_dim;
};

/** How many columns the bundles below fill in. */
enum { TEARS_COLUMNS_UUID_KEY = 1, TEARS_COLUMNS_TIMESTAMPS = 2, TEARS_COLUMNS_SOFT_DELETE = 2 };

/**
 * Columns that many tables share, as the Python package's models have them, written where a
 * declaration's columns are collected:
 *
 *     struct tears_column_def columns[TEARS_COLUMNS_UUID_KEY + 1 + TEARS_COLUMNS_TIMESTAMPS];
 *     tears_columns_uuid_key(columns);
 *     columns[1] = ...
 *     tears_columns_timestamps(columns + 2);
 *
 * `id`, a UUID that the database makes when an insert has none.  It is the primary key once the
 * declaration names it as that.
 * @thread any  @since 0.1
 */
TEARS_API void tears_columns_uuid_key(struct tears_column_def columns_out[TEARS_COLUMNS_UUID_KEY]);

/**
 * `date_created`, which no update changes, and `date_updated`: timestamps that the database sets on
 * insert.  Name `date_updated` as the declaration's version_column to have it set on every update, too,
 * and updates checked against it.
 * @thread any  @since 0.1
 */
TEARS_API void tears_columns_timestamps(
    struct tears_column_def columns_out[TEARS_COLUMNS_TIMESTAMPS]);

/**
 * `is_deleted`, false by default, and `date_deleted`.  They are honoured by collections that are opened with
 * the option soft_delete (struct tears_collection_options).
 * @thread any  @since 0.1
 */
TEARS_API void tears_columns_soft_delete(
    struct tears_column_def columns_out[TEARS_COLUMNS_SOFT_DELETE]);

/**
 * Makes a schema from a declaration and checks it against the rules of spec data.md section 3.
 * @param schema_out  owned by the caller; end it with tears_schema_free.
 * @return TEARS_OK, TEARS_INVALID (the message names the column and the rule), TEARS_LIMIT (too
 * many columns), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_schema_new(const struct tears_schema_def *def,
                                                      tears_schema **schema_out,
                                                      struct tears_error *error_out);

/**
 * Makes a schema from a JSON table definition (spec data.md section 7): `name`, `columns` (each
 * with `name`, `column_type`, `nullable`, `default`, `primary_key`, `vector_dim`), `indexes` (`name`,
 * `columns`, `unique`), `foreign_keys`.  Byte columns use the hex codec, as dynamic tables do.
 *
 * Members of our own, all optional: `version_column`; `primary_key` (names in key order, instead of
 * the columns' flags); `on_conflict` ("update", "ignore", "raise"); `byte_codec` ("base64" instead
 * of hex); `unique_constraints` (`name`, `columns`); of a column `immutable`, `partition`, `precision` and `scale` (decimal), `enum_name`
 * and `enum_values` (type "enum"), and the types "double", "enum", "tsvector"; of an index `where`,
 * `method`, `opclass` (an object from column to class), `include`, `with` (an object of texts).
 * @return TEARS_OK, TEARS_INVALID, TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_schema_from_json(struct tears_str json,
                                                            tears_schema **schema_out,
                                                            struct tears_error *error_out);

/** Ends the caller's hold on a schema.  NULL is accepted.  @thread any  @since 0.1 */
TEARS_API void tears_schema_free(tears_schema *schema);

/** The table's name; lives as long as the schema.  @thread any  @since 0.1 */
TEARS_API struct tears_str tears_schema_name(const tears_schema *schema);
/** Number of columns.  @thread any  @since 0.1 */
TEARS_API size_t tears_schema_column_count(const tears_schema *schema);

/** The column at `index` (declared order).  @return TEARS_OK or TEARS_NOT_FOUND.  @thread any
 * @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_schema_column(const tears_schema *schema, size_t index,
                                                         struct tears_column_info *info_out);

/** Finds a column by name.  @return TEARS_OK or TEARS_NOT_FOUND.  @thread any  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_schema_find_column(const tears_schema *schema,
                                                              struct tears_str name,
                                                              size_t *index_out);

/** Number of primary-key columns.  @thread any  @since 0.1 */
TEARS_API size_t tears_schema_key_count(const tears_schema *schema);

/** Index of the primary-key column at `position`, or SIZE_MAX.  @thread any  @since 0.1 */
TEARS_API size_t tears_schema_key_column(const tears_schema *schema, size_t position);

/** Index of the version column, or SIZE_MAX when the table has none.  @thread any  @since 0.1 */
TEARS_API size_t tears_schema_version_column(const tears_schema *schema);

#ifdef __cplusplus
}
#endif
#endif
