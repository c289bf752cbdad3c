/*
 * onerow.h -- what get, set, insert and delete share: a table, a key, fields, a row.
 */
#ifndef CLI_ONEROW_H
#define CLI_ONEROW_H

#include "rows.h"

/* All zero is closed. */
struct cli_onerow {
    struct cli_context context;
    tears_collection *table;
    struct cli_target target;
    struct tears_value key[CLI_KEY_COLUMNS_MAX];
    size_t key_count;
    struct tears_field *fields;
    size_t field_count;
};

/* Opens the client and the table that the first word names. */
int cli_onerow_open(const struct cli_args *args, struct cli_onerow *onerow_out);
void cli_onerow_done(struct cli_onerow *onerow);

/* Reads all words after the table as the key. */
int cli_onerow_key(struct cli_onerow *onerow);

/* Reads the words after the table as the key, and those after it as fields. */
int cli_onerow_key_and_fields(struct cli_onerow *onerow);

/* Reads all words after the table as fields. */
int cli_onerow_fields(struct cli_onerow *onerow);

/* Reads the row of the key; reports it when there is none. */
int cli_onerow_read(struct cli_onerow *onerow, tears_entity **row_out);

/* Reports that there is no row with the key. */
int cli_onerow_fail_absent(struct cli_onerow *onerow);

#endif
