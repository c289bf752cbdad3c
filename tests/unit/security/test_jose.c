/*
 * test_jose.c -- strict base64url, members, digests: the published examples, and what must be
 * refused.
 */
#include "codec/text.h"
#include "security/jose.h"
#include "security/jws.h"
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <tears/token.h>

#include <cmocka.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t parsed(const char *text)
{
    char bytes[256];
    assert_true(strlen(text) < sizeof bytes);
    return t3_base64url_parse_to(tears_str_c(text), bytes);
}

/* S6: of the characters that could stand last, one is the right one. */
static void test_only_one_last_character_is_accepted(void **state)
{
    (void)state;
    unsigned accepted_of_two = 0;
    unsigned accepted_of_three = 0;
    for (size_t i = 0; i < 16; i++) { /* the same first two bits, all of the four spare ones */
        const char two[] = {'A', alphabet[16 + i], '\0'};
        accepted_of_two += parsed(two) == 1;
    }
    for (size_t i = 0; i < 4; i++) {
        const char three[] = {'A', 'A', alphabet[4 + i], '\0'};
        accepted_of_three += parsed(three) == 2;
    }
    assert_int_equal(accepted_of_two, 1);
    assert_int_equal(accepted_of_three, 1);
}

static void test_other_spellings_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {"A",      "AA==",  "AAA=",   "AA=",   "AAA\n",   "A A",
                                          "AAAA\n", "AA+A",  "AA/A",   "====",  "=",       "AAAAA",
                                          "AAA.",   " AAAA", "AAAA\t", "AA=AA", "\xc3\xa9"};
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_true(parsed(refused[i]) == SIZE_MAX);
    assert_int_equal(parsed(""), 0);
    assert_int_equal(parsed("AA-_"), 3);
}

static void test_every_byte_string_has_its_text(void **state)
{
    (void)state;
    char bytes[64];
    char back[64];
    for (size_t len = 0; len < sizeof bytes; len++) {
        T3_AUTO(t3_buf_done) struct t3_buf text = {0};
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)(i * 37 + len);
        assert_int_equal(t3_base64url_put(&text, tears_str_n(bytes, len)), TEARS_OK);
        assert_int_equal(t3_base64url_parse_to(t3_buf_str(&text), back), len);
        assert_memory_equal(back, bytes, len);
        if (len == 32) {
            char fixed[T3_DIGEST_TEXT_BYTES];
            t3_base64url_32((const uint8_t *)bytes, fixed);
            assert_string_equal(fixed, text.ptr);
        }
    }
}

/* RFC 7638 section 3.1: the thumbprint of its RSA key is this digest of this text. */
static void test_rfc_7638_digest(void **state)
{
    (void)state;
    static const char jwk[] =
        "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhW"
        "x4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXA"
        "rwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5h"
        "ajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-c"
        "sFCur-kEgU8awapJzKnqDKgw\"}";
    char digest[T3_DIGEST_TEXT_BYTES];
    t3_digest_text(tears_str_c(jwk), digest);
    assert_string_equal(digest, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/* RFC 8037 appendix A.1 to A.4: key, thumbprint, signature. */
static void test_rfc_8037_key_and_signature(void **state)
{
    (void)state;
    tears_signing_key *key = NULL;
    struct tears_owned_text token = {0};
    uint8_t public_key[TEARS_KEY_BYTES];
    char text[TEARS_THUMBPRINT_BYTES];
    assert_int_equal(tears_signing_key_parse(
                         TEARS_STR("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"), &key, NULL),
                     TEARS_OK);
    tears_signing_key_public(key, public_key);
    t3_base64url_32(public_key, text);
    assert_string_equal(text, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    tears_jwk_thumbprint(public_key, text);
    assert_string_equal(text, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_int_equal(t3_jws_sign(key, TEARS_STR("{\"alg\":\"EdDSA\"}"),
                                 TEARS_STR("Example of Ed25519 signing"), &token, NULL),
                     TEARS_OK);
    assert_string_equal(token.ptr,
                        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7s"
                        "VvpAr_MuM0KAg");
    tears_owned_text_free(&token);
    tears_signing_key_free(key);
}

/* RFC 9449 section 7.1: the hash of its access token. */
static void test_rfc_9449_access_token_hash(void **state)
{
    (void)state;
    char hash[TEARS_THUMBPRINT_BYTES];
    assert_int_equal(
        tears_access_token_hash(TEARS_STR("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"), hash),
        TEARS_OK);
    assert_string_equal(hash, "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert_int_equal(tears_access_token_hash(TEARS_STR("caf\xc3\xa9"), hash), TEARS_INVALID);
}

static tears_status read_a(const char *json, struct t3_member *a)
{
    struct t3_member members[] = {{.name = "a"}, {.name = "b"}};
    const tears_status status = t3_members_read(tears_str_c(json), members, T3_COUNT(members));
    *a = members[0];
    return status;
}

static void test_members_are_found_whatever_they_are_called(void **state)
{
    (void)state;
    struct t3_member a;
    int64_t number = 0;
    assert_int_equal(read_a("{\"x\":[{}],\"\\u0061\":7,\"b\":null}", &a), TEARS_OK);
    assert_true(t3_member_integer(&a, &number));
    assert_int_equal(number, 7);
    assert_int_equal(read_a("{\"a\":\"E\\u0064DSA\"}", &a), TEARS_OK);
    assert_true(t3_member_is(&a, TEARS_STR("EdDSA")));
    assert_false(t3_member_is(&a, TEARS_STR("EdDSA2")));
}

static void test_ambiguous_or_damaged_objects_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {"{\"a\":1,\"a\":2}",
                                          "{\"a\":1,\"\\u0061\":1}",
                                          "{\"a\":1}x",
                                          "[\"a\"]",
                                          "",
                                          "{",
                                          "{\"a\"}",
                                          "{\"a\":1,}",
                                          "{\"a\":\"\\ud800\"}",
                                          "\"a\"",
                                          "null",
                                          "{\"a\":NaN}"};
    struct t3_member a;
    for (size_t i = 0; i < T3_COUNT(refused); i++)
        assert_int_equal(read_a(refused[i], &a), TEARS_INVALID);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    static char json[DEPTH + 16];
    struct t3_member a;
    memcpy(json, "{\"z\":", 5);
    memset(json + 5, '[', DEPTH);
    assert_int_equal(read_a(json, &a), TEARS_LIMIT);
}

static void test_numbers_are_whole_and_fit(void **state)
{
    (void)state;
    static const char *const refused[] = {"1.0", "1e3",  "9223372036854775808", "\"1\"", "true",
                                          "[1]", "null", "-9223372036854775809"};
    for (size_t i = 0; i < T3_COUNT(refused); i++) {
        T3_AUTO(t3_buf_done) struct t3_buf json = {0};
        struct t3_member a;
        int64_t number = 0;
        assert_int_equal(t3_buf_printf(&json, "{\"a\":%s}", refused[i]), TEARS_OK);
        assert_int_equal(read_a(json.ptr, &a), TEARS_OK);
        assert_false(t3_member_integer(&a, &number));
    }
}

static void test_seeds_in_every_allowed_spelling(void **state)
{
    (void)state;
    static const char *const accepted[] = {"__________________________________________s=",
                                           "//////////////////////////////////////////s=",
                                           " \t//////////////////////////////////////////s\r\n"};
    static const char *const refused[] = {"",
                                          "=",
                                          "@@//////////////////////////////////////////s=",
                                          "//////////////////////////////////////////t=",
                                          "_/_///////////////////////////////////////s=",
                                          "//////////////////////////////////////////s==",
                                          "/////////////////////////////////////////s=",
                                          "//////////////////////////////////////////s=x"};
    struct tears_error error;
    tears_signing_key *key = NULL;
    for (size_t i = 0; i < T3_COUNT(accepted); i++) {
        assert_int_equal(tears_signing_key_parse(tears_str_c(accepted[i]), &key, NULL), TEARS_OK);
        tears_signing_key_free(key);
    }
    for (size_t i = 0; i < T3_COUNT(refused); i++) {
        assert_int_equal(tears_signing_key_parse(tears_str_c(refused[i]), &key, &error),
                         TEARS_INVALID);
        assert_null(strstr(error.message, "//////"));
    }
    tears_signing_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_one_last_character_is_accepted),
        cmocka_unit_test(test_other_spellings_are_refused),
        cmocka_unit_test(test_every_byte_string_has_its_text),
        cmocka_unit_test(test_rfc_7638_digest),
        cmocka_unit_test(test_rfc_8037_key_and_signature),
        cmocka_unit_test(test_rfc_9449_access_token_hash),
        cmocka_unit_test(test_members_are_found_whatever_they_are_called),
        cmocka_unit_test(test_ambiguous_or_damaged_objects_are_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_numbers_are_whole_and_fit),
        cmocka_unit_test(test_seeds_in_every_allowed_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
