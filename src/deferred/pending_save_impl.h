/*
 * pending_save_impl.h -- writes of many threads while they become one commit, for pending_save.c and pending_stage.c only.
 */
#ifndef T3_DEFERRED_PENDING_SAVE_IMPL_H
#define T3_DEFERRED_PENDING_SAVE_IMPL_H

#include "deferred/pending_impl.h"

/* One caller's writes. */
struct t3_save {
    struct t3_pending_call call; /* first */
    struct t3_pending_table *table;
    const struct t3_defer *defers;
    size_t count;
    struct t3_arena *arena;
    struct t3_pending_outcome *outcomes_out;
    struct t3_pending_outcome *outcomes; /* as staged */
    uint64_t coalesced;
};

/* One of the two records of a key. */
struct t3_part {
    bool is_there;
    bool is_changed;
    struct t3_record record;
    struct t3_entry *old;  /* as readers see it; NULL: they do not */
    struct t3_entry *made; /* what takes its place */
};

/* A key that is written. */
struct t3_staged {
    struct t3_pending_table *table;
    const struct t3_key *key;
    uint64_t hash;
    struct t3_part first, follower;
};

/* How a part was before a caller changed it. */
struct t3_undo {
    struct t3_undo *next;
    struct t3_part *part;
    struct t3_part was;
};

/* Saves that are carried out together. */
struct t3_group {
    struct t3_pending *pending;
    struct t3_staged *staged;
    size_t staged_count;
    uint32_t *slots; /* places in `staged` plus 1, by hash; NULL: few */
    size_t slot_count;
    struct t3_undo *undo; /* of the caller that is being staged */
    uint64_t rows_more, bytes_more;
};

static inline struct t3_save *t3_save_of(struct t3_combine_item *item)
{
    return (struct t3_save *)(void *)item;
}

/* Makes room for all writes of the callers.  TEARS_NO_MEMORY. */
tears_status t3_stage_begin(struct t3_pending *pending, struct t3_combine_item **items,
                            size_t count, struct t3_group *group);

/* All writes of one caller, or, when its status says that it has failed, none of them. */
void t3_stage_caller(struct t3_group *group, struct t3_save *save);

#endif
