/*
 * l3.h -- the contract of the durable tier: every operation takes a batch.
 *
 * Implementations: l3_pg (PostgreSQL), l3_lite (one SQLite file), l3_store (a user's own store).
 * `tx` is NULL outside a transaction.  Rows given out are in the arena.  All calls end by the deadline.
 *
 * Statuses, for all: TEARS_UNAVAILABLE (no connection; for a write the outcome may be unknown: see
 * struct t3_l3_call), TEARS_TIMEOUT, TEARS_DENIED, TEARS_INVALID (the database refuses the data: SQLSTATE and
 * message in the error), TEARS_CONFLICT (serialization failure, deadlock), TEARS_CORRUPT, TEARS_LIMIT (disk full),
 * TEARS_UNSUPPORTED, TEARS_NO_MEMORY.
 */
#ifndef T3_TIER_L3_H
#define T3_TIER_L3_H

#include "base/clock.h"
#include "observe/log.h"
#include "schema/key.h"
#include "tier/finding.h"
#include "tier/result.h"

#include <tears/coherence.h>
#include <tears/store.h>

struct t3_l3;
struct t3_l3_tx;

/* Where names without a schema are found and made: PostgreSQL's search_path.  Both texts are quoted as SQL has them. */
struct t3_l3_path {
    struct tears_str schema; /* the first of them; a statement is not run when it does not exist */
    struct tears_str search_path;
};

/* What every call is given. */
struct t3_l3_call {
    struct t3_l3_tx *tx; /* NULL: none */
    const struct t3_l3_path
        *path; /* NULL: the connection's own; databases without schemas pass over it */
    struct t3_arena *arena;
    struct t3_deadline deadline;
    struct tears_error *error;
    bool
        is_brief; /* write: rows as stored are not wanted; those of many that went through may be NULL, their versions are there */
    bool outcome_unknown; /* set when a write or commit may or may not have happened */
};

/* A change that somebody made, as the database noted it in the same transaction. */
struct t3_l3_note {
    struct tears_str
        table; /* "": notes were thrown away for their age; anything may have changed */
    const struct tears_str *ids; /* the key's values as text, in the order of the primary key */
    size_t id_count;             /* 0: all rows of the table */
    bool is_deletion;
    bool is_insertion;        /* no row had this key just before */
    struct tears_str version; /* text of the version column (of a deleted row: its last); "" none */
    int64_t position;         /* grows from note to note; not in the order of commits */
};

struct t3_l3_tail;

/* What the outbox is like, without its notes; texts are in the call's arena. */
struct t3_l3_outbox_look {
    bool is_installed;
    bool has_tailer;
    const struct tears_str *tables; /* whose changes are noted */
    size_t table_count;
};

/*
 * The outbox.  Notes are taken away by whoever has dealt with them, in the transaction in which they were read: there is no
 * cursor that could pass over a note whose transaction commits late.
 */
struct t3_l3_outbox_ops {
    tears_status (*install)(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct tears_str *tables, size_t count);
    /* count 0: all, and the outbox itself. */
    tears_status (*remove)(struct t3_l3 *l3, struct t3_l3_call *call,
                           const struct tears_str *tables, size_t count);
    tears_status (*status)(struct t3_l3 *l3, struct t3_l3_call *call,
                           struct tears_outbox_status *status_out);
    /* The cheap part of it, which everybody asks every few seconds. */
    tears_status (*look)(struct t3_l3 *l3, struct t3_l3_call *call,
                         struct t3_l3_outbox_look *look_out);

    /*
     * Becomes the one tailer of this database, with a connection of its own.  TEARS_OK; TEARS_NOT_FOUND: there is no outbox;
     * TEARS_CONFLICT: somebody else is; TEARS_UNAVAILABLE, TEARS_DENIED, TEARS_NO_MEMORY.
     */
    tears_status (*tail_open)(struct t3_l3 *l3, struct t3_l3_tail **tail_out,
                              struct tears_error *error_out);
    /* Sleeps until there may be notes, at most until the deadline, or until the file descriptor `wake_fd` can be read. */
    tears_status (*tail_wait)(struct t3_l3_tail *tail, struct t3_deadline deadline, int wake_fd);
    /* Up to `max` notes, in the arena, those of one row in the order of its changes.  What was taken before must have been ended by
     * tail_done; when nothing was, there is nothing to end. */
    tears_status (*tail_take)(struct t3_l3_tail *tail, struct t3_arena *arena, size_t max,
                              const struct t3_l3_note **notes_out, size_t *count_out,
                              struct tears_error *error_out);
    /* `done`: the notes are dealt with and go away; else they come again. */
    tears_status (*tail_done)(struct t3_l3_tail *tail, bool done, struct tears_error *error_out);
    /* Gives up the role. */
    void (*tail_free)(struct t3_l3_tail *tail);
};

enum t3_write_kind { T3_WRITE_INSERT, T3_WRITE_UPDATE, T3_WRITE_UPSERT, T3_WRITE_DELETE };

/*
 * One row to write.  Cells are sorted by column, without duplicates.  INSERT and UPSERT: the columns to write, the key's among
 * them (INSERT may leave key columns with a server default out); the version column never.  UPDATE: the changed columns
 * only, key aside; none at all is allowed and moves the version.  DELETE: no cells.
 */
struct t3_write {
    const struct t3_cell *cells;
    uint32_t cell_count;
    struct t3_key key; /* UPDATE, UPSERT, DELETE; INSERT: count 0 when the database makes the key */
    bool has_base;     /* UPDATE, DELETE: only if the version column still equals `base` */
    int64_t base;
    /* results */
    tears_status
        status; /* OK; CONFLICT (exists, changed or gone); NOT_FOUND (DELETE or UPDATE without a base) */
    struct t3_row *
        row; /* OK: as stored, with defaults (DELETE: NULL); CONFLICT: the row that is there, or NULL */
    int64_t version; /* of `row`; of a deleted row its last */
};

/* One page of rows. */
struct t3_scan {
    const struct t3_cell *filters;
    uint32_t filter_count;
    const uint32_t *order; /* columns; ends with the key's, so that it is total */
    uint32_t order_count;
    bool descending;
    const struct tears_value
        *after; /* order_count values of the last row seen; NULL: from the start */
    uint64_t row_max;
    /* A table with a partition column: the filters have it, or these are its values, any of which a row may have. */
    const struct tears_value *partitions;
    uint32_t partition_count;
};

struct t3_l3_ops {
    const char *name; /* "postgresql", "sqlite", "store" */

    /* rows_out[i] is the row of keys[i], or NULL when there is none. */
    tears_status (*fetch)(struct t3_l3 *l3, struct t3_l3_call *call,
                          const struct tears_schema *schema, const struct t3_key *keys,
                          size_t count, struct t3_row **rows_out);

    /*
     * Writes `count` rows of one kind, in one transaction (or in the caller's).  Row-wise conflicts are in the writes; any other
     * failure fails the call and writes nothing.
     */
    tears_status (*write)(struct t3_l3 *l3, struct t3_l3_call *call,
                          const struct tears_schema *schema, enum t3_write_kind kind,
                          struct t3_write *writes, size_t count);

    tears_status (*scan)(struct t3_l3 *l3, struct t3_l3_call *call,
                         const struct tears_schema *schema, const struct t3_scan *scan,
                         struct t3_row ***rows_out, size_t *count_out);

    tears_status (*begin)(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx **tx_out);
    /* Both end the transaction, whatever they return. */
    tears_status (*commit)(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx *tx);
    void (*rollback)(struct t3_l3 *l3, struct t3_l3_tx *tx);

    /* An ad-hoc statement with $1..$n placeholders. */
    tears_status (*query)(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql,
                          const struct tears_value *params, size_t param_count,
                          struct t3_result *result_out);

    /* The schema of an existing table (schema-qualified as `schema.table` too).  TEARS_NOT_FOUND; TEARS_INVALID without a primary key. */
    tears_status (*describe)(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str table,
                             struct tears_str version_column, uint8_t byte_codec,
                             struct tears_schema **schema_out);

    /* Names of the user's tables, sorted. */
    tears_status (*tables)(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str **names_out,
                           size_t *count_out);

    tears_status (*doctor)(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_findings *findings);

    void (*free)(struct t3_l3 *l3);

    const struct t3_l3_outbox_ops *outbox; /* NULL: this database cannot note outside changes */
};

struct t3_l3 {
    const struct t3_l3_ops *ops;
    uint32_t parallel; /* calls that can really run at once (connections); 0: no limit */
};

struct t3_l3_options {
    struct tears_str url; /* PostgreSQL: URL or key=value string; SQLite: path after "sqlite:" */
    uint64_t pool_min;
    uint64_t pool_max;
    uint64_t idle_ms_max;
    uint64_t connect_ms;
    const struct t3_log *log;
};

tears_status t3_l3_pg_open(const struct t3_l3_options *options, struct t3_l3 **l3_out,
                           struct tears_error *error_out);
tears_status t3_l3_lite_open(const struct t3_l3_options *options, struct t3_l3 **l3_out,
                             struct tears_error *error_out);
/* The store must outlive the tier. */
tears_status t3_l3_store_open(const struct tears_store *store, struct t3_l3 **l3_out,
                              struct tears_error *error_out);

#endif
