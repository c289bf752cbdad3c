/*
 * kv_wire.h -- the JSON and header bytes of JetStream's KV protocol, without a connection.
 *
 * Source: spec wire-observed.md sections 2 and 4.
 */
#ifndef T3_DRIVER_KV_WIRE_H
#define T3_DRIVER_KV_WIRE_H

#include "base/buf.h"

enum {
    T3_KV_BUCKET_BYTES_MAX = 200, /* it stands twice in the subject of a get */
    T3_JS_BAD_NAME = 10058,       /* a stream of that name exists with another configuration */
    T3_JS_NO_STREAM = 10059,      /* stream not found */
    T3_JS_NO_MESSAGE = 10037,     /* no message found */
    T3_JS_WRONG_REVISION = 10071  /* the last message of the subject is another */
};

/* The answer to a put: `error` 0 and a revision, or an error code (-1: the answer makes no sense).
 */
struct t3_kv_ack {
    int64_t error;
    uint64_t revision;
};

void t3_kv_parse_ack(struct tears_str json, struct t3_kv_ack *ack_out);

/* The answer of $JS.API.STREAM.MSG.GET, decoded. */
struct t3_kv_stored {
    int64_t error; /* 0: there is a message */
    uint64_t revision;
    int64_t stored_us;     /* when, by the server's calendar; 0: not told */
    struct t3_buf headers; /* a block "NATS/1.0\r\nName: value\r\n...", or empty */
    struct t3_buf value;
};

/* TEARS_OK (see error), TEARS_CORRUPT (the answer makes no sense), TEARS_NO_MEMORY. */
tears_status t3_kv_parse_stored(struct tears_str json, struct t3_kv_stored *stored_out);
void t3_kv_stored_done(struct t3_kv_stored *stored);

/* The value of a header in a block; false when it is not there. */
bool t3_kv_find_header(struct tears_str block, const char *name, struct tears_str *value_out);

/* The 16 lower-case hexadecimal digits of an epoch, not all of them zero.  False: it is none. */
bool t3_kv_parse_epoch(struct tears_str text, uint64_t *epoch_out);

/* Whether the text can be a KV key inside a subject and a JSON string as it is: no blanks,
 * wildcards, quotes, empty tokens. */
bool t3_kv_key_is_good(struct tears_str key);

/* Letters, digits, "_" and "-", at most T3_KV_BUCKET_BYTES_MAX. */
bool t3_kv_bucket_name_is_good(struct tears_str name);

#endif
