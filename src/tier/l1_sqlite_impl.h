/*
 * l1_sqlite_impl.h -- what the sources of the SQL form of L1 share.
 */
#ifndef T3_TIER_L1_SQLITE_IMPL_H
#define T3_TIER_L1_SQLITE_IMPL_H

#include "base/lock.h"
#include "driver/lite.h"
#include "tier/l1_sqlite.h"
#include "tier/ticket.h"

#define L1_SQLITE_ORIGIN "l1.sqlite"
#define L1_NO_SLOT       UINT32_MAX

/* What is known of one entry beside its cells.  Its index is the rowid of the entry in its space's
 * table. */
struct l1_slot {
    uint64_t expires_ms; /* by t3_now_coarse_ms, as all times here */
    uint64_t confirmed_ms;
    uint64_t revision;
    int64_t version;
    uint32_t space;
    uint64_t bytes; /* what the entry is taken to cost */
    uint64_t payload;
    uint32_t next_free;
    bool in_use;
    bool absent;  /* a negative entry */
    bool visited; /* read since the hand passed */
};

struct l1_space {
    const struct tears_schema *schema;
};

/* What the statements of a space do. */
enum l1_action { L1_GET = 1, L1_CELL, L1_FIND, L1_ROW, L1_STORE, L1_DELETE, L1_CLEAR };

struct l1_sqlite {
    struct t3_l1 base;
    struct t3_tickets tickets;
    uint64_t bytes_max;

    struct t3_mutex mutex; /* guards all that follows, the connection too */
    struct t3_lite_conn *conn;
    struct t3_lite_function live; /* t3_live(slot), for the views */
    struct t3_arena scratch;      /* text of bound values; emptied by every call */
    struct l1_space *spaces;
    uint32_t space_count;
    uint32_t space_capacity;
    struct l1_slot *slots;
    uint32_t slot_count; /* ever used; those below are in use or in the free list */
    uint32_t slot_capacity;
    uint32_t first_free;
    uint32_t entry_count; /* slots in use: rows and negative entries */
    uint32_t hand;
    uint64_t random;
    struct t3_l1_stats stats;
};

/* ---- l1_sqlite_table.c: the SQL; all with the mutex held ---- */

/* Creates the table and the view of a space. */
tears_status t3_l1_sqlite_create(struct l1_sqlite *l1, uint32_t space,
                                 struct tears_error *error_out);

/* A statement of the space; `column` is for L1_CELL only. */
tears_status t3_l1_sqlite_statement(struct l1_sqlite *l1, enum l1_action action, uint32_t space,
                                    uint32_t column, struct t3_lite_stmt **stmt_out);

/* Binds a key's values from parameter `first` on. */
tears_status t3_l1_sqlite_bind_key(struct l1_sqlite *l1, struct t3_lite_stmt *stmt, uint32_t first,
                                   const struct t3_key *key);

/* Writes the cells of a row (NULL: the key's only) under a slot, over whatever has that slot or
 * key. */
tears_status t3_l1_sqlite_store(struct l1_sqlite *l1, uint32_t space, uint32_t slot,
                                const struct t3_l1_put *put);

/* What storing it will cost in memory, pages, index and slot included. */
uint64_t t3_l1_sqlite_cost(const struct l1_sqlite *l1, uint32_t space, const struct t3_l1_put *put);

#endif
