/*
 * document.h -- what must hold of a document of any format: for fuzz_format.c and fuzz_yaml.c.
 */
#ifndef FUZZ_DOCUMENT_H
#define FUZZ_DOCUMENT_H

#include "base/str.h"

#include <stdlib.h>
#include <tears/format.h>

static inline void check(bool holds)
{
    if (!holds)
        abort();
}

static inline struct tears_owned_text dump(const tears_document *document)
{
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    check(tears_document_dump(document, &text, NULL) == TEARS_OK);
    return text;
}

static inline void expect_same(const tears_document *document, struct tears_str before)
{
    struct tears_owned_text now = dump(document);
    check(t3_str_equal(tears_owned_text_str(&now), before));
    tears_owned_text_free(&now);
}

static inline struct tears_owned_text whole(const tears_document *document)
{
    struct tears_owned_text json = TEARS_OWNED_TEXT_INIT;
    check(tears_document_get(document, TEARS_STR(""), &json, NULL) == TEARS_OK);
    return json;
}

static inline void check_reload(const tears_document *document, const struct tears_format *format)
{
    struct tears_owned_text text = dump(document);
    struct tears_owned_text json = whole(document);
    tears_document *again = NULL;
    check(tears_document_load(format, tears_owned_text_str(&text), &again, NULL) == TEARS_OK);
    struct tears_owned_text same = whole(again);
    check(t3_str_equal(tears_owned_text_str(&json), tears_owned_text_str(&same)));
    expect_same(again, tears_owned_text_str(&text));
    tears_owned_text_free(&same);
    tears_owned_text_free(&json);
    tears_owned_text_free(&text);
    tears_document_free(again);
}

static inline void change(tears_document *document, const struct tears_format *format,
                          struct tears_str path, struct tears_str value)
{
    struct tears_owned_text before = dump(document);
    struct tears_owned_text found = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {0};
    if (tears_document_set(document, path, value, &error) == TEARS_OK) {
        check_reload(document, format);
        const bool at_end = path.len > 0 && path.ptr[path.len - 1] == '-';
        check(tears_document_get(document, path, &found, NULL) == TEARS_OK || at_end);
    } else {
        check(error.message[0] != '\0');
        expect_same(document, tears_owned_text_str(&before));
    }
    tears_owned_text_free(&before);
    before = dump(document);
    if (tears_document_merge(document, value, NULL) == TEARS_OK)
        check_reload(document, format);
    else
        expect_same(document, tears_owned_text_str(&before));
    tears_owned_text_free(&before);
    tears_owned_text_free(&found);
}

/* The text up to the next newline; *rest is what follows. */
static inline struct tears_str take_line(struct tears_str *rest)
{
    const char *newline = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    const size_t len = newline != NULL ? (size_t)(newline - rest->ptr) : rest->len;
    const struct tears_str line = tears_str_n(rest->ptr, len);
    *rest = t3_str_from(*rest, len + 1);
    return line;
}

#endif
