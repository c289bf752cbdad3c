/*
 * ddl.h -- the SQL that makes a table of a schema, for both databases.
 *
 * PostgreSQL types are those of spec core.md 3.1.  SQLite's column types are chosen by its affinity
 * rules: whatever has to come back exactly (uuid, numeric, json, timestamps, vectors, labels) has
 * TEXT in its type's name and thereby text affinity, so that '12.3400' and '1e400' stay as they
 * are; describe reads the rest of the name back into a type: TEXT_UUID  TEXT  TEXT_ENUM
 * TEXT_NUMERIC(p,s)  TEXT_TSVECTOR  TEXT_DATETIME  TEXT_JSON  TEXT_VECTOR(n) BLOB  INTEGER  BIGINT
 * INTEGER_BOOL  REAL Each builder appends one statement without a semicolon, one that does nothing
 * when its object exists.
 */
#ifndef T3_SCHEMA_DDL_H
#define T3_SCHEMA_DDL_H

#include "schema/dml.h"

/*
 * CREATE TABLE with columns, defaults, primary key, unique constraints and foreign keys; on SQLite
 * also a CHECK on the labels of enum columns.  Server defaults are the schema's own SQL; for SQLite
 * the common ones of PostgreSQL (now(), gen_random_uuid(), 'text'::type) are written as SQLite has
 * them.  TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_ddl_create_table(const struct tears_schema *schema, enum t3_dialect dialect,
                                 struct t3_buf *out);

/* CREATE INDEX for schema->indexes[index]. */
tears_status t3_ddl_create_index(const struct tears_schema *schema, enum t3_dialect dialect,
                                 size_t index, struct t3_buf *out);

/* PostgreSQL: the type of an enum column, to be made before the table. */
tears_status t3_ddl_create_enum(const struct t3_column *column, struct t3_buf *out);

/*
 * Everything that makes the table, in order: the types of enum columns, the table, its indexes, and with it what the
 * catalogue has no place for (schema/facts.h).  The texts are in the arena, NUL-terminated as well.
 */
tears_status t3_ddl_statements(const struct tears_schema *schema, enum t3_dialect dialect,
                               struct t3_arena *arena, const struct tears_str **statements_out,
                               size_t *count_out);

#endif
