/*
 * explanation.h -- what the tiers hold of a row, for people and for programs.
 */
#ifndef CLI_EXPLANATION_H
#define CLI_EXPLANATION_H

#include "output.h"

/* A table with one line for each tier, and below it whether they agree. */
int cli_explanation_print(const struct cli_args *args, const struct tears_explanation *explanation);

/* One JSON object. */
void cli_explanation_put_json(const struct tears_explanation *explanation, struct cli_text *out);

/* What is in force for a table: one line each, or one JSON object. */
void cli_status_put(const struct tears_collection_status *status, bool human, struct cli_text *out);

#endif
