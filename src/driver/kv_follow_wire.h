/*
 * kv_follow_wire.h -- the JSON and the subjects of following a stream, without a connection.
 */
#ifndef T3_DRIVER_KV_FOLLOW_WIRE_H
#define T3_DRIVER_KV_FOLLOW_WIRE_H

#include "base/buf.h"

enum { T3_FOLLOW_CONSUMER_BYTES = 64 }; /* of a name the server gives: 8 to 22 characters */

struct t3_follow_consumer_settings {
    const char *bucket;
    const char *deliver; /* the subject that gets the messages */
    uint64_t sequence;   /* the first one wanted */
    uint64_t heartbeat_ms;
    uint64_t inactive_ms; /* with nobody listening for so long, the server removes it */
};

/* Appends the body of $JS.API.CONSUMER.CREATE.KV_<bucket>. */
tears_status t3_follow_put_consumer(const struct t3_follow_consumer_settings *settings,
                                    struct t3_buf *out);

/* Reads the answer: *code_out 0 and the name, or the server's error code (-1: no sense). */
void t3_follow_parse_consumer(struct tears_str json, char name_out[T3_FOLLOW_CONSUMER_BYTES],
                              int64_t *code_out);

/* What the follower needs of $JS.API.STREAM.INFO. */
struct t3_follow_stream {
    uint64_t last_sequence;
    uint64_t max_age_ms;
    uint64_t replicas;
    bool allow_direct;
};

void t3_follow_parse_stream(struct tears_str json, struct t3_follow_stream *stream_out,
                            int64_t *code_out);

/* The reply subject of a delivered message says which one it is. */
struct t3_follow_place {
    struct tears_str consumer; /* its name; part of the subject */
    uint64_t stream_sequence;
    uint64_t consumer_sequence;
};

/*
 * $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>, or, from servers in a
 * domain and newer ones, $JS.ACK.<domain>.<account>.<stream>. and so on, with more tokens at the end.  False: it is neither.
 */
bool t3_follow_parse_place(struct tears_str reply, struct t3_follow_place *place_out);

/* Decimal digits only, not too many.  False: it is no number. */
bool t3_follow_parse_number(struct tears_str text, uint64_t *number_out);

#endif
