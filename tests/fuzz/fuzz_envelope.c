/*
 * fuzz_envelope.c -- any bytes as what the bucket of leases holds and as what its server answers.
 *
 * What must hold: an envelope that is understood is written again and understood the same, and counts for a sensible time; a base
 * of tokens is one that tokens can still grow above; an entry arrives as it was stored; an answer that makes no sense gives no revision.
 */
#include "base/str.h"
#include "codec/text.h"
#include "coord/coord.h"
#include "driver/kv_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* ---- an entry ------------------------------------------------------------------------------ */

static void write_envelope_again(const struct t3_envelope *envelope, struct t3_arena *arena)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct t3_envelope again;
    check(t3_envelope_put(envelope, &text) == TEARS_OK);
    if (t3_envelope_read(t3_buf_str(&text), arena, &again) != TEARS_OK) {
        check(text.len > 65536); /* escapes made it longer than an entry may be */
        return;
    }
    check(t3_str_equal(again.holder, envelope->holder));
    check(again.expires_us == envelope->expires_us && again.acquired_us == envelope->acquired_us);
}

static void read_envelope(struct tears_str bytes)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_envelope envelope;
    const tears_status status = t3_envelope_read(bytes, &arena, &envelope);
    check(status == TEARS_OK || status == TEARS_CORRUPT);
    if (status != TEARS_OK)
        return;
    const uint64_t ttl_ms = t3_envelope_ttl_ms(&envelope, 0);
    check(ttl_ms <= TEARS_LEASE_TTL_MS_MAX);
    check((ttl_ms > 0) == (envelope.expires_us > envelope.acquired_us));
    check(ttl_ms == 0 || t3_lease_valid_until(1, ttl_ms) < 1 + ttl_ms * 1000);
    check(t3_envelope_is_over(&envelope, envelope.expires_us));
    write_envelope_again(&envelope, &arena);
}

static void read_base(struct tears_str bytes)
{
    uint64_t base = 0;
    uint64_t base_again = 0;
    char server[T3_SOLO_SERVER_BYTES];
    char server_again[T3_SOLO_SERVER_BYTES];
    char text[2 * T3_SOLO_SERVER_BYTES + 64];
    if (!t3_coord_read_base(bytes, &base, server))
        return;
    check(base > 0 && t3_coord_next_base(base, INT64_MIN) > base);
    check(t3_coord_next_base(base, INT64_MAX) > base && strlen(server) < sizeof server);
    const int len =
        snprintf(text, sizeof text, "{\"base\": %" PRIu64 ", \"server\": \"%s\"}", base, server);
    check(t3_coord_read_base(tears_str_n(text, (size_t)len), &base_again, server_again));
    check(base == base_again && strcmp(server, server_again) == 0);
}

static void read_entry(struct tears_str bytes)
{
    read_envelope(bytes);
    read_base(bytes);
}

/* ---- an answer ----------------------------------------------------------------------------- */

static void read_headers(struct tears_str block)
{
    static const char *const names[] = {"KV-Operation", "Tears-Ttl", "Tears-Attempt"};
    for (size_t i = 0; i < T3_COUNT(names); i++) {
        struct tears_str value;
        int64_t number = 0;
        if (!t3_kv_find_header(block, names[i], &value))
            continue;
        check(value.ptr >= block.ptr && value.ptr + value.len <= block.ptr + block.len);
        (void)!t3_int_parse(value, &number);
    }
}

static void read_answer(struct tears_str bytes)
{
    T3_AUTO(t3_kv_stored_done) struct t3_kv_stored stored = {0};
    struct t3_kv_ack ack;
    t3_kv_parse_ack(bytes, &ack);
    check(ack.error != 0 || ack.revision > 0);
    const tears_status status = t3_kv_parse_stored(bytes, &stored);
    check(status == TEARS_OK || status == TEARS_CORRUPT);
    if (status != TEARS_OK)
        return;
    check(stored.error != 0 || stored.revision > 0);
    read_headers(t3_buf_str(&stored.headers));
    read_entry(t3_buf_str(&stored.value));
}

/* The bytes are stored, as value and as headers, and the server is asked for them. */
static void store(struct tears_str bytes)
{
    T3_AUTO(t3_buf_done) struct t3_buf answer = {0};
    T3_AUTO(t3_kv_stored_done) struct t3_kv_stored stored = {0};
    check(t3_buf_put(&answer, TEARS_STR("{\"message\":{\"seq\":7,\"hdrs\":\"")) == TEARS_OK);
    check(t3_base64_put(&answer, bytes, false) == TEARS_OK);
    check(t3_buf_put(&answer, TEARS_STR("\",\"data\":\"")) == TEARS_OK);
    check(t3_base64_put(&answer, bytes, false) == TEARS_OK);
    check(t3_buf_put(&answer, TEARS_STR("\"}}")) == TEARS_OK);
    check(t3_kv_parse_stored(t3_buf_str(&answer), &stored) == TEARS_OK);
    check(stored.error == 0 && stored.revision == 7);
    check(t3_str_equal(t3_buf_str(&stored.value), bytes));
    check(t3_str_equal(t3_buf_str(&stored.headers), bytes));
    read_headers(t3_buf_str(&stored.headers));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str bytes = tears_str_n((const char *)data, size);
    read_entry(bytes);
    read_answer(bytes);
    store(bytes);
    return 0;
}
