/*
 * journal_words.h -- what the commands on deferred writes share: the journal that is meant, and how its entries look.
 */
#ifndef CLI_JOURNAL_WORDS_H
#define CLI_JOURNAL_WORDS_H

#include "output.h"

/* An action of `tears pending` or `tears dead`: a word, and what follows it. */
struct cli_action {
    const char *name;
    size_t word_min, word_max; /* with the action's own */
    int (*run)(const struct cli_args *args, tears_journal *journal);
    const char *usage;
};

/* Opens the journal that the command line means, and runs the action that its first word names. */
int cli_action_run(const struct cli_args *args, const struct cli_action *actions, size_t count);

/* The journal of --journal; else of TEARS_JOURNAL; else where it is beside the database of --l3.  TEARS_NOT_FOUND: there is none. */
tears_status cli_journal_open(const struct cli_args *args, tears_journal **journal_out,
                              struct tears_error *error_out);
void cli_journal_close(tears_journal **journal);

/* Reports a failure. */
int cli_journal_fail(const struct cli_args *args, tears_status status,
                     const struct tears_error *error);

/* Who owns it, and how much is in it. */
int cli_journal_look(const struct cli_args *args, tears_journal *journal,
                     struct tears_journal_status *status_out);

/* The number of an entry, the word at `index`. */
int cli_journal_id(const struct cli_args *args, size_t index, uint64_t *id_out);

/* Where a list begins and ends: --after, --limit, and the table that the second word names, if there is one. */
struct cli_part {
    struct tears_str table;
    uint64_t after;
    uint64_t limit;
};
int cli_part_of(const struct cli_args *args, struct cli_part *part_out);

/* "insert", "upsert", "update", "delete" or "replace"; of a damaged entry "?". */
const char *cli_pending_kind(const struct tears_pending *pending);

/* Members of a JSON object: kind, table, key, row, changed, base, since, bytes. */
void cli_pending_put_members(const struct tears_pending *pending, struct cli_text *out);

/* Lines of a grid of two columns that say the same. */
void cli_pending_put_facts(const struct tears_pending *pending, struct cli_grid *grid);

/* How long ago that was, as people read it. */
void cli_text_put_age(struct cli_text *text, int64_t us);

#endif
