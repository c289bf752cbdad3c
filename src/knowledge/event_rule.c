/*
 * event_rule.c -- enforcement records: what a query about a table must respect.
 *
 * Owns:     a record that was read, and its memory.
 * Must not know: SQL; a record is passed on, never obeyed here.
 * Threads:  any; a record is not changed.
 * Fails:    TEARS_INVALID on what is no record; TEARS_LIMIT, TEARS_NO_MEMORY.
 * Begin at: tears_rule_decode().
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/owned_text.h"
#include "knowledge/event_object.h"

static const char origin[] = "knowledge.rule";

/* The public struct with its list in one member, as the table wants it. */
struct record {
    struct tears_str table;
    struct t3_texts required_predicates;
    bool forbidden_bare_aggregate;
    struct tears_str canonical_sql;
    struct tears_str note;
};

struct tears_rule {
    struct t3_arena arena; /* of the record's text */
    struct tears_enforcement enforcement;
};

#define RECORD(member) offsetof(struct record, member)
static const struct t3_member record_members[] = {
    {"table", T3_MEMBER_TEXT, false, RECORD(table), NULL},
    {"required_predicates", T3_MEMBER_TEXTS, false, RECORD(required_predicates), NULL},
    {"forbidden_bare_aggregate", T3_MEMBER_BOOLEAN, false, RECORD(forbidden_bare_aggregate), NULL},
    {"canonical_sql", T3_MEMBER_OPTIONAL_TEXT, true, RECORD(canonical_sql), NULL},
    {"note", T3_MEMBER_TEXT, false, RECORD(note), NULL},
};
#undef RECORD

static const struct t3_object record_object = {"enforcement record", record_members,
                                               T3_COUNT(record_members)};

tears_status tears_enforcement_encode(const struct tears_enforcement *enforcement,
                                      struct tears_owned_text *text_out,
                                      struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {.len_max = TEARS_DRAFT_BYTES_MAX};
    if (enforcement == NULL || text_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, origin, "tears_enforcement_encode: %s is NULL",
                       enforcement == NULL ? "enforcement" : "text_out");
    const struct record record = {
        .table = enforcement->table,
        .required_predicates = {enforcement->required_predicates,
                                enforcement->required_predicate_count},
        .forbidden_bare_aggregate = enforcement->forbidden_bare_aggregate,
        .canonical_sql = enforcement->canonical_sql,
        .note = enforcement->note,
    };
    T3_TRY(t3_object_encode(&record_object, &record, &text, error_out));
    return t3_owned_text_take(&text, false, text_out);
}

static void free_rule_auto(tears_rule **rule)
{
    tears_rule_free(*rule);
}

tears_status tears_rule_decode(struct tears_str json, tears_rule **rule_out,
                               struct tears_error *error_out)
{
    struct record record = {0};
    if (rule_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, origin, "tears_rule_decode: rule_out is NULL");
    if (json.len > TEARS_DRAFT_BYTES_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin,
                       "an enforcement record of %zu bytes; at most %d are read", json.len,
                       (int)TEARS_DRAFT_BYTES_MAX);
    T3_AUTO(free_rule_auto) tears_rule *rule = t3_alloc_zero(1, sizeof *rule);
    if (rule == NULL)
        return t3_fail_memory(error_out, origin);
    T3_TRY(t3_object_decode(&record_object, json, &rule->arena, &record, error_out));
    rule->enforcement = (struct tears_enforcement){
        .table = record.table,
        .required_predicates = record.required_predicates.ptr,
        .required_predicate_count = record.required_predicates.count,
        .forbidden_bare_aggregate = record.forbidden_bare_aggregate,
        .canonical_sql = record.canonical_sql,
        .note = record.note,
    };
    *rule_out = T3_TAKE(rule);
    return TEARS_OK;
}

const struct tears_enforcement *tears_rule_enforcement(const tears_rule *rule)
{
    return rule != NULL ? &rule->enforcement : NULL;
}

void tears_rule_free(tears_rule *rule)
{
    if (rule == NULL)
        return;
    t3_arena_done(&rule->arena);
    t3_free(rule);
}
