/*
 * vectors_invalidation.c -- invalidation.jsonl: notices and dead letters.
 *
 * Threads:  one.
 * Begin at: invalidation_ops.
 */
#include "base/str.h"
#include "codec/notice.h"
#include "codec/text.h"
#include "schema/notice_action.h"
#include "vectors/vectors.h"

static json_t *encode(struct vector *vector)
{
    size_t count = 0;
    const struct tears_value *key = values_of(vector, json_object_get(vector->in, "pk"), &count);
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    must(t3_notice_encode(in_text(vector, "table"), key, count, in_text(vector, "origin"), &text),
         "t3_notice_encode");
    json_t *out = give_member("subject", TEARS_STR(T3_NOTICE_SUBJECT));
    json_object_set_new(out, "text", give_text(t3_buf_str(&text)));
    return out;
}

static bool read_notice(struct vector *vector, struct t3_notice *notice)
{
    struct tears_error error;
    const tears_status status =
        t3_notice_decode(in_base64(vector, "payload_b64"), vector->arena, notice, &error);
    if (status == TEARS_INVALID)
        return false;
    must(status, "t3_notice_decode");
    return true;
}

static json_t *give_ids(const struct t3_notice *notice)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < notice->id_count; i++)
        json_array_append_new(ids, give_text(notice->ids[i]));
    return ids;
}

static json_t *decode(struct vector *vector)
{
    struct t3_notice notice;
    if (!read_notice(vector, &notice))
        return refuse(vector, "invalid_message");
    return json_pack("{s:o, s:o, s:o}", "table", give_text(notice.table), "ids", give_ids(&notice),
                     "origin", give_text(notice.origin));
}

static json_t *action(struct vector *vector)
{
    struct t3_notice notice;
    if (!read_notice(vector, &notice))
        return give_member("action", TEARS_STR("reject"));
    char table[256] = "";
    if (notice.table.len < sizeof table)
        memcpy(table, notice.table.ptr, notice.table.len);
    const json_t *columns = json_object_get(json_object_get(vector->in, "tables"), table);
    const struct t3_notice_receiver receiver = {
        .origin = in_text(vector, "own_origin"),
        .table_known = columns != NULL,
        .has_l1 = json_is_true(json_object_get(vector->in, "has_l1")),
        .key_count = json_array_size(columns),
    };
    if (t3_notice_decide(&notice, &receiver) != T3_NOTICE_EVICT)
        return give_member("action", TEARS_STR("ignore"));
    return json_pack("{s:s, s:o, s:o}", "action", "evict", "table", give_text(notice.table), "ids",
                     give_ids(&notice));
}

static json_t *dead_letter(struct vector *vector)
{
    T3_AUTO(t3_buf_done) struct t3_buf subject = {0};
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const struct tears_str original = in_text(vector, "original_subject");
    int64_t now_us = 0;
    must(t3_timestamp_parse(in_text(vector, "now"), &now_us), "now");
    must(t3_dead_letter_subject(in_text(vector, "namespace"), original, &subject), "subject");
    must(t3_dead_letter_encode(original, in_base64(vector, "payload_b64"),
                               in_text(vector, "error_type"), in_text(vector, "error_message"),
                               in_text(vector, "client_name"), now_us, &text),
         "t3_dead_letter_encode");
    json_t *out = give_member("subject", t3_buf_str(&subject));
    json_object_set_new(out, "text", give_text(t3_buf_str(&text)));
    return out;
}

const struct vector_op invalidation_ops[] = {
    {"invalidation", "encode", encode, false},
    {"invalidation", "decode", decode, false},
    {"invalidation", "action", action, false},
    {"invalidation", "dead_letter", dead_letter, false},
    {NULL, NULL, NULL, false},
};
