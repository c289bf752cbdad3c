/*
 * outbox_impl.h -- what the files of the outbox share.
 *
 *   outbox.c        the thread: who works on the outbox, and when; the public functions
 *   outbox_pass.c   some notes: which rows the caches have to be corrected for
 *   outbox_table.c  what is known of the tables; all rows of a table at once
 */
#ifndef T3_CORE_OUTBOX_IMPL_H
#define T3_CORE_OUTBOX_IMPL_H

#include "base/thread.h"
#include "core/outbox.h"

/* A table of which there were notes. */
struct t3_outbox_table {
    struct t3_outbox_table *next;
    struct tears_schema *schema; /* as the database has it */
    uint64_t until_ms;           /* then it is asked again */
};

/* A table that is to be swept once more. */
struct t3_outbox_sweep {
    struct t3_outbox_sweep *next;
    uint64_t due_ms;
    struct t3_arena arena;
    struct tears_str table;
};

struct t3_outbox {
    struct tears_client *client;
    struct t3_thread thread;
    int wake_fd; /* can be read when the thread has to look: an end, or an outbox that was just made */
    atomic_bool is_stopping;
    /* the thread's own */
    struct t3_outbox_table *tables;
    struct t3_outbox_sweep *sweeps;
    uint64_t complained_ms;
    tears_status complained_of;
    uint64_t looked_ms;
    struct t3_mutex mutex; /* guards what is covered */
    struct t3_arena covered_arena;
    const struct tears_str *covered;
    size_t covered_count;
};

/* outbox.c */

/* Sleeps for that long, or until there is a reason to look.  False: the thread is to end. */
bool t3_outbox_pause(struct t3_outbox *outbox, uint64_t ms);

/* outbox_pass.c */

/* Some notes that were taken together. */
struct t3_outbox_notes {
    const struct t3_l3_note *notes;
    size_t count;
    struct t3_arena *arena;
    bool swept; /* out: a whole table was thrown away, which is not to be done too often */
};

/* Corrects the caches for the notes.  False: not all could be, they have to come again. */
bool t3_outbox_pass(struct t3_outbox *outbox, struct t3_outbox_notes *notes);

/* outbox_table.c */

/*
 * The schema of a table, as the database has it; `anew`: what is known already does not fit.  Lives until the next call.  TEARS_NOT_FOUND,
 * TEARS_INVALID (it has no primary key any more), TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 */
tears_status t3_outbox_describe(struct t3_outbox *outbox, struct tears_str name, bool anew,
                                const struct tears_schema **schema_out);

/* Throws the rows of a table, or ("") of all covered tables, out of L2 and everybody's L1. */
tears_status t3_outbox_sweep(struct t3_outbox *outbox, struct tears_str name);

/* Does so again for tables for which it is time: see tier/l2_sweep.h. */
void t3_outbox_sweep_again(struct t3_outbox *outbox);

void t3_outbox_tables_done(struct t3_outbox *outbox);

#endif
