/*
 * vectors_lease.c -- lease.jsonl: envelopes, and what follows from one.
 *
 * Threads:  one.
 * Begin at: lease_ops.
 */
#include "base/str.h"
#include "codec/text.h"
#include "coord/envelope.h"
#include "vectors/vectors.h"

static int64_t time_at(const json_t *object, const char *member)
{
    int64_t us = 0;
    must(t3_timestamp_parse(text_of(json_object_get(object, member)), &us), member);
    return us;
}

static json_t *give_time(int64_t us)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    must(t3_timestamp_put(&text, us, 'T'), "t3_timestamp_put");
    return give_text(t3_buf_str(&text));
}

static json_t *give_envelope(const struct t3_envelope *envelope)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    must(t3_envelope_put(envelope, &text), "t3_envelope_put");
    return give_text(t3_buf_str(&text));
}

static int64_t seconds_us(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member)) * 1000000;
}

/* ---- envelopes ---------------------------------------------------------------------------------- */

static json_t *encode(struct vector *vector)
{
    const struct t3_envelope envelope = {.holder = in_text(vector, "holder"),
                                         .expires_us = time_at(vector->in, "expires_at"),
                                         .acquired_us = time_at(vector->in, "acquired_at")};
    return json_pack("{s:o,s:s}", "text", give_envelope(&envelope), "eq", "json");
}

static json_t *decode(struct vector *vector)
{
    struct t3_envelope envelope;
    if (t3_envelope_read(in_base64(vector, "value_b64"), vector->arena, &envelope) != TEARS_OK)
        return refuse(vector, "corrupt_envelope");
    return json_pack("{s:o,s:o,s:o}", "holder", give_text(envelope.holder), "expires_at",
                     give_time(envelope.expires_us), "acquired_at",
                     give_time(envelope.acquired_us));
}

/* ---- decisions ---------------------------------------------------------------------------------- */

/* The entry of the vector; false when it is null. */
static bool entry_of(struct vector *vector, struct t3_envelope *envelope_out,
                     uint64_t *revision_out)
{
    const json_t *entry = json_object_get(vector->in, "entry");
    if (!json_is_object(entry))
        return false;
    must(t3_envelope_read(text_of(json_object_get(entry, "value")), vector->arena, envelope_out),
         "t3_envelope_read");
    *revision_out = (uint64_t)json_integer_value(json_object_get(entry, "revision"));
    return true;
}

static bool conflicts(const struct vector *vector, const char *operation)
{
    return t3_str_is(in_text(vector, "cas_conflict"), operation);
}

static json_t *give_written(struct vector *vector, const char *action, uint64_t expected)
{
    const int64_t now_us = time_at(vector->in, "now");
    const struct t3_envelope envelope = {.holder = in_text(vector, "pod"),
                                         .expires_us =
                                             now_us + seconds_us(vector->in, "ttl_seconds"),
                                         .acquired_us = now_us};
    return json_pack("{s:s,s:o,s:I}", "action", action, "value", give_envelope(&envelope),
                     "expected_revision", (json_int_t)expected);
}

static json_t *acquire_attempt(struct vector *vector)
{
    struct t3_envelope envelope;
    uint64_t revision = 0;
    enum t3_lease_found found = T3_LEASE_NOTHING;
    const bool is_there = entry_of(vector, &envelope, &revision);
    if (is_there)
        found = t3_envelope_is_over(&envelope, time_at(vector->in, "now")) ? T3_LEASE_OVER
                                                                           : T3_LEASE_HELD;
    switch (t3_lease_next(found)) {
    case T3_LEASE_CREATE:
        if (conflicts(vector, "create")) /* and yet nothing is there: the library tries again */
            return json_pack("{s:s}", "action", "vanished");
        return give_written(vector, "created", 0);
    case T3_LEASE_STEAL:
        if (conflicts(vector, "update"))
            return json_pack("{s:s}", "action", "lost_race");
        return give_written(vector, "stolen", revision);
    case T3_LEASE_WAIT:
        return json_pack("{s:s}", "action", "held");
    case T3_LEASE_REFUSE:
        break;
    }
    return refuse(vector, "corrupt_envelope");
}

static json_t *refresh(struct vector *vector)
{
    const json_t *handle = json_object_get(vector->in, "handle");
    const json_int_t expected = json_integer_value(json_object_get(handle, "revision"));
    const struct tears_str holder = text_of(json_object_get(handle, "holder"));
    const json_t *ttl = json_object_get(vector->in, "ttl_seconds");
    struct t3_envelope envelope;
    uint64_t revision = 0;
    if (!json_is_integer(ttl))
        ttl = json_object_get(handle, "ttl_seconds");
    const bool is_there = entry_of(vector, &envelope, &revision);
    if (!is_there || !t3_str_equal(envelope.holder, holder) || conflicts(vector, "update"))
        return refuse(vector, "lease_lost");
    return json_pack("{s:o,s:o,s:I,s:I,s:I}", "holder", give_text(holder), "expires_at",
                     give_time(time_at(vector->in, "now") + json_integer_value(ttl) * 1000000),
                     "expected_revision", expected, "revision", expected + 1, "ttl_seconds",
                     json_integer_value(ttl));
}

static json_t *release(struct vector *vector)
{
    const json_t *handle = json_object_get(vector->in, "handle");
    struct t3_envelope envelope;
    uint64_t revision = 0;
    if (json_is_true(json_object_get(vector->in, "released")) ||
        !entry_of(vector, &envelope, &revision) ||
        !t3_str_equal(envelope.holder, text_of(json_object_get(handle, "holder"))))
        return json_pack("{s:s}", "action", "none");
    return json_pack("{s:s,s:O}", "action", "delete", "expected_revision",
                     json_object_get(handle, "revision"));
}

/* A waiter that nobody wakes but the clock. */
static json_t *acquire_wait(struct vector *vector)
{
    const json_t *free_after = json_object_get(vector->in, "free_after");
    const uint64_t over_us =
        json_is_null(free_after) ? UINT64_MAX : (uint64_t)json_integer_value(free_after) * 1000000;
    const uint64_t deadline_us = (uint64_t)seconds_us(vector->in, "max_wait_seconds");
    uint64_t now_us = 0;
    for (;;) {
        if (now_us >= over_us)
            return json_object();
        if (deadline_us == 0)
            return refuse(vector, "lease_unavailable");
        const struct t3_lease_pause pause =
            t3_lease_pause(over_us, deadline_us, now_us >= deadline_us);
        if (pause.is_over)
            return refuse(vector, "lease_timeout");
        now_us = pause.look_us;
    }
}

const struct vector_op lease_ops[] = {
    {"lease", "encode", encode, false},
    {"lease", "decode", decode, false},
    {"lease", "acquire_attempt", acquire_attempt, false},
    {"lease", "refresh", refresh, false},
    {"lease", "release", release, false},
    {"lease", "acquire_wait", acquire_wait, false},
    {NULL, NULL, NULL, false},
};
