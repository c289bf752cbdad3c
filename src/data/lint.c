/*
 * lint.c -- the linter: files in, findings out.
 *
 * Owns:     struct tears_lint: findings, exemptions, what was looked at.
 * Must not know: what any rule looks for.
 * Threads:  one at a time.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: lint_file().
 *
 * Each file is read and forgotten; what is found is copied into the linter's arena.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"
#include "data/lint_object.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ORIGIN "lint"

enum { EXCERPT_CHARACTERS_MAX = 200, SUBJECTS_MAX = 12 };

static const uint64_t every_group = TEARS_LINT_SPEC | TEARS_LINT_YUGABYTE | TEARS_LINT_LOCKS |
                                    TEARS_LINT_REPLAY | TEARS_LINT_HYGIENE;
static const uint64_t sqlite_groups = TEARS_LINT_SPEC | TEARS_LINT_REPLAY | TEARS_LINT_HYGIENE;

/* ---- drafts ---- */

static tears_status put_draft(struct lint_pass *pass, const struct lint_statement *statement,
                              const struct tears_lint_rule *rule, struct lint_draft **draft_out)
{
    for (struct lint_draft *draft = pass->drafts; draft != NULL; draft = draft->next) {
        if (draft->rule == rule && draft->statement->unit == statement->unit) {
            *draft_out = draft;
            return TEARS_OK;
        }
    }
    struct lint_draft *draft = t3_arena_array(pass->arena, 1, sizeof *draft);
    if (draft == NULL)
        return TEARS_NO_MEMORY;
    *draft = (struct lint_draft){.rule = rule, .statement = statement, .next = pass->drafts};
    pass->drafts = draft;
    *draft_out = draft;
    return TEARS_OK;
}

tears_status t3_lint_report(struct lint_pass *pass, const struct lint_statement *statement,
                            const char *rule, const char *format, ...)
{
    const struct tears_lint_rule *found = t3_lint_rule(tears_str_c(rule));
    struct lint_draft *draft = NULL;
    char subject[512];
    va_list arguments;
    T3_ASSERT(found != NULL);
    if ((pass->groups & found->group) == 0 ||
        (pass->is_down && (t3_str_is(found->id, "L-7") || t3_str_is(found->id, "L-8"))))
        return TEARS_OK;
    T3_TRY(put_draft(pass, statement, found, &draft));
    if (draft->subject_count++ >= SUBJECTS_MAX)
        return draft->subject_count == SUBJECTS_MAX + 1
                   ? t3_buf_put(&draft->subjects, TEARS_STR(", ..."))
                   : TEARS_OK;
    va_start(arguments, format);
    const int len = vsnprintf(subject, sizeof subject, format, arguments);
    va_end(arguments);
    if (draft->subjects.len > 0)
        T3_TRY(t3_buf_put(&draft->subjects, TEARS_STR(", ")));
    if (len <= 0)
        return TEARS_OK;
    const size_t kept = (size_t)len < sizeof subject ? (size_t)len : sizeof subject - 1;
    return t3_buf_put(&draft->subjects, tears_str_n(subject, kept));
}

static void drafts_done(struct lint_pass *pass)
{
    for (struct lint_draft *draft = pass->drafts; draft != NULL; draft = draft->next)
        t3_buf_done(&draft->subjects);
    pass->drafts = NULL;
}

/* ---- findings ---- */

static tears_status put_finding(tears_lint *lint, const struct tears_lint_finding *finding)
{
    if (lint->finding_count == lint->finding_room) {
        const size_t wider = lint->finding_room == 0 ? 64 : lint->finding_room * 2;
        struct tears_lint_finding *items = t3_arena_array(&lint->arena, wider, sizeof *items);
        if (items == NULL)
            return TEARS_NO_MEMORY;
        if (lint->finding_count > 0)
            memcpy(items, lint->findings, lint->finding_count * sizeof *items);
        lint->findings = items;
        lint->finding_room = wider;
    }
    lint->findings[lint->finding_count++] = *finding;
    return TEARS_OK;
}

/* One line of at most EXCERPT_CHARACTERS_MAX characters. */
static tears_status excerpt(struct t3_arena *arena, struct tears_str text,
                            struct tears_str *excerpt_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf line = {0};
    bool blank = false;
    size_t characters = 0;
    for (size_t at = 0; at < text.len && characters < EXCERPT_CHARACTERS_MAX;) {
        const size_t known = t3_utf8_length(text.ptr + at, text.len - at);
        const bool is_blank = (unsigned char)text.ptr[at] <= ' ';
        if (!is_blank || !blank) {
            const struct tears_str shown = is_blank     ? TEARS_STR(" ")
                                           : known == 0 ? TEARS_STR("?")
                                                        : tears_str_n(text.ptr + at, known);
            T3_TRY(t3_buf_put(&line, shown));
            characters++;
        }
        blank = is_blank;
        at += known == 0 ? 1 : known;
    }
    return t3_arena_str(arena, t3_buf_str(&line), excerpt_out);
}

/* A finding that is about text of ours, not about a statement. */
static tears_status put_hygiene(tears_lint *lint, const struct tears_lint_finding *where,
                                const char *rule, struct tears_str detail)
{
    T3_AUTO(t3_buf_done) struct t3_buf message = {0};
    struct tears_lint_finding finding = *where;
    finding.rule = t3_lint_rule(tears_str_c(rule));
    finding.rationale = TEARS_STR("");
    if ((lint->groups & TEARS_LINT_HYGIENE) == 0)
        return TEARS_OK;
    T3_TRY(t3_buf_put(&message, finding.rule->summary));
    if (detail.len > 0)
        T3_TRY(t3_buf_printf(&message, ": " T3_STR_FMT, T3_STR_ARG(detail)));
    T3_TRY(t3_arena_str(&lint->arena, t3_buf_str(&message), &finding.message));
    return put_finding(lint, &finding);
}

/* The reason why the finding may stand, "" when there is none. */
static struct tears_str rationale_of(tears_lint *lint, const struct lint_pass *pass,
                                     const struct tears_lint_finding *finding, size_t unit)
{
    struct tears_str rationale = TEARS_STR("");
    for (struct lint_allowance *at = pass->allowances; at != NULL; at = at->next) {
        if (at->unit != unit || at->rationale.len == 0 ||
            !t3_lint_list_has(at->rules, finding->rule->id))
            continue;
        at->is_used = true;
        rationale = at->rationale;
    }
    for (size_t i = 0; i < lint->exemptions.count; i++) {
        struct lint_exemption *item = &lint->exemptions.items[i];
        if (item->rationale.len == 0 || !t3_str_equal(item->path, finding->path) ||
            !t3_str_equal(item->rule, finding->rule->id))
            continue;
        item->is_used = true;
        rationale = item->rationale;
    }
    return rationale;
}

static tears_status put_draft_finding(tears_lint *lint, struct lint_pass *pass,
                                      const struct lint_draft *draft, struct tears_str path)
{
    T3_AUTO(t3_buf_done) struct t3_buf message = {0};
    struct tears_lint_finding finding = {.path = path,
                                         .line = draft->statement->line,
                                         .statement = draft->statement->unit,
                                         .rule = draft->rule};
    T3_TRY(t3_buf_put(&message, draft->rule->summary));
    if (draft->subjects.len > 0) {
        T3_TRY(t3_buf_put(&message, TEARS_STR(": ")));
        T3_TRY(t3_buf_put(&message, t3_buf_str(&draft->subjects)));
    }
    T3_TRY(t3_arena_str(&lint->arena, t3_buf_str(&message), &finding.message));
    T3_TRY(excerpt(&lint->arena, draft->statement->text, &finding.excerpt));
    T3_TRY(t3_arena_str(&lint->arena, rationale_of(lint, pass, &finding, draft->statement->unit),
                        &finding.rationale));
    return put_finding(lint, &finding);
}

/* Comments that gave no reason, and those that nothing needed. */
static tears_status judge_allowances(tears_lint *lint, const struct lint_pass *pass,
                                     struct tears_str path)
{
    for (const struct lint_allowance *at = pass->allowances; at != NULL; at = at->next) {
        const struct tears_lint_rule *rule = t3_lint_rule(at->rules);
        const bool is_asked_for = rule == NULL || (rule->group & lint->groups) != 0;
        struct tears_lint_finding where = {.path = path, .line = at->line, .statement = at->unit};
        T3_TRY(excerpt(&lint->arena, at->rules, &where.excerpt));
        if (at->rationale.len == 0)
            T3_TRY(put_hygiene(lint, &where, "X-2", where.excerpt));
        else if (!at->is_used && is_asked_for)
            T3_TRY(put_hygiene(lint, &where, "X-3", where.excerpt));
    }
    return TEARS_OK;
}

/* ---- one file ---- */

static bool has_unique(const struct lint_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++)
        for (struct lint_cursor at = pass->statements[i].tokens; at.at + 1 < at.end; at.at++)
            if (t3_sql_word_is(at.at, "UNIQUE") && t3_sql_mark_is(at.at + 1, "("))
                return true;
    return false;
}

static tears_status run_rules(struct lint_pass *pass)
{
    pass->facts.has_unique = has_unique(pass);
    for (size_t i = 0; i < pass->count; i++) {
        const struct lint_statement *statement = &pass->statements[i];
        T3_TRY(t3_lint_spec(pass, statement));
        T3_TRY(t3_lint_locks(pass, statement));
        T3_TRY(t3_lint_replay(pass, statement));
        T3_TRY(t3_lint_yugabyte(pass, statement));
        t3_lint_learn(pass, statement);
    }
    return t3_lint_mixes(pass);
}

/* The unit that a comment speaks of: the one it is in, the one it follows on its line, else the next. */
static size_t unit_of(const struct t3_sql_tokens *tokens, const struct t3_sql_range *ranges,
                      size_t count, const struct t3_sql_comment *comment)
{
    const struct t3_sql_token *before =
        comment->before > 0 ? &tokens->items[comment->before - 1] : NULL;
    const bool trails =
        before != NULL && t3_sql_mark_is(before, ";") && before->line == comment->line;
    const size_t at = trails ? comment->before - 1 : comment->before;
    for (size_t i = 0; i < count; i++)
        if (ranges[i].end >= at && (!trails || ranges[i].end == at))
            return i;
    return count > 0 ? count - 1 : 0;
}

/* A file's statements: each is a unit. */
static tears_status read_file(tears_lint *lint, struct lint_pass *pass, struct tears_str path,
                              struct tears_str text)
{
    struct t3_sql_tokens tokens;
    size_t at = 0;
    size_t count = 0;
    T3_TRY(t3_sql_scan(pass->arena, text, pass->dialect, &tokens));
    struct t3_sql_range *ranges = t3_arena_array(pass->arena, tokens.count + 1, sizeof *ranges);
    if (ranges == NULL)
        return TEARS_NO_MEMORY;
    while (t3_sql_next(&tokens, &at, &ranges[count])) {
        const struct lint_unit unit = {.tokens = &tokens, .range = ranges[count], .index = count};
        T3_TRY(t3_lint_read(pass, &unit));
        count++;
    }
    for (size_t i = 0; i < tokens.comment_count; i++)
        T3_TRY(t3_lint_allow(pass, unit_of(&tokens, ranges, count, &tokens.comments[i]),
                             (size_t)tokens.comments[i].line + 1, tokens.comments[i].text));
    lint->statements_seen += count;
    if (tokens.unended == NULL)
        return TEARS_OK;
    const struct tears_lint_finding where = {.path = path,
                                             .line = (size_t)tokens.unended_line + 1,
                                             .statement = count > 0 ? count - 1 : 0,
                                             .excerpt = TEARS_STR("")};
    return put_hygiene(lint, &where, "X-1", tears_str_c(tokens.unended));
}

/* What a version executes: each call is a unit. */
static tears_status read_calls(tears_lint *lint, struct lint_pass *pass, struct tears_str path,
                               const struct tears_str *statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct t3_sql_tokens tokens;
        T3_TRY(t3_sql_scan(pass->arena, statements[i], pass->dialect, &tokens));
        const struct lint_unit unit = {
            .tokens = &tokens, .range = {.first = 0, .end = tokens.count}, .index = i};
        T3_TRY(t3_lint_read(pass, &unit));
        for (size_t c = 0; c < tokens.comment_count; c++)
            T3_TRY(t3_lint_allow(pass, i, (size_t)tokens.comments[c].line + 1,
                                 tokens.comments[c].text));
        const struct tears_lint_finding where = {.path = path,
                                                 .line = (size_t)tokens.unended_line + 1,
                                                 .statement = i,
                                                 .excerpt = TEARS_STR("")};
        if (tokens.unended != NULL)
            T3_TRY(put_hygiene(lint, &where, "X-1", tears_str_c(tokens.unended)));
    }
    lint->statements_seen += count;
    return TEARS_OK;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_line(const void *left, const void *right)
{
    const struct tears_lint_finding *a = left;
    const struct tears_lint_finding *b = right;
    const int line = compare_numbers(a->line, b->line);
    return line != 0 ? line : t3_str_compare(a->rule->id, b->rule->id);
}

static int by_statement(const void *left, const void *right)
{
    const struct tears_lint_finding *a = left;
    const struct tears_lint_finding *b = right;
    const int statement = compare_numbers(a->statement, b->statement);
    return statement != 0 ? statement : by_line(left, right);
}

/* What is linted: a file's text, or calls. */
struct source {
    struct tears_str path;
    struct tears_str text;
    const struct tears_str *calls; /* NULL: a file */
    size_t call_count;
};

static bool ends_with(struct tears_str text, const char *end)
{
    const size_t len = strlen(end);
    return text.len >= len && memcmp(text.ptr + text.len - len, end, len) == 0;
}

static tears_status judge(tears_lint *lint, struct lint_pass *pass, const struct source *source,
                          struct tears_str path)
{
    T3_TRY(source->calls == NULL ? read_file(lint, pass, path, source->text)
                                 : read_calls(lint, pass, path, source->calls, source->call_count));
    T3_TRY(run_rules(pass));
    for (const struct lint_draft *draft = pass->drafts; draft != NULL; draft = draft->next)
        T3_TRY(put_draft_finding(lint, pass, draft, path));
    return judge_allowances(lint, pass, path);
}

/* The path as it is shown and exempted: relative to the root, when it is below it. */
static struct tears_str relative(const tears_lint *lint, struct tears_str path)
{
    const struct tears_str root = lint->root;
    if (root.len > 0 && t3_str_equal(root, path))
        return TEARS_STR("");
    if (root.len > 0 && path.len > root.len + 1 && memcmp(path.ptr, root.ptr, root.len) == 0 &&
        path.ptr[root.len] == '/')
        return t3_str_from(path, root.len + 1);
    return path;
}

tears_status t3_lint_saw(tears_lint *lint, struct tears_str path, bool is_folder)
{
    struct lint_seen *seen = t3_arena_array(&lint->arena, 1, sizeof *seen);
    if (seen == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(t3_arena_str(&lint->arena, relative(lint, path), &seen->path));
    seen->is_folder = is_folder;
    seen->next = lint->seen;
    lint->seen = seen;
    return TEARS_OK;
}

static tears_status lint_file(tears_lint *lint, const struct source *source)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct lint_pass *pass = t3_arena_array(&arena, 1, sizeof *pass);
    const size_t first = lint->finding_count;
    if (pass == NULL)
        return TEARS_NO_MEMORY;
    pass->groups = lint->groups;
    pass->arena = &arena;
    pass->dialect = lint->dialect;
    pass->is_down = ends_with(source->path, ".down.sql");
    T3_TRY(t3_lint_saw(lint, source->path, false));
    const tears_status status = judge(lint, pass, source, lint->seen->path);
    drafts_done(pass);
    if (lint->finding_count - first > 1)
        qsort(lint->findings + first, lint->finding_count - first, sizeof *lint->findings,
              source->calls == NULL ? by_line : by_statement);
    lint->files_seen++;
    return status;
}

static tears_status fail(struct tears_error *error_out, tears_status status, struct tears_str path)
{
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, ORIGIN);
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, status, ORIGIN, "'" T3_STR_FMT "' is larger than %zu bytes",
                       T3_STR_ARG(path), T3_SQL_BYTES_MAX);
    t3_error_clear(error_out);
    return status;
}

tears_status tears_lint_add_sql(tears_lint *lint, struct tears_str path, struct tears_str text,
                                struct tears_error *error_out)
{
    const struct source source = {.path = path, .text = text};
    return fail(error_out, lint_file(lint, &source), path);
}

tears_status tears_lint_add_statements(tears_lint *lint, struct tears_str path,
                                       const struct tears_str *statements, size_t count,
                                       struct tears_error *error_out)
{
    static const struct tears_str none[1];
    const struct source source = {
        .path = path, .calls = count > 0 ? statements : none, .call_count = count};
    return fail(error_out, lint_file(lint, &source), path);
}

/* ---- exemptions ---- */

static tears_status exempt(tears_lint *lint, struct tears_str name, struct tears_str text)
{
    const size_t first = lint->exemptions.count;
    T3_TRY(t3_lint_exemptions_read(&lint->arena, name, text, &lint->exemptions));
    for (size_t i = first; i < lint->exemptions.count; i++) {
        const struct lint_exemption *item = &lint->exemptions.items[i];
        const struct tears_lint_finding where = {
            .path = item->file, .line = item->line, .excerpt = item->text};
        if (item->rationale.len == 0)
            T3_TRY(put_hygiene(lint, &where, "X-2", TEARS_STR("")));
    }
    return TEARS_OK;
}

tears_status tears_lint_exempt(tears_lint *lint, struct tears_str name, struct tears_str text,
                               struct tears_error *error_out)
{
    return fail(error_out, exempt(lint, name, text), name);
}

/* Whether the exempted file was looked at, or would have been were it there. */
static bool was_looked_for(const tears_lint *lint, struct tears_str path)
{
    for (const struct lint_seen *seen = lint->seen; seen != NULL; seen = seen->next) {
        const bool below = path.len > seen->path.len + 1 && path.ptr[seen->path.len] == '/' &&
                           memcmp(path.ptr, seen->path.ptr, seen->path.len) == 0;
        const bool is_root = seen->is_folder && seen->path.len == 0;
        if (t3_str_equal(seen->path, path) || is_root || (seen->is_folder && below))
            return true;
    }
    return false;
}

static tears_status finish(tears_lint *lint)
{
    for (size_t i = 0; i < lint->exemptions.count; i++) {
        const struct lint_exemption *item = &lint->exemptions.items[i];
        const struct tears_lint_rule *rule = t3_lint_rule(item->rule);
        const struct tears_lint_finding where = {
            .path = item->file, .line = item->line, .excerpt = item->text};
        if (item->is_used || item->rationale.len == 0 || !was_looked_for(lint, item->path) ||
            (rule != NULL && (rule->group & lint->groups) == 0))
            continue;
        T3_TRY(put_hygiene(lint, &where, "X-3", TEARS_STR("")));
    }
    return TEARS_OK;
}

tears_status tears_lint_finish(tears_lint *lint, struct tears_error *error_out)
{
    return fail(error_out, finish(lint), TEARS_STR(""));
}

/* ---- the linter ---- */

static tears_status set_options(tears_lint *lint, const struct tears_lint_options *options,
                                struct tears_error *error_out)
{
    lint->dialect = options->sqlite != 0 ? T3_SQL_SQLITE : T3_SQL_POSTGRES;
    lint->groups = options->groups;
    if (lint->groups == 0)
        lint->groups = options->sqlite != 0 ? sqlite_groups : every_group;
    if ((lint->groups & ~every_group) != 0)
        return t3_fail(error_out, TEARS_INVALID, ORIGIN, "there are no rules of group %llu",
                       (unsigned long long)(lint->groups & ~every_group));
    struct tears_str root = options->root;
    while (root.len > 1 && root.ptr[root.len - 1] == '/')
        root.len--;
    if (t3_arena_str(&lint->arena, root, &lint->root) != TEARS_OK)
        return t3_fail_memory(error_out, ORIGIN);
    return TEARS_OK;
}

static void lint_free_auto(tears_lint **lint)
{
    tears_lint_free(*lint);
}

tears_status tears_lint_new(const struct tears_lint_options *options, tears_lint **lint_out,
                            struct tears_error *error_out)
{
    struct tears_lint_options known = {.size = 0};
    if (options != NULL)
        T3_TRY(t3_sized_copy(&known, sizeof known, options, ORIGIN, error_out));
    T3_AUTO(lint_free_auto) tears_lint *lint = t3_alloc_zero(1, sizeof *lint);
    if (lint == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    T3_TRY(set_options(lint, &known, error_out));
    *lint_out = T3_TAKE(lint);
    t3_error_clear(error_out);
    return TEARS_OK;
}

void tears_lint_free(tears_lint *lint)
{
    if (lint == NULL)
        return;
    t3_arena_done(&lint->arena);
    t3_free(lint);
}

size_t tears_lint_finding_count(const tears_lint *lint)
{
    return lint->finding_count;
}

const struct tears_lint_finding *tears_lint_finding_at(const tears_lint *lint, size_t index)
{
    return index < lint->finding_count ? &lint->findings[index] : NULL;
}

void tears_lint_looked_at(const tears_lint *lint, uint64_t *files_out, uint64_t *statements_out)
{
    *files_out = lint->files_seen;
    *statements_out = lint->statements_seen;
}

static tears_status put_text(const struct tears_lint_finding *finding, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, finding->path));
    T3_TRY(t3_buf_printf(out, ":%llu: [", (unsigned long long)finding->line));
    T3_TRY(t3_buf_put(out, finding->rule->id));
    T3_TRY(t3_buf_put(out, TEARS_STR("] ")));
    T3_TRY(t3_buf_put(out, finding->message));
    T3_TRY(t3_buf_put(out, TEARS_STR(" -- '")));
    T3_TRY(t3_buf_put(out, finding->excerpt));
    return t3_buf_put_char(out, '\'');
}

tears_status tears_lint_finding_text(const struct tears_lint_finding *finding,
                                     struct tears_owned_text *text_out,
                                     struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    tears_status status = put_text(finding, &text);
    if (status == TEARS_OK)
        status = t3_owned_text_take(&text, false, text_out);
    return fail(error_out, status, finding->path);
}
