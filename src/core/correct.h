/*
 * correct.h -- after L3 holds a change: every cache that holds something older is corrected.
 *
 * Outside a transaction corrections are made at once; inside one they wait for its commit and are
 * dropped by its rollback.  Corrections never fail the call: what could not be done is in the
 * session's degraded bits, and is tried again in the background (repair.h).
 */
#ifndef T3_CORE_CORRECT_H
#define T3_CORE_CORRECT_H

#include "core/core.h"

enum t3_correction_kind {
    T3_CORRECT_NOTHING, /* a place in the list that is not used */
    T3_CORRECT_WRITTEN, /* the row is now as given */
    T3_CORRECT_DELETED, /* the row is gone */
    T3_CORRECT_STALE    /* what the caches hold is wrong; what is right is not known */
};

struct t3_correction {
    enum t3_correction_kind kind;
    struct tears_collection *collection;
    struct t3_key key;
    struct t3_row *row; /* WRITTEN */
    int64_t version;    /* WRITTEN: of the row; DELETED: of the deleted row */
    uint64_t seen;      /* revision of the L2 entry the write was based on; UINT64_MAX: not known */
    uint64_t ticket;    /* of the key, taken before the L3 write */
    bool inserted;      /* the row did not exist before */
    bool foreign;       /* another process made the change and has told everyone: no notice */
    /* result */
    uint64_t revision; /* of the L2 entry after the correction; 0: not known */
    struct t3_correction *next;
};

/*
 * Corrects all tiers for `count` changes of one collection, or queues them when a transaction is
 * open.  The revisions are filled in.
 */
void t3_correct(struct tears_session *session, struct t3_correction *corrections, size_t count);

/* Makes the corrections that the session's transaction has queued; `known` false: commit's outcome
 * is not known. */
void t3_correct_queued(struct tears_session *session, bool known);

/* Forgets the queued corrections (rollback). */
void t3_correct_drop_queued(struct tears_session *session);

#endif
