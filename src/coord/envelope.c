/*
 * envelope.c -- reads and writes the value of a lease, and decides.
 *
 * Owns:     nothing.
 * Must not know: servers, clocks.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT for everything that Python could not read either, and for times without an offset.
 * Begin at: t3_envelope_read().
 */
#include "coord/envelope.h"

#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

#include <tears/lease.h>

enum { MARGIN_MS_MAX = 2000, VALUE_BYTES_MAX = 65536 };

static tears_status put_time(struct t3_buf *out, const char *label, int64_t us)
{
    T3_TRY(t3_buf_put(out, tears_str_c(label)));
    T3_TRY(t3_timestamp_put(out, us, 'T'));
    return t3_buf_put(out, TEARS_STR("\""));
}

tears_status t3_envelope_put(const struct t3_envelope *envelope, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("{\"holder\": ")));
    T3_TRY(t3_json_put_string(out, envelope->holder));
    T3_TRY(put_time(out, ", \"expires_at\": \"", envelope->expires_us));
    T3_TRY(put_time(out, ", \"acquired_at\": \"", envelope->acquired_us));
    return t3_buf_put(out, TEARS_STR("}"));
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Which members have been seen. */
struct reading {
    struct t3_arena *arena;
    struct t3_envelope envelope;
    bool has_holder, has_expires, has_acquired;
};

/* The text of a string; of anything else, as Python's str() would give it for numbers and words. */
static tears_status text_of(struct t3_arena *arena, const struct t3_json_value *value,
                            struct tears_str *text_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (value->kind == T3_JSON_ARRAY || value->kind == T3_JSON_OBJECT ||
        value->kind == T3_JSON_NULL)
        return TEARS_CORRUPT;
    const tears_status status = value->kind == T3_JSON_STRING ? t3_json_unescape(value->text, &text)
                                                              : t3_buf_put(&text, value->text);
    if (status == TEARS_OK)
        return t3_arena_str(arena, t3_buf_str(&text), text_out);
    return status == TEARS_NO_MEMORY ? status : TEARS_CORRUPT;
}

static tears_status time_of(const struct reading *reading, const struct t3_json_value *value,
                            int64_t *us_out)
{
    struct tears_str text;
    bool is_naive = false;
    if (value->kind != T3_JSON_STRING)
        return TEARS_CORRUPT;
    T3_TRY(text_of(reading->arena, value, &text));
    if (t3_timestamp_read(text, us_out, &is_naive) != TEARS_OK || is_naive ||
        *us_out == INT64_MAX || *us_out == INT64_MIN)
        return TEARS_CORRUPT;
    return TEARS_OK;
}

static tears_status read_member(struct reading *reading, struct tears_str name,
                                const struct t3_json_value *value)
{
    struct t3_envelope *envelope = &reading->envelope;
    if (t3_str_is(name, "holder")) {
        reading->has_holder = true;
        return text_of(reading->arena, value, &envelope->holder);
    }
    if (t3_str_is(name, "expires_at")) {
        reading->has_expires = true;
        return time_of(reading, value, &envelope->expires_us);
    }
    if (t3_str_is(name, "acquired_at")) {
        reading->has_acquired = true;
        return time_of(reading, value, &envelope->acquired_us);
    }
    return TEARS_OK;
}

static tears_status read_object(struct t3_json_reader *reader, struct reading *reading)
{
    T3_TRY(t3_json_object_open(reader));
    for (bool first = true, done = false;; first = false) {
        struct t3_json_value name;
        struct t3_json_value value;
        struct tears_str text;
        T3_TRY(t3_json_member(reader, first, &name, &done));
        if (done)
            return t3_json_end(reader);
        T3_TRY(text_of(reading->arena, &name, &text));
        T3_TRY(t3_json_value(reader, &value));
        T3_TRY(read_member(reading, text, &value));
    }
}

tears_status t3_envelope_read(struct tears_str text, struct t3_arena *arena,
                              struct t3_envelope *envelope_out)
{
    struct reading reading = {.arena = arena};
    struct t3_json_reader reader = {.text = text};
    if (text.len > VALUE_BYTES_MAX || !t3_str_is_utf8(text))
        return TEARS_CORRUPT;
    const tears_status status = read_object(&reader, &reading);
    if (status == TEARS_NO_MEMORY)
        return status;
    if (status != TEARS_OK || !reading.has_holder || !reading.has_expires || !reading.has_acquired)
        return TEARS_CORRUPT;
    *envelope_out = reading.envelope;
    return TEARS_OK;
}

/* ---- times --------------------------------------------------------------------------------- */

uint64_t t3_envelope_ttl_ms(const struct t3_envelope *envelope, uint64_t header_ms)
{
    if (header_ms > 0)
        return header_ms < TEARS_LEASE_TTL_MS_MAX ? header_ms : TEARS_LEASE_TTL_MS_MAX;
    if (envelope->expires_us <= envelope->acquired_us)
        return 0;
    /* Without signs: from one end of the calendar to the other is more than an int64_t has room for. */
    const uint64_t span_us = (uint64_t)envelope->expires_us - (uint64_t)envelope->acquired_us;
    const uint64_t span_ms = span_us / 1000 + (span_us % 1000 > 0);
    return span_ms < TEARS_LEASE_TTL_MS_MAX ? span_ms : TEARS_LEASE_TTL_MS_MAX;
}

bool t3_envelope_is_over(const struct t3_envelope *envelope, int64_t now_us)
{
    return envelope->expires_us <= now_us;
}

uint64_t t3_lease_valid_until(uint64_t sent_us, uint64_t ttl_ms)
{
    const uint64_t margin_ms = ttl_ms / 10 < MARGIN_MS_MAX ? ttl_ms / 10 : MARGIN_MS_MAX;
    return sent_us + (ttl_ms - margin_ms) * 1000;
}

uint64_t t3_lease_renew_at(uint64_t sent_us, uint64_t ttl_ms)
{
    return sent_us + ttl_ms * 1000 / 3;
}

/* ---- decisions ----------------------------------------------------------------------------- */

enum t3_lease_step t3_lease_next(enum t3_lease_found found)
{
    switch (found) {
    case T3_LEASE_NOTHING:
        return T3_LEASE_CREATE;
    case T3_LEASE_OVER:
    case T3_LEASE_OWN:
        return T3_LEASE_STEAL;
    case T3_LEASE_HELD:
        return T3_LEASE_WAIT;
    case T3_LEASE_CORRUPT:
        break;
    }
    return T3_LEASE_REFUSE;
}

struct t3_lease_pause t3_lease_pause(uint64_t over_us, uint64_t deadline_us, bool last)
{
    const struct t3_lease_pause pause = {
        .is_over = last,
        .look_us = over_us < deadline_us ? over_us : deadline_us,
    };
    return pause;
}
