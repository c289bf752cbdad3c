/*
 * table.h -- what the sources of `tears table` share.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "context.h"

#include <tears/data.h>

/* A context with the data store that --owner names.  All zero is closed. */
struct cli_table_work {
    struct cli_context context;
    tears_data *data;
};

int cli_table_open(const struct cli_args *args, bool create_schema, struct cli_table_work *work);
void cli_table_close(struct cli_table_work *work);

/* table_create.c: reads the definition of `path` ("-": standard input), and makes or only compares the table. */
int cli_table_create(const struct cli_args *args);

#endif
