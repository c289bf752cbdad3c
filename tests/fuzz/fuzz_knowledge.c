/*
 * fuzz_knowledge.c -- any bytes as a draft message, as an enforcement record, and as a name.
 *
 * What must hold: nothing is read outside the input; what is understood is understood the same
 * after it was written again; what is refused has a reason; a name is the same as itself.
 */
#include "base/str.h"
#include "knowledge/concept_name.h"

#include <tears/knowledge.h>

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_refusal(tears_status status, const struct tears_error *error)
{
    check(status == TEARS_INVALID || status == TEARS_UNSUPPORTED);
    check(error->status == status && error->message[0] != '\0');
    check(t3_str_is_utf8(tears_str_c(error->message)));
}

static void encode(const tears_draft *draft, struct tears_owned_text *text_out)
{
    check(tears_draft_encode(tears_draft_message(draft), text_out, NULL) == TEARS_OK);
}

static void read_draft(struct tears_str bytes)
{
    tears_draft *draft = NULL;
    tears_draft *again = NULL;
    struct tears_owned_text first = TEARS_OWNED_TEXT_INIT;
    struct tears_owned_text second = TEARS_OWNED_TEXT_INIT;
    struct tears_error error;
    const tears_status status = tears_draft_decode(bytes, &draft, &error);
    if (status != TEARS_OK) {
        check_refusal(status, &error);
        return;
    }
    encode(draft, &first);
    check(tears_draft_decode(tears_owned_text_str(&first), &again, NULL) == TEARS_OK);
    encode(again, &second);
    check(t3_str_equal(tears_owned_text_str(&first), tears_owned_text_str(&second)));
    tears_owned_text_free(&first);
    tears_owned_text_free(&second);
    tears_draft_free(draft);
    tears_draft_free(again);
}

static void read_rule(struct tears_str bytes)
{
    tears_rule *rule = NULL;
    tears_rule *again = NULL;
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    struct tears_error error;
    const tears_status status = tears_rule_decode(bytes, &rule, &error);
    if (status != TEARS_OK) {
        check_refusal(status, &error);
        return;
    }
    const struct tears_enforcement *one = tears_rule_enforcement(rule);
    check(tears_enforcement_encode(one, &text, NULL) == TEARS_OK);
    check(tears_rule_decode(tears_owned_text_str(&text), &again, NULL) == TEARS_OK);
    const struct tears_enforcement *two = tears_rule_enforcement(again);
    check(t3_str_equal(one->table, two->table) && t3_str_equal(one->note, two->note));
    check(one->required_predicate_count == two->required_predicate_count);
    check((one->canonical_sql.ptr == NULL) == (two->canonical_sql.ptr == NULL));
    check(t3_str_equal(one->canonical_sql, two->canonical_sql));
    for (size_t i = 0; i < one->required_predicate_count; i++)
        check(t3_str_equal(one->required_predicates[i], two->required_predicates[i]));
    tears_owned_text_free(&text);
    tears_rule_free(rule);
    tears_rule_free(again);
}

static void read_name(struct tears_str bytes)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str key;
    struct tears_str again;
    for (uint64_t rule = TEARS_NAMES_LOWER; rule <= TEARS_NAMES_FOLD; rule++) {
        const tears_status status = t3_name_key(bytes, rule, &arena, &key);
        check(status == (t3_str_is_utf8(bytes) ? TEARS_OK : TEARS_INVALID));
        if (status != TEARS_OK)
            return;
        check(key.len % sizeof(uint32_t) == 0);
        check(t3_name_key(bytes, rule, &arena, &again) == TEARS_OK && t3_str_equal(key, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str bytes = tears_str_n((const char *)data, size);
    read_draft(bytes);
    read_rule(bytes);
    read_name(bytes);
    return 0;
}
