/*
 * pg_type.h -- PostgreSQL's binary formats of the types we know, and the library's values.
 */
#ifndef T3_DRIVER_PG_TYPE_H
#define T3_DRIVER_PG_TYPE_H

#include "base/arena.h"
#include "base/buf.h"

#include <tears/value.h>

/* Object ids of types; fixed in every PostgreSQL. */
enum {
    T3_PG_BOOL = 16,
    T3_PG_BYTEA = 17,
    T3_PG_CHAR = 18, /* the internal one-byte "char" */
    T3_PG_NAME = 19,
    T3_PG_INT8 = 20,
    T3_PG_INT2 = 21,
    T3_PG_INT4 = 23,
    T3_PG_TEXT = 25,
    T3_PG_OID = 26,
    T3_PG_JSON = 114,
    T3_PG_FLOAT4 = 700,
    T3_PG_FLOAT8 = 701,
    T3_PG_BPCHAR = 1042,
    T3_PG_VARCHAR = 1043,
    T3_PG_TIMESTAMP = 1114,
    T3_PG_TIMESTAMPTZ = 1184,
    T3_PG_NUMERIC = 1700,
    T3_PG_UUID = 2950,
    T3_PG_TSVECTOR = 3614,
    T3_PG_JSONB = 3802
};

/* Timestamps of the two ends: PostgreSQL's -infinity and infinity. */
#define T3_PG_TIMESTAMP_LOWEST  INT64_MIN
#define T3_PG_TIMESTAMP_HIGHEST INT64_MAX

/* The array type of an element type that parameters are sent as; text[] for what is not known. */
uint32_t t3_pg_array_of(uint32_t type);

/* How a result column of a type becomes values of a kind. */
enum t3_pg_how {
    T3_PG_HOW_NONE, /* the type does not fit the kind */
    T3_PG_HOW_BOOL,
    T3_PG_HOW_INT2,
    T3_PG_HOW_INT4,
    T3_PG_HOW_INT8,
    T3_PG_HOW_OID,
    T3_PG_HOW_FLOAT4,
    T3_PG_HOW_FLOAT8,
    T3_PG_HOW_UUID,
    T3_PG_HOW_TIMESTAMP,
    T3_PG_HOW_BYTES, /* the kind's bytes as they are */
    T3_PG_HOW_JSONB,
    T3_PG_HOW_NUMERIC,
    T3_PG_HOW_DECIMAL_TEXT,
    T3_PG_HOW_INT_DECIMAL, /* an integer column of any width, read as decimal text */
    T3_PG_HOW_VECTOR,
    T3_PG_HOW_VECTOR_TEXT,
    T3_PG_HOW_UUID_TEXT,
    T3_PG_HOW_TIMESTAMP_TEXT
};

enum t3_pg_how t3_pg_how(uint32_t type, uint32_t kind);

/*
 * Decodes one cell in binary format.  Bytes of the value point at `cell`, or into the arena where
 * they had to be made. TEARS_CORRUPT (wrong length or content), TEARS_NO_MEMORY.
 */
tears_status t3_pg_decode(enum t3_pg_how how, uint32_t kind, struct tears_str cell,
                          struct t3_arena *arena, struct tears_value *value_out);

/*
 * Decodes one cell in text format by its type; types we do not know are TEXT.
 * TEARS_CORRUPT, TEARS_NO_MEMORY.
 */
tears_status t3_pg_decode_text(uint32_t type, struct tears_str cell, struct t3_arena *arena,
                               struct tears_value *value_out);

/* Exact decimal text of a binary numeric, with all digits of its display scale. */
tears_status t3_pg_numeric_text(struct tears_str cell, struct t3_arena *arena,
                                struct tears_str *text_out);

/*
 * The bytes of a value in the binary format of `type` (bool, bytea, the integers and floats,
 * timestamptz, uuid, else text). t3_pg_encoded_size says how many; SIZE_MAX when the value does not
 * fit the type.
 */
size_t t3_pg_encoded_size(uint32_t type, const struct tears_value *value);
void t3_pg_encode(uint32_t type, const struct tears_value *value, char *out);

#endif
