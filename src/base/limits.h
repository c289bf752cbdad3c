/*
 * limits.h -- every bound of the library, with its unit and its reason.
 */
#ifndef T3_BASE_LIMITS_H
#define T3_BASE_LIMITS_H

enum {
    T3_COLUMNS_MAX = 1600,   /* columns of a table: PostgreSQL's own limit */
    T3_KEY_COLUMNS_MAX = 16, /* primary-key columns: fits one small array on the stack */
    T3_NAME_BYTES_MAX = 255, /* table and column names; PostgreSQL cuts at 63 */
    T3_KEY_BYTES_MAX = 8192, /* text of one key: larger rows of B-trees are refused by PostgreSQL */
    T3_JSON_DEPTH_MAX = 64,  /* nested arrays and objects; bounds recursion */
    T3_BATCH_ROWS_MAX = 1000,    /* rows of one SQL statement: past this the rate no longer grows */
    T3_KV_BATCH_MAX = 1024,      /* L2 requests in flight: past this the server is the limit */
    T3_VECTOR_DIM_MAX = 16000,   /* dimensions: pgvector's own limit */
    T3_CURSOR_BYTES_MAX = 65536, /* a page cursor */
    T3_TOKEN_BYTES_MAX =
        16384, /* a signed token: anybody can send one, before any signature is checked */
    T3_JWKS_BYTES_MAX = 1 << 20, /* a published key set */
    T3_JWKS_KEYS_MAX = 1024,
    T3_YAML_BYTES_MAX = 16 << 20, /* a YAML document: configuration, read whole */
    T3_YAML_COST_MAX = 1000000, /* values, and 64ths of text, it stands for with aliases resolved */
    T3_YAML_ANCHORS_MAX = 1000, /* looked through for each alias */
    T3_KEYRING_KEYS_MAX = 64,   /* old sealing keys: version 1 text is tried under each */
    T3_NEGATIVE_ENTRY_AGE_MS_MAX = 60000
};

/* One row, encoded or not: PostgreSQL's field limit is 1 GB, JetStream's default message limit 1 MiB. */
#define T3_ROW_BYTES_MAX   ((size_t)256 * 1024 * 1024)
#define T3_SQL_BYTES_MAX   ((size_t)64 * 1024 * 1024)
#define T3_ARENA_BYTES_MAX ((size_t)1 << 30)

#endif
