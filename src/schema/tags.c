/*
 * tags.c -- command tags, statement kinds.
 *
 * Owns:     nothing.
 * Knows:    base/, codec/text.h.
 * Must not know: libpq.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_operation_of().
 */
#include "schema/tags.h"

#include "base/str.h"
#include "codec/text.h"

static const char *const operation_names[] = {
    [T3_OPERATION_SELECT] = "select", [T3_OPERATION_INSERT] = "insert",
    [T3_OPERATION_UPSERT] = "upsert", [T3_OPERATION_UPDATE] = "update",
    [T3_OPERATION_DELETE] = "delete",
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* ---- tags -------------------------------------------------------------------------------------
 */

int64_t t3_tag_row_count(struct tears_str tag)
{
    tag = t3_str_trim(tag, T3_BLANKS);
    size_t at = tag.len;
    while (at > 0 && !is_blank(tag.ptr[at - 1]))
        at--;
    int64_t count = 0;
    return t3_int_parse(t3_str_from(tag, at), &count) == TEARS_OK ? count : 0;
}

tears_status t3_tag_put(struct t3_buf *out, enum t3_operation operation, int64_t row_count)
{
    static const char *const words[] = {
        [T3_OPERATION_SELECT] = "SELECT",   [T3_OPERATION_INSERT] = "INSERT 0",
        [T3_OPERATION_UPSERT] = "INSERT 0", [T3_OPERATION_UPDATE] = "UPDATE",
        [T3_OPERATION_DELETE] = "DELETE",
    };
    return t3_buf_printf(out, "%s %lld", words[operation], (long long)row_count);
}

static bool starts_nocase(struct tears_str text, const char *word)
{
    const size_t len = strlen(word);
    return text.len >= len &&
           t3_str_equal_nocase(tears_str_n(text.ptr, len), tears_str_n(word, len));
}

static bool contains_nocase(struct tears_str text, const char *words)
{
    for (size_t i = 0; i < text.len; i++)
        if (starts_nocase(t3_str_from(text, i), words))
            return true;
    return false;
}

enum t3_operation t3_operation_of(struct tears_str sql)
{
    sql = t3_str_trim(sql, T3_BLANKS);
    if (starts_nocase(sql, "INSERT"))
        return contains_nocase(sql, "ON CONFLICT") ? T3_OPERATION_UPSERT : T3_OPERATION_INSERT;
    if (starts_nocase(sql, "UPDATE"))
        return T3_OPERATION_UPDATE;
    if (starts_nocase(sql, "DELETE"))
        return T3_OPERATION_DELETE;
    return T3_OPERATION_SELECT;
}

const char *t3_operation_name(enum t3_operation operation)
{
    return operation_names[operation];
}

tears_status t3_operation_find(struct tears_str name, enum t3_operation *operation_out)
{
    for (unsigned i = 0; i < T3_COUNT(operation_names); i++) {
        if (t3_str_is(name, operation_names[i])) {
            *operation_out = (enum t3_operation)i;
            return TEARS_OK;
        }
    }
    return TEARS_NOT_FOUND;
}
