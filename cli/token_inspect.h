/*
 * token_inspect.h -- what a token says, whether or not it is true.
 */
#ifndef CLI_TOKEN_INSPECT_H
#define CLI_TOKEN_INSPECT_H

#include "output.h"

/* Prints header and payload, without the signature; CLI_EXIT_INVALID for what is no token. */
int cli_token_inspect(const struct cli_args *args, struct tears_str token);

#endif
