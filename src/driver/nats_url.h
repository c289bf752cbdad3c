/*
 * nats_url.h -- a list of NATS URLs as text: checked, split, and shown without secrets.
 */
#ifndef T3_DRIVER_NATS_URL_H
#define T3_DRIVER_NATS_URL_H

#include "base/arena.h"
#include "base/buf.h"

enum { T3_NATS_URLS_MAX = 16 };

struct t3_nats_urls {
    const char *items[T3_NATS_URLS_MAX]; /* NUL-terminated, the arena's */
    int count;
    bool secure; /* one of them asks for TLS */
};

/*
 * Splits "nats://host:port[,nats://...]"; schemes are nats and tls, and a part without one is nats.
 * TEARS_INVALID (message without secrets), TEARS_NO_MEMORY.
 */
tears_status t3_nats_urls_parse(struct tears_str text, struct t3_arena *arena,
                                struct t3_nats_urls *urls_out, struct tears_error *error_out);

/* Appends the list with user names, passwords and tokens replaced by "***". */
tears_status t3_nats_urls_put_redacted(struct tears_str text, struct t3_buf *out);

struct t3_nats_address {
    char host[256];
    char port[8];
};

/* Host and port of one URL; false when they are too long. */
bool t3_nats_url_address(struct tears_str url, struct t3_nats_address *address_out);

#endif
