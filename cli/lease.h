/*
 * lease.h -- what the two files of `tears lease` share.
 */
#ifndef CLI_LEASE_H
#define CLI_LEASE_H

#include "command.h"

#include <tears/lease.h>

/* Connects as the command line says. */
int cli_lease_open(const struct cli_args *args, tears_coord **coord_out);

/* Reports a failure. */
int cli_lease_fail(const struct cli_args *args, tears_status status,
                   const struct tears_error *error);

/* `tears lease run`. */
int cli_lease_run(const struct cli_args *args);

#endif
