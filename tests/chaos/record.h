/*
 * record.h -- what a worker writes down of each operation, and the file it writes it to.
 *
 * A file belongs to one life of one worker.  It is mapped and shared, so what was stored in it is there after
 * a kill -9.  A place is taken when an operation begins (CHAOS_BEGUN, with what it is about to write) and completed
 * before the worker acts on the outcome (CHAOS_DONE).  Times are CLOCK_MONOTONIC, which all processes of a machine share.
 */
#ifndef CHAOS_RECORD_H
#define CHAOS_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAOS_TABLES = 3, CHAOS_KEYS_MAX = 1024, CHAOS_WORKERS_MAX = 8 };

enum chaos_table { CHAOS_STRICT = 0, CHAOS_RELAXED = 1, CHAOS_OUTBOX = 2 };

enum chaos_kind {
    CHAOS_GET = 1,
    CHAOS_GET_MANY, /* one record for each key of the batch */
    CHAOS_FINAL,    /* a read after everything came to rest */
    CHAOS_INSERT,
    CHAOS_UPDATE,
    CHAOS_UPSERT,
    CHAOS_DELETE,
    CHAOS_RAW,    /* an UPDATE that the library does not understand */
    CHAOS_TOKEN,  /* what the session has seen was handed out; `stamp` is the token's number */
    CHAOS_FOLLOW, /* what another session has seen was taken over */
    CHAOS_KINDS
};

enum chaos_state { CHAOS_EMPTY = 0, CHAOS_BEGUN = 1, CHAOS_DONE = 2 };

struct chaos_record {
    _Atomic uint32_t state;
    uint8_t kind;
    uint8_t table;
    uint8_t level; /* TEARS_READ_* of the session */
    uint8_t tier;  /* TEARS_TIER_* that answered */
    uint64_t began_ns;
    uint64_t ended_ns;
    /* Every write stores a number in the row that no other write has: it tells which write a reader sees.  0: no row. */
    int64_t stamp;
    int64_t base;    /* of an update: the stamp of the row it is based on */
    int64_t version; /* as the library says */
    uint64_t session;
    uint32_t key;
    uint32_t bound_ms; /* how old the answer may be */
    uint16_t status;
    uint16_t degraded;
    uint32_t worker;
};

static inline bool chaos_is_read(const struct chaos_record *record)
{
    return record->kind >= CHAOS_GET && record->kind <= CHAOS_FINAL;
}

static inline bool chaos_is_write(const struct chaos_record *record)
{
    return record->kind >= CHAOS_INSERT && record->kind <= CHAOS_RAW;
}

const char *chaos_kind_name(unsigned kind);
const char *chaos_table_name(unsigned table);
const char *chaos_level_name(unsigned level);

uint64_t chaos_now_ns(void);

/* ---- writing ---- */

struct chaos_log;

/* Makes the file.  NULL when it cannot be made. */
struct chaos_log *chaos_log_make(const char *path, size_t record_max);
/* A place for an operation that begins now, or NULL when the file is full. */
struct chaos_record *chaos_log_begin(struct chaos_log *log);
/* The operation has ended, and its outcome is in the record. */
void chaos_log_end(struct chaos_record *record);

/* ---- reading ---- */

struct chaos_log_view {
    struct chaos_record *records;
    size_t count;
    void *map;
    size_t map_size;
};

/* False when the file cannot be read or is none. */
bool chaos_log_open(const char *path, struct chaos_log_view *view_out);
void chaos_log_close(struct chaos_log_view *view);

#endif
