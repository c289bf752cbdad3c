/*
 * shell.h -- the parts of `tears shell`: lines come in, verbs answer, answers are printed.
 */
#ifndef CLI_SHELL_H
#define CLI_SHELL_H

#include "memory.h"
#include "rows.h"
#include "words.h"

/* What a verb answers; printed as one JSON line, or for people. */
enum cli_shape {
    CLI_SHAPE_PLAIN, /* done, nothing to show */
    CLI_SHAPE_ROW,
    CLI_SHAPE_ROWS,
    CLI_SHAPE_VALUE,
    CLI_SHAPE_FOUND,
    CLI_SHAPE_STATS,
    CLI_SHAPE_EXPLANATION,
    CLI_SHAPE_STATUS,
    CLI_SHAPE_FLUSH,
    CLI_SHAPE_TEXT
};

/* Rows and values belong to the shell's session. */
struct cli_answer {
    tears_status status;
    struct cli_text error;
    enum cli_shape shape;
    tears_entity *row; /* of a conflict: the winning row, or NULL */
    tears_entity **rows;
    size_t row_count;
    struct tears_value value;
    size_t found;
    const struct tears_explanation *explanation;
    struct tears_collection_status in_force;
    struct tears_flush_result flushed;
    struct cli_text text;
    bool tiered; /* a tier was asked */
    uint32_t tier;
    uint32_t degraded; /* TEARS_DEGRADED_* bits */
    double seconds;    /* of the library's calls */
};

struct cli_shell {
    struct cli_context context;
    struct cli_memory memory;
    struct cli_words words;
    uint64_t memory_at_begin; /* the newest copy when the transaction began */
    bool in_transaction;
    bool ended;
    bool human;
};

struct cli_verb {
    const char *name;
    const char *synopsis;
    const char *help;
    size_t word_min; /* after the verb */
    size_t word_max;
    void (*run)(struct cli_shell *shell, const struct tears_str *words, size_t count,
                struct cli_answer *answer);
};

/* All verbs, ended by a NULL name. */
extern const struct cli_verb cli_verbs[];

/* Runs one line.  The answer is ended by cli_answer_done. */
void cli_shell_run(struct cli_shell *shell, struct tears_str line, struct cli_answer *answer_out);
void cli_answer_done(struct cli_answer *answer);

/* What a verb is about.  All zero is empty; what it points to belongs to the shell's session. */
struct cli_subject {
    tears_collection *table;
    struct cli_target target;
    struct tears_value key[CLI_KEY_COLUMNS_MAX];
    size_t key_count;
    struct tears_value *keys; /* of verbs on many rows: row_count keys, one after the other */
    size_t row_count;
    struct tears_field *fields;
    size_t field_count;
    struct cli_text id; /* names the row in the shell's memory */
};

void cli_subject_done(struct cli_subject *subject);

/* These give false, and the reason in the answer, when the words do not name such a thing. */

/* The table only. */
bool cli_subject_table(struct cli_shell *shell, struct tears_str name, struct cli_subject *subject,
                       struct cli_answer *answer);
/* words[0] is the table, the words after it are one key. */
bool cli_subject_row(struct cli_shell *shell, const struct tears_str *words, size_t count,
                     struct cli_subject *subject, struct cli_answer *answer);
/* words[0] is the table, the words after it are keys, one after the other. */
bool cli_subject_keys(struct cli_shell *shell, const struct tears_str *words, size_t count,
                      struct cli_subject *subject, struct cli_answer *answer);
/* All words are fields of the subject's table. */
bool cli_subject_fields(struct cli_shell *shell, const struct tears_str *words, size_t count,
                        struct cli_subject *subject, struct cli_answer *answer);

/* Makes `id` the name of the row with this key. */
void cli_subject_name(struct cli_subject *subject, const struct tears_value *key);

void cli_answer_fail(struct cli_answer *answer, tears_status status, const char *message);

/* Says that there is no row with the subject's key. */
void cli_answer_absent(struct cli_subject *subject, struct cli_answer *answer);

/* Takes over what the session says of a call that began at `started`. */
void cli_answer_conclude(struct cli_shell *shell, struct cli_answer *answer, tears_status status,
                         double started);

/* Prints the answer.  CLI_EXIT_BROKEN when standard output is gone. */
int cli_answer_print(struct cli_shell *shell, const struct cli_answer *answer);

/* ---- lines from a terminal or a pipe (shell_line.c) ---- */

struct cli_lines {
    bool human;
    char *line;
    size_t capacity;
    char *history_path;
};

void cli_lines_init(struct cli_lines *lines, bool human);

/* The next line without its newline, borrowed until the next call; false at the end. */
bool cli_lines_next(struct cli_lines *lines, const char *prompt, struct tears_str *line_out);
void cli_lines_done(struct cli_lines *lines);

#endif
