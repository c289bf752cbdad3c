/*
 * lint_exempt.c -- what may stand although a rule forbids it: lines of exemption files, comments at statements.
 *
 * Owns:     nothing; texts are copied into the caller's arena.
 * Must not know: rules.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_lint_exemptions_read().
 *
 * A line is `path:RULE # rationale: reason`.  The path may have colons; the last one is before the rule.
 */
#include "base/str.h"
#include "data/lint_impl.h"

#define RATIONALE "rationale:"

/* The reason behind `rationale:`, in any case; "" when the word is not there or nothing follows. */
static struct tears_str reason_in(struct tears_str note)
{
    const struct tears_str text = t3_str_trim(note, T3_BLANKS);
    const size_t len = strlen(RATIONALE);
    if (text.len < len || !t3_str_equal_nocase(tears_str_n(text.ptr, len), TEARS_STR(RATIONALE)))
        return TEARS_STR("");
    return t3_str_trim(t3_str_from(text, len), T3_BLANKS);
}

static tears_status put(struct t3_arena *arena, const struct lint_exemption *item,
                        struct lint_exemptions *exemptions)
{
    if (exemptions->count == exemptions->room) {
        const size_t wider = exemptions->room == 0 ? 16 : exemptions->room * 2;
        struct lint_exemption *items = t3_arena_array(arena, wider, sizeof *items);
        if (items == NULL)
            return TEARS_NO_MEMORY;
        if (exemptions->count > 0)
            memcpy(items, exemptions->items, exemptions->count * sizeof *items);
        exemptions->items = items;
        exemptions->room = wider;
    }
    exemptions->items[exemptions->count++] = *item;
    return TEARS_OK;
}

/* Fills in path, rule and reason; what is not as it should be leaves the reason empty. */
static void read_line(struct lint_exemption *item)
{
    const char *hash = memchr(item->text.ptr, '#', item->text.len);
    if (hash == NULL)
        return;
    const size_t at = (size_t)(hash - item->text.ptr);
    const struct tears_str entry = t3_str_trim(tears_str_n(item->text.ptr, at), T3_BLANKS);
    const char *colon = entry.len > 0 ? memrchr(entry.ptr, ':', entry.len) : NULL;
    if (colon == NULL)
        return;
    const size_t split = (size_t)(colon - entry.ptr);
    item->path = t3_str_trim(tears_str_n(entry.ptr, split), T3_BLANKS);
    item->rule = t3_str_trim(t3_str_from(entry, split + 1), T3_BLANKS);
    item->rationale = reason_in(t3_str_from(item->text, at + 1));
}

tears_status t3_lint_exemptions_read(struct t3_arena *arena, struct tears_str file,
                                     struct tears_str text, struct lint_exemptions *exemptions)
{
    struct tears_str rest;
    struct lint_exemption item = {.line = 0};
    T3_TRY(t3_arena_str(arena, text, &rest));
    T3_TRY(t3_arena_str(arena, file, &item.file));
    while (rest.len > 0) {
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        const size_t len = newline != NULL ? (size_t)(newline - rest.ptr) : rest.len;
        item.text = t3_str_trim(tears_str_n(rest.ptr, len), T3_BLANKS);
        item.path = item.rule = item.rationale = TEARS_STR("");
        item.line++;
        rest = t3_str_from(rest, len + 1);
        if (item.text.len == 0 || item.text.ptr[0] == '#')
            continue;
        read_line(&item);
        T3_TRY(put(arena, &item, exemptions));
    }
    return TEARS_OK;
}

/* ---- comments ---- */

/* Eats a word and the blanks before it. */
static bool eat(struct tears_str *text, const char *word)
{
    const struct tears_str rest = t3_str_trim(*text, T3_BLANKS);
    const size_t len = strlen(word);
    if (rest.len < len || !t3_str_equal_nocase(tears_str_n(rest.ptr, len), tears_str_c(word)))
        return false;
    *text = t3_str_from(rest, len);
    return true;
}

bool t3_lint_comment(struct tears_str comment, struct tears_str *rules_out,
                     struct tears_str *rationale_out)
{
    struct tears_str rest = comment;
    if (!eat(&rest, "lint:") || !eat(&rest, "allow"))
        return false;
    const struct tears_str list = t3_str_trim(rest, T3_BLANKS);
    size_t len = 0;
    while (len < list.len &&
           !t3_str_equal_nocase(
               tears_str_n(list.ptr + len,
                           t3_str_from(list, len).len < strlen(RATIONALE) ? 0 : strlen(RATIONALE)),
               TEARS_STR(RATIONALE)))
        len++;
    *rules_out = t3_str_trim(tears_str_n(list.ptr, len), T3_BLANKS ",");
    *rationale_out = reason_in(t3_str_from(list, len));
    return true;
}

bool t3_lint_list_has(struct tears_str rules, struct tears_str rule)
{
    size_t at = 0;
    while (at < rules.len) {
        const size_t start = at;
        while (at < rules.len && strchr(T3_BLANKS ",", rules.ptr[at]) == NULL)
            at++;
        if (at > start && t3_str_equal(tears_str_n(rules.ptr + start, at - start), rule))
            return true;
        at++;
    }
    return false;
}
