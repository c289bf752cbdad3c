/*
 * miss.h -- rows that L1 could not give, on their way through L2 and L3.
 *
 *   ask.c    asks L2 and L3, and keeps what they say
 *   load.c   brings rows from L3, several callers' together
 *   herd.c   agrees with other processes on who asks L3
 *   read.c   the order of all that
 */
#ifndef T3_CORE_MISS_H
#define T3_CORE_MISS_H

#include "core/core.h"

struct t3_flight;

/* A key that L1 did not have, or not fresh enough. */
struct t3_miss {
    const struct t3_key *key;
    struct t3_found *found;
    struct t3_flight *flight; /* NULL: none was boarded, or it has landed */
    uint64_t ticket;          /* what is found may be kept while this is the key's */
    struct t3_l1_hit old;     /* what L1 has all the same; row NULL: nothing */
    uint64_t asked_l2_ms;     /* when L2 was asked for what follows */
    uint64_t seen;            /* revision of what L2 holds instead; UINT64_MAX: not known */
    int64_t l2_version;       /* the highest that L2 knows of */
    struct t3_row *l2_row;    /* a row of L2's that was not good enough; else NULL */
    enum t3_l2_lease lease;   /* what somebody has announced there */
    bool lead;    /* this read fetches it; else another one does, and it is waited for */
    bool missing; /* still to be found */
    bool waits;   /* another process reads it from L3 at the moment */
    bool won;     /* `seen` is a fill lease of our own */
};

/* A read of rows that missed. */
struct t3_reading {
    struct tears_session *session;
    struct tears_collection *collection;
    struct t3_miss *misses;
    size_t count;
    bool strong; /* only L3's answer will do */
};

/* Asks L2 for what is missing and led here: for what waits for another process, or for the rest.  L2's failure is no failure of the read.
 * TEARS_OK, TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_ask_l2(struct t3_reading *reading, bool waiting);

/* Asks L3 for what is missing, led here, and does not wait for another process.  As L3. */
tears_status t3_ask_l3(struct t3_reading *reading);

/* The same, after having agreed with other processes on who asks L3 for which row. */
tears_status t3_ask_l3_in_turn(struct t3_reading *reading);

/* Takes back a fill lease that will not be followed by a fill. */
void t3_give_lease_back(struct t3_reading *reading, struct t3_miss *miss);

/* One row from L3, together with whoever else wants one of this table at the moment; NULL: there is none. */
tears_status t3_load_one(struct tears_session *session, struct tears_collection *collection,
                         const struct t3_key *key, struct t3_row **row_out);

/* Rows from L3; rows_out has `count` places. */
tears_status t3_load_many(struct tears_session *session, struct tears_collection *collection,
                          const struct t3_key *keys, size_t count, struct t3_row **rows_out);

#endif
