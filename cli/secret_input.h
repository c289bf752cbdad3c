/*
 * secret_input.h -- keys and other secrets of a command: from a file, standard input or a reference, never from
 * the command line, which every user of the machine can read.
 */
#ifndef CLI_SECRET_INPUT_H
#define CLI_SECRET_INPUT_H

#include "output.h"

#include <tears/secret.h>

/* Most bytes that are read of a file or of standard input. */
#define CLI_INPUT_BYTES_MAX ((size_t)64 * 1024 * 1024)

/*
 * Reads `source`: "-" is standard input, what has "://" in it a reference (env://NAME, k8s://PATH), all else a
 * file.  The text is marked secret.  Nothing is taken off its end; cli_without_newline does that.
 */
int cli_input_read(const struct cli_args *args, const char *source,
                   struct tears_owned_text *text_out);

/* The text without one newline at its end, as editors and echo put there. */
struct tears_str cli_without_newline(const struct tears_owned_text *text);

/* The text without blanks around it: for tokens and documents. */
struct tears_str cli_trimmed(const struct tears_owned_text *text);

/* Resolves a reference as `tears secret resolve` does; --directory is looked at when the command has it. */
int cli_reference_resolve(const struct cli_args *args, struct tears_str reference,
                          struct tears_owned_text *value_out);
tears_status cli_secrets_open(const struct cli_args *args, tears_secrets **secrets_out,
                              struct tears_error *error_out);

/* Reports the error of a library call that has no session. */
int cli_fail_error(const struct cli_args *args, tears_status status,
                   const struct tears_error *error);

#endif
