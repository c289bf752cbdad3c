/*
 * write.h -- the write path: L3 first, then the caches, then the other processes.
 */
#ifndef T3_CORE_WRITE_H
#define T3_CORE_WRITE_H

#include "core/core.h"

/* A row to write, and what it is based on. */
struct t3_change {
    const struct t3_cell *cells;
    uint32_t cell_count;
    struct t3_key key; /* count 0: the database makes it */
    bool has_base;
    int64_t base;              /* version */
    uint64_t seen;             /* revision of the L2 entry it is based on; UINT64_MAX: not known */
    uint64_t pending_seq;      /* of the deferred write it is based on; 0: of none */
    const struct t3_row *from; /* the row it is based on; NULL: not known */
};

/* A row that was not written, for the session's error. */
struct t3_write_report {
    enum t3_write_kind kind;
    const struct t3_change *change;
    tears_status status; /* CONFLICT, NOT_FOUND */
    bool row_is_there;
};

/* Names the row and what happened to it; returns the status. */
tears_status t3_write_say(struct tears_session *session, const struct tears_collection *collection,
                          const struct t3_write_report *report);

/*
 * Writes `count` rows of one kind.  `outcomes_out` (NULL: not wanted) has `count` places.
 * TEARS_OK; TEARS_CONFLICT (at least one row; the error names the first); TEARS_NOT_FOUND (kind
 * DELETE, a single row that was not there); else the failure, and then nothing is written.
 */
tears_status t3_write_rows(struct tears_session *session, struct tears_collection *collection,
                           enum t3_write_kind kind, const struct t3_change *changes, size_t count,
                           struct tears_outcome *outcomes_out);

/* The base of a write: the version of a row, unless the table has none or the row's is NULL. */
void t3_change_base(struct t3_change *change, const struct tears_schema *schema,
                    const struct t3_row *row, uint64_t revision);

/* Drops rows from every cache of every process. */
void t3_write_invalidate(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key);

/* Puts what was just read from L3 (no row: it is not there) over what the caches hold; `ticket` was
 * taken before. */
void t3_write_refresh(struct tears_session *session, struct tears_collection *collection,
                      const struct t3_key *key, const struct t3_found *found, uint64_t ticket);

#endif
