/*
 * history.h -- the truth about every key, and whether what workers saw agrees with it.
 *
 * The truth is the audit: a trigger of the harness's own notes every change in the transaction that makes it, so a write
 * whose writer was killed is known to have happened or not.  The audit of one key is in the order of its commits, because
 * a row's lock is held from the note to the commit.
 *
 * A write has a time at which it is *due*: a read that begins more than its bound later must not give anything older.
 *
 *   write                                  strict                 relaxed   outbox
 *   acknowledged, L2 corrected             when acknowledged      same      same
 *   acknowledged, L2 could not be told     + lease                never     noted + lag
 *   never acknowledged (killed, timeout)   noted + lease          never     noted + lag
 *   made by raw SQL                        -                      -         noted + lag
 *
 * "never": only a later write of the same row makes older versions wrong.  STRONG reads are excused by nothing: they are held
 * to everything that was acknowledged or seen by anybody before they began.
 */
#ifndef CHAOS_HISTORY_H
#define CHAOS_HISTORY_H

#include "record.h"

#define CHAOS_NEVER UINT64_MAX

/* One change as the audit has it, in the order of the audit. */
struct chaos_change {
    uint32_t table;
    uint32_t key;
    int64_t stamp;   /* of the row as it is afterwards; of a delete: 0 */
    int64_t version; /* the same */
    uint64_t at_ns;  /* when it was noted, shortly before the commit; CLOCK_MONOTONIC */
    bool is_delete;
    bool was_there; /* there was a row before */
};

/* What L3 holds at the end. */
struct chaos_row {
    uint32_t table;
    uint32_t key;
    int64_t stamp;
};

struct chaos_rules {
    uint64_t lease_ms; /* strict tables: life of an announcement */
    uint64_t lag_ms;   /* outbox: longest time from note to correction */
    /* Coarse clocks and scheduling between the end of a thing and its being written down. */
    uint64_t slack_ms;
};

enum chaos_rule {
    CHAOS_RULE_LOST,       /* an acknowledged write is not in the database */
    CHAOS_RULE_REFUSED,    /* a write that was refused is in the database */
    CHAOS_RULE_OVERWROTE,  /* an update replaced another row than the one it was based on */
    CHAOS_RULE_TWICE,      /* one write is twice in the database */
    CHAOS_RULE_PHANTOM,    /* a read gave what was never committed, or another row's */
    CHAOS_RULE_FUTURE,     /* a read gave a write that had not begun */
    CHAOS_RULE_STRONG,     /* a STRONG read gave an old row */
    CHAOS_RULE_BOUND,      /* a read gave a row that is older than its bound */
    CHAOS_RULE_OWN_WRITE,  /* a session did not read its own write */
    CHAOS_RULE_WENT_BACK,  /* a session read something older than it had seen */
    CHAOS_RULE_NOT_EQUAL,  /* after everything came to rest, a cache differs from L3 */
    CHAOS_RULE_UNANSWERED, /* after everything came to rest, a read failed */
    CHAOS_RULE_HARNESS,    /* the harness contradicts itself */
    CHAOS_RULES
};

const char *chaos_rule_text(enum chaos_rule rule);

struct chaos_violation {
    enum chaos_rule rule;
    uint32_t table;
    uint32_t key;
    const struct chaos_record *record; /* NULL: none */
    uint32_t got;                      /* index of the version that was given */
    uint32_t wanted;                   /* index of the oldest one allowed */
};

/* What happened, counted. */
struct chaos_figures {
    uint64_t operations[CHAOS_KINDS];
    uint64_t reads_of_level[4];
    uint64_t reads_of_tier[4];
    uint64_t failed_reads, acknowledged, conflicts, unknown, unknown_committed;
    uint64_t degraded_calls, degraded_writes;
    uint64_t any_reads,
        any_stale; /* stale: of a version that was overwritten when the read began */
    double any_ms_p50, any_ms_p90, any_ms_p99, any_ms_p999, any_ms_max;
    uint64_t excused
        [CHAOS_TABLES]; /* reads older than their bound, by a write that is not due so soon */
    double excused_ms[CHAOS_TABLES]; /* how long after such a write an older version was given */
    uint64_t versions, keys;
};

enum { CHAOS_VIOLATIONS_KEPT = 64 };

struct chaos_verdict {
    uint64_t count[CHAOS_RULES];
    uint64_t total;
    struct chaos_violation kept[CHAOS_VIOLATIONS_KEPT];
    size_t kept_count;
    struct chaos_figures figures;
};

/* All that is known of one run.  The arrays are borrowed. */
struct chaos_evidence {
    const struct chaos_change *changes;
    size_t change_count;
    const struct chaos_row *rows;
    size_t row_count;
    bool has_rows; /* else the rows at the end are not compared */
    const struct chaos_record *const *records;
    size_t record_count;
    struct chaos_rules rules;
};

struct chaos_history;

/* Judges; ends the program when memory is short. */
struct chaos_history *chaos_judge(const struct chaos_evidence *evidence,
                                  struct chaos_verdict *verdict_out);
void chaos_history_free(struct chaos_history *history);

/* One state of a row: 0 is "not there yet", then one for each change. */
struct chaos_version {
    int64_t stamp;
    int64_t version;
    uint64_t at_ns;
    uint64_t began_ns; /* of the write; 0: not known */
    uint64_t acked_ns; /* CHAOS_NEVER: not acknowledged */
    uint64_t due_ns;
    uint64_t seen_ns;   /* when a read that gave it had ended first */
    uint64_t due_after; /* the earliest `due` of what came later */
    uint64_t known_after;
    uint64_t clean_after; /* the same, were nothing excused */
    const struct chaos_record *writer;
    bool is_degraded;
    bool is_raw;
    bool has_writer;
    bool is_delete;
    bool was_there;
};

/* The states of a key; at least one. */
const struct chaos_version *chaos_history_of(const struct chaos_history *history, uint32_t table,
                                             uint32_t key, uint32_t *count_out);

#endif
