/*
 * dml.h -- the SQL text of what the durable tiers run, and which parameter stands where.
 *
 * A builder clears `dml`, appends one statement to dml->sql and describes its parameters in order:
 * dml->params[0] is $1 (PostgreSQL) or ?1 (SQLite).  The text depends on nothing but the schema,
 * the shape (which columns, one or many rows, with a base or not) and, for scans, on which values
 * are NULL; so a caller may prepare and keep it.
 *
 * What comes back, always in this order:
 *   fetch, insert, update, upsert, scan   all columns of the schema, in schema order
 *   delete                                the key columns in key order, then the version column if
 * there is one Zero rows from a single-row statement: INSERT the key exists; UPDATE, DELETE the row
 * is gone or its version is not the base; UPSERT with policy IGNORE the row exists.
 *
 * PostgreSQL.  Prepare parameters with the type that `wire` names (arrays of it when `many`); where
 * a column's own type differs (jsonb, numeric, vector, enum, tsvector, text_cast ...) the text has
 * the cast.  Columns of type vector, tsvector and those with text_cast are selected as text; all
 * others as they are (numeric in its own binary form, enum as its label).  Many-row statements take
 * one array per parameter, element i of each is row i.  Keys within one batch must be distinct
 * (upsert would fail, update would take one of them).  Rows come back in any order: match them by
 * key; only an insert that leaves the key to the database gives its rows in the order of the
 * arrays.
 *
 * SQLite.  Single-row statements only: batches run one prepared statement in a loop within a
 * transaction.  Values are stored as: uuid 36 characters of text; numeric, json, vector
 * ([1.0, 2.5]), enum, string, tsvector text; bytes blob; bool 0 or 1; integers integer; double
 * real; timestamps text of one fixed form that sorts by time, YYYY-MM-DDTHH:MM:SS.ffffff+00:00 (32
 * characters, always six digits, always UTC) for years 0001 to 9999; whoever binds values refuses
 * all others, and NaN.  The connection has to define two SQL functions that give that form:
 *     tears_now()              the calendar time now
 *     tears_next_us(old_text)  the later of now and one microsecond after `old_text`; now when that
 * is NULL Numeric columns sort as text in a SQLite scan: the order is total and stable, but not by
 * size.
 *
 * The version column is moved by the statement itself: an integer starts at 1 and is incremented; a
 * timestamptz starts at the time of the insert and moves strictly forward.  A NOT NULL timestamptz
 * column `date_created` without a server default that an INSERT or UPSERT does not give is stamped
 * with the time too.
 */
#ifndef T3_SCHEMA_DML_H
#define T3_SCHEMA_DML_H

#include "base/buf.h"
#include "schema/schema.h"

enum t3_dialect { T3_DIALECT_POSTGRESQL, T3_DIALECT_SQLITE };

/* Where a parameter's value comes from. */
enum t3_param_role {
    T3_PARAM_KEY,       /* the key value of column `column`; position in the key is `index` */
    T3_PARAM_CELL,      /* the cell of column `column`; `index` is its place in shape->cells */
    T3_PARAM_BASE,      /* the expected version: an integer, or microseconds */
    T3_PARAM_FILTER,    /* `index` is its place in scan->filters */
    T3_PARAM_AFTER,     /* `index` is its place in scan->order */
    T3_PARAM_PARTITION, /* `index` is its place among the partitions of the scan */
    T3_PARAM_LIMIT      /* the number of rows; `column` is T3_NO_COLUMN */
};

/* What PostgreSQL is told a parameter is (its element type, when arrays are asked for). */
enum t3_wire {
    T3_WIRE_TEXT,
    T3_WIRE_UUID,
    T3_WIRE_INT4,
    T3_WIRE_INT8,
    T3_WIRE_FLOAT8,
    T3_WIRE_BOOL,
    T3_WIRE_TIMESTAMPTZ,
    T3_WIRE_BYTEA
};

struct t3_param {
    uint32_t column;
    uint32_t index;
    uint8_t role; /* enum t3_param_role */
    uint8_t wire; /* enum t3_wire */
};

/* A statement.  All zero is empty; reused by every builder; ended by t3_dml_done. */
struct t3_dml {
    struct t3_buf sql;
    struct t3_param *params;
    uint32_t param_count;
    uint32_t param_capacity;
};

void t3_dml_done(struct t3_dml *dml);

/* What a statement is for.  Only the columns of the cells are looked at, never their values. */
struct t3_shape {
    enum t3_dialect dialect;
    bool many;     /* PostgreSQL only */
    bool has_base; /* update, delete: only where the version column equals the base */
    bool
        is_brief; /* insert, update, upsert: key and version come back, as of a delete; else the row */
    uint8_t on_conflict;         /* upsert: TEARS_ON_CONFLICT_* */
    const struct t3_cell *cells; /* insert, update, upsert: as in struct t3_write */
    uint32_t cell_count;
};

/* How a column's value travels to PostgreSQL. */
enum t3_wire t3_wire_of(const struct t3_column *column);

/* Whether PostgreSQL statements select the column as text ("c"::text AS "c"). */
bool t3_column_selected_as_text(const struct t3_column *column);

/* All builders: TEARS_NO_MEMORY, TEARS_LIMIT (text longer than T3_SQL_BYTES_MAX). */

/* One row by key: KEY parameters.  Many: `= ANY($1)` for one key column, else a join with
 * unnest($1, $2 ...). */
tears_status t3_dml_fetch(const struct tears_schema *schema, const struct t3_shape *shape,
                          struct t3_dml *dml);

/*
 * CELL parameters in the order of shape->cells.  A duplicate of the key gives no row; any other
 * unique violation is the database's error.  Many: at least one cell, else there is no array that
 * says how many rows; rows of defaults only are inserted one by one.
 */
tears_status t3_dml_insert(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml);

/*
 * KEY parameters, CELL parameters, then BASE if shape->has_base.  Without any cell the version
 * still moves; in a table without a version column the row then comes back as it is.  Cells of key
 * and version columns must not be given.
 */
tears_status t3_dml_update(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml);

/*
 * CELL parameters.  When the key exists: UPDATE sets the given cells whose columns are mutable, and
 * moves the version; IGNORE gives no row; RAISE lets the database report it.
 */
tears_status t3_dml_upsert(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml);

/* KEY parameters, then BASE if shape->has_base. */
tears_status t3_dml_delete(const struct tears_schema *schema, const struct t3_shape *shape,
                           struct t3_dml *dml);

/* What a scan asks for.  Of the filters' and `after` values only "is it NULL" is looked at. */
struct t3_dml_scan {
    const struct t3_cell *filters;
    uint32_t filter_count;
    const uint32_t *order; /* columns; unique as a whole, so that no row is skipped or seen twice */
    uint32_t order_count;
    bool descending;
    const struct tears_value *after; /* order_count values; NULL: from the start */
    uint32_t
        partition_count; /* the partition column has one of so many values; 0: see the filters */
};

/*
 * Whether a scan says which partitions it reads: a filter on the partition column with a value, or a set of them.  True for a
 * table without partitions.
 */
bool t3_dml_scan_names_partition(const struct tears_schema *schema, const struct t3_dml_scan *scan);

/*
 * PARTITION, FILTER and AFTER parameters (none for NULL values), then LIMIT.  TEARS_INVALID: a table with partitions, and
 * the statement would name none.  A NULL filter means IS NULL.
 * Rows with a NULL in an order column come last in both directions, and pages go on through them.
 */
tears_status t3_dml_scan(const struct tears_schema *schema, enum t3_dialect dialect,
                         const struct t3_dml_scan *scan, struct t3_dml *dml);

/* Which column of whose rows changes: see t3_dml_repoint. */
struct t3_dml_repoint {
    uint32_t column;
    uint32_t touched; /* a timestamp that becomes now; T3_NO_COLUMN: none */
};

/*
 * All rows whose column is $1 get $2 there, and a new version.  Parameters are not described: they are $1 and $2 in both
 * dialects.  Gives the key columns, in key order, as they are afterwards.
 */
tears_status t3_dml_repoint(const struct tears_schema *schema, enum t3_dialect dialect,
                            const struct t3_dml_repoint *repoint, struct t3_dml *dml);

#endif
