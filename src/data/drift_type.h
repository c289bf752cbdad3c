/*
 * drift_type.h -- what the names of PostgreSQL's types say without asking a database.
 */
#ifndef T3_DATA_DRIFT_TYPE_H
#define T3_DATA_DRIFT_TYPE_H

#include "base/buf.h"

/*
 * Appends a type as the Python package compares it: lower case, without what is in parentheses, and
 * with the name that information_schema has for it (spec data.md 13.1).  TEARS_NO_MEMORY, TEARS_LIMIT.
 */
tears_status t3_drift_put_type(struct t3_buf *out, struct tears_str type);

/*
 * Whether every value of the type `from` is the same value in the type `to` (names as format_type
 * gives them), so that a column can be changed without losing anything.  False when that is not known.
 */
bool t3_drift_type_widens(struct tears_str from, struct tears_str to);

/* Whether PostgreSQL has a cast between the types; else a value goes by its text.  True for the common ones only. */
bool t3_drift_type_casts(struct tears_str from, struct tears_str to);

#endif
