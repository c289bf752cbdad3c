/*
 * flush_world.h -- a journal, an index and a flusher on a durable tier that a test brings, with tables of one shape:
 *
 *   id BIGINT (key), ref BIGINT (may refer to a row), note TEXT, code TEXT (unique), row_version BIGINT
 *
 * The hooks check what every user of the flusher relies on: that a row which landed is still pending when the caches are told, and that one which was
 * refused is not any more.
 */
#ifndef TESTS_SUPPORT_FLUSH_WORLD_H
#define TESTS_SUPPORT_FLUSH_WORLD_H

#include "deferred/flush.h"

enum { WORLD_TABLES = 6 };

struct world_table {
    const char *name;
    struct tears_schema *schema;
    struct t3_pending_table *pending;
    struct t3_merger merger;
    bool is_hidden; /* as if the program had not registered it */
    uint64_t landed, refused;
};

struct flush_world {
    struct t3_l3 *l3;
    char path[96]; /* of the journal; "": in memory */
    struct t3_journal *journal;
    struct t3_pending *pending;
    struct t3_flush *flush;
    struct world_table tables[WORLD_TABLES];
    struct t3_arena arena;
    struct tears_error error;
    struct tears_flush_result result;
    struct t3_log log;
    uint64_t batch_rows_max;
    uint64_t take_over_ms;
    char last_refusal[512]; /* from the log */
};

/* Statements that make the tables: parents; children, which refer to parents; nodes, which refer to themselves. */
extern const char *const flush_world_sql[];

/* Opens it all; `path` NULL: the journal is in memory.  Tables are described as they are in L3. */
void flush_world_open(struct flush_world *world, struct t3_l3 *l3, const char *path);
/* Ends it without a last flush, as a crash would; the tier and the tables stay. */
void flush_world_close(struct flush_world *world);
/* Forgets the tables, too. */
void flush_world_done(struct flush_world *world);
/* Opens the journal again after that. */
void flush_world_reopen(struct flush_world *world);

/* Adds a table that exists in L3 by now. */
struct world_table *flush_world_table(struct flush_world *world, const char *name);

/* What a row is to be; ref < 0: NULL; code NULL: NULL. */
struct world_row {
    int64_t id, ref;
    const char *note;
    const char *code;
};

/* Saves one write; the status of the row.  UPDATE is made from the row that is there, and changes what `row` says differently. */
tears_status flush_world_save(struct flush_world *world, const char *table, uint8_t kind,
                              const struct world_row *row);
/* The same, and it must be OK. */
void flush_world_put(struct flush_world *world, const char *table, uint8_t kind,
                     const struct world_row *row);

/* A pass over everything; fills world->result and world->error. */
tears_status flush_world_pass(struct flush_world *world, uint64_t ms);
/* The same until nothing is left, and it must be OK. */
void flush_world_drain(struct flush_world *world);

/* The row in L3: its note, or NULL when there is none; lives until the arena is emptied.  *version_out may be NULL. */
const char *flush_world_note(struct flush_world *world, const char *table, int64_t id,
                             int64_t *version_out);
/* What a reader of this process sees: the note, "" deleted, NULL: nothing is pending. */
const char *flush_world_pending(struct flush_world *world, const char *table, int64_t id);

/* Rows that are pending, and dead letters. */
uint64_t flush_world_waiting(struct flush_world *world);
uint64_t flush_world_dead(struct flush_world *world);

#endif
