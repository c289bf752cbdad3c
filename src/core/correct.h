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
    T3_CORRECT_STALE,   /* what the caches hold is wrong; what is right is not known */
    T3_CORRECT_RELEASE  /* strict: announced, and nothing was written */
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
    bool keep_lease;    /* STALE: the write may still happen; the announcement is left to run out */
    uint64_t confirmed_ms; /* WRITTEN: when the call that knew the row began */
    uint64_t announced_ms; /* strict: `seen` is the announcement's revision, made then; 0: none */
    uint64_t announced_since; /* the client's trust at that moment: which bucket it was in */
    uint64_t revision;        /* of the L2 entry after the correction; 0: not known */
    struct t3_correction *next;
};

/*
 * Corrects all tiers for `count` changes of one collection, or queues them when a transaction is
 * open.  The revisions are filled in.
 */
void t3_correct(struct tears_session *session, struct t3_correction *corrections, size_t count);

/*
 * Strict mode, inside a transaction: notes the announcements before L3 is asked, so that they are taken back whatever becomes
 * of the writes.  TEARS_NO_MEMORY.
 */
tears_status t3_correct_expect(struct tears_session *session,
                               struct t3_correction *const *announced, size_t count);

/* Leaves one correction per row in the queue of the session's transaction: before its commit. */
void t3_correct_merge_queue(struct tears_session *session);

/* Makes the corrections that the session's transaction has queued.  `known` false: the commit's outcome is not known.
 * `began_ms`: when the commit was asked for. */
void t3_correct_queued(struct tears_session *session, bool known, uint64_t began_ms);

/* Forgets the queued corrections and takes back what was announced (rollback). */
void t3_correct_rolled_back(struct tears_session *session);

#endif
