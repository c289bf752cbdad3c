/*
 * fuzz_jwks.c -- any bytes as a JWKS document.
 *
 * What is read must be written again as a document that reads the same.
 */
#include <stdlib.h>
#include <tears/jwks.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_same(const struct tears_jwk *a, const struct tears_jwk *b)
{
    return a->kid.len == b->kid.len && memcmp(a->kid.ptr, b->kid.ptr, a->kid.len) == 0 &&
           memcmp(a->public_key, b->public_key, TEARS_KEY_BYTES) == 0;
}

/* The first keys of the set, built and read again: the set is in order and without duplicates. */
static void check_round_trip(const tears_jwks *jwks)
{
    enum { MOST = 64 };
    struct tears_jwk keys[MOST];
    struct tears_owned_text document = {0};
    tears_jwks *again = NULL;
    const size_t count = tears_jwks_count(jwks) < MOST ? tears_jwks_count(jwks) : MOST;
    for (size_t i = 0; i < count; i++)
        keys[i] = tears_jwks_at(jwks, i);
    const tears_status status = tears_jwks_build(keys, count, &document, NULL);
    if (status == TEARS_LIMIT)
        return; /* long names became longer by their escapes */
    check(status == TEARS_OK);
    check(tears_jwks_parse(tears_owned_text_str(&document), NULL, &again, NULL) == TEARS_OK);
    check(tears_jwks_count(again) == count && tears_jwks_skipped(again) == 0);
    for (size_t i = 0; i < count; i++) {
        const struct tears_jwk key = tears_jwks_at(again, i);
        struct tears_jwk found;
        check(is_same(&keys[i], &key));
        check(tears_jwks_find(jwks, key.kid, &found) == TEARS_OK && is_same(&found, &key));
    }
    tears_jwks_free(again);
    tears_owned_text_free(&document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tears_jwks *jwks = NULL;
    struct tears_error error = {0};
    const tears_status status =
        tears_jwks_parse(tears_str_n((const char *)data, size), NULL, &jwks, &error);
    check(status == TEARS_OK || status == TEARS_INVALID || status == TEARS_LIMIT);
    check(status == TEARS_OK || error.message[0] != '\0');
    if (status == TEARS_OK)
        check_round_trip(jwks);
    tears_jwks_free(jwks);
    return 0;
}
