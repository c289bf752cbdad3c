/*
 * pending_impl.h -- the insides of the index of pending rows, for src/deferred/pending*.c only.
 *
 *   shards[]            by key:  slot {hash, entry}                what readers use, under the shard's lock
 *                                              |
 *                                           follower
 *   table->list         by id:   every record of the table         what leaders use, without a lock
 *
 * Everything but the slots, and what entries in them show (record and follower), belongs to whoever leads the queue `calls`.
 */
#ifndef T3_DEFERRED_PENDING_IMPL_H
#define T3_DEFERRED_PENDING_IMPL_H

#include "base/alloc.h"
#include "base/combine.h"
#include "deferred/pending.h"

#include <stdatomic.h>

enum { SHARDS = 64 };

enum t3_entry_flag {
    T3_ENTRY_INDEXED = 1, /* found by its key (a follower: by that of the first) */
    T3_ENTRY_CLAIMED = 2, /* given out by t3_pending_collect: its bytes stay where they are */
    T3_ENTRY_FLYING = 4,  /* in a batch whose outcome is not known */
    T3_ENTRY_PARKED = 8,
    T3_ENTRY_ENDING = 16 /* while t3_pending_end is under way */
};

struct t3_slab;

/* One record. */
struct t3_entry {
    struct t3_slab *slab;      /* it is a part of; NULL: it is a block of its own */
    struct t3_entry *follower; /* the second record of the key */
    struct t3_pending_table *table;
    uint64_t hash; /* of table and key; before it is indexed: the number of its layout */
    uint64_t id;
    uint64_t seq;
    uint32_t size;
    uint32_t flags;
    char bytes[]; /* of record.c, aligned to 8 */
};

/* Open addressing: an entry is in the first free slot at or after where its hash belongs.  Hashes stand beside the entries, so that looking for a key, and
 * making room, touches no entry but the one that is wanted. */
struct t3_entry_slot {
    uint64_t hash;
    struct t3_entry *entry; /* NULL: free */
};

struct t3_entry_shard {
    struct t3_mutex mutex;
    struct t3_entry_slot *slots;
    uint32_t slot_count; /* a power of two */
    uint32_t count;
    uint32_t adding; /* room that was reserved and not used yet; the leader's */
};

/* Records of one table by id.  Ids grow, so new ones are put at the end; places of those that went away are NULL until the list is packed. */
struct t3_entry_list {
    struct {
        uint64_t id;
        struct t3_entry *entry;
    } * places;
    size_t first, count, capacity;
    size_t live;
};

struct t3_pending_table {
    struct t3_pending_table *next; /* set before the table can be found */
    struct t3_pending *pending;
    struct tears_schema *schema; /* held; NULL: not opened yet */
    struct tears_str name;
    uint64_t salt;    /* tells keys of different tables apart */
    uint64_t layout;  /* its number in the journal; 0: not asked for yet */
    uint32_t stamped; /* the column that an insert without it is given the time in; T3_NO_COLUMN */
    bool is_open;
    bool keep_before;
    size_t unindexed; /* records in the list that have no place in the index yet */
    size_t adding;    /* records that the save under way will add */
    struct t3_entry_list list;
    uint64_t *parked; /* ids that were parked; some may be gone */
    size_t parked_count, parked_capacity;
    _Atomic uint64_t keys; /* in the index */
    _Atomic uint64_t rows, bytes, parked_rows, in_flight;
    _Atomic int64_t oldest_us;
    _Atomic uint64_t saves, coalesced, landed, dead, found;
};

/* A layout that records were found under. */
struct t3_found_layout {
    struct t3_found_layout *next;
    struct t3_pending_table *table;
    struct tears_schema *schema; /* read when it is needed */
    uint64_t number;
    struct tears_str bytes;
};

struct t3_landing_ring;

struct t3_claim {
    struct t3_pending_table *table;
    uint64_t id;
};

struct t3_pending {
    struct t3_pending_options options;
    struct t3_combine calls;
    struct t3_entry_shard shards[SHARDS];
    struct t3_pending_table *_Atomic tables;
    struct t3_found_layout *layouts;
    uint64_t seq; /* the last one given out */
    uint64_t table_count;
    struct t3_claim *claims; /* given out since the last t3_pending_collect; some may have ended */
    size_t claim_count, claim_capacity;
    struct t3_slab *slab;  /* the one that is being filled */
    struct t3_arena arena; /* the leader's, for one batch of calls */
    _Atomic uint64_t rows, bytes;

    struct t3_mutex room_mutex; /* whoever waits for room */
    struct t3_cond room_cond;
    _Atomic uint32_t room_waiters;

    struct t3_mutex landed_mutex;
    struct t3_landing_ring *landed; /* NULL: nothing landed yet */
};

/* ---- the queue (pending.c) ---- */

/* A call, first in a struct of its arguments. */
struct t3_pending_call {
    struct t3_combine_item item; /* first */
    tears_status (*run)(struct t3_pending *pending, struct t3_pending_call *call);
    bool is_save; /* carried out together with its neighbours by t3_pending_lead_saves */
    struct t3_deadline deadline;
    tears_status status;
    struct tears_error *error_out;
};

/* Has the call led by this thread or another; its status, or TEARS_TIMEOUT. */
tears_status t3_pending_enter(struct t3_pending *pending, struct t3_pending_call *call,
                              struct t3_deadline deadline, struct tears_error *error_out);

void t3_pending_lead_saves(struct t3_pending *pending, struct t3_combine_item **items,
                           size_t count);

/* ---- entries (pending_entry.c) ---- */

/* An entry of the record's bytes, not in the index; NULL: no memory. */
struct t3_entry *t3_entry_new(struct t3_pending_table *table, const struct t3_record *record);
/* One of bytes that come out of the file, one of many. */
struct t3_entry *t3_entry_found(struct t3_pending_table *table, struct tears_str bytes);
/* There are no more of them for now. */
void t3_slab_end(struct t3_pending *pending);
/* NULL is accepted. */
void t3_entry_free(struct t3_entry *entry);

/* The record, decoded in place. */
void t3_entry_record(const struct t3_entry *entry, struct t3_record *record_out);

void t3_entry_set_flag(struct t3_entry *entry, uint32_t flag, bool value);

/* Takes a record out of the list and the figures, and frees it; no reader can find it any more. */
void t3_entry_drop(struct t3_entry *entry);

/* ---- the index (pending_index.c) ---- */

uint64_t t3_index_hash(const struct t3_pending_table *table, const struct t3_key *key);
struct t3_entry_shard *t3_index_shard(struct t3_pending *pending, uint64_t hash);

tears_status t3_index_init(struct t3_pending *pending);
void t3_index_done(struct t3_pending *pending);

/* The first record of a key.  By leaders, or with the shard's lock. */
struct t3_entry *t3_index_find(struct t3_pending_table *table, const struct t3_key *key,
                               uint64_t hash);

/* So many keys more will be shown: room that would be made step by step is made at once, as far as there is memory. */
void t3_index_expect_many(struct t3_pending *pending, size_t count);
/* A key of this hash will be looked for soon. */
void t3_index_expect(struct t3_pending *pending, uint64_t hash);
/* Whether any key has this hash. */
bool t3_index_has(struct t3_pending *pending, uint64_t hash);

/* Makes sure that one more key of this hash can be shown.  TEARS_NO_MEMORY. */
tears_status t3_index_reserve(struct t3_pending *pending, uint64_t hash);
/* Gives up what was reserved and is not needed. */
void t3_index_unreserve(struct t3_pending *pending);

/* Shows readers `made` (NULL: nothing) where `old` (NULL: nothing) was: as the first of its key. */
void t3_index_swap(struct t3_pending *pending, struct t3_entry *old, struct t3_entry *made);

/* The same of what follows `first`.  `old` is not freed. */
void t3_index_set_follower(struct t3_pending *pending, struct t3_entry *first,
                           struct t3_entry *made);

/* Room for that many more at the end.  TEARS_NO_MEMORY. */
tears_status t3_list_reserve(struct t3_entry_list *list, size_t more);
void t3_list_add(struct t3_entry_list *list, struct t3_entry *entry);
struct t3_entry *t3_list_find(const struct t3_entry_list *list, uint64_t id);
/* The place of an id becomes `made`'s, or free. */
void t3_list_set(struct t3_entry_list *list, uint64_t id, struct t3_entry *made);
/* The first place with an id above `id`. */
size_t t3_list_after(const struct t3_entry_list *list, uint64_t id);

/* Counts a record in (`made`) and out (`old`); either may be NULL. */
void t3_pending_count(struct t3_pending_table *table, const struct t3_entry *old,
                      const struct t3_entry *made);
/* After changes: the age of the oldest, waiters for room, and whether a flush has to be asked for. */
void t3_pending_settle(struct t3_pending *pending);
void t3_table_settle(struct t3_pending_table *table);

/* Whether it may not be changed in place. */
static inline bool t3_entry_is_on_its_way(const struct t3_entry *entry)
{
    return (entry->flags & (T3_ENTRY_CLAIMED | T3_ENTRY_FLYING)) != 0;
}

/* ---- landings that are remembered (pending_landed.c) ---- */

void t3_landed_note(struct t3_pending *pending, const struct t3_entry *entry, int64_t version);
void t3_landed_done(struct t3_pending *pending);

/* ---- tables (pending_table.c) ---- */

struct t3_pending_table *t3_pending_find_table(struct t3_pending *pending, struct tears_str name);
/* Finds it or makes it, without a schema. */
tears_status t3_pending_name_table(struct t3_pending *pending, struct tears_str name,
                                   struct t3_pending_table **table_out);
void t3_pending_free_tables(struct t3_pending *pending);

/* The number of the table's own layout. */
tears_status t3_pending_layout(struct t3_pending_table *table, struct t3_deadline deadline,
                               struct tears_error *error_out);

/* Makes records that were found, and are in the table's list, records of the table as it is, and indexes them. */
tears_status t3_pending_adopt(struct t3_pending_table *table, struct t3_deadline deadline,
                              struct tears_error *error_out);

#endif
