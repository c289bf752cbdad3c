/**
 * @file base.h
 * Text, statuses and errors: the three things every other header of libtears uses.
 */
#ifndef TEARS_BASE_H
#define TEARS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define TEARS_API     __attribute__((visibility("default")))
#define TEARS_CHECKED __attribute__((warn_unused_result))
#else
#define TEARS_API
#define TEARS_CHECKED
#endif

/*
 * What the TEARS_*_INIT macros expand to: all zero but for `size`.  C++ before 20 has no designated
 * initialisers, and `{ sizeof(type) }` would warn about every other member.
 */
#ifdef __cplusplus
template <typename type> static inline type tears_sized(void)
{
    type sized = type();
    sized.size = sizeof(type);
    return sized;
}
#define TEARS_SIZED(type) tears_sized<type>()
#else
#define TEARS_SIZED(type)    \
    {                        \
        .size = sizeof(type) \
    }
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The version of these headers; tears_version_number() is the version of the library in use. */
#define TEARS_VERSION_MAJOR  0
#define TEARS_VERSION_MINOR  1
#define TEARS_VERSION_PATCH  0
#define TEARS_VERSION        "0.1.0"
#define TEARS_VERSION_NUMBER 100

/** Text: UTF-8, pointer and length, not NUL-terminated; borrowed for the duration of a call. */
struct tears_str {
    const char *ptr;
    size_t len;
};

/** Text of a NUL-terminated string; NULL gives the empty text.  @thread any  @since 0.1 */
static inline struct tears_str tears_str_c(const char *cstring)
{
    struct tears_str str;
    str.ptr = cstring;
    str.len = cstring != NULL ? strlen(cstring) : 0;
    return str;
}

/** Text of `len` bytes at `ptr`.  @thread any  @since 0.1 */
static inline struct tears_str tears_str_n(const char *ptr, size_t len)
{
    struct tears_str str;
    str.ptr = ptr;
    str.len = len;
    return str;
}

/** Text of a string literal. */
#define TEARS_STR(literal) (tears_str_n("" literal, sizeof(literal) - 1))

/**
 * The statuses.  Each demands a different reaction from the caller; finer causes are in
 * struct tears_error.  Values are only ever appended.
 */
#define TEARS_STATUS_MAP(X)                                      \
    X(OK, 0, "success")                                          \
    X(DONE, 1, "no more rows")                                   \
    X(MISUSE, 2, "the caller broke the function's contract")     \
    X(NO_MEMORY, 3, "out of memory")                             \
    X(NOT_FOUND, 4, "no such entity")                            \
    X(CONFLICT, 5, "another writer changed the entity first")    \
    X(TIMEOUT, 6, "the deadline passed")                         \
    X(UNAVAILABLE, 7, "a tier could not be reached")             \
    X(INVALID, 8, "the data does not match the schema")          \
    X(LIMIT, 9, "a configured limit would be exceeded")          \
    X(DENIED, 10, "not permitted")                               \
    X(CORRUPT, 11, "stored data could not be decoded")           \
    X(UNSUPPORTED, 12, "this build or server lacks the feature") \
    X(INTERNAL, 13, "a bug in this library")

typedef enum tears_status {
#define TEARS_STATUS_ENTRY(name, number, text) TEARS_##name = number,
    TEARS_STATUS_MAP(TEARS_STATUS_ENTRY)
#undef TEARS_STATUS_ENTRY
        TEARS_STATUS_FORCE_INT = 0x7fffffff
} tears_status;

/** What went wrong, for people and for finer decisions.  512 bytes; may live on the stack. */
struct tears_error {
    tears_status status; /**< the value that was returned */
    int32_t detail;      /**< errno, extended SQLite code, NATS status or SQL position; 0: none */
    char sqlstate[8];    /**< PostgreSQL SQLSTATE, or "" */
    char origin[24];     /**< where it was noticed: "l2.kv", "l3.pg", "schema", ... */
    char message[472];   /**< one line of UTF-8 text, no newline, no secrets */
};

/** The name of a status, such as "NOT_FOUND"; "UNKNOWN" for a number that is none. @thread any
 * @since 0.1 */
TEARS_API const char *tears_status_name(tears_status status);

/** One sentence saying what a status means.  @thread any  @since 0.1 */
TEARS_API const char *tears_status_text(tears_status status);

/** The library's version as major * 10000 + minor * 100 + patch.  @thread any  @since 0.1 */
TEARS_API uint32_t tears_version_number(void);

/** The library's version as text, such as "0.1.0".  @thread any  @since 0.1 */
TEARS_API const char *tears_version(void);

#ifdef __cplusplus
}
#endif
#endif
