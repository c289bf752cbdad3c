/*
 * vectors_flush.h -- a log of pending writes in memory, for the handlers of flush.jsonl.
 */
#ifndef TESTS_VECTORS_FLUSH_H
#define TESTS_VECTORS_FLUSH_H

#include "deferred/pending.h"
#include "tier/l3.h"
#include "vectors/vectors.h"

enum { TABLES_MAX = 16, ROWS_MAX = 64 };

enum { ENTRY_ID, ENTRY_VALUE };

static const struct t3_deadline never = {INT64_MAX};

struct flush_log_table {
    struct tears_schema *schema;
    struct t3_pending_table *pending;
    struct t3_l3 *l3;
};

struct flush_log {
    struct t3_journal *journal;
    struct t3_pending *pending;
    struct flush_log_table tables[TABLES_MAX];
    size_t table_count;
};

void flush_log_open(struct flush_log *log);
void flush_log_close(struct flush_log *log);

/* The table of a name; NULL: it was not used yet. */
struct flush_log_table *flush_log_find(struct flush_log *log, struct tears_str name);
/* The same; opens it. */
struct flush_log_table *flush_log_table(struct flush_log *log, const char *name);

struct t3_key flush_log_key(struct vector *vector, const struct flush_log_table *table,
                            const char *id);

/* Upserts an entry; `value` "": NULL. */
void flush_log_save(struct vector *vector, const struct flush_log_table *table, const char *id,
                    const char *value);

/* A member that is a text; "" when there is none. */
const char *flush_text(const json_t *object, const char *member);

/* The id of an entry's parent; "" none. */
const char *flush_parent(const json_t *entry, const json_t *parent_map);

/* The operation `flush` (vectors_flush_run.c). */
json_t *flush_run(struct vector *vector);

#endif
