/*
 * helper_impl.h -- what the helpers of migrations share.
 *
 *   text    one statement, made of names and SQL: no database is asked (helper_text.c)
 *   look    what the catalogue says of a table (helper_look.c)
 *   helpers helper_column.c, helper_constraint.c, helper_key.c, helper_index.c, helper_object.c, helper_backfill.c
 *
 * A helper runs its statements in one of two ways.  What is the same text each time and does nothing the second time is
 * run as it is: the migration counts it.  What is decided by a look at the catalogue is run inside a phase, which counts as
 * one step whatever was done in it.
 */
#ifndef T3_DATA_HELPER_IMPL_H
#define T3_DATA_HELPER_IMPL_H

#include "data/migrate_impl.h"

#include <tears/migrate_helpers.h>

#define T3_HELPER_ORIGIN "helper"

enum {
    T3_HELPER_NAME_BYTES_MAX = 63
}; /* PostgreSQL cuts longer ones, and then finds another table */

/* ---- text (helper_text.c) ---- */

/* Where a helper writes its statement.  The first failure stays, so that the writing need not be checked piece by piece. */
struct t3_words {
    struct t3_buf sql;
    tears_status status;
};
void t3_words_done(struct t3_words *words);
/* Starts over. */
void t3_words_clear(struct t3_words *words);
void t3_words_put(struct t3_words *words, const char *sql);
void t3_words_put_str(struct t3_words *words, struct tears_str sql);
/* Quoted only where it must be: as people write it, and as other implementations do. */
void t3_words_put_name(struct t3_words *words, struct tears_str name);
void t3_words_put_table(struct t3_words *words, struct tears_str schema, struct tears_str table);
/* (a, b) */
void t3_words_put_names(struct t3_words *words, const struct tears_str *names, size_t count);
/* 'text' with its quotes doubled; on PostgreSQL E'...' where there are backslashes. */
void t3_words_put_literal(struct t3_words *words, struct tears_str text);

void t3_text_add_column(const struct tears_add_column *add, bool if_not_exists,
                        struct t3_words *out);
/* The UPDATE of a column's backfill, in one. */
void t3_text_column_backfill(const struct tears_add_column *add, struct t3_words *out);
/* Its predicate alone. */
void t3_text_column_predicate(const struct tears_add_column *add, struct t3_words *out);
void t3_text_add_index(const struct tears_add_index *add, enum t3_dialect dialect,
                       struct t3_words *out);
void t3_text_policy(const struct tears_policy *policy, struct t3_words *out);
/* TEARS_INVALID with a detail TEARS_POLICY_*. */
tears_status t3_text_check_policy(const struct tears_policy *policy, struct tears_error *error_out);
/* One of CASCADE, SET NULL, SET DEFAULT, RESTRICT, NO ACTION, in any case; "" stays "". */
bool t3_text_is_action(struct tears_str action);

/* ---- running (helper_look.c) ---- */

/* Copies options that may be older or newer. */
tears_status t3_helper_options(tears_migration *migration, void *own, size_t own_size,
                               const void *given);
/* TEARS_INVALID: a name is empty, too long, or has a NUL. */
tears_status t3_helper_check_names(tears_migration *migration, const struct tears_str *names,
                                   size_t count);
tears_status t3_helper_check_part(tears_migration *migration, const struct tears_table_part *part);
/* TEARS_UNSUPPORTED on SQLite. */
tears_status t3_helper_only_postgresql(tears_migration *migration, const char *what);
bool t3_helper_is_lite(const tears_migration *migration);
bool t3_helper_is_preview(const tears_migration *migration);

/* Runs what was written. */
tears_status t3_helper_run(tears_migration *migration, struct t3_words *words);
/* The same, counting rows. */
tears_status t3_helper_run_rows(tears_migration *migration, struct t3_words *words,
                                uint64_t *rows_out);

/* Begins and ends the phase `verb schema.table.name`. */
tears_status t3_helper_phase(tears_migration *migration, const char *verb,
                             const struct tears_table_part *part, bool *done_out);
tears_status t3_helper_phase_saved(tears_migration *migration, const char *verb,
                                   const struct tears_table_part *part, struct tears_str *saved_out,
                                   bool *done_out);
/* Commits what was done so far, where the version is not one transaction. */
tears_status t3_helper_save(tears_migration *migration);

/* Inside a phase: adds a constraint (`definition`: "CHECK (...)") that is not validated, where it is missing; validates it, where
 * it is not. */
tears_status t3_helper_put_constraint(tears_migration *migration,
                                      const struct tears_table_part *constraint,
                                      struct tears_str definition);
tears_status t3_helper_validate(tears_migration *migration,
                                const struct tears_table_part *constraint);

/* ---- looking (helper_look.c) ---- */

/* Asks for rows of texts; $1..$n are texts.  Values are cast to text by the query. */
struct t3_look {
    struct tears_str sql;
    struct tears_str params[4];
    size_t param_count;
};
tears_status t3_helper_ask(tears_migration *migration, const struct t3_look *look,
                           struct tears_migration_rows *rows_out);
/* "" for NULL. */
struct tears_str t3_helper_cell(const struct tears_migration_rows *rows, size_t row, size_t column);

/* The table's name as SQL, for to_regclass. */
tears_status t3_helper_table_text(tears_migration *migration, struct tears_str schema,
                                  struct tears_str table, struct tears_str *text_out);

tears_status t3_look_table(tears_migration *migration, struct tears_str schema,
                           struct tears_str table, bool *there_out);

struct t3_look_column {
    bool is_there;
    bool is_not_null;
    struct tears_str type; /* as the database writes it */
};
tears_status t3_look_at_column(tears_migration *migration, const struct tears_table_part *column,
                               struct t3_look_column *column_out);

struct t3_look_constraint {
    bool is_there;
    bool is_valid;
    struct tears_str type;       /* "c", "f", "p", "u" */
    struct tears_str definition; /* pg_get_constraintdef, without NOT VALID */
};
tears_status t3_look_at_constraint(tears_migration *migration,
                                   const struct tears_table_part *constraint,
                                   struct t3_look_constraint *constraint_out);

#endif
