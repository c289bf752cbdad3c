/*
 * fuzz_json.c -- any bytes through the JSON reader and the two conversions of well-formed text.
 *
 * What must hold: nothing is read outside the input; well-formed text stays well formed as ASCII
 * and comes back the same; what jansson accepts we accept, within our limits.
 */
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Well-formed text to ASCII and back. */
static void there_and_back(struct tears_str json, struct t3_buf *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf ascii = {0};
    check(t3_json_put_ascii(&ascii, json) == TEARS_OK);
    check(t3_json_is_valid(t3_buf_str(&ascii)));
    check(t3_buf_reserve(out, ascii.len) == TEARS_OK);
    out->len = t3_json_from_ascii(t3_buf_str(&ascii), out->ptr);
    check(t3_json_is_valid(t3_buf_str(out)));
}

/* Gives the text with every escape from DEL upwards resolved; a second time nothing changes. */
static void convert(struct tears_str json)
{
    T3_AUTO(t3_buf_done) struct t3_buf once = {0};
    T3_AUTO(t3_buf_done) struct t3_buf twice = {0};
    there_and_back(json, &once);
    there_and_back(t3_buf_str(&once), &twice);
    check(t3_str_equal(t3_buf_str(&once), t3_buf_str(&twice)));
}

/*
 * jansson has its own limits of numbers and depth, so only one direction can be claimed, and it
 * takes a NUL for the end of the text.
 */
static void compare_with_jansson(struct tears_str text, bool is_valid)
{
    if (text.len > 1000 || (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL))
        return;
    json_t *document = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (document == NULL)
        return;
    struct t3_json_reader reader = {.text = text};
    struct t3_json_value value;
    check(is_valid || t3_json_value(&reader, &value) == TEARS_LIMIT);
    json_decref(document);
}

static void unescape(struct tears_str text)
{
    T3_AUTO(t3_buf_done) struct t3_buf content = {0};
    T3_AUTO(t3_buf_done) struct t3_buf quoted = {0};
    const tears_status status = t3_json_unescape(text, &content);
    check(status == TEARS_OK || status == TEARS_INVALID);
    if (status != TEARS_OK)
        return;
    const bool is_text = t3_str_is_utf8(t3_buf_str(&content));
    check((t3_json_put_string(&quoted, t3_buf_str(&content)) == TEARS_OK) == is_text);
    check(!is_text || t3_json_is_valid(t3_buf_str(&quoted)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str text = tears_str_n((const char *)data, size);
    const bool is_valid = t3_json_is_valid(text);
    if (is_valid)
        convert(text);
    compare_with_jansson(text, is_valid);
    unescape(text);
    return 0;
}
