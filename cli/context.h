/*
 * context.h -- a client and a session opened by the options of the command line, and one table.
 */
#ifndef CLI_CONTEXT_H
#define CLI_CONTEXT_H

#include "command.h"
#include "output.h"

/* All zero is closed. */
struct cli_context {
    const struct cli_args *args;
    tears_client *client;
    tears_session *session;
};

/* The client options the command line asks for; text is borrowed from the arguments. */
int cli_client_options(const struct cli_args *args, struct tears_client_options *options_out);

/* Sets them for a command that flushes pending writes and says what becomes of them. */
void cli_flushes_itself(const struct cli_args *args, struct tears_client_options *options);

/* Opens client and session, by the command line or by options.  cli_close ends it, also after a failure. */
int cli_open(const struct cli_args *args, struct cli_context *context_out);
int cli_open_with(const struct cli_args *args, const struct tears_client_options *options,
                  struct cli_context *context_out);
void cli_close(struct cli_context *context);

/* The collection of a table, with a suggestion when there is no such table. */
int cli_table(struct cli_context *context, struct tears_str name, tears_collection **table_out);

/* Reports the session's last error; `status` is what the call returned. */
int cli_fail_session(const struct cli_context *context, tears_status status);

/* Says on stderr, by TEARS_DEGRADED_* bits, that a write is durable but a cache tier is behind;
 * nothing when all is well. */
void cli_note_degraded(uint32_t degraded);

/* "none", "l1", "l2", "l3" or "pending". */
const char *cli_tier_name(uint32_t tier);

#endif
