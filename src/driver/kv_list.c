/*
 * kv_list.c -- asks JetStream for the subjects of a bucket's stream.
 *
 * Owns:     nothing.
 * Must not know: tables.
 * Threads:  any.
 * Fails:    TEARS_UNAVAILABLE (also for an answer that makes no sense), TEARS_TIMEOUT, TEARS_NO_MEMORY.
 * Begin at: t3_kv_list().
 */
#include "driver/kv_list.h"

#include "base/str.h"
#include "driver/kv_impl.h"
#include "driver/nats_impl.h"

#include <jansson.h>
#include <stdio.h>

enum { PAGES_MAX = 1000 /* of 100,000 keys each, as servers have it */ };

struct listing {
    struct t3_kv *kv;
    struct tears_str prefix;
    struct t3_deadline deadline;
    tears_status (*found)(void *owner, struct tears_str key);
    void *owner;
    uint64_t offset;
    bool is_over;
};

/* The answer to one page's question, as JSON; the caller gives it back with json_decref. */
static tears_status ask_page(const struct listing *listing, json_t **answer_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf question = {0};
    char subject[T3_KV_BUCKET_BYTES_MAX + 64];
    snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.KV_%s", listing->kv->bucket);
    T3_TRY(t3_buf_printf(&question, "{\"subjects_filter\":\"%s", listing->kv->subject_prefix));
    T3_TRY(t3_buf_put(&question, listing->prefix));
    T3_TRY(t3_buf_printf(&question, ".>\",\"offset\":%llu}", (unsigned long long)listing->offset));
    natsMsg *reply = NULL;
    const natsStatus status = natsConnection_Request(
        &reply, listing->kv->options.prompt->connection, subject, question.ptr, (int)question.len,
        (int64_t)t3_deadline_left_ms(listing->deadline));
    if (status != NATS_OK)
        return status == NATS_NO_RESPONDERS ? TEARS_UNAVAILABLE : t3_nats_to_status(status);
    *answer_out = json_loadb(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), 0, NULL);
    natsMsg_Destroy(reply);
    return *answer_out != NULL ? TEARS_OK : TEARS_UNAVAILABLE;
}

static tears_status give_page(const struct listing *listing, json_t *subjects)
{
    const size_t skip = strlen(listing->kv->subject_prefix);
    const char *subject = NULL;
    json_t *messages = NULL;
    json_object_foreach(subjects, subject, messages)
    {
        if (strlen(subject) > skip)
            T3_TRY(listing->found(listing->owner, tears_str_c(subject + skip)));
    }
    return TEARS_OK;
}

/* A server that does not count pages has told all at once.  A bucket that is not there has no keys. */
static tears_status read_page(struct listing *listing, json_t *answer)
{
    json_t *state = json_object_get(answer, "state");
    json_t *subjects = json_object_get(state, "subjects");
    const json_t *error = json_object_get(answer, "error");
    const uint64_t count = json_object_size(subjects);
    const json_int_t total = json_integer_value(json_object_get(answer, "total"));
    if (!json_is_object(state))
        return json_integer_value(json_object_get(error, "code")) == 404 ? TEARS_OK
                                                                         : TEARS_UNAVAILABLE;
    listing->offset += count;
    listing->is_over = count == 0 || total <= 0 || listing->offset >= (uint64_t)total;
    return give_page(listing, subjects);
}

tears_status t3_kv_list(struct t3_kv *kv, struct tears_str prefix, struct t3_deadline deadline,
                        tears_status (*found)(void *owner, struct tears_str key), void *owner)
{
    struct listing listing = {
        .kv = kv, .prefix = prefix, .deadline = deadline, .found = found, .owner = owner};
    for (int page = 0; page < PAGES_MAX && !listing.is_over; page++) {
        json_t *answer = NULL;
        listing.is_over = true;
        T3_TRY(ask_page(&listing, &answer));
        const tears_status status = read_page(&listing, answer);
        json_decref(answer);
        T3_TRY(status);
    }
    return TEARS_OK;
}
