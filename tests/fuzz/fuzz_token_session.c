/*
 * fuzz_token_session.c -- any bytes as a session's token, as text and as what the text stands for.
 *
 * What is taken over must be given out again, and what is given out must be taken over by another session, with the same outcome.
 */
#include "base/hash.h"
#include "codec/text.h"
#include "core/floors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void take(struct tears_str token)
{
    T3_AUTO(t3_buf_done) struct t3_buf once = {0};
    T3_AUTO(t3_buf_done) struct t3_buf twice = {0};
    struct tears_session session = {.level = TEARS_READ_SESSION};
    struct tears_session other = {.level = TEARS_READ_SESSION};
    if (t3_floors_take_token(&session, token) == TEARS_OK) {
        check(t3_floors_put_token(&session, &once) == TEARS_OK);
        check(t3_floors_take_token(&other, t3_buf_str(&once)) == TEARS_OK);
        check(t3_floors_put_token(&other, &twice) == TEARS_OK);
        check(once.len == twice.len && session.floors_are_full == other.floors_are_full);
    } else {
        check(session.floors == NULL &&
              !session.floors_are_full); /* nothing of it was taken over */
    }
    t3_floors_free(session.floors);
    t3_floors_free(other.floors);
}

/* The bytes with a head that says they are whole: what follows the check of the hash. */
static void take_as_body(const uint8_t *data, size_t size)
{
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    const uint64_t hash = t3_hash(data + 1, size - 1, 0);
    const uint8_t head[6] = {1,
                             data[0] & 1,
                             (uint8_t)hash,
                             (uint8_t)(hash >> 8),
                             (uint8_t)(hash >> 16),
                             (uint8_t)(hash >> 24)};
    if (t3_buf_put(&bytes, tears_str_n((const char *)head, sizeof head)) == TEARS_OK &&
        t3_buf_put(&bytes, tears_str_n((const char *)data + 1, size - 1)) == TEARS_OK &&
        t3_base64_put(&token, t3_buf_str(&bytes), true) == TEARS_OK)
        take(t3_buf_str(&token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    take(tears_str_n((const char *)data, size));
    if (size > 0)
        take_as_body(data, size);
    return 0;
}
