/*
 * l3_lite_text.h -- what SQLite keeps only as the text of a CREATE statement: conditions and names.
 */
#ifndef T3_TIER_L3_LITE_TEXT_H
#define T3_TIER_L3_LITE_TEXT_H

#include "base/arena.h"

#include <tears/schema.h>

/* The condition of a partial index, from its CREATE INDEX; "" when there is none or it cannot be found. */
struct tears_str t3_l3_lite_condition(struct tears_str index_sql);

/*
 * The name of a constraint as schema/ddl.c writes it, CONSTRAINT "name" `kind` ("a", "b"), from its table's CREATE TABLE;
 * "" when it is written otherwise.  TEARS_NO_MEMORY, TEARS_LIMIT.
 */
struct t3_lite_constraint {
    const char *kind; /* "UNIQUE", "FOREIGN KEY" */
    const struct tears_str *columns;
    size_t column_count;
};
tears_status t3_l3_lite_constraint_name(struct tears_str table_sql,
                                        const struct t3_lite_constraint *constraint,
                                        struct t3_arena *arena, struct tears_str *name_out);

#endif
