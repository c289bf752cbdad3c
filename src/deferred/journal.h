/*
 * journal.h -- the log of pending writes: one SQLite file, one owner, group commit.
 *
 * The journal knows records as bytes of a table; what they mean is record.h's.  One row per record:
 *
 *   record (id INTEGER PRIMARY KEY, seq, layout, bytes, checksum)      what is pending
 *   flight (batch INTEGER PRIMARY KEY, records)                        batches whose outcome may be unknown
 *   dead   (id INTEGER PRIMARY KEY, layout, ..., bytes, marked)        dead letters
 *   layout (id INTEGER PRIMARY KEY, table, bytes)                      what a table's columns were
 *   meta   (name PRIMARY KEY, value)                                   format, id of the log, epoch, next id and batch
 *
 * Owner.  `PATH.owner` is locked as long as the log is open; its modification time, touched every second, is the sign of life.  Whoever
 * becomes owner raises the epoch in the file; every write checks it, so that a process that was taken over while it slept writes
 * nothing any more.  The epoch is also in the database (flush.h).
 *
 * A tail of the WAL that does not check is copied aside to `PATH.damaged-TIME` and reported before SQLite, which would silently
 * end there, recovers the file; a record whose checksum is wrong becomes a dead letter of its own.
 */
#ifndef T3_DEFERRED_JOURNAL_H
#define T3_DEFERRED_JOURNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "observe/log.h"

#include <tears/deferred.h>

struct t3_journal;

/* Names the file when nothing else does. */
#define T3_JOURNAL_ENV "TEARS_JOURNAL"

/* Where the journal is when nobody says: beside a database file ("sqlite:PATH") as PATH-pending, else tears-pending.db.  TEARS_NO_MEMORY. */
tears_status t3_journal_default_path(struct tears_str l3_url, struct t3_buf *path_out);

struct t3_journal_options {
    struct tears_str path;
    uint64_t durability; /* TEARS_DURABLE_*; NONE: in memory, no file */
    uint64_t
        take_over_ms; /* an owner that gave no sign of life for so long is taken over; 0: never */
    const struct t3_log *log;
    const char *vfs; /* tests: SQLite's way to the files; NULL its default */
};

/*
 * Opens or creates the log and becomes its owner.
 * TEARS_OK, TEARS_CONFLICT (another process is the owner: the message has its pid and idle time), TEARS_CORRUPT (not a log), TEARS_UNSUPPORTED (of a
 * newer format), TEARS_UNAVAILABLE (no such directory), TEARS_DENIED, TEARS_LIMIT (disk full), TEARS_TIMEOUT, TEARS_NO_MEMORY.
 */
tears_status t3_journal_open(const struct t3_journal_options *options, struct t3_deadline deadline,
                             struct t3_journal **journal_out, struct tears_error *error_out);

/* Ends ownership; NULL is accepted. */
void t3_journal_free(struct t3_journal *journal);

const char *t3_journal_id(const struct t3_journal *journal); /* UUID text */
uint64_t t3_journal_epoch(const struct t3_journal *journal);
struct tears_str t3_journal_path(const struct t3_journal *journal); /* "" in memory */

/* The sign of life; called every second by whoever has a thread. */
void t3_journal_touch(struct t3_journal *journal);

/* Whether somebody else owns it by now: all that writes gives TEARS_DENIED from then on. */
bool t3_journal_is_lost(const struct t3_journal *journal);

/* A number for the layout; the same bytes of the same table have the same number.  As t3_journal_write. */
tears_status t3_journal_layout(struct t3_journal *journal, struct tears_str table,
                               struct tears_str bytes, struct t3_deadline deadline,
                               uint64_t *layout_out, struct tears_error *error_out);

/* One step of a write. */
struct t3_journal_put {
    uint64_t id; /* 0: a new record; its id is filled in */
    uint64_t seq;
    uint64_t layout;
    struct tears_str bytes;
    bool remove; /* the record goes away */
};

/*
 * Writes all of it or nothing, and returns when it is durable.  One thread at a time: whoever calls groups the writes of others (pending.h).
 * TEARS_OK, TEARS_DENIED (somebody else owns the log), TEARS_LIMIT (disk full), TEARS_UNAVAILABLE (input/output error), TEARS_TIMEOUT, TEARS_CORRUPT,
 * TEARS_NO_MEMORY.
 */
tears_status t3_journal_write(struct t3_journal *journal, struct t3_journal_put *puts, size_t count,
                              struct t3_deadline deadline, struct tears_error *error_out);

/* ---- flights: batches on their way to L3 ---- */

struct t3_journal_ref {
    uint64_t id, seq;
};

/* Notes that these records are about to be sent as batch *batch_out; numbers grow and are never used twice.  As t3_journal_write. */
tears_status t3_journal_fly(struct t3_journal *journal, const struct t3_journal_ref *refs,
                            size_t count, struct t3_deadline deadline, uint64_t *batch_out,
                            struct tears_error *error_out);

struct t3_journal_death {
    uint64_t id; /* of the record, which goes away */
    uint64_t dependants;
    struct tears_str sqlstate, message;
};

/*
 * Ends a batch, in one durable step: records that landed go away if they are still at that seq (one whose seq has moved stays: what was changed
 * since is yet to be written), `puts` are written, then deaths become dead letters (as their puts have left them).
 */
struct t3_journal_landing {
    uint64_t batch; /* 0: of no batch */
    const struct t3_journal_ref *landed;
    size_t landed_count;
    const struct t3_journal_death *deaths;
    size_t death_count;
    struct t3_journal_put *puts;
    size_t put_count;
};
tears_status t3_journal_land(struct t3_journal *journal, const struct t3_journal_landing *landing,
                             struct t3_deadline deadline, struct tears_error *error_out);

/* ---- recovery ---- */

/* A record as found in the file; its bytes are borrowed for the call and aligned to 8. */
struct t3_journal_found {
    uint64_t id, seq, layout;
    struct tears_str bytes;
};

struct t3_journal_reader {
    tears_status (*layout)(void *owner, uint64_t layout, struct tears_str table,
                           struct tears_str bytes);
    tears_status (*record)(void *owner,
                           const struct t3_journal_found *found); /* in the order of ids */
    tears_status (*flight)(void *owner, uint64_t batch, const struct t3_journal_ref *refs,
                           size_t count);
    void *owner;
};

/*
 * Reads all that is in the file: layouts first, then flights, then records.  A record whose checksum is wrong is made a dead letter, and counted in
 * *damaged_out.  As t3_journal_write, and what the reader returns.
 */
tears_status t3_journal_recover(struct t3_journal *journal, const struct t3_journal_reader *reader,
                                struct t3_deadline deadline, uint64_t *damaged_out,
                                struct tears_error *error_out);

/* Takes dead letters that were marked to be tried again out of the file, as records with new ids; cheap when nobody marked any. */
tears_status t3_journal_take_marked(struct t3_journal *journal,
                                    const struct t3_journal_reader *reader, uint64_t seq,
                                    struct t3_deadline deadline, struct tears_error *error_out);

struct t3_journal_stats {
    uint64_t commits, writes; /* writes / commits: how well commits are grouped */
    uint64_t dead, damaged, file_bytes;
};
void t3_journal_stats(struct t3_journal *journal, struct t3_journal_stats *stats_out);

#endif
