/*
 * l1.h -- the contract of the in-process tier, and its tickets.
 *
 * Two implementations: l1_memory (the default) and l1_sqlite.  tests/unit/tier/l1_conformance.c runs against both.
 *
 * Tickets.  A reader that missed here may come back with a row older than a notice that arrived while it
 * was away.  It takes the generation of its key's stripe before leaving; a fill whose stripe has moved on is
 * discarded.  Stripes live beside the table of rows, so eviction cannot forget them, and a notice moves
 * its stripe even when the key is not cached.
 */
#ifndef T3_TIER_L1_H
#define T3_TIER_L1_H

#include "base/arena.h"
#include "schema/key.h"
#include "schema/schema.h"

struct t3_l1;

enum t3_l1_answer {
    T3_L1_MISS,
    T3_L1_HIT,
    T3_L1_ABSENT, /* a negative entry: the row did not exist a moment ago */
    T3_L1_EXPIRED /* a row whose age is over: to be read anew; of use only when nobody else answers */
};

/* Times are of t3_now_coarse_ms. */
struct t3_l1_hit {
    struct t3_row *row;    /* a copy, in the arena; NULL: ABSENT */
    uint64_t revision;     /* of its L2 entry; 0: not known */
    uint64_t confirmed_ms; /* it was certainly right then (rounded down to 32 ms) */
    uint64_t expires_ms;
    uint64_t now_ms;
};

/* What to keep.  `row` NULL: a negative entry. */
struct t3_l1_put {
    const struct t3_key *key;
    const struct t3_row *row;
    int64_t version; /* t3_schema_row_version; compared only in tables that have a version column */
    uint64_t revision;
    uint64_t ticket;
    uint64_t
        age_ms_max; /* the entry is expired after this (the implementation jitters it down by up to 10 %) */
    uint64_t confirmed_ms; /* when whoever knew the row was asked */
    bool own_write;        /* the row as the database just stored it for us; see put */
};

struct t3_l1_stats {
    uint64_t rows, bytes, bytes_max, payload_bytes, evictions, stale_fills;
};

struct t3_l1_ops {
    /* Makes the tier know a table; `space_out` names it in all other calls.  The schema must outlive the tier. */
    tears_status (*open_space)(struct t3_l1 *l1, const struct tears_schema *schema,
                               uint32_t *space_out, struct tears_error *error_out);

    /* Copies the row into the arena.  A negative entry that is expired is a MISS.  TEARS_OK, TEARS_NO_MEMORY. */
    tears_status (*get)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                        struct t3_arena *arena, enum t3_l1_answer *answer_out,
                        struct t3_l1_hit *hit_out);

    /* Copies one cell only (bytes and vectors into the arena); an expired row is a MISS.  Of the hit only the row is not filled in. */
    tears_status (*get_cell)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                             uint32_t column, struct t3_arena *arena, enum t3_l1_answer *answer_out,
                             struct tears_value *value_out, struct t3_l1_hit *hit_out);

    /* As get, for people: also a negative entry that is expired, and without counting as a use. */
    tears_status (*peek)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                         struct t3_arena *arena, enum t3_l1_answer *answer_out,
                         struct t3_l1_hit *hit_out);

    /* Whether get would answer HIT. */
    bool (*contains)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);

    /* The generation of the key's stripe now. */
    uint64_t (*ticket)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);

    /*
     * Keeps a row.  A fill (own_write false) is discarded, and counted as stale, when its ticket is not current any more, or
     * when a row of a higher version is there.  An own write first moves the stripe (so that fills
     * under way die), then replaces what is there unless that has a higher version; in a table without
     * a version column it is kept only if its ticket was current before the move, else the key is dropped.
     * A row whose age is over outranks nothing.  What is kept and is of the version that is there was right whenever
     * either was: the later confirmed_ms stays, with its revision, unless the ticket died.
     * The check and the store are one step under the lock that drop takes.
     * TEARS_OK (also when discarded), TEARS_LIMIT (larger than the tier): the key is then dropped; TEARS_NO_MEMORY:
     * a fill leaves what is there, an own write drops it, for it is history.
     */
    tears_status (*put)(struct t3_l1 *l1, uint32_t space, const struct t3_l1_put *put);

    /* Records the L2 revision of a row that is still cached at this version. */
    void (*set_revision)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                         int64_t version, uint64_t revision);

    /*
     * A row that is cached at this version (in a table without versions: at this revision) was asked about at
     * `confirmed_ms`, and is still right; only if the ticket, taken before, is still current.  Its age starts anew, also when
     * it was over.  The revision is recorded with the moment (0: not known), and a reader never sees the one without the other.
     */
    void (*confirm)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key, int64_t version,
                    uint64_t revision, uint64_t ticket, uint64_t confirmed_ms, uint64_t age_ms_max);

    /* Moves the key's stripe on: no fill that started before may be kept. */
    void (*bump)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);

    /* Forgets the row (and a negative entry); the stripe stays. */
    void (*drop)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key);

    /*
     * Moves the key's stripe on, and forgets the row unless its version is at least `version` (of a table without a version column:
     * always forgets it).  A negative entry goes too.  True: a row stays, and is at exactly this version.
     */
    bool (*drop_older)(struct t3_l1 *l1, uint32_t space, const struct t3_key *key, int64_t version);

    /*
     * Gives keys of rows that were confirmed before `before_ms` (negative entries too; not what is expired, for that is
     * read anew anyway), at most `max`, in the arena.  *cursor starts at 0; it is 0 again when the whole space has been seen.
     * Rows that move meanwhile may be missed or given twice.
     * TEARS_OK, TEARS_NO_MEMORY.
     */
    tears_status (*collect)(struct t3_l1 *l1, uint32_t space, uint64_t before_ms, uint64_t *cursor,
                            size_t max, struct t3_arena *arena, struct t3_key *keys_out,
                            size_t *count_out);

    /* Moves all stripes of the space and forgets all its rows. */
    void (*clear)(struct t3_l1 *l1, uint32_t space);

    void (*stats)(struct t3_l1 *l1, struct t3_l1_stats *stats_out);

    void (*free)(struct t3_l1 *l1);
};

struct t3_l1 {
    const struct t3_l1_ops *ops;
};

tears_status t3_l1_memory_new(uint64_t bytes_max, struct t3_l1 **l1_out,
                              struct tears_error *error_out);
tears_status t3_l1_sqlite_new(uint64_t bytes_max, struct t3_l1 **l1_out,
                              struct tears_error *error_out);

#endif
