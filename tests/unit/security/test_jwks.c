/*
 * test_jwks.c -- key sets: which entries count, and for what.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Two public keys, of the seeds 00..1f and 80..9f. */
#define X0    "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
#define X1    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define GOOD0 "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\",\"kid\":\"k0\"}"
#define GOOD1 "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X1 "\",\"kid\":\"k1\"}"

static tears_status read_with(const char *keys, const struct tears_jwks_options *options,
                              tears_jwks **jwks)
{
    T3_AUTO(t3_buf_done) struct t3_buf document = {0};
    struct tears_error error;
    assert_int_equal(t3_buf_printf(&document, "{\"keys\":[%s],\"extra\":1}", keys), TEARS_OK);
    return tears_jwks_parse(t3_buf_str(&document), options, jwks, &error);
}

static tears_jwks *read_keys(const char *keys, size_t count, size_t skipped)
{
    tears_jwks *jwks = NULL;
    assert_int_equal(read_with(keys, NULL, &jwks), TEARS_OK);
    assert_int_equal(tears_jwks_count(jwks), count);
    assert_int_equal(tears_jwks_skipped(jwks), skipped);
    return jwks;
}

/* S14, S17: one bad entry costs itself only. */
static void test_bad_entries_are_skipped_and_counted(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "5",
        "[]",
        "{}",
        "{\"kty\":\"RSA\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\",\"kid\":\"k0\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X0 "\",\"kid\":\"k0\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\",\"kid\":\"k0\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"A6EHv_"
        "POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbh\","
        "\"kid\":\"k0\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "=\",\"kid\":\"k0\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\",\"kid\":7}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\",\"kid\":\"k0\",\"use\":\"enc\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\",\"kid\":\"k0\",\"alg\":\"ES256\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\",\"kid\":\"k0\",\"d\":\"" X1 "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X0 "\",\"x\":\"" X1 "\",\"kid\":\"k0\"}",
    };
    for (size_t i = 0; i < T3_COUNT(bad); i++) {
        char keys[512];
        struct tears_jwk jwk;
        snprintf(keys, sizeof keys, "%s,%s", bad[i], GOOD1);
        tears_jwks *jwks = read_keys(keys, 1, 1);
        assert_int_equal(tears_jwks_find(jwks, TEARS_STR("k1"), &jwk), TEARS_OK);
        assert_int_equal(tears_jwks_find(jwks, TEARS_STR("k0"), &jwk), TEARS_NOT_FOUND);
        tears_jwks_free(jwks);
    }
}

static void test_documents_that_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {"",
                                          "[]",
                                          "{}",
                                          "5",
                                          "{\"keys\":null}",
                                          "{\"keys\":{}}",
                                          "{\"keys\":[}",
                                          "{\"keys\":[]}x",
                                          "{\"keys\":[5]}",
                                          "{\"keys\":[],\"keys\":[]}"};
    tears_jwks *jwks = NULL;
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_int_equal(tears_jwks_parse(tears_str_c(refused[i]), NULL, &jwks, NULL),
                         TEARS_INVALID);
    assert_null(jwks);
    jwks = read_keys("", 0, 0);
    tears_jwks_free(jwks);
}

static void test_a_name_for_two_keys_is_nobodys(void **state)
{
    (void)state;
    struct tears_jwk jwk;
    tears_jwks *jwks = read_keys("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X1
                                 "\",\"kid\":\"k0\"}," GOOD0 "," GOOD1,
                                 1, 2);
    assert_int_equal(tears_jwks_find(jwks, TEARS_STR("k0"), &jwk), TEARS_NOT_FOUND);
    tears_jwks_free(jwks);
    jwks = read_keys(GOOD0 "," GOOD0, 1, 1);
    assert_int_equal(tears_jwks_find(jwks, TEARS_STR("k0"), &jwk), TEARS_OK);
    tears_jwks_free(jwks);
}

/* S3: what a key is for, from the document, the reader's default, or a pin. */
static void test_purposes(void **state)
{
    (void)state;
    struct tears_jwks_options options = TEARS_JWKS_OPTIONS_INIT;
    tears_jwks *jwks = read_keys(
        GOOD0 ",{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X1 "\",\"kid\":\"k1\",\"purpose\":"
              "\"assertion\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X1
              "\",\"kid\":\"k2\",\"purpose\":\"nonsense\"}",
        3, 0);
    assert_int_equal(tears_jwks_at(jwks, 0).purposes, TEARS_PURPOSES_ALL);
    assert_int_equal(tears_jwks_at(jwks, 1).purposes, TEARS_PURPOSE_ASSERTION);
    assert_int_equal(tears_jwks_at(jwks, 2).purposes, 0);
    tears_jwks_free(jwks);
    options.untagged_purposes = TEARS_PURPOSE_IDENTITY;
    assert_int_equal(read_with(GOOD0, &options, &jwks), TEARS_OK);
    assert_int_equal(tears_jwks_at(jwks, 0).purposes, TEARS_PURPOSE_IDENTITY);
    tears_jwks_free(jwks);
}

/* S5: with pins the transport of the document needs no trust. */
static void test_pins(void **state)
{
    (void)state;
    const struct tears_jwks_pin pin = {.thumbprint =
                                           TEARS_STR("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
                                       .purposes = TEARS_PURPOSE_IDENTITY};
    struct tears_jwks_options options = TEARS_JWKS_OPTIONS_INIT;
    tears_jwks *jwks = NULL;
    options.pins = &pin;
    options.pin_count = 1;
    assert_int_equal(read_with(GOOD0 "," GOOD1, &options, &jwks), TEARS_OK);
    assert_int_equal(tears_jwks_at(jwks, 0).purposes, TEARS_PURPOSES_ALL);
    assert_int_equal(tears_jwks_at(jwks, 1).purposes, TEARS_PURPOSE_IDENTITY);
    tears_jwks_free(jwks);
    options.pinned_only = 1;
    assert_int_equal(read_with(GOOD0 "," GOOD1, &options, &jwks), TEARS_OK);
    assert_int_equal(tears_jwks_count(jwks), 1);
    assert_string_equal(tears_jwks_at(jwks, 0).kid.ptr, "k1");
    tears_jwks_free(jwks);
    assert_int_equal(read_with(GOOD0, &options, &jwks), TEARS_INVALID);
}

static void test_limits(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf keys = {0};
    tears_jwks *jwks = NULL;
    for (int i = 0; i <= T3_JWKS_KEYS_MAX; i++)
        assert_int_equal(t3_buf_put(&keys, i == 0 ? TEARS_STR(GOOD0) : TEARS_STR("," GOOD0)),
                         TEARS_OK);
    assert_int_equal(read_with(keys.ptr, NULL, &jwks), TEARS_LIMIT);
    t3_buf_clear(&keys);
    for (int i = 0; i <= T3_JWKS_BYTES_MAX; i++)
        assert_int_equal(t3_buf_put_char(&keys, ' '), TEARS_OK);
    assert_int_equal(tears_jwks_parse(t3_buf_str(&keys), NULL, &jwks, NULL), TEARS_LIMIT);
    memset(keys.ptr, '[', keys.len);
    assert_int_equal(tears_jwks_parse(tears_str_n(keys.ptr, 1000), NULL, &jwks, NULL),
                     TEARS_INVALID);
}

static void test_what_is_built_is_read(void **state)
{
    (void)state;
    tears_signing_key *key = test_key(0);
    struct tears_jwk keys[2] = {
        {.kid = TEARS_STR("caf\xc3\xa9 \"1\""), .purposes = TEARS_PURPOSE_ASSERTION},
        {.kid = TEARS_STR("k")}};
    struct tears_owned_text document = {0};
    tears_jwks *jwks = NULL;
    struct tears_jwk found;
    tears_signing_key_public(key, keys[0].public_key);
    tears_signing_key_public(key, keys[1].public_key);
    assert_int_equal(tears_jwks_build(keys, 2, &document, NULL), TEARS_OK);
    assert_null(strstr(document.ptr, "\"d\""));
    assert_int_equal(tears_jwks_parse(tears_owned_text_str(&document), NULL, &jwks, NULL),
                     TEARS_OK);
    assert_int_equal(tears_jwks_find(jwks, keys[0].kid, &found), TEARS_OK);
    assert_memory_equal(found.public_key, keys[0].public_key, TEARS_KEY_BYTES);
    assert_int_equal(found.purposes, TEARS_PURPOSE_ASSERTION);
    tears_jwks_free(jwks);
    tears_owned_text_free(&document);
    keys[1].kid = keys[0].kid;
    assert_int_equal(tears_jwks_build(keys, 2, &document, NULL), TEARS_INVALID);
    keys[1].kid = TEARS_STR("");
    assert_int_equal(tears_jwks_build(keys, 2, &document, NULL), TEARS_INVALID);
    keys[1].kid = TEARS_STR("\xff");
    assert_int_equal(tears_jwks_build(keys, 2, &document, NULL), TEARS_INVALID);
    assert_null(document.ptr);
    tears_signing_key_free(key);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        tears_jwks *jwks = NULL;
        t3_alloc_fail_at(nth);
        const tears_status status =
            tears_jwks_parse(TEARS_STR("{\"keys\":[" GOOD0 "," GOOD1 "]}"), NULL, &jwks, NULL);
        const bool was_reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, was_reached ? TEARS_NO_MEMORY : TEARS_OK);
        tears_jwks_free(jwks);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_entries_are_skipped_and_counted),
        cmocka_unit_test(test_documents_that_are_refused),
        cmocka_unit_test(test_a_name_for_two_keys_is_nobodys),
        cmocka_unit_test(test_purposes),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_what_is_built_is_read),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
