/*
 * fuzz_sql.c -- a byte (odd: SQLite) and SQL text, or an exemption file.
 *
 * What must hold: tokens stand in the text one behind the other and keep their lines; a statement read by itself has the
 * tokens that it had in the file; the linter comes to an end, and what it says about text is text.
 */
#include "base/str.h"
#include "data/lint_impl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16384 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_tokens(const struct t3_sql_tokens *tokens)
{
    const char *at = tokens->source.ptr;
    uint32_t line = 0;
    for (size_t i = 0; i < tokens->count; i++) {
        const struct t3_sql_token *token = &tokens->items[i];
        const struct tears_str inner = t3_sql_inner(token);
        check(token->text.ptr >= at && token->text.len > 0 && token->line >= line);
        at = token->text.ptr + token->text.len;
        line = token->line;
        check(inner.ptr >= token->text.ptr && inner.ptr + inner.len <= at);
    }
    check(at <= tokens->source.ptr + tokens->source.len);
}

static void check_statements(const struct t3_sql_tokens *tokens, enum t3_sql_dialect dialect)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_sql_range range;
    size_t at = 0;
    size_t before = 0;
    while (t3_sql_next(tokens, &at, &range)) {
        struct t3_sql_tokens alone;
        check(range.first >= before && range.end > range.first && at >= range.end);
        before = range.end;
        check(t3_sql_scan(&arena, t3_sql_text(tokens, range), dialect, &alone) == TEARS_OK);
        check(alone.count == range.end - range.first);
        t3_arena_reset(&arena);
    }
}

static void check_findings(const tears_lint *lint)
{
    for (size_t i = 0; i < tears_lint_finding_count(lint); i++) {
        struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
        const struct tears_lint_finding *finding = tears_lint_finding_at(lint, i);
        check(finding->rule != NULL && finding->message.len > 0);
        check(t3_str_is_utf8(finding->excerpt) || finding->rule->group == TEARS_LINT_HYGIENE);
        check(tears_lint_finding_text(finding, &text, NULL) == TEARS_OK);
        tears_owned_text_free(&text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_lint_options options = TEARS_LINT_OPTIONS_INIT;
    struct t3_sql_tokens tokens;
    tears_lint *lint = NULL;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    const enum t3_sql_dialect dialect = data[0] % 2 == 1 ? T3_SQL_SQLITE : T3_SQL_POSTGRES;
    const struct tears_str text = tears_str_n((const char *)data + 1, size - 1);
    check(t3_sql_scan(&arena, text, dialect, &tokens) == TEARS_OK);
    check_tokens(&tokens);
    check_statements(&tokens, dialect);
    options.sqlite = dialect == T3_SQL_SQLITE;
    options.groups = 31;
    check(tears_lint_new(&options, &lint, NULL) == TEARS_OK);
    check(tears_lint_exempt(lint, TEARS_STR("exemptions"), text, NULL) == TEARS_OK);
    check(tears_lint_add_sql(lint, TEARS_STR("f.up.sql"), text, NULL) == TEARS_OK);
    check(tears_lint_add_statements(lint, TEARS_STR("calls"), &text, 1, NULL) == TEARS_OK);
    check(tears_lint_finish(lint, NULL) == TEARS_OK);
    check_findings(lint);
    tears_lint_free(lint);
    return 0;
}
