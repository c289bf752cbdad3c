/*
 * kv_bucket.c -- a bucket's settings: what we ask for, what is there, and how they differ.
 *
 * Owns:     nothing.
 * Must not know: connections.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_kv_put_config().
 */
#include "driver/kv_bucket.h"

#include "base/str.h"
#include "driver/js_answer.h"
#include "driver/kv_wire.h"

#include <inttypes.h>
struct t3_kv_settings t3_kv_settings_wanted(bool on_file, uint64_t replicas)
{
    const struct t3_kv_settings wanted = {
        .on_file = on_file,
        .replicas = replicas == 0 ? 1 : replicas,
        .allow_direct = replicas <= 1, /* of several, one that lags could answer */
        .discard_new = true,
        .history = 1,
        .max_age_ns = 0,
        .max_bytes = -1,
    };
    return wanted;
}

#define DUPLICATE_WINDOW_NS INT64_C(120000000000)

tears_status t3_kv_put_config(const char *bucket, const struct t3_kv_settings *wanted,
                              struct t3_buf *out)
{
    /* The server refuses a window that is longer than what it keeps. */
    const int64_t window_ns = wanted->max_age_ns > 0 && wanted->max_age_ns < DUPLICATE_WINDOW_NS
                                  ? wanted->max_age_ns
                                  : DUPLICATE_WINDOW_NS;
    return t3_buf_printf(
        out,
        "{\"name\":\"KV_%s\",\"subjects\":[\"$KV.%s.>\"],\"retention\":\"limits\","
        "\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":%" PRId64 ",\"max_msg_size\":-1,"
        "\"discard\":\"%s\",\"max_age\":%" PRId64 ",\"max_msgs_per_subject\":%" PRId64 ","
        "\"storage\":\"%s\",\"num_replicas\":%" PRIu64 ",\"duplicate_window\":%" PRId64 ","
        "\"deny_delete\":true,\"deny_purge\":false,\"allow_rollup_hdrs\":true,"
        "\"allow_direct\":%s}",
        bucket, bucket, wanted->max_bytes, wanted->discard_new ? "new" : "old", wanted->max_age_ns,
        wanted->history, wanted->on_file ? "file" : "memory", wanted->replicas, window_ns,
        wanted->allow_direct ? "true" : "false");
}

static bool text_is(const json_t *object, const char *member, const char *text)
{
    const char *value = json_string_value(json_object_get(object, member));
    return value != NULL && strcmp(value, text) == 0;
}

static uint64_t unsigned_of(const json_t *object, const char *member)
{
    const json_int_t value = json_integer_value(json_object_get(object, member));
    return value > 0 ? (uint64_t)value : 0;
}

void t3_kv_parse_info(struct tears_str json, struct t3_kv_settings *found_out, int64_t *code_out)
{
    *code_out = -1;
    json_t *answer = json_loadb(json.ptr, json.len, 0, NULL);
    const json_t *config = json_object_get(answer, "config");
    if (json_is_object(config)) {
        const json_t *state = json_object_get(answer, "state");
        struct t3_kv_settings found = {0};
        found.on_file = text_is(config, "storage", "file");
        found.replicas = unsigned_of(config, "num_replicas");
        found.allow_direct = json_is_true(json_object_get(config, "allow_direct"));
        found.discard_new = text_is(config, "discard", "new");
        found.history = json_integer_value(json_object_get(config, "max_msgs_per_subject"));
        found.max_age_ns = json_integer_value(json_object_get(config, "max_age"));
        found.max_bytes = json_integer_value(json_object_get(config, "max_bytes"));
        found.messages = unsigned_of(state, "messages");
        found.bytes = unsigned_of(state, "bytes");
        *found_out = found;
        *code_out = 0;
    } else if (json_object_get(answer, "error") != NULL) {
        *code_out = t3_js_error_of(answer);
    }
    json_decref(answer);
}

/* Appends one difference of texts. */
static tears_status put_text(struct t3_buf *out, const char *name, const char *found,
                             const char *wanted)
{
    if (strcmp(found, wanted) == 0)
        return TEARS_OK;
    return t3_buf_printf(out, "%s%s is %s (wanted %s)", out->len > 0 ? ", " : "", name, found,
                         wanted);
}

static tears_status put_number(struct t3_buf *out, const char *name, int64_t found, int64_t wanted)
{
    if (found == wanted)
        return TEARS_OK;
    return t3_buf_printf(out, "%s%s is %" PRId64 " (wanted %" PRId64 ")", out->len > 0 ? ", " : "",
                         name, found, wanted);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

tears_status t3_kv_put_differences(const struct t3_kv_settings *found,
                                   const struct t3_kv_settings *wanted, struct t3_buf *out)
{
    T3_TRY(put_text(out, "allow_direct", truth(found->allow_direct), truth(wanted->allow_direct)));
    T3_TRY(put_text(out, "storage", found->on_file ? "file" : "memory",
                    wanted->on_file ? "file" : "memory"));
    T3_TRY(put_text(out, "discard", found->discard_new ? "new" : "old",
                    wanted->discard_new ? "new" : "old"));
    T3_TRY(put_number(out, "num_replicas", (int64_t)found->replicas, (int64_t)wanted->replicas));
    T3_TRY(put_number(out, "max_msgs_per_subject", found->history, wanted->history));
    T3_TRY(put_number(out, "max_age", found->max_age_ns, wanted->max_age_ns));
    return put_number(out, "max_bytes", found->max_bytes, wanted->max_bytes);
}
