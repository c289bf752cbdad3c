/*
 * yaml_edit.c -- changes the text of a YAML document so that it means another tree.
 *
 * Owns:     the list of changes while they are collected.
 * Knows:    base/, yaml.h.
 * Must not know: why the tree is another one.
 * Threads:  one at a time on one document.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; TEARS_UNSUPPORTED when two changes are in each other's way.
 * Begin at: t3_yaml_edit().
 *
 * Why the text and not a tree of tokens: whatever is not touched stays as the author wrote it, comments, blank lines, quotes and
 * all, because nothing is written anew but the values that differ.  The price is that the layout is guessed (a member stands
 * on lines of its own, its value behind a colon).  The caller reads the result back, so a wrong guess costs the comments, never
 * the content.
 */
#include "base/fail.h"
#include "base/str.h"
#include "codec/yaml.h"

#include <stdlib.h>

/* Bytes of the text and what stands there instead. */
struct change {
    size_t start;
    size_t end;
    size_t order; /* of changes at the same place */
    struct tears_str text;
    struct change *before;
};

struct editor {
    struct tears_str text;
    struct t3_arena arena;
    struct change *last;
    size_t count;
};

static tears_status add_change(struct editor *editor, size_t start, size_t end,
                               const struct t3_buf *text)
{
    struct change *change = t3_arena_array(&editor->arena, 1, sizeof *change);
    if (change == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(t3_arena_str(&editor->arena, t3_buf_str(text), &change->text));
    change->start = start;
    change->end = end;
    change->order = editor->count++;
    change->before = editor->last;
    editor->last = change;
    return TEARS_OK;
}

/* ---- the layout -------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Where the line that `at` is in begins. */
static size_t line_start(const struct editor *editor, size_t at)
{
    while (at > 0 && editor->text.ptr[at - 1] != '\n')
        at--;
    return at;
}

/* Where it ends: at its line break, or the end of the text. */
static size_t line_end(const struct editor *editor, size_t at)
{
    while (at < editor->text.len && editor->text.ptr[at] != '\n')
        at++;
    if (at > 0 && at < editor->text.len && editor->text.ptr[at - 1] == '\r')
        at--;
    return at;
}

static bool is_first_on_line(const struct editor *editor, size_t at)
{
    const size_t start = line_start(editor, at);
    while (at > start && is_blank(editor->text.ptr[at - 1]))
        at--;
    return at == start;
}

/* Behind the colon of a member, or SIZE_MAX when it is not where it usually is. */
static size_t behind_colon(const struct editor *editor, const struct t3_yaml_node *node)
{
    size_t at = node->name_end;
    while (at < editor->text.len && is_blank(editor->text.ptr[at]))
        at++;
    return node->name_end > node->name_start && at < editor->text.len && editor->text.ptr[at] == ':'
               ? at + 1
               : SIZE_MAX;
}

static tears_status put_indent(size_t columns, struct t3_buf *out)
{
    for (size_t i = 0; i < columns; i++)
        T3_TRY(t3_buf_put_char(out, ' '));
    return TEARS_OK;
}

/* ---- changes ----------------------------------------------------------------------------------- */

static bool needs_blank_before(const struct editor *editor, size_t at)
{
    return at > 0 && memchr(" \t\r\n[{", editor->text.ptr[at - 1], 6) == NULL;
}

static bool needs_blank_behind(const struct editor *editor, size_t at)
{
    return at < editor->text.len && memchr(" \t\r\n]},", editor->text.ptr[at], 7) == NULL;
}

/* Puts another value in the place of one, on one line.  A block begins behind its name, where it will end. */
static tears_status replace(struct editor *editor, const struct t3_yaml_node *node,
                            const json_t *wanted)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    size_t start = node->start;
    const bool is_block =
        !node->is_flow && (node->kind == T3_YAML_MAPPING || node->kind == T3_YAML_SEQUENCE);
    if (is_block && behind_colon(editor, node) != SIZE_MAX)
        start = behind_colon(editor, node);
    if (needs_blank_before(editor, start))
        T3_TRY(t3_buf_put_char(&text, ' '));
    T3_TRY(t3_yaml_put_flow(wanted, &text));
    if (needs_blank_behind(editor, node->end))
        T3_TRY(t3_buf_put_char(&text, ' '));
    return add_change(editor, start, node->end, &text);
}

/* Takes a member out, with its lines; the line break in front of them goes with them. */
static tears_status take_out(struct editor *editor, const struct t3_yaml_node *node)
{
    const struct t3_buf nothing = {0};
    size_t start = node->name_start;
    size_t end = line_end(editor, node->end);
    if (!is_first_on_line(editor, start)) /* `- a: 1`, or `{`: what follows moves up */
        return node->next == NULL ? TEARS_UNSUPPORTED
                                  : add_change(editor, start, node->next->name_start, &nothing);
    start = line_start(editor, start);
    if (start > 0)
        start = line_end(editor, start - 1);
    else if (end < editor->text.len)
        end += editor->text.ptr[end] == '\r' ? 2 : 1;
    return add_change(editor, start, end, &nothing);
}

static tears_status put_member(struct tears_str name, const json_t *value, size_t column,
                               struct t3_buf *out)
{
    T3_TRY(t3_buf_put_char(out, '\n'));
    T3_TRY(put_indent(column, out));
    T3_TRY(t3_yaml_put_name(name, out));
    if (!t3_yaml_is_block(value)) {
        T3_TRY(t3_buf_put(out, TEARS_STR(": ")));
        return t3_yaml_put_flow(value, out);
    }
    T3_TRY(t3_buf_put(out, TEARS_STR(":\n")));
    return t3_yaml_put_block(value, column + 2, false, out);
}

/* Adds the members that the mapping does not have, on lines behind those of `anchor`. */
static tears_status add_members(struct editor *editor, const struct t3_yaml_node *node,
                                const struct t3_yaml_node *anchor, const json_t *wanted)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    json_t *object = t3_json_without_const(wanted);
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const struct tears_str name =
            tears_str_n(json_object_iter_key(at), json_object_iter_key_len(at));
        if (json_object_getn(node->value, name.ptr, name.len) == NULL)
            T3_TRY(put_member(name, json_object_iter_value(at), node->column, &text));
    }
    const size_t at = line_end(editor, anchor->end);
    return text.len > 0 ? add_change(editor, at, at, &text) : TEARS_OK;
}

/* ---- comparing --------------------------------------------------------------------------------- */

static tears_status compare(struct editor *editor, const struct t3_yaml_node *node,
                            const json_t *wanted);

static size_t count_children(const struct t3_yaml_node *node)
{
    size_t count = 0;
    for (const struct t3_yaml_node *child = node->first; child != NULL; child = child->next)
        count++;
    return count;
}

static json_t *member_of(const json_t *wanted, const struct t3_yaml_node *child)
{
    return json_object_getn(wanted, child->name.ptr, child->name.len);
}

static tears_status compare_members(struct editor *editor, const struct t3_yaml_node *node,
                                    const json_t *wanted)
{
    const struct t3_yaml_node *anchor = NULL;
    size_t kept = 0;
    for (const struct t3_yaml_node *child = node->first; child != NULL; child = child->next) {
        if (member_of(wanted, child) == NULL)
            continue;
        anchor = child;
        kept++;
    }
    const bool has_same_names = kept == count_children(node) && kept == json_object_size(wanted);
    if (anchor == NULL || (node->is_flow && !has_same_names))
        return replace(editor, node, wanted);
    for (const struct t3_yaml_node *child = node->first; child != NULL; child = child->next) {
        const json_t *member = member_of(wanted, child);
        T3_TRY(member != NULL ? compare(editor, child, member) : take_out(editor, child));
    }
    return add_members(editor, node, anchor, wanted);
}

static tears_status compare_elements(struct editor *editor, const struct t3_yaml_node *node,
                                     const json_t *wanted)
{
    const size_t count = count_children(node);
    const size_t wanted_count = json_array_size(wanted);
    size_t i = 0;
    if (count == 0 || wanted_count < count || (node->is_flow && wanted_count != count))
        return replace(editor, node, wanted);
    for (const struct t3_yaml_node *child = node->first; child != NULL; child = child->next)
        T3_TRY(compare(editor, child, json_array_get(wanted, i++)));
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    for (; i < wanted_count; i++) {
        T3_TRY(t3_buf_put_char(&text, '\n'));
        T3_TRY(put_indent(node->column, &text));
        T3_TRY(t3_buf_put(&text, TEARS_STR("- ")));
        T3_TRY(t3_yaml_put_block(json_array_get(wanted, i), node->column + 2, true, &text));
    }
    const size_t at = line_end(editor, node->last->end);
    return text.len > 0 ? add_change(editor, at, at, &text) : TEARS_OK;
}

/* Collects what has to change so that the node means `wanted`.  Trees are at most T3_JSON_DEPTH_MAX deep. */
static tears_status compare(struct editor *editor, const struct t3_yaml_node *node,
                            const json_t *wanted)
{
    if (json_equal(node->value, wanted))
        return TEARS_OK;
    if (node->kind == T3_YAML_MAPPING && json_is_object(wanted))
        return compare_members(editor, node, wanted);
    if (node->kind == T3_YAML_SEQUENCE && json_is_array(wanted))
        return compare_elements(editor, node, wanted);
    return replace(editor, node, wanted);
}

/* ---- the whole --------------------------------------------------------------------------------- */

/* By place; what is put somewhere comes before what is taken away from there. */
static int by_place(const void *a, const void *b)
{
    const struct change *one = *(struct change *const *)a;
    const struct change *two = *(struct change *const *)b;
    if (one->start != two->start)
        return one->start < two->start ? -1 : 1;
    if (one->end != two->end)
        return one->end < two->end ? -1 : 1;
    return one->order < two->order ? -1 : one->order > two->order;
}

static tears_status apply(struct editor *editor, struct t3_buf *out)
{
    struct change **changes = t3_arena_array(&editor->arena, editor->count, sizeof(void *));
    size_t at = 0;
    size_t n = editor->count;
    if (changes == NULL)
        return TEARS_NO_MEMORY;
    for (struct change *change = editor->last; change != NULL; change = change->before)
        changes[--n] = change;
    qsort(changes, editor->count, sizeof(void *), by_place);
    for (size_t i = 0; i < editor->count; i++) {
        if (changes[i]->start < at)
            return TEARS_UNSUPPORTED;
        T3_TRY(t3_buf_put(out, tears_str_n(editor->text.ptr + at, changes[i]->start - at)));
        T3_TRY(t3_buf_put(out, changes[i]->text));
        at = changes[i]->end;
    }
    return t3_buf_put(out, t3_str_from(editor->text, at));
}

/* A document that holds nothing but comments gets its value behind them. */
static tears_status append(struct tears_str text, const json_t *wanted, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, text));
    if (text.len > 0 && text.ptr[text.len - 1] != '\n')
        T3_TRY(t3_buf_put_char(out, '\n'));
    T3_TRY(t3_yaml_put_block(wanted, 0, false, out));
    return t3_buf_put_char(out, '\n');
}

tears_status t3_yaml_edit(struct tears_str text, const struct t3_yaml *yaml, const json_t *wanted,
                          struct t3_buf *out)
{
    if (yaml->root == NULL)
        return append(text, wanted, out);
    struct editor editor = {.text = text};
    tears_status status = compare(&editor, yaml->root, wanted);
    if (status == TEARS_OK)
        status = apply(&editor, out);
    t3_arena_done(&editor.arena);
    return status;
}
