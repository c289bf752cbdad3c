/*
 * journal_impl.h -- what the sources of the journal share, the owner's (journal*.c) and that for people (journal_api*.c).
 */
#ifndef T3_DEFERRED_JOURNAL_IMPL_H
#define T3_DEFERRED_JOURNAL_IMPL_H

#include "base/buf.h"
#include "deferred/journal.h"
#include "driver/lite.h"

#include <stdatomic.h>
#include <sys/types.h>

#define T3_JOURNAL_ORIGIN "journal"

enum {
    T3_JOURNAL_APPLICATION = 0x7433706a, /* "t3pj", in the header of the SQLite file */
    T3_JOURNAL_FORMAT = 1                /* its user_version */
};

/* ---- the owner's lock (journal_owner.c) ---- */

/* What was seen of a lock file at one moment. */
struct t3_owner_seen {
    dev_t device;
    ino_t inode;
    int64_t touched_ns; /* modification time */
    uint64_t pid;       /* 0: not known */
    uint64_t idle_ms;
};

struct t3_owner {
    char *path; /* PATH.owner */
    int fd;     /* holds the lock; -1: not the owner */
};

tears_status t3_owner_init(struct t3_owner *owner, struct tears_str journal_path,
                           struct tears_error *error_out);
void t3_owner_done(struct t3_owner *owner);

/* TEARS_OK: locked.  TEARS_CONFLICT, without a message: somebody else has it, and *seen_out is what is known of that one. */
tears_status t3_owner_lock(struct t3_owner *owner, struct t3_owner_seen *seen_out,
                           struct tears_error *error_out);

/* Locks it for a moment without becoming the owner; false: somebody has it, or nobody ever had. */
bool t3_owner_hold(struct t3_owner *owner);

/* Whether the lock file is still the one that was seen, and was not touched since. */
bool t3_owner_is_unchanged(const struct t3_owner *owner, const struct t3_owner_seen *seen);

/* Whether the file that we have locked is the one that others would find. */
bool t3_owner_is_ours(const struct t3_owner *owner);

/* Puts a lock file of ours in the place of another's, who keeps the old one. */
tears_status t3_owner_replace(struct t3_owner *owner, struct tears_error *error_out);

void t3_owner_touch(const struct t3_owner *owner);
void t3_owner_unlock(struct t3_owner *owner);

/* Whether anybody has it locked, and who; does not disturb that one. */
bool t3_owner_look(const struct t3_owner *owner, struct t3_owner_seen *seen_out);

/* ---- the tail of the WAL (journal_wal.c) ---- */

/* Bytes of a WAL; false: there are not that many. */
struct t3_wal_source {
    bool (*read)(void *owner, uint64_t at, void *to, size_t len);
    void *owner;
    uint64_t size;
};

struct t3_wal_report {
    uint64_t commits;    /* that check */
    uint64_t tail_at;    /* behind the last of them ... */
    uint64_t tail_bytes; /* ... stands so much that was written after it; 0: nothing */
    uint64_t
        lost_commits; /* of these at least so many were complete, and may have been acknowledged */
    bool is_header_damaged; /* nothing can be checked; the tail is all of it */
    bool is_unfinished;     /* the tail checks, but its commit was never written */
};

/* TEARS_OK, TEARS_NO_MEMORY. */
tears_status t3_wal_check(const struct t3_wal_source *source, struct t3_wal_report *report_out);

/*
 * Looks at the WAL of a journal that nobody has open, before SQLite does; what does not check is copied aside and reported, and
 * *damaged_out set.  TEARS_OK, TEARS_CORRUPT (the WAL has writes, and the file they belong to is gone), TEARS_LIMIT, TEARS_UNAVAILABLE,
 * TEARS_DENIED, TEARS_NO_MEMORY.
 */
tears_status t3_wal_guard(const char *path, const struct t3_log *log, bool *damaged_out,
                          struct tears_error *error_out);

/* ---- the file (journal_file.c) ---- */

/* Runs a statement with its parameters, to its end; `row_out` (may be NULL) is told whether it gave a row. */
struct t3_journal_sql {
    const char *sql;
    const struct tears_value *values;
    uint32_t count;
};
tears_status t3_journal_run(struct t3_lite_conn *conn, const struct t3_journal_sql *sql,
                            struct tears_error *error_out);

/* A statement with its parameters bound, for T3_AUTO(t3_lite_reset). */
tears_status t3_journal_query(struct t3_lite_conn *conn, const struct t3_journal_sql *sql,
                              struct t3_lite_stmt **stmt_out, struct tears_error *error_out);

/* A cell as a number; whatever is no integer is 0. */
uint64_t t3_journal_number(struct t3_lite_stmt *stmt, uint32_t column);
/* A cell as bytes; whatever is neither text nor a blob is empty. */
struct tears_str t3_journal_bytes(struct t3_lite_stmt *stmt, uint32_t column);

/* A number of the table meta. */
tears_status t3_journal_meta(struct t3_lite_conn *conn, const char *name, uint64_t *value_out,
                             struct tears_error *error_out);
tears_status t3_journal_set_meta(struct t3_lite_conn *conn, const char *name, uint64_t value,
                                 struct tears_error *error_out);

/* The id of the journal; 36 characters and a NUL. */
tears_status t3_journal_read_id(struct t3_lite_conn *conn, char id_out[37],
                                struct tears_error *error_out);

/* In a transaction: makes the tables, or checks that they are ours and of a format we know. */
tears_status t3_journal_prepare(struct t3_lite_conn *conn, const char *path, bool create,
                                struct tears_error *error_out);

/* Guards a record against the disk: its bytes, and where they belong. */
uint64_t t3_journal_checksum(uint64_t id, uint64_t seq, uint64_t layout, struct tears_str bytes);
uint64_t t3_journal_layout_checksum(struct tears_str table, struct tears_str bytes);

/* Says what to do about a damaged file; passes other statuses on. */
tears_status t3_journal_explain(const char *path, tears_status status,
                                struct tears_error *error_out);

static inline struct tears_value t3_journal_value(uint64_t number)
{
    return tears_int((int64_t)number); /* read back with the same cast */
}

/* ---- the journal ---- */

/* Numbers are reserved in the file many at a time, so that giving one out costs no write. */
struct t3_journal_numbers {
    const char *name; /* in meta: all below have been reserved */
    uint64_t next;
    uint64_t reserved;
};

/*
 * Everything from `ids` to `undelivered_end` belongs to whoever has the writer; in memory only `next` of the numbers is used, by one thread at a time.
 */
struct t3_journal {
    char *path;
    char id[37];
    uint64_t epoch;
    const struct t3_log *log;
    struct t3_lite *lite; /* NULL: in memory */
    struct t3_owner owner;
    atomic_bool is_lost;
    _Atomic uint64_t touched_ms; /* coarse clock */

    struct t3_journal_numbers ids;
    struct t3_journal_numbers batches;
    uint64_t
        undelivered; /* from here to the end: dead letters made records that the reader was not told of yet */
    uint64_t undelivered_end;

    _Atomic uint64_t commits;
    _Atomic uint64_t writes;
    _Atomic uint64_t dead; /* as last counted */
    _Atomic uint64_t damaged;
};

/* Borrows the writer with a transaction in which the journal is certainly ours; ended by t3_journal_commit, or undone by t3_lite_give. */
tears_status t3_journal_begin(struct t3_journal *journal, struct t3_deadline deadline,
                              struct t3_lite_conn **conn_out, struct tears_error *error_out);
tears_status t3_journal_commit(struct t3_journal *journal, struct t3_lite_conn *conn,
                               struct tears_error *error_out);

/* Makes room for `count` more numbers; counts only when the transaction is committed: `reserved_out` then goes into numbers->reserved. */
tears_status t3_journal_reserve(struct t3_lite_conn *conn, const struct t3_journal_numbers *numbers,
                                uint64_t count, uint64_t *reserved_out,
                                struct tears_error *error_out);

#endif
