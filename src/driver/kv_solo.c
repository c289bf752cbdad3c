/*
 * kv_solo.c -- asks about one bucket, one question at a time.
 *
 * Owns:     the bucket's names; the connection is lent.
 * Must not know: what entries say.
 * Threads:  any; each waits for its own answer.
 * Fails:    see kv_solo.h.
 * Begin at: t3_solo_put().
 */
#include "driver/kv_solo.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "codec/text.h"
#include "driver/kv_solo_impl.h"
#include "driver/kv_wire.h"

#include <tears/client.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static const char origin[] = "nats.kv";

enum { SUBJECT_BYTES = 2 * T3_KV_BUCKET_BYTES_MAX + 640, PAGES_MAX = 1000 };

tears_status t3_solo_new(const struct t3_solo_options *options, struct t3_solo **solo_out,
                         struct tears_error *error_out)
{
    const struct tears_str bucket = tears_str_c(options->bucket);
    if (!t3_kv_bucket_name_is_good(bucket))
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "'" T3_STR_FMT "' is no name of a bucket: letters, digits, '_' and '-'",
                       T3_STR_ARG(bucket));
    struct t3_solo *solo = t3_alloc_zero(1, sizeof *solo);
    if (solo == NULL)
        return t3_fail_memory(error_out, origin);
    solo->options = *options;
    memcpy(solo->bucket, bucket.ptr, bucket.len);
    snprintf(solo->subject_prefix, sizeof solo->subject_prefix, "$KV.%s.", solo->bucket);
    t3_nats_end_init(&solo->entries_end);
    t3_mutex_init(&solo->mutex);
    *solo_out = solo;
    return TEARS_OK;
}

/* ---- one question -------------------------------------------------------------------------- */

static void message_done(natsMsg **message)
{
    natsMsg_Destroy(*message);
}

static void json_done(json_t **json)
{
    json_decref(*json);
}

static struct tears_str data_of(natsMsg *message)
{
    const char *data = natsMsg_GetData(message);
    return tears_str_n(data != NULL ? data : "",
                       data != NULL ? (size_t)natsMsg_GetDataLength(message) : 0);
}

/* A message, and where its answer comes in. */
struct question {
    struct t3_solo *solo;
    struct t3_solo_inbox *inbox;
    natsMsg *message;
};

static void question_done(struct question *question)
{
    natsMsg_Destroy(question->message);
    if (question->inbox != NULL)
        t3_solo_inbox_give(question->solo, question->inbox);
}

static tears_status fail_nats(const struct t3_solo *solo, natsStatus status,
                              struct tears_error *error_out)
{
    if (status == NATS_NO_RESPONDERS)
        return t3_fail(error_out, TEARS_NOT_FOUND, origin, "there is no bucket '%s'", solo->bucket);
    if (status == NATS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    const tears_status failed = t3_nats_to_status(status);
    return t3_fail_detail(error_out, failed, origin, (int32_t)status, "",
                          "bucket '%s': the server %s", solo->bucket,
                          failed == TEARS_TIMEOUT ? "does not answer" : "went away");
}

static tears_status new_question(struct question *question, const char *subject,
                                 struct tears_str body, struct tears_error *error_out)
{
    struct t3_solo *solo = question->solo;
    if (!t3_nats_is_connected(solo->options.nats))
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "not connected to NATS");
    natsStatus status = t3_solo_inbox_take(solo, &question->inbox);
    if (status == NATS_OK)
        status = natsMsg_Create(&question->message, subject, question->inbox->reply_to, body.ptr,
                                (int)body.len);
    return status == NATS_OK ? TEARS_OK : fail_nats(solo, status, error_out);
}

/* Sends the message and waits.  NOT_FOUND: nobody listens at its subject. */
static tears_status exchange(struct question *question, struct t3_deadline deadline,
                             natsMsg **answer_out, struct tears_error *error_out)
{
    struct t3_solo *solo = question->solo;
    const uint64_t losses = t3_nats_losses(solo->options.nats);
    const struct t3_deadline own = t3_deadline_in_ms(solo->options.wait_ms);
    question->inbox->is_asked = true;
    natsStatus status =
        natsConnection_PublishMsg(solo->options.nats->connection, question->message);
    if (status == NATS_OK)
        status = t3_solo_inbox_wait(solo, question->inbox, losses,
                                    own.at_us < deadline.at_us ? own : deadline, answer_out);
    return status == NATS_OK ? TEARS_OK : fail_nats(solo, status, error_out);
}

/* The same with text at a subject of JetStream's own, "$JS.API.STREAM.<verb>.KV_<bucket>". */
static tears_status ask(struct t3_solo *solo, const char *verb, struct tears_str body,
                        struct t3_deadline deadline, natsMsg **answer_out,
                        struct tears_error *error_out)
{
    char subject[SUBJECT_BYTES];
    T3_AUTO(question_done) struct question question = {.solo = solo};
    snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.KV_%s", verb, solo->bucket);
    T3_TRY(new_question(&question, subject, body, error_out));
    const tears_status status = exchange(&question, deadline, answer_out, error_out);
    if (status == TEARS_NOT_FOUND)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin,
                       "the NATS server has no JetStream for this account");
    return status;
}

/* What an error of JetStream's means. */
static tears_status fail_code(const struct t3_solo *solo, int64_t code,
                              struct tears_error *error_out)
{
    if (code == T3_JS_NO_STREAM)
        return t3_fail(error_out, TEARS_NOT_FOUND, origin, "there is no bucket '%s'", solo->bucket);
    return t3_fail_detail(error_out, TEARS_UNAVAILABLE, origin, (int32_t)code, "",
                          "bucket '%s': JetStream error %" PRId64, solo->bucket, code);
}

/* ---- the bucket ---------------------------------------------------------------------------- */

static tears_status ask_info(struct t3_solo *solo, const char *verb, struct tears_str body,
                             struct t3_deadline deadline, struct t3_solo_bucket *bucket_out,
                             int64_t *code_out, struct tears_error *error_out)
{
    T3_AUTO(message_done) natsMsg *answer = NULL;
    T3_TRY(ask(solo, verb, body, deadline, &answer, error_out));
    t3_kv_parse_info(data_of(answer), &bucket_out->settings, code_out);
    if (*code_out != 0)
        return TEARS_OK;
    T3_AUTO(json_done) json_t *json = json_loadb(data_of(answer).ptr, data_of(answer).len, 0, NULL);
    bucket_out->is_clustered = json_is_object(json_object_get(json, "cluster"));
    return TEARS_OK;
}

tears_status t3_solo_ensure(struct t3_solo *solo, struct t3_deadline deadline,
                            struct t3_solo_bucket *bucket_out, struct tears_error *error_out)
{
    struct t3_solo_bucket bucket = {.is_clustered = false};
    int64_t code = 0;
    const struct tears_str nothing = tears_str_n("", 0);
    T3_TRY(ask_info(solo, "INFO", nothing, deadline, &bucket, &code, error_out));
    if (code == T3_JS_NO_STREAM) {
        T3_AUTO(t3_buf_done) struct t3_buf config = {0};
        if (t3_kv_put_config(solo->bucket, &solo->options.wanted, &config) != TEARS_OK)
            return t3_fail_memory(error_out, origin);
        T3_TRY(ask_info(solo, "CREATE", t3_buf_str(&config), deadline, &bucket, &code, error_out));
        if (code == 0)
            t3_log(solo->options.log, TEARS_LOG_INFO, origin, "bucket '%s' created", solo->bucket);
        else if (code == T3_JS_BAD_NAME) /* somebody else was faster, with other settings */
            T3_TRY(ask_info(solo, "INFO", nothing, deadline, &bucket, &code, error_out));
    }
    if (code != 0)
        return fail_code(solo, code, error_out);
    *bucket_out = bucket;
    return TEARS_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

void t3_solo_entry_done(struct t3_solo_entry *entry)
{
    t3_buf_done(&entry->value);
}

static bool header_is(struct tears_str block, const char *name, const char *value)
{
    struct tears_str found;
    return t3_kv_find_header(block, name, &found) && t3_str_is(found, value);
}

/* Moves what the server told into the entry. */
static void read_entry(struct t3_kv_stored *stored, struct t3_solo_entry *entry)
{
    const struct tears_str block = t3_buf_str(&stored->headers);
    struct tears_str text;
    int64_t ttl_ms = 0;
    entry->is_there = true;
    entry->revision = stored->revision;
    entry->stored_us = stored->stored_us;
    entry->is_marker = header_is(block, "KV-Operation", "DEL") ||
                       header_is(block, "KV-Operation", "PURGE") ||
                       t3_kv_find_header(block, "Nats-Marker-Reason", &text);
    if (t3_kv_find_header(block, T3_SOLO_TTL, &text) && t3_int_parse(text, &ttl_ms) == TEARS_OK &&
        ttl_ms > 0)
        entry->ttl_ms = (uint64_t)ttl_ms;
    if (t3_kv_find_header(block, T3_SOLO_ATTEMPT, &text) && text.len < sizeof entry->attempt)
        memcpy(entry->attempt, text.ptr, text.len);
    entry->value = stored->value;
    memset(&stored->value, 0, sizeof stored->value); /* moved out */
}

tears_status t3_solo_get(struct t3_solo *solo, const char *key, struct t3_deadline deadline,
                         struct t3_solo_entry *entry_out, struct tears_error *error_out)
{
    char body[SUBJECT_BYTES];
    T3_AUTO(message_done) natsMsg *answer = NULL;
    T3_AUTO(t3_kv_stored_done) struct t3_kv_stored stored = {0};
    struct t3_solo_entry entry = {.is_there = false};
    const int len =
        snprintf(body, sizeof body, "{\"last_by_subj\":\"%s%s\"}", solo->subject_prefix, key);
    T3_TRY(ask(solo, "MSG.GET", tears_str_n(body, (size_t)len), deadline, &answer, error_out));
    const tears_status status = t3_kv_parse_stored(data_of(answer), &stored);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    if (status != TEARS_OK)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "an answer that makes no sense");
    if (stored.error != 0 && stored.error != T3_JS_NO_MESSAGE)
        return fail_code(solo, stored.error, error_out);
    if (stored.error == 0)
        read_entry(&stored, &entry);
    *entry_out = entry;
    return TEARS_OK;
}

/* ---- writing ------------------------------------------------------------------------------- */

static natsStatus set_number(natsMsg *message, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return natsMsgHeader_Set(message, name, text);
}

static natsStatus set_headers(natsMsg *message, const struct t3_solo_put *put)
{
    natsStatus status = NATS_OK;
    if (put->expected != T3_SOLO_ANY_REVISION)
        status = set_number(message, "Nats-Expected-Last-Subject-Sequence", put->expected);
    if (status == NATS_OK && put->attempt != NULL && put->attempt[0] != '\0')
        status = natsMsgHeader_Set(message, T3_SOLO_ATTEMPT, put->attempt);
    if (status == NATS_OK && put->ttl_ms > 0)
        status = set_number(message, T3_SOLO_TTL, put->ttl_ms);
    if (status == NATS_OK && put->is_marker)
        status = natsMsgHeader_Set(message, "KV-Operation", "DEL");
    return status;
}

tears_status t3_solo_put(struct t3_solo *solo, const struct t3_solo_put *put,
                         struct t3_deadline deadline, uint64_t *revision_out,
                         struct tears_error *error_out)
{
    char subject[SUBJECT_BYTES];
    T3_AUTO(question_done) struct question question = {.solo = solo};
    T3_AUTO(message_done) natsMsg *answer = NULL;
    struct t3_kv_ack ack;
    snprintf(subject, sizeof subject, "%s%s", solo->subject_prefix, put->key);
    T3_TRY(new_question(&question, subject, put->value, error_out));
    if (set_headers(question.message, put) != NATS_OK)
        return t3_fail_memory(error_out, origin);
    T3_TRY(exchange(&question, deadline, &answer, error_out));
    t3_kv_parse_ack(data_of(answer), &ack);
    if (ack.error == T3_JS_WRONG_REVISION || ack.error == T3_JS_WRONG_REVISION_CONSTANT)
        return t3_fail_detail(error_out, TEARS_CONFLICT, origin, (int32_t)ack.error, "",
                              "somebody else wrote '%s' first", put->key);
    if (ack.error == -1)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "an answer that makes no sense");
    if (ack.error != 0)
        return t3_fail_detail(error_out, TEARS_LIMIT, origin, (int32_t)ack.error, "",
                              "bucket '%s' does not take '%s': JetStream error %" PRId64,
                              solo->bucket, put->key, ack.error);
    *revision_out = ack.revision;
    return TEARS_OK;
}

tears_status t3_solo_remove(struct t3_solo *solo, const char *key, uint64_t revision,
                            struct t3_deadline deadline, uint64_t *removed_out,
                            struct tears_error *error_out)
{
    char body[SUBJECT_BYTES];
    T3_AUTO(message_done) natsMsg *answer = NULL;
    /* Up to but without the sequence named. */
    const int len = snprintf(body, sizeof body, "{\"filter\":\"%s%s\",\"seq\":%" PRIu64 "}",
                             solo->subject_prefix, key, revision + 1);
    T3_TRY(ask(solo, "PURGE", tears_str_n(body, (size_t)len), deadline, &answer, error_out));
    T3_AUTO(json_done) json_t *json = json_loadb(data_of(answer).ptr, data_of(answer).len, 0, NULL);
    const json_t *error = json_object_get(json, "error");
    const int64_t code = json_integer_value(json_object_get(error, "err_code"));
    if (code == T3_JS_NO_STREAM)
        return fail_code(solo, code, error_out);
    if (!json_is_true(json_object_get(json, "success")))
        return t3_fail_detail(error_out, TEARS_UNSUPPORTED, origin, (int32_t)code, "",
                              "bucket '%s' does not let entries be removed", solo->bucket);
    const json_int_t removed = json_integer_value(json_object_get(json, "purged"));
    *removed_out = removed > 0 ? (uint64_t)removed : 0;
    return TEARS_OK;
}

/* ---- listing ------------------------------------------------------------------------------- */

static tears_status give_keys(const struct t3_solo *solo, json_t *subjects,
                              tears_status (*found)(void *owner, struct tears_str key), void *owner)
{
    const size_t skip = strlen(solo->subject_prefix);
    const char *subject = NULL;
    json_t *count = NULL;
    json_object_foreach(subjects, subject, count)
    {
        if (strlen(subject) > skip)
            T3_TRY(found(owner, tears_str_c(subject + skip)));
    }
    return TEARS_OK;
}

tears_status t3_solo_keys(struct t3_solo *solo, struct t3_deadline deadline,
                          tears_status (*found)(void *owner, struct tears_str key), void *owner,
                          struct tears_error *error_out)
{
    uint64_t offset = 0;
    bool is_over = false;
    for (int page = 0; page < PAGES_MAX && !is_over; page++) {
        char body[SUBJECT_BYTES];
        T3_AUTO(message_done) natsMsg *answer = NULL;
        const int len =
            snprintf(body, sizeof body, "{\"subjects_filter\":\"%s>\",\"offset\":%" PRIu64 "}",
                     solo->subject_prefix, offset);
        T3_TRY(ask(solo, "INFO", tears_str_n(body, (size_t)len), deadline, &answer, error_out));
        T3_AUTO(json_done)
        json_t *json = json_loadb(data_of(answer).ptr, data_of(answer).len, 0, NULL);
        json_t *state = json_object_get(json, "state");
        json_t *subjects = json_object_get(state, "subjects");
        if (!json_is_object(state))
            return fail_code(
                solo,
                json_integer_value(json_object_get(json_object_get(json, "error"), "err_code")),
                error_out);
        T3_TRY(give_keys(solo, subjects, found, owner));
        offset += json_object_size(subjects);
        is_over = json_object_size(subjects) == 0 ||
                  (json_int_t)offset >= json_integer_value(json_object_get(json, "total"));
    }
    return TEARS_OK;
}
