/**
 * @file lint.h
 * The migration linter: what in the SQL of a migration cannot be run twice, locks a large table, or goes wrong on
 * YugabyteDB.
 *
 * SQL is read as tokens, not as text: comments, strings, quoted names, any dollar tag, the bodies of DO blocks and the
 * text that EXECUTE runs in them.  A linter collects findings of many files; each rule is found once in each statement.
 *
 *     tears_lint *lint = NULL;
 *     if (tears_lint_new(NULL, &lint, &error) == TEARS_OK &&
 *         tears_lint_add_path(lint, TEARS_STR("migrations"), &error) == TEARS_OK)
 *         for (size_t i = 0; i < tears_lint_finding_count(lint); i++)
 *             print(tears_lint_finding_at(lint, i));
 *     tears_lint_free(lint);
 *
 * A finding is allowed by a comment at its statement, or by a line of an exemption file:
 *
 *     -- lint: allow L-8 rationale: nobody has read the column since release 41
 *     migrations/0007_drop.up.sql:L-8 # rationale: nobody has read the column since release 41
 *
 * Source: spec data.md sections 14 and 15, weaknesses W-32 to W-37.
 */
#ifndef TEARS_LINT_H
#define TEARS_LINT_H

#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Findings of many files.  One thread at a time. */
typedef struct tears_lint tears_lint;

enum {
    TEARS_LINT_CRITICAL = 1,
    TEARS_LINT_HIGH = 2,
    TEARS_LINT_MEDIUM = 3,
    TEARS_LINT_LOW = 4 /**< worth a look; not meant to stop a build */
};

/** Groups of rules, as bits. */
enum {
    TEARS_LINT_SPEC = 1,     /**< M-1 to M-5, as other implementations have them */
    TEARS_LINT_YUGABYTE = 2, /**< Y-n: what YugabyteDB does otherwise than PostgreSQL */
    TEARS_LINT_LOCKS = 4,    /**< L-n: what blocks or breaks a program that is running */
    TEARS_LINT_REPLAY = 8,   /**< R-n: what fails or does harm when it is run again */
    TEARS_LINT_HYGIENE = 16  /**< X-n: text that is no SQL; exemptions without a reason or a use */
};

/** A rule; texts are static. */
struct tears_lint_rule {
    struct tears_str id; /**< "M-1" */
    uint64_t severity;   /**< TEARS_LINT_CRITICAL ... */
    uint64_t group;      /**< TEARS_LINT_SPEC ... */
    struct tears_str summary;
    struct tears_str remedy;
};

/** All rules in order of their ids; NULL when `index` is past the last.  @thread any  @since 0.1 */
TEARS_API const struct tears_lint_rule *tears_lint_rule_at(size_t index);

/** Start from TEARS_LINT_OPTIONS_INIT. */
struct tears_lint_options {
    size_t size;
    uint64_t
        groups; /**< bits; 0: all that concern the database (locks and YugabyteDB not on SQLite) */
    uint64_t sqlite; /**< 1: the SQL is SQLite's; 0: PostgreSQL's */
    struct tears_str
        root; /**< folder that paths in exemptions are relative to; "": they are as given */
};

#define TEARS_LINT_OPTIONS_INIT TEARS_SIZED(struct tears_lint_options)

/** Something that a rule forbids.  Texts belong to the linter. */
struct tears_lint_finding {
    struct tears_str path; /**< relative to the options' root where it lies below it */
    uint64_t
        line; /**< from 1; in captured statements of the statement, 0: of the file as a whole */
    uint64_t statement; /**< from 0, in its file or list */
    const struct tears_lint_rule *rule;
    struct tears_str message;   /**< what, and on which tables */
    struct tears_str excerpt;   /**< of the statement, one line, at most 200 characters */
    struct tears_str rationale; /**< why it is allowed; "": it is not */
};

/**
 * @param options  NULL: all defaults.
 * @return TEARS_OK, TEARS_INVALID (unknown groups), TEARS_UNSUPPORTED (options from a newer header), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lint_new(const struct tears_lint_options *options,
                                                    tears_lint **lint_out,
                                                    struct tears_error *error_out);

/** Ends it.  NULL is accepted.  @thread lint  @since 0.1 */
TEARS_API void tears_lint_free(tears_lint *lint);

/**
 * Reads an exemption file's text: lines `path:RULE # rationale: reason`; empty lines and lines that begin with # say nothing.
 * It must come before the files that it exempts.  A line without a reason exempts nothing and becomes a finding.
 * @param name  of the file, for findings.
 * @return TEARS_OK, TEARS_NO_MEMORY.
 * @thread lint  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lint_exempt(tears_lint *lint, struct tears_str name,
                                                       struct tears_str text,
                                                       struct tears_error *error_out);

/** Lints the text of an SQL file: each statement goes to the database by itself.
 * @return TEARS_OK, TEARS_LIMIT (64 MiB), TEARS_NO_MEMORY.  @thread lint  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_lint_add_sql(tears_lint *lint, struct tears_str path,
                                                        struct tears_str text,
                                                        struct tears_error *error_out);

/** Lints what one version executes, call by call, such as the statements of a preview; a call may hold several statements.
 * @return as tears_lint_add_sql.  @thread lint  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_lint_add_statements(tears_lint *lint,
                                                               struct tears_str path,
                                                               const struct tears_str *statements,
                                                               size_t count,
                                                               struct tears_error *error_out);

/**
 * Lints a file, or all *.sql files of a folder and the folders in it, by name.  In `*.down.sql` the rules against
 * dropping and renaming are silent: that is what such files are for.
 * @return TEARS_OK, TEARS_NOT_FOUND (no such path; a folder without SQL files, so that a mistyped name is no clean answer),
 * TEARS_DENIED, TEARS_UNAVAILABLE (it cannot be read), TEARS_LIMIT (a file above 16 MiB), TEARS_NO_MEMORY.
 * @thread lint  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lint_add_path(tears_lint *lint, struct tears_str path,
                                                         struct tears_error *error_out);

/** Ends the adding: lines of exemption files that no finding needed become findings.
 * @return TEARS_OK, TEARS_NO_MEMORY.  @thread lint  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_lint_finish(tears_lint *lint,
                                                       struct tears_error *error_out);

/** Findings in order of addition, within a file by line and rule.  @thread lint  @since 0.1 */
TEARS_API size_t tears_lint_finding_count(const tears_lint *lint);
/** NULL when `index` is past the last.  Lives until the linter is used again.  @thread lint  @since 0.1 */
TEARS_API const struct tears_lint_finding *tears_lint_finding_at(const tears_lint *lint,
                                                                 size_t index);

/** What was looked at: a clean answer about nothing is none.  @thread lint  @since 0.1 */
TEARS_API void tears_lint_looked_at(const tears_lint *lint, uint64_t *files_out,
                                    uint64_t *statements_out);

/** `path:line: [rule] message -- 'excerpt'`.  End it with tears_owned_text_free.
 * @return TEARS_OK, TEARS_NO_MEMORY.  @thread any  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_lint_finding_text(const struct tears_lint_finding *finding, struct tears_owned_text *text_out,
                        struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
