/*
 * notice.c -- the invalidation message and the dead-letter envelope.
 *
 * Owns:     nothing.
 * Must not know: who sends them, what is done about them.
 * Threads:  any.
 * Fails:    TEARS_INVALID on what is no message; TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_notice_decode().
 */
#include "codec/notice.h"

#include "base/fail.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

static const char origin[] = "codec.notice";

/* ---- encoding -----------------------------------------------------------------------------------
 */

tears_status t3_notice_encode(struct tears_str table, const struct tears_value *key,
                              size_t key_count, struct tears_str origin_id, struct t3_buf *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf id = {0};
    T3_TRY(t3_buf_put(out, TEARS_STR("{\"table\":")));
    T3_TRY(t3_json_put_string_utf8(out, table));
    T3_TRY(t3_buf_put(out, TEARS_STR(",\"ids\":[")));
    for (size_t i = 0; i < key_count; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put_char(out, ','));
        t3_buf_clear(&id);
        T3_TRY(t3_value_put_python(&id, &key[i]));
        T3_TRY(t3_json_put_string_utf8(out, t3_buf_str(&id)));
    }
    T3_TRY(t3_buf_put(out, TEARS_STR("],\"origin\":")));
    if (origin_id.ptr == NULL)
        T3_TRY(t3_buf_put(out, TEARS_STR("null")));
    else
        T3_TRY(t3_json_put_string_utf8(out, origin_id));
    return t3_buf_put_char(out, '}');
}

/* ---- decoding -----------------------------------------------------------------------------------
 */

struct decoder {
    struct t3_json_reader reader;
    struct t3_arena *arena;
    struct t3_notice notice; /* table.ptr, ids NULL: not seen yet */
    struct tears_error *error;
};

static tears_status fail_json(struct decoder *decoder, tears_status status)
{
    if (status == TEARS_LIMIT)
        return t3_fail(decoder->error, TEARS_INVALID, origin,
                       "invalidation message: nested too deeply");
    return t3_fail(decoder->error, TEARS_INVALID, origin,
                   "invalidation message: malformed JSON at byte %zu", decoder->reader.at);
}

/* The text of a string, resolved, in the arena. */
static tears_status take_string(struct decoder *decoder, const struct t3_json_value *value,
                                struct tears_str *text_out)
{
    char *text = t3_arena_alloc(decoder->arena, value->text.len + 1);
    if (text == NULL)
        return t3_fail_memory(decoder->error, origin);
    const size_t len = t3_json_unescape_to(value->text, text);
    T3_ASSERT(len != SIZE_MAX); /* the reader has checked it */
    text[len] = '\0';
    *text_out = tears_str_n(text, len);
    return TEARS_OK;
}

static tears_status expect_string(struct decoder *decoder, const char *member,
                                  const struct t3_json_value *value, struct tears_str *text_out)
{
    if (value->kind != T3_JSON_STRING)
        return t3_fail(decoder->error, TEARS_INVALID, origin,
                       "invalidation message: \"%s\" is not a string", member);
    return take_string(decoder, value, text_out);
}

/* An upper bound: the commas of the array's text. */
static size_t count_elements_at_most(struct tears_str array)
{
    size_t count = 1;
    for (size_t i = 0; i < array.len; i++)
        count += array.ptr[i] == ',' ? 1 : 0;
    return count;
}

static tears_status decode_ids(struct decoder *decoder, const struct t3_json_value *value)
{
    if (value->kind != T3_JSON_ARRAY)
        return t3_fail(decoder->error, TEARS_INVALID, origin,
                       "invalidation message: \"ids\" is not an array");
    const size_t count_max = count_elements_at_most(value->text);
    struct tears_str *ids = t3_arena_array(decoder->arena, count_max, sizeof *ids);
    if (ids == NULL)
        return t3_fail_memory(decoder->error, origin);
    struct t3_json_reader reader = {.text = value->text};
    tears_status status = t3_json_array_open(&reader);
    size_t count = 0;
    bool done = false;
    while (status == TEARS_OK &&
           (status = t3_json_element(&reader, count == 0, &done)) == TEARS_OK && !done) {
        struct t3_json_value element;
        status = t3_json_value(&reader, &element);
        if (status != TEARS_OK)
            break;
        T3_ASSERT(count < count_max);
        T3_TRY(expect_string(decoder, "ids", &element, &ids[count]));
        count++;
    }
    if (status != TEARS_OK)
        return fail_json(decoder, status);
    decoder->notice.ids = ids;
    decoder->notice.id_count = count;
    return TEARS_OK;
}

static tears_status decode_member(struct decoder *decoder, struct tears_str name,
                                  const struct t3_json_value *value)
{
    if (t3_str_is(name, "table"))
        return expect_string(decoder, "table", value, &decoder->notice.table);
    if (t3_str_is(name, "ids"))
        return decode_ids(decoder, value);
    if (!t3_str_is(name, "origin"))
        return TEARS_OK; /* from a newer peer */
    decoder->notice.origin = tears_str_n(NULL, 0);
    if (value->kind == T3_JSON_NULL)
        return TEARS_OK;
    return expect_string(decoder, "origin", value, &decoder->notice.origin);
}

static tears_status decode_members(struct decoder *decoder)
{
    tears_status status = t3_json_object_open(&decoder->reader);
    for (bool first = true; status == TEARS_OK; first = false) {
        struct t3_json_value name;
        struct t3_json_value value;
        bool done;
        status = t3_json_member(&decoder->reader, first, &name, &done);
        if (status != TEARS_OK || done)
            break;
        status = t3_json_value(&decoder->reader, &value);
        if (status != TEARS_OK)
            break;
        struct tears_str name_text = name.text;
        if (name.escaped)
            T3_TRY(take_string(decoder, &name, &name_text));
        T3_TRY(decode_member(decoder, name_text, &value));
    }
    if (status == TEARS_OK)
        status = t3_json_end(&decoder->reader);
    return status == TEARS_OK ? TEARS_OK : fail_json(decoder, status);
}

tears_status t3_notice_decode(struct tears_str payload, struct t3_arena *arena,
                              struct t3_notice *notice_out, struct tears_error *error_out)
{
    struct decoder decoder = {
        .reader = {.text = payload, .allow_nonfinite = true}, .arena = arena, .error = error_out};
    T3_TRY(decode_members(&decoder));
    if (decoder.notice.table.ptr == NULL || decoder.notice.ids == NULL)
        return t3_fail(error_out, TEARS_INVALID, origin, "invalidation message: \"%s\" is missing",
                       decoder.notice.table.ptr == NULL ? "table" : "ids");
    *notice_out = decoder.notice;
    return TEARS_OK;
}

/* ---- dead letters -------------------------------------------------------------------------------
 */

tears_status t3_dead_letter_subject(struct tears_str namespace_name,
                                    struct tears_str original_subject, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, namespace_name));
    T3_TRY(t3_buf_put(out, TEARS_STR(".deadletter.")));
    return t3_buf_put(out, original_subject);
}

tears_status t3_dead_letter_encode(struct tears_str original_subject, struct tears_str payload,
                                   struct tears_str error_type, struct tears_str error_message,
                                   struct tears_str client_name, int64_t now_us, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("{\"original_subject\": ")));
    T3_TRY(t3_json_put_string(out, original_subject));
    T3_TRY(t3_buf_put(out, TEARS_STR(", \"error_type\": ")));
    T3_TRY(t3_json_put_string(out, error_type));
    T3_TRY(t3_buf_put(out, TEARS_STR(", \"error_message\": ")));
    T3_TRY(t3_json_put_string(out, error_message));
    T3_TRY(t3_buf_put(out, TEARS_STR(", \"timestamp\": \"")));
    T3_TRY(t3_timestamp_put(out, now_us, 'T'));
    T3_TRY(t3_buf_put(out, TEARS_STR("\", \"client_name\": ")));
    T3_TRY(t3_json_put_string(out, client_name));
    T3_TRY(t3_buf_put(out, TEARS_STR(", \"payload_b64\": \"")));
    T3_TRY(t3_hex_put(out, payload));
    return t3_buf_put(out, TEARS_STR("\"}"));
}
