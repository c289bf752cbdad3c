/*
 * kv_wire.c -- reads the answers of JetStream's KV protocol.
 *
 * Owns:     nothing.
 * Must not know: connections.
 * Threads:  any.
 * Fails:    an answer that makes no sense is an error code or TEARS_CORRUPT, never a crash.
 * Begin at: t3_kv_parse_ack() for puts, t3_kv_parse_stored() for gets from buckets without direct
 * get.
 */
#include "driver/kv_wire.h"

#include "base/str.h"
#include "codec/text.h"
#include "driver/js_answer.h"

static void json_done(json_t **json)
{
    json_decref(*json);
}

int64_t t3_js_error_of(const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    if (error == NULL)
        return 0;
    int64_t code = json_integer_value(json_object_get(error, "err_code"));
    if (code == 0)
        code = json_integer_value(json_object_get(error, "code"));
    return code != 0 ? code : -1;
}

/* Reads `{"stream":"NAME", "seq":N}` without building a document: nearly every answer is just that.
 */
static bool parse_plain_ack(struct tears_str json, uint64_t *revision_out)
{
    static const char seq[] = "\"seq\":";
    if (!t3_str_starts(json, "{\"stream\":\"") || json.ptr[json.len - 1] != '}')
        return false;
    const char *at = memmem(json.ptr, json.len, seq, sizeof seq - 1);
    if (at == NULL || memchr(json.ptr + 1, '{', json.len - 1) != NULL)
        return false;
    uint64_t revision = 0;
    const char *digit = at + sizeof seq - 1;
    const char *const first = digit;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (digit - first > 17)
            return false;
        revision = revision * 10 + (uint64_t)(*digit - '0');
    }
    *revision_out = revision;
    return revision > 0 && (*digit == '}' || *digit == ',');
}

void t3_kv_parse_ack(struct tears_str json, struct t3_kv_ack *ack_out)
{
    ack_out->error = 0;
    ack_out->revision = 0;
    if (json.len > 0 && parse_plain_ack(json, &ack_out->revision))
        return;
    ack_out->error = -1;
    T3_AUTO(json_done) json_t *answer = json_loadb(json.ptr, json.len, 0, NULL);
    if (answer == NULL)
        return;
    const int64_t error = t3_js_error_of(answer);
    const json_int_t revision = json_integer_value(json_object_get(answer, "seq"));
    if (error == 0 && revision <= 0)
        return;
    ack_out->error = error;
    ack_out->revision = error == 0 ? (uint64_t)revision : 0;
}

/* Appends the base64 member `name` of the message, when it is there. */
static tears_status decode_member(const json_t *message, const char *name, struct t3_buf *out)
{
    const json_t *member = json_object_get(message, name);
    if (member == NULL)
        return TEARS_OK;
    if (!json_is_string(member))
        return TEARS_CORRUPT;
    const struct tears_str text =
        tears_str_n(json_string_value(member), json_string_length(member));
    const tears_status status = t3_base64_parse(out, text, false);
    return status == TEARS_INVALID ? TEARS_CORRUPT : status;
}

tears_status t3_kv_parse_stored(struct tears_str json, struct t3_kv_stored *stored_out)
{
    T3_AUTO(t3_kv_stored_done) struct t3_kv_stored stored = {0};
    T3_AUTO(json_done) json_t *answer = json_loadb(json.ptr, json.len, 0, NULL);
    if (!json_is_object(answer))
        return TEARS_CORRUPT;
    stored.error = t3_js_error_of(answer);
    if (stored.error == 0) {
        const json_t *message = json_object_get(answer, "message");
        const json_int_t revision = json_integer_value(json_object_get(message, "seq"));
        if (revision <= 0)
            return TEARS_CORRUPT;
        stored.revision = (uint64_t)revision;
        const json_t *time = json_object_get(message, "time");
        const struct tears_str when =
            tears_str_n(json_string_value(time), json_string_length(time));
        if (when.len == 0 || t3_timestamp_parse(when, &stored.stored_us) != TEARS_OK)
            stored.stored_us = 0;
        T3_TRY(decode_member(message, "hdrs", &stored.headers));
        T3_TRY(decode_member(message, "data", &stored.value));
    }
    *stored_out = stored;
    memset(&stored, 0, sizeof stored); /* moved out */
    return TEARS_OK;
}

void t3_kv_stored_done(struct t3_kv_stored *stored)
{
    t3_buf_done(&stored->headers);
    t3_buf_done(&stored->value);
}

/* Takes the next line, without its end, off the front of the block. */
static struct tears_str next_line(struct tears_str *block)
{
    const char *end = memmem(block->ptr, block->len, "\r\n", 2);
    const size_t len = end != NULL ? (size_t)(end - block->ptr) : block->len;
    const struct tears_str line = tears_str_n(block->ptr, len);
    *block = t3_str_from(*block, end != NULL ? len + 2 : len);
    return line;
}

bool t3_kv_find_header(struct tears_str block, const char *name, struct tears_str *value_out)
{
    const size_t name_len = strlen(name);
    while (block.len > 0) {
        const struct tears_str line = next_line(&block);
        if (line.len <= name_len || memcmp(line.ptr, name, name_len) != 0 ||
            line.ptr[name_len] != ':')
            continue;
        struct tears_str value = t3_str_from(line, name_len + 1);
        while (value.len > 0 && value.ptr[0] == ' ')
            value = t3_str_from(value, 1);
        *value_out = value;
        return true;
    }
    return false;
}

bool t3_kv_parse_epoch(struct tears_str text, uint64_t *epoch_out)
{
    uint64_t epoch = 0;
    if (text.len != 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c >= '0' && c <= '9')
            epoch = epoch * 16 + (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            epoch = epoch * 16 + (uint64_t)(c - 'a') + 10;
        else
            return false;
    }
    if (epoch == 0)
        return false;
    *epoch_out = epoch;
    return true;
}

bool t3_kv_key_is_good(struct tears_str key)
{
    bool token_is_empty = true;
    for (size_t i = 0; i < key.len; i++) {
        const unsigned char c = (unsigned char)key.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '*' || c == '>' || c == '"' || c == '\\')
            return false;
        if (c == '.' && token_is_empty)
            return false;
        token_is_empty = c == '.';
    }
    return !token_is_empty;
}

bool t3_kv_bucket_name_is_good(struct tears_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return name.len > 0 && name.len <= T3_KV_BUCKET_BYTES_MAX;
}
