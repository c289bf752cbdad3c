/*
 * test_key_file.c -- keys as files hold them: what is read, and that nothing near it is.
 */
#include "base/alloc.h"
#include "base/macros.h"
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The key whose seed is 00 01 .. 1f, in every form; PEM as OpenSSL 3.0 writes it. */
#define D               "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define X               "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
#define OTHER_X         "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define DER_SEED        "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define DER_X           "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
#define PRIVATE(der)    "-----BEGIN PRIVATE KEY-----\n" der "\n-----END PRIVATE KEY-----\n"
#define PUBLIC(der)     "-----BEGIN PUBLIC KEY-----\n" der "\n-----END PUBLIC KEY-----\n"
#define JWK(d, x, more) "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," d x more "}"
#define JWK_D           "\"d\":\"" D "\","
#define JWK_X           "\"x\":\"" X "\""

static void expect_the_key(const char *text)
{
    tears_signing_key *expected = test_key(0);
    tears_signing_key *key = NULL;
    struct tears_error error = {.status = TEARS_OK};
    uint8_t a[TEARS_KEY_BYTES];
    uint8_t b[TEARS_KEY_BYTES];
    assert_int_equal(tears_signing_key_read(tears_str_c(text), &key, &error), TEARS_OK);
    tears_signing_key_public(expected, a);
    tears_signing_key_public(key, b);
    assert_memory_equal(a, b, sizeof a);
    tears_signing_key_free(expected);
    tears_signing_key_free(key);
}

static void private_keys_are_read_in_each_form(void **state)
{
    (void)state;
    expect_the_key(PRIVATE(DER_SEED));
    expect_the_key(" \r\n" PRIVATE("MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYH\r\n"
                                   "CAkKCwwNDg8QERITFBUWFxgZGhscHR4f\r"));
    expect_the_key(JWK(JWK_D, JWK_X, ""));
    expect_the_key(JWK(JWK_D, JWK_X, ",\"alg\":\"EdDSA\",\"kid\":\"any\",\"use\":\"sig\"") "\n");
    expect_the_key(D);
    expect_the_key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
}

static void what_is_no_private_key_is_refused_without_repeating_it(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "{}",
        "{",
        PUBLIC(DER_X),
        PRIVATE(DER_X),
        PRIVATE(""),
        PRIVATE("MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4"),
        PRIVATE(DER_SEED "AAAA"),
        PRIVATE(DER_SEED DER_SEED DER_SEED DER_SEED),
        /* X25519 (RFC 8410: another last byte of the object identifier) */
        PRIVATE("MC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"),
        "-----BEGIN PRIVATE KEY-----\n" DER_SEED "\n",
        "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" DER_SEED "\n-----END ENCRYPTED PRIVATE KEY-----",
        PRIVATE(DER_SEED) "trailing",
        JWK("", JWK_X, ""),
        JWK(JWK_D, "\"y\":1", ""),
        JWK(JWK_D, "\"x\":\"" OTHER_X "\"", ""),
        JWK(JWK_D, JWK_X, ",\"alg\":\"HS256\""),
        JWK(JWK_D, JWK_X, ",\"d\":\"" D "\""),
        JWK("\"d\":\"" D "=\",", JWK_X, ""),
        "{\"kty\":\"OKP\",\"crv\":\"X25519\"," JWK_D JWK_X "}",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh",
    };
    for (size_t i = 0; i < T3_COUNT(refused); i++) {
        tears_signing_key *key = NULL;
        struct tears_error error = {.status = TEARS_OK};
        assert_int_equal(tears_signing_key_read(tears_str_c(refused[i]), &key, &error),
                         TEARS_INVALID);
        assert_null(key);
        assert_null(strstr(error.message, "AAEC"));
        assert_null(strstr(error.message, "HS256"));
    }
}

static void public_keys_are_read_and_private_ones_are_not_taken_for_them(void **state)
{
    (void)state;
    static const char *const good[] = {PUBLIC(DER_X), JWK("", JWK_X, ""),
                                       JWK("", JWK_X, ",\"kid\":\"k\",\"use\":\"sig\"")};
    static const char *const refused[] = {
        "",
        X,
        PRIVATE(DER_SEED),
        PUBLIC(DER_SEED),
        JWK(JWK_D, JWK_X, ""),
        PUBLIC("MCowBQYDK2VuAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")};
    tears_signing_key *key = test_key(0);
    uint8_t expected[TEARS_KEY_BYTES];
    uint8_t read[TEARS_KEY_BYTES] = {0};
    tears_signing_key_public(key, expected);
    tears_signing_key_free(key);
    for (size_t i = 0; i < T3_COUNT(good); i++) {
        memset(read, 0, sizeof read);
        assert_int_equal(tears_public_key_read(tears_str_c(good[i]), read, NULL), TEARS_OK);
        assert_memory_equal(read, expected, sizeof read);
    }
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_int_equal(tears_public_key_read(tears_str_c(refused[i]), read, NULL), TEARS_INVALID);
}

static void memory_that_is_out_is_told(void **state)
{
    (void)state;
    static const char *const texts[] = {PRIVATE(DER_SEED), JWK(JWK_D, JWK_X, ""), D};
    for (size_t i = 0; i < T3_COUNT(texts); i++) {
        tears_signing_key *key = NULL;
        t3_alloc_fail_at(1);
        assert_int_equal(tears_signing_key_read(tears_str_c(texts[i]), &key, NULL),
                         TEARS_NO_MEMORY);
        t3_alloc_fail_at(0);
        assert_null(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_keys_are_read_in_each_form),
        cmocka_unit_test(what_is_no_private_key_is_refused_without_repeating_it),
        cmocka_unit_test(public_keys_are_read_and_private_ones_are_not_taken_for_them),
        cmocka_unit_test(memory_that_is_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
