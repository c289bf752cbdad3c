/*
 * vectors.h -- what the runner and the handlers of one vector file share.
 *
 * A handler takes the `in` of a vector and gives what the library makes of it, in the shape of
 * `out`; or it says with which kind of error the library refused.  The runner compares; handlers
 * never see the expectation.
 */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include "base/arena.h"
#include "base/buf.h"
#include "schema/schema.h"

#include <jansson.h>

struct vector {
    const json_t *in;
    const json_t *line; /* the whole vector, for what it says beside an error */
    struct t3_arena *arena;
    const char *error; /* set by refuse */
    const char
        *differs; /* why another output than the recorded one is meant to be so; NULL: it is not */
};

typedef json_t *(*vector_fn)(struct vector *vector);

struct vector_op {
    const char *file; /* without .jsonl */
    const char *op;
    vector_fn run;
    bool loose_sql; /* quotes around plain identifiers and a trailing RETURNING do not count */
};

extern const struct vector_op keys_ops[];
extern const struct vector_op rows_ops[];
extern const struct vector_op invalidation_ops[];
extern const struct vector_op sql_ops[];
extern const struct vector_op pagination_ops[];
extern const struct vector_op namespaces_ops[];
extern const struct vector_op secrets_ops[];
extern const struct vector_op sandbox_ops[];
extern const struct vector_op formats_ops[];
extern const struct vector_op security_ops[];
extern const struct vector_op replay_ops[];
extern const struct vector_op lease_ops[];
extern const struct vector_op knowledge_ops[];
extern const struct vector_op drift_ops[];
extern const struct vector_op lint_ops[];
extern const struct vector_op migrate_ops[];
extern const struct vector_op helper_ops[];
extern const struct vector_op flush_ops[];

/* The outcome "refused with this kind of error"; gives NULL. */
json_t *refuse(struct vector *vector, const char *kind);

/* Ends the program with a message: the vector has a shape that the runner does not know, or memory
 * is out. */
_Noreturn void give_up(const char *what);
/* For calls that have no reason to fail. */
void must(tears_status status, const char *what);

/* ---- reading inputs (vector_value.c) ---- */

struct tears_str in_text(const struct vector *vector,
                         const char *member); /* ptr NULL: null or absent */
struct tears_str text_of(const json_t *string);
struct tears_str in_base64(const struct vector *vector, const char *member);
/* An array of strings; an absent one is empty. */
struct tears_str *names_of(struct vector *vector, const json_t *array, size_t *count_out);
/* A typed value (README.md 1.1). */
struct tears_value value_of(struct vector *vector, const json_t *typed);
struct tears_value *values_of(struct vector *vector, const json_t *array, size_t *count_out);
/* A schema of the description (README.md 1.4); the vector's own error when the library refuses it.
 */
struct tears_schema *schema_of(struct vector *vector, const json_t *description);
/* A column's type number in either vocabulary. */
uint64_t type_of(const json_t *column);

/* ---- giving outputs ---- */

json_t *give_text(struct tears_str text);
/*
 * A handler adds "was_number": true to a decimal that it read from a JSON number: then its value is
 * compared, else every digit.
 */
/* The typed value; `as_vector_text` for a vector as it stands in a parameter. */
json_t *give_value(const struct tears_value *value, bool as_vector_text);
/* {member: text} */
json_t *give_member(const char *member, struct tears_str text);

/* ---- trees of files (vector_tree.c) ---- */

struct vector_tree {
    struct t3_arena *arena;
    char base[64]; /* $BASE: a new folder without links in its path */
};

/* Makes the folder and what the vector's `tree` describes in it; tree_remove ends it. */
void tree_make(struct vector_tree *tree, struct vector *vector);
void tree_remove(struct vector_tree *tree);
/* The text with the folder's name for $BASE at its start; the vector's memory, NUL-terminated. */
struct tears_str expand_base(const struct vector_tree *tree, struct tears_str text);

/* ---- comparing (vector_equal.c) ---- */

/* Two JSON texts as README.md 1.2 compares them. */
bool json_text_equal(struct tears_str a, struct tears_str b);
/* What the library made against `out`. */
bool output_equal(const json_t *expected, const json_t *actual, bool loose_sql);

#endif
