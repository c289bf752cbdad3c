/*
 * drift_text.h -- drift as the Python package looks for it: DDL read as text, names and coarse types compared.
 *
 * It misreads much of SQL by design (spec data.md W-23 to W-26) and is here so that its reports can be
 * reproduced.  What `tears migrate drift` does is in drift_catalogue.h.
 */
#ifndef T3_DATA_DRIFT_TEXT_H
#define T3_DATA_DRIFT_TEXT_H

#include "data/drift_finding.h"

struct t3_text_column {
    struct tears_str name;
    struct tears_str type; /* as t3_drift_put_type gives it */
};

struct t3_text_table {
    struct tears_str name;
    struct tears_str schema; /* ptr NULL: not said */
    struct t3_text_column *columns;
    size_t column_count;
    size_t column_capacity;
};

/* All zero but for the arena is empty.  Names are unique. */
struct t3_text_tables {
    struct t3_arena *arena;
    struct t3_text_table *tables;
    size_t count;
    size_t capacity;
};

/* The table of that name, made when it is not there; NULL without memory. */
struct t3_text_table *t3_text_table(struct t3_text_tables *tables, struct tears_str name);
tears_status t3_text_column(struct t3_text_tables *tables, struct t3_text_table *table,
                            struct tears_str name, struct tears_str type);

/* Reads one statement (spec data.md 13.1); what it does not understand changes nothing.  Texts are the arena's. */
tears_status t3_text_read(struct t3_text_tables *tables, struct tears_str statement);

/*
 * Compares (spec data.md 13.3).  `current_schema`: expected tables that name another one are left out; ptr NULL: none is.
 */
tears_status t3_text_compare(const struct t3_text_tables *expected,
                             const struct t3_text_tables *live, struct tears_str current_schema,
                             struct t3_drift_list *list);

#endif
