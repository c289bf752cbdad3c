/*
 * vectors_lint.c -- migrations.jsonl: the linter's rules M-1 to M-5, and exemption files.
 *
 * Threads:  one.
 * Begin at: lint_ops.
 */
#include "base/str.h"
#include "data/lint_impl.h"
#include "vectors/vectors.h"

#include <stdlib.h>

struct violation {
    uint64_t statement;
    struct tears_str rule;
};

static int by_statement(const void *left, const void *right)
{
    const struct violation *a = left;
    const struct violation *b = right;
    if (a->statement != b->statement)
        return a->statement < b->statement ? -1 : 1;
    return t3_str_compare(a->rule, b->rule);
}

/* The findings as `[{statement, rule}]`, sorted. */
static json_t *violations(struct vector *vector, const tears_lint *lint)
{
    const size_t count = tears_lint_finding_count(lint);
    struct violation *items = t3_arena_array(vector->arena, count + 1, sizeof *items);
    json_t *list = json_array();
    if (items == NULL)
        give_up("memory is out");
    for (size_t i = 0; i < count; i++) {
        const struct tears_lint_finding *finding = tears_lint_finding_at(lint, i);
        items[i] = (struct violation){finding->statement, finding->rule->id};
    }
    qsort(items, count, sizeof *items, by_statement);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:o}", "statement", (json_int_t)items[i].statement,
                                        "rule", give_text(items[i].rule)));
    return json_pack("{s:o}", "violations", list);
}

static json_t *lint(struct vector *vector)
{
    struct tears_lint_options options = TEARS_LINT_OPTIONS_INIT;
    tears_lint *linter = NULL;
    size_t count = 0;
    const struct tears_str *statements =
        names_of(vector, json_object_get(vector->in, "statements"), &count);
    options.groups = TEARS_LINT_SPEC;
    must(tears_lint_new(&options, &linter, NULL), "tears_lint_new");
    must(tears_lint_add_statements(linter, TEARS_STR("vector"), statements, count, NULL),
         "tears_lint_add_statements");
    json_t *out = violations(vector, linter);
    tears_lint_free(linter);
    return out;
}

static json_t *lint_exemptions(struct vector *vector)
{
    struct lint_exemptions read = {.count = 0};
    json_t *exemptions = json_array();
    json_t *missing = json_array();
    must(t3_lint_exemptions_read(vector->arena, TEARS_STR("exemptions"), in_text(vector, "text"),
                                 &read),
         "t3_lint_exemptions_read");
    for (size_t i = 0; i < read.count; i++) {
        const struct lint_exemption *item = &read.items[i];
        if (item->rationale.len == 0)
            json_array_append_new(missing, give_text(item->text));
        else
            json_array_append_new(
                exemptions, json_pack("[o, o]", give_text(item->path), give_text(item->rule)));
    }
    return json_pack("{s:o, s:o}", "exemptions", exemptions, "missing_rationale", missing);
}

const struct vector_op lint_ops[] = {
    {"migrations", "lint", lint, false},
    {"migrations", "lint_exemptions", lint_exemptions, false},
    {NULL, NULL, NULL, false},
};
