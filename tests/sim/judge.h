/*
 * judge.h -- the truth about every row at every moment, and whether what the clients say agrees with it.
 *
 *   1 session     nothing older than what the session has seen or written; nor than an acknowledged write of the
 *                 same process
 *   2 bound       what a read gives was right at most its bound before the read began
 *   3 rest        when all is quiet, every tier of every client says what L3 says
 *   4 fills       no notice is published on behalf of a read, unless it found that L2 was behind L3
 *   5 progress    every call ends by its deadline, and nothing is left under way
 *   6 durable     what was acknowledged is in L3, and no update was made over another one unseen
 *   7 L2          a write that was acknowledged, and not degraded, has corrected L2; and L2 never goes back
 *
 * Of tables whose versions begin anew with each insert only 4, 5 and 6 are asked, and that strong reads are right: an old
 * row of a higher version looks newer there (docs/adr/0016-freshness.md).
 *
 * "Right" in 2: a row is superseded by the next write of it once that has reached L2, for that is all another process
 * can know.  A writer that dies in between, or whose call failed with an unknown outcome, is excused from 2 and 3: that
 * is what relaxed mode costs.  In strict mode nobody is, but for the life of an announcement.
 */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include "server.h"

#include <tears/tears.h>

enum { SIM_KEYS_MAX = 4, SIM_COMMITS_MAX = 512, SIM_FLOORS = SIM_KEYS_MAX * 3 };

enum sim_table { SIM_ITEMS, SIM_NOTES, SIM_STRICT, SIM_TABLES };

extern const char *const sim_table_names[SIM_TABLES];

/* One state of a row, from when L3 committed it. */
struct sim_commit {
    uint64_t at_us;
    uint64_t told_us; /* when L2 had heard of it; SIM_NEVER: not so far */
    uint64_t serial;  /* in the row's name; 0: there is no row */
    int64_t version;
    const struct sim_op *op; /* whose it is; NULL: there from the beginning */
};

/* What sessions must not be given anything older than: a commit's index for each row. */
struct sim_floor {
    uint32_t at[SIM_TABLES][SIM_KEYS_MAX];
};

/* A call of a program's. */
struct sim_op {
    const char *what;
    struct sim_process *process;
    enum sim_table table;
    uint32_t key;
    bool is_read;
    uint32_t level;
    uint64_t start_us;
    uint64_t stops; /* of the process, before */
    uint64_t timeout_ms;
    struct sim_floor acknowledged; /* writes of this process, when the call began */
    /* a write's */
    uint64_t serial;
    uint64_t base_serial; /* of the row an update is based on; 0: none */
    bool is_committed;
    uint32_t commit;
    bool has_returned;
    tears_status status;
    uint32_t degraded;
};

/* What a read gave. */
struct sim_answer {
    const struct sim_op *op;
    uint64_t serial; /* 0: no row */
    uint64_t bound_ms;
    uint32_t tier;
    struct sim_floor *floor; /* of the session; NULL: any order will do */
};

struct sim_judge_rules {
    bool versions_begin_anew; /* with each insert */
    bool answers_may_be_old;  /* L2 has followers that lag */
    uint64_t lease_ms;        /* of announcements */
    uint64_t l2_wait_ms;
};

void sim_judge_begin(const struct sim_judge_rules *rules);

/* -- what happens -- */

void sim_judge_committed(enum sim_table table, uint32_t key, uint64_t serial, int64_t version,
                         struct sim_op *op);
void sim_judge_stored(const struct sim_message *message);
void sim_judge_wiped(void);
void sim_judge_notice(struct tears_str payload);

/* -- what is said -- */

void sim_judge_begins(struct sim_op *op);
void sim_judge_answer(const struct sim_answer *answer);
void sim_judge_returned(struct sim_op *op);
/* When all is quiet. */
void sim_judge_rest(const struct sim_answer *answer);
void sim_judge_rest_of_l2(void);

/* The row's state in L3 now. */
const struct sim_commit *sim_judge_last(enum sim_table table, uint32_t key);

/* What the session has written or seen in a write's outcome. */
void sim_judge_note(struct sim_floor *floor, const struct sim_op *op);

#endif
