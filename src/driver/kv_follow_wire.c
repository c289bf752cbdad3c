/*
 * kv_follow_wire.c -- writes the consumer a follower wants, reads what the server says of consumer, stream and messages.
 *
 * Owns:     nothing.
 * Must not know: connections.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY; an answer that makes no sense is code -1 or false.
 * Begin at: t3_follow_put_consumer() and t3_follow_parse_place().
 */
#include "driver/kv_follow_wire.h"

#include "base/str.h"
#include "driver/js_answer.h"
#include "driver/kv_bucket.h"

#include <inttypes.h>
enum { NANOSECONDS = 1000000, DIGITS_MAX = 19 };

tears_status t3_follow_put_consumer(const struct t3_follow_consumer_settings *settings,
                                    struct t3_buf *out)
{
    return t3_buf_printf(out,
                         "{\"stream_name\":\"KV_%s\",\"config\":{\"deliver_subject\":\"%s\","
                         "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRIu64
                         ",\"ack_policy\":\"none\",\"max_deliver\":1,\"replay_policy\":\"instant\","
                         "\"headers_only\":true,\"flow_control\":true,\"idle_heartbeat\":%" PRIu64
                         ",\"inactive_threshold\":%" PRIu64
                         ",\"mem_storage\":true,\"num_replicas\":1}}",
                         settings->bucket, settings->deliver, settings->sequence,
                         settings->heartbeat_ms * NANOSECONDS, settings->inactive_ms * NANOSECONDS);
}

/* Whether the text can be part of a subject as it is. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || strchr(".*>", text[i]) != NULL)
            return false;
    return len > 0;
}

void t3_follow_parse_consumer(struct tears_str json, char name_out[T3_FOLLOW_CONSUMER_BYTES],
                              int64_t *code_out)
{
    json_t *answer = json_loadb(json.ptr, json.len, 0, NULL);
    const json_t *member = json_object_get(answer, "name");
    const char *name = json_string_value(member);
    const size_t len = json_string_length(member);
    *code_out = -1;
    if (json_object_get(answer, "error") != NULL) {
        *code_out = t3_js_error_of(answer);
    } else if (name != NULL && len < T3_FOLLOW_CONSUMER_BYTES && is_token(name, len)) {
        memcpy(name_out, name, len + 1);
        *code_out = 0;
    }
    json_decref(answer);
}

static uint64_t unsigned_of(const json_t *object, const char *member)
{
    const json_int_t value = json_integer_value(json_object_get(object, member));
    return value > 0 ? (uint64_t)value : 0;
}

void t3_follow_parse_stream(struct tears_str json, struct t3_follow_stream *stream_out,
                            int64_t *code_out)
{
    json_t *answer = json_loadb(json.ptr, json.len, 0, NULL);
    const json_t *config = json_object_get(answer, "config");
    const json_t *last = json_object_get(json_object_get(answer, "state"), "last_seq");
    *code_out = -1;
    if (json_object_get(answer, "error") != NULL) {
        *code_out = t3_js_error_of(answer);
    } else if (json_is_object(config) && json_is_integer(last) && json_integer_value(last) >= 0) {
        const uint64_t age_ns = unsigned_of(config, "max_age");
        stream_out->last_sequence = (uint64_t)json_integer_value(last);
        stream_out->max_age_ms = age_ns == 0 ? 0 : age_ns / NANOSECONDS + 1;
        stream_out->replicas = unsigned_of(config, "num_replicas");
        stream_out->allow_direct = json_is_true(json_object_get(config, "allow_direct"));
        *code_out = 0;
    }
    json_decref(answer);
}

bool t3_follow_parse_number(struct tears_str text, uint64_t *number_out)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *number_out = number;
    return true;
}

/* Cuts the text at its dots; gives the number of pieces, at most `most`. */
static size_t split(struct tears_str text, struct tears_str *pieces, size_t most)
{
    size_t count = 0;
    while (count < most) {
        const char *dot = text.len > 0 ? memchr(text.ptr, '.', text.len) : NULL;
        const size_t len = dot != NULL ? (size_t)(dot - text.ptr) : text.len;
        pieces[count++] = tears_str_n(text.ptr, len);
        if (dot == NULL)
            break;
        text = t3_str_from(text, len + 1);
    }
    return count;
}

bool t3_follow_parse_place(struct tears_str reply, struct t3_follow_place *place_out)
{
    enum { OLD_TOKENS = 9, NEW_TOKENS = 11, TOKENS_MAX = 13, CONSUMER = 3, STREAM_AT = 5 };
    struct tears_str tokens[TOKENS_MAX];
    const size_t count = split(reply, tokens, TOKENS_MAX);
    if ((count != OLD_TOKENS && count < NEW_TOKENS) || !t3_str_is(tokens[0], "$JS") ||
        !t3_str_is(tokens[1], "ACK"))
        return false;
    const struct tears_str *shifted = tokens + (count == OLD_TOKENS ? 0 : NEW_TOKENS - OLD_TOKENS);
    struct t3_follow_place place = {.consumer = shifted[CONSUMER]};
    if (place.consumer.len == 0 ||
        !t3_follow_parse_number(shifted[STREAM_AT], &place.stream_sequence) ||
        !t3_follow_parse_number(shifted[STREAM_AT + 1], &place.consumer_sequence))
        return false;
    *place_out = place;
    return true;
}
