/*
 * drift_lite_text.h -- what only the text of SQLite's CREATE statements says; private to the reading of its catalogue.
 */
#ifndef T3_DATA_DRIFT_LITE_TEXT_H
#define T3_DATA_DRIFT_LITE_TEXT_H

#include "data/drift_catalogue.h"
#include "data/sql_scan.h"

/* An item without parts. */
struct t3_item t3_lite_item(uint8_t object, struct tears_str table, struct tears_str name);

/* Tokens in one way of writing them: words in lower case, names without quotes that they do not need.  The arena's. */
tears_status t3_lite_normalise(struct t3_arena *arena, const struct t3_sql_tokens *tokens,
                               struct t3_sql_range range, struct tears_str *text_out);
tears_status t3_lite_normalise_text(struct t3_arena *arena, struct tears_str text,
                                    struct tears_str *text_out);

/* Makes *text longer by the words and, in lower case, by `more`. */
tears_status t3_lite_append(struct t3_arena *arena, struct tears_str *text, const char *words,
                            struct tears_str more);

/*
 * Reads CREATE TABLE: its checks become items; collations, generation and AUTOINCREMENT go to the columns and the key that
 * the catalogue has already.
 */
tears_status t3_lite_read_create(struct t3_catalogue *catalogue, struct tears_str table,
                                 struct tears_str sql);

#endif
