/*
 * rows.h -- rows, keys and fields between the command line and the library.
 */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include "context.h"

/* Why a text could not be read: a status and its message, as in struct tears_error. */
struct cli_problem {
    tears_status status;
    struct cli_text message;
};

void cli_problem_done(struct cli_problem *problem);

/* Reports the problem; a wrong number of key values or an unknown column is CLI_EXIT_USAGE. */
int cli_fail_problem(const struct cli_args *args, const struct cli_problem *problem);

/* A table, and the session whose memory what is read goes to. */
struct cli_target {
    tears_session *session;
    const tears_schema *schema;
};

/*
 * Reads the values of a key from as many words as the key has columns.  The values belong to the
 * session. TEARS_OK, or a status explained in `problem` (TEARS_MISUSE for a wrong number).
 */
tears_status cli_key_parse(const struct cli_target *target, const struct tears_str *words,
                           size_t word_count, struct tears_value *key_out,
                           struct cli_problem *problem);

/*
 * Reads `column=text` and `column:=json` words into fields; they belong to the session.
 * TEARS_MISUSE for a word that is neither and for a column that does not exist.
 */
tears_status cli_fields_parse(const struct cli_target *target, const struct tears_str *words,
                              size_t word_count, struct tears_field *fields_out,
                              struct cli_problem *problem);

/* Appends a value as a person writes it: the text tears_value_parse reads back. */
tears_status cli_value_text(tears_session *session, const struct tears_value *value,
                            struct cli_text *out);

/* "id = 7" or "(tenant, id) = (1, 7)": a key for messages. */
void cli_key_describe(const struct cli_target *target, const struct tears_value *key,
                      struct cli_text *out);

/* Prints one row: its JSON, or column and value line by line. */
int cli_row_print(const struct cli_context *context, const tears_entity *row);

/* Prints rows: JSON line by line, or one table.  The header is printed also without rows. */
int cli_rows_print(const struct cli_context *context, const tears_schema *schema,
                   tears_entity *const *rows, size_t count);

/* A column name of the schema that is NUL-terminated and as near as any to `name`; NULL: none is.
 */
const char *cli_nearest_column(const tears_schema *schema, struct tears_str name);

enum { CLI_KEY_COLUMNS_MAX = 16 };

#endif
