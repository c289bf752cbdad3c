/*
 * cells.h -- what a caller wants to write, checked against the schema.
 */
#ifndef T3_CORE_CELLS_H
#define T3_CORE_CELLS_H

#include "core/core.h"

/* For what the fields are: decides which columns may be among them. */
enum t3_cells_use {
    T3_CELLS_INSERT, /* any but generated ones; the version column is accepted and left to the
                        database */
    T3_CELLS_UPDATE  /* neither key nor immutable nor version nor generated columns */
};

/*
 * Makes sorted cells of the fields, values coerced to the columns' kinds.  Memory is the session's;
 * bytes may stay borrowed from the caller.  TEARS_INVALID (unknown or repeated column, wrong kind,
 * NULL where not allowed, a column that may not be written), TEARS_NO_MEMORY.
 */
tears_status t3_cells_of(struct tears_session *session, const struct tears_schema *schema,
                         const struct tears_field *fields, size_t field_count,
                         enum t3_cells_use use, struct t3_cell **cells_out, uint32_t *count_out);

/* Checks one column for a use and coerces its value.  As above. */
tears_status t3_cell_check(struct tears_session *session, const struct tears_schema *schema,
                           struct tears_str column, const struct tears_value *value,
                           enum t3_cells_use use, struct t3_cell *cell_out);

/*
 * The key among the cells; key_out->count is 0 when the database makes it.  TEARS_INVALID when only
 * a part is there or a part that nobody makes is missing.
 */
tears_status t3_cells_key(struct tears_session *session, const struct tears_schema *schema,
                          const struct t3_cell *cells, uint32_t count, struct t3_key *key_out);

/* The cell of a column, or NULL. */
const struct t3_cell *t3_cells_find(const struct t3_cell *cells, uint32_t count, uint32_t column);

#endif
