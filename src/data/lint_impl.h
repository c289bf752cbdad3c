/*
 * lint_impl.h -- the linter's own: statements laid out flat, the cursor that rules read them with, findings.
 *
 * A *file* is a list of *units*: what goes to the database in one call.  A unit's statements are laid out in one list, and
 * behind a DO block come the statements of its body, and behind an EXECUTE those of its text.  Rules look at one statement
 * at a time, with what the file has said before it in struct lint_facts.
 */
#ifndef T3_DATA_LINT_IMPL_H
#define T3_DATA_LINT_IMPL_H

#include "base/buf.h"
#include "data/sql_scan.h"

#include <tears/lint.h>

/* Where a rule reads. */
struct lint_cursor {
    const struct t3_sql_token *at;
    const struct t3_sql_token *end;
};

/* A table's or other thing's name as the database folds it; texts in the arena. */
struct lint_name {
    struct tears_str schema; /* "": not given */
    struct tears_str name;   /* "": none here */
};

enum lint_class { LINT_OTHER, LINT_DDL, LINT_DML };

enum { LINT_DEPTH_MAX = 4 }; /* DO in EXECUTE in DO */

struct lint_statement {
    struct tears_str text;
    struct lint_cursor tokens;
    enum lint_class class;
    size_t unit;
    size_t line;  /* from 1 */
    size_t block; /* 0: top level; else the number of the DO block it is in */
    size_t guard; /* 0: none; else the number of the condition it stands under */
    bool is_do;
};

/* What the statements before the one looked at have said; names that do not fit are forgotten. */
enum { LINT_NAMES_MAX = 256 };

struct lint_not_null {
    struct lint_name table;
    struct tears_str column;
    struct tears_str constraint;
    bool is_validated;
};

struct lint_facts {
    struct lint_name created[LINT_NAMES_MAX]; /* tables that the file makes: nobody uses them yet */
    size_t created_count;
    struct lint_name
        dropped[LINT_NAMES_MAX]; /* constraints dropped IF EXISTS: adding them is a replacement */
    size_t dropped_count;
    struct lint_not_null checks[LINT_NAMES_MAX]; /* CHECK (column IS NOT NULL) */
    size_t check_count;
    bool has_unique; /* UNIQUE ( somewhere in the file */
};

/* One found rule in one unit, while the subjects are collected. */
struct lint_draft {
    const struct tears_lint_rule *rule;
    const struct lint_statement *statement;
    struct t3_buf subjects;
    size_t subject_count;
    struct lint_draft *next;
};

/* A comment that allows rules in a unit. */
struct lint_allowance {
    size_t unit;
    size_t line;
    struct tears_str rules;
    struct tears_str rationale; /* "": none was given, nothing is allowed */
    bool is_used;
    struct lint_allowance *next;
};

struct lint_pass {
    uint64_t groups;
    struct t3_arena *arena; /* of the file; reset behind it */
    bool is_down;           /* the file undoes: dropping and renaming are its purpose */
    enum t3_sql_dialect dialect;
    struct lint_statement *statements;
    size_t count;
    size_t room;
    size_t blocks;
    size_t guards;
    struct lint_facts facts;
    struct lint_draft *drafts;
    struct lint_allowance *allowances;
};

/* ---- lint_read.c: statements and names ---- */

/* Lays out the statements of one unit: one statement of a file, or all of a call. */
struct lint_unit {
    const struct t3_sql_tokens *tokens;
    struct t3_sql_range range;
    size_t index;
};
tears_status t3_lint_read(struct lint_pass *pass, const struct lint_unit *unit);
/* Takes in a comment, should it allow something. */
tears_status t3_lint_allow(struct lint_pass *pass, size_t unit, size_t line,
                           struct tears_str comment);

/* ---- lint_cursor.c: reading tokens ---- */

struct lint_cursor t3_lint_cursor(const struct t3_sql_tokens *tokens, struct t3_sql_range range);
static inline bool t3_lint_at_end(const struct lint_cursor *cursor)
{
    return cursor->at >= cursor->end;
}
/* Words separated by blanks; eaten all or not at all. */
bool t3_lint_eat(struct lint_cursor *cursor, const char *words);
/* Whether the words stand somewhere in it, one behind the other. */
bool t3_lint_has(struct lint_cursor cursor, const char *words);
bool t3_lint_eat_mark(struct lint_cursor *cursor, const char *mark);
/* The inside of the parentheses here, which are passed; false when there are none. */
bool t3_lint_eat_parentheses(struct lint_cursor *cursor, struct lint_cursor *inside_out);
/* One part of a list, up to the next comma outside parentheses; false at the end. */
bool t3_lint_next_part(struct lint_cursor *cursor, struct lint_cursor *part_out);
/* Everything up to one of the words outside parentheses (a list ended by NULL), which is not eaten. */
struct lint_cursor t3_lint_until(struct lint_cursor *cursor, const char *const *words);
/* A plain or quoted identifier, folded; "" when there is none, or no memory. */
struct tears_str t3_lint_identifier(struct lint_pass *pass, struct lint_cursor *cursor);
/* name, schema.name, db.schema.name. */
struct lint_name t3_lint_name(struct lint_pass *pass, struct lint_cursor *cursor);
/* The same table; a schema that is not given fits any. */
bool t3_lint_same(const struct lint_name *a, const struct lint_name *b);
bool t3_lint_is_created(const struct lint_pass *pass, const struct lint_name *table);

/* One action of ALTER TABLE. */
enum lint_verb {
    LINT_ADD_COLUMN,
    LINT_ADD_CONSTRAINT,
    LINT_DROP_COLUMN,
    LINT_DROP_CONSTRAINT,
    LINT_ALTER_COLUMN,
    LINT_RENAME,
    LINT_VALIDATE,
    LINT_OTHER_ACTION
};

struct lint_action {
    struct lint_name table;
    enum lint_verb verb;
    bool is_guarded;          /* IF [NOT] EXISTS */
    struct tears_str name;    /* of the column or constraint; "": none */
    struct lint_cursor rest;  /* behind the name */
    struct lint_cursor whole; /* all of it */
};

/* The actions of an ALTER TABLE: call with *cursor at the statement's start first.  False: no more, or no ALTER TABLE. */
struct lint_actions {
    struct lint_name table;
    struct lint_cursor rest;
};
bool t3_lint_alter_table(struct lint_pass *pass, const struct lint_statement *statement,
                         struct lint_actions *actions_out);
bool t3_lint_next_action(struct lint_pass *pass, struct lint_actions *actions,
                         struct lint_action *action_out);

/* What CREATE makes. */
struct lint_create {
    struct tears_str kind; /* "TABLE", "INDEX", "TYPE" ... in capitals */
    struct lint_name name;
    bool is_temporary;
    bool is_unique;
    bool is_concurrent;
    bool is_guarded; /* IF NOT EXISTS, OR REPLACE */
    struct lint_cursor rest;
};
bool t3_lint_create(struct lint_pass *pass, const struct lint_statement *statement,
                    struct lint_create *create_out);

/* One UPDATE in a statement, also inside WITH; *cursor moves on.  */
struct lint_update {
    struct lint_name table;
    struct lint_cursor set;
    struct lint_cursor where; /* empty: none */
    bool has_where;
};
bool t3_lint_next_update(struct lint_pass *pass, struct lint_cursor *cursor,
                         struct lint_update *update_out);

/* ---- findings ---- */

/* Notes that the rule is found; several subjects of one unit become one finding.  Does nothing for rules not asked for. */
tears_status t3_lint_report(struct lint_pass *pass, const struct lint_statement *statement,
                            const char *rule, const char *format, ...) T3_PRINTF(4, 5);
#define LINT_NAME_ARG(item) T3_STR_ARG((item).name)

/* ---- rules ---- */

tears_status t3_lint_spec(struct lint_pass *pass, const struct lint_statement *statement);
tears_status t3_lint_locks(struct lint_pass *pass, const struct lint_statement *statement);
tears_status t3_lint_replay(struct lint_pass *pass, const struct lint_statement *statement);
tears_status t3_lint_yugabyte(struct lint_pass *pass, const struct lint_statement *statement);
/* Those that look at all statements of a unit or a block: call once behind the file. */
tears_status t3_lint_mixes(struct lint_pass *pass);
/* Takes in what the statement says, after the rules have looked at it. */
void t3_lint_learn(struct lint_pass *pass, const struct lint_statement *statement);

const struct tears_lint_rule *t3_lint_rule(struct tears_str id);

/* ---- lint_exempt.c ---- */

struct lint_exemption {
    struct tears_str file; /* the exemption file */
    size_t line;
    struct tears_str path;
    struct tears_str rule;
    struct tears_str rationale; /* "": the line is refused */
    struct tears_str text;      /* the line */
    bool is_used;
};

struct lint_exemptions {
    struct lint_exemption *items;
    size_t count;
    size_t room;
};

/* Reads an exemption file; texts are copied into the arena. */
tears_status t3_lint_exemptions_read(struct t3_arena *arena, struct tears_str file,
                                     struct tears_str text, struct lint_exemptions *exemptions);

/*
 * The rules that a comment `lint: allow M-2, L-1 rationale: why` names and its reason ("" when it is missing); false: the comment
 * says something else.
 */
bool t3_lint_comment(struct tears_str comment, struct tears_str *rules_out,
                     struct tears_str *rationale_out);
/* Whether the list of rules (with commas or blanks between them) has this one. */
bool t3_lint_list_has(struct tears_str rules, struct tears_str rule);

#endif
