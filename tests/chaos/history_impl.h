/*
 * history_impl.h -- what history.c builds and judge.c and judge_sessions.c read.
 */
#ifndef CHAOS_HISTORY_IMPL_H
#define CHAOS_HISTORY_IMPL_H

#include "history.h"

#include <tears/tears.h>

#define NO_PLACE UINT32_MAX

struct span {
    uint32_t first; /* in versions */
    uint32_t count;
};

/* Where a stamp was written. */
struct place {
    int64_t stamp; /* 0: empty */
    uint32_t version;
    uint32_t again; /* the same stamp once more: place in versions, or NO_PLACE */
};

struct chaos_history {
    struct chaos_rules rules;
    struct chaos_version *versions;
    uint32_t *table_of; /* of each version */
    uint32_t *key_of;
    size_t version_count;
    struct span spans[CHAOS_TABLES][CHAOS_KEYS_MAX];
    struct place *places; /* open addressing */
    size_t place_mask;
};

/* Memory or the end of the program. */
void *chaos_alloc(size_t count, size_t size);
void *chaos_grow(void *memory, size_t count, size_t size);

void chaos_violate(struct chaos_verdict *verdict, const struct chaos_violation *violation);

/* The version that a read gave: its index in the key's span, or NO_PLACE when it was never committed under this key.
 * An absent row is taken for the latest absence that the read may have seen. */
uint32_t chaos_index_of_read(const struct chaos_history *history,
                             const struct chaos_record *record);

/* The version that an acknowledged write made, or NO_PLACE. */
uint32_t chaos_index_of_write(const struct chaos_history *history,
                              const struct chaos_record *record);

void chaos_judge_sessions(const struct chaos_history *history,
                          const struct chaos_evidence *evidence, struct chaos_verdict *verdict);

static inline bool chaos_has_answer(const struct chaos_record *record)
{
    return record->state == CHAOS_DONE &&
           (record->status == TEARS_OK || record->status == TEARS_NOT_FOUND);
}

static inline bool chaos_is_acked(const struct chaos_record *record)
{
    return record->state == CHAOS_DONE && record->status == TEARS_OK;
}

static inline bool chaos_is_absent(const struct chaos_version *version, uint32_t index)
{
    return index == 0 || version->is_delete;
}

#endif
