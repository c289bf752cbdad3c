/**
 * @file value.h
 * Tagged values: how data crosses the API.
 */
#ifndef TEARS_VALUE_H
#define TEARS_VALUE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a value holds.  Fixed numbers, appended only. */
enum {
    TEARS_KIND_NULL = 0,      /**< SQL NULL */
    TEARS_KIND_BOOL = 1,      /**< as.boolean */
    TEARS_KIND_INT = 2,       /**< as.integer */
    TEARS_KIND_DOUBLE = 3,    /**< as.number; finite or not */
    TEARS_KIND_TEXT = 4,      /**< as.bytes, UTF-8 (also enum labels and tsvector text) */
    TEARS_KIND_DECIMAL = 5,   /**< as.bytes, exact decimal text such as "12.3400" */
    TEARS_KIND_BYTES = 6,     /**< as.bytes, any bytes */
    TEARS_KIND_UUID = 7,      /**< as.uuid, 16 bytes in network order */
    TEARS_KIND_TIMESTAMP = 8, /**< as.integer, microseconds since 1970-01-01 00:00:00 UTC */
    TEARS_KIND_JSON = 9,      /**< as.bytes, exact JSON text */
    TEARS_KIND_VECTOR = 10    /**< as.vector, doubles */
};

/** A run of doubles, aligned to 8 bytes. */
struct tears_doubles {
    const double *ptr;
    size_t len; /**< in doubles */
};

/** One value.  24 bytes; passed by value or in arrays.  Pointers in it are borrowed. */
struct tears_value {
    uint32_t kind;  /**< TEARS_KIND_* */
    uint32_t flags; /**< 0 */
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct tears_str bytes;
        struct tears_doubles vector;
        uint8_t uuid[16];
    } as;
};

/** A column's name and a value for it. */
struct tears_field {
    struct tears_str name;
    struct tears_value value;
};

static inline struct tears_value tears_null(void)
{
    struct tears_value value;
    memset(&value, 0, sizeof value);
    return value;
}

static inline struct tears_value tears_bool(bool boolean)
{
    struct tears_value value = tears_null();
    value.kind = TEARS_KIND_BOOL;
    value.as.boolean = boolean;
    return value;
}

static inline struct tears_value tears_int(int64_t integer)
{
    struct tears_value value = tears_null();
    value.kind = TEARS_KIND_INT;
    value.as.integer = integer;
    return value;
}

static inline struct tears_value tears_double(double number)
{
    struct tears_value value = tears_null();
    value.kind = TEARS_KIND_DOUBLE;
    value.as.number = number;
    return value;
}

static inline struct tears_value tears_bytes_of_kind(uint32_t kind, struct tears_str bytes)
{
    struct tears_value value = tears_null();
    value.kind = kind;
    value.as.bytes = bytes;
    return value;
}

/** UTF-8 text; also for enum labels. */
static inline struct tears_value tears_text(struct tears_str text)
{
    return tears_bytes_of_kind(TEARS_KIND_TEXT, text);
}

/** Exact decimal text: digits, an optional sign, point and exponent; also "NaN". */
static inline struct tears_value tears_decimal(struct tears_str text)
{
    return tears_bytes_of_kind(TEARS_KIND_DECIMAL, text);
}

static inline struct tears_value tears_bytes(struct tears_str bytes)
{
    return tears_bytes_of_kind(TEARS_KIND_BYTES, bytes);
}

/** JSON text; it is stored as it is, so 0.10 stays 0.10 wherever the database allows. */
static inline struct tears_value tears_json(struct tears_str text)
{
    return tears_bytes_of_kind(TEARS_KIND_JSON, text);
}

/** 16 bytes in network order. */
static inline struct tears_value tears_uuid(const uint8_t *bytes)
{
    struct tears_value value = tears_null();
    value.kind = TEARS_KIND_UUID;
    memcpy(value.as.uuid, bytes, 16);
    return value;
}

/** Microseconds since 1970-01-01 00:00:00 UTC. */
static inline struct tears_value tears_timestamp_us(int64_t microseconds)
{
    struct tears_value value = tears_int(microseconds);
    value.kind = TEARS_KIND_TIMESTAMP;
    return value;
}

static inline struct tears_value tears_vector(const double *numbers, size_t count)
{
    struct tears_value value = tears_null();
    value.kind = TEARS_KIND_VECTOR;
    value.as.vector.ptr = numbers;
    value.as.vector.len = count;
    return value;
}

static inline struct tears_field tears_field_of(struct tears_str name, struct tears_value value)
{
    struct tears_field field;
    field.name = name;
    field.value = value;
    return field;
}

/** Whether two values have the same kind and content (doubles by bits, so NaN equals NaN). @thread
 * any @since 0.1 */
TEARS_API bool tears_value_equal(const struct tears_value *a, const struct tears_value *b);

/** A new version-7 UUID (RFC 9562): time-ordered, unique in the process even in one millisecond.
 * @thread any @since 0.1 */
TEARS_API void tears_uuid_new(uint8_t uuid_out[16]);

/** The 36-character lower-case text of a UUID, NUL-terminated.  @thread any  @since 0.1 */
TEARS_API void tears_uuid_text(const uint8_t uuid[16], char text_out[37]);

/**
 * Reads the text of a UUID: 36 characters with hyphens or 32 without, any case, optional braces.
 * @return TEARS_OK or TEARS_INVALID.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_uuid_parse(struct tears_str text, uint8_t uuid_out[16]);

#ifdef __cplusplus
}
#endif
#endif
