/*
 * fuzz_seal.c -- any bytes as a sealed text, as what is inside its base64, and as what is sealed.
 *
 * What is sealed must open; a text that opens is one that was sealed here.
 */
#include "base/buf.h"
#include "base/str.h"
#include "codec/text.h"
#include "security/seal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static const tears_keyring *keyring(void)
{
    static tears_keyring *made;
    const struct tears_seal_secret secrets[] = {
        {.id = 1, .master_key = TEARS_STR("a master key of some length")},
        {.id = 2, .master_key = TEARS_STR("another, that was used before")}};
    if (made == NULL)
        check(tears_keyring_new(secrets, 2, &made, NULL) == TEARS_OK);
    return made;
}

/* Nobody can guess a tag, so nothing that comes from outside opens. */
static void stays_shut(struct tears_str token)
{
    struct tears_owned_text text = {0};
    struct tears_error error = {0};
    const tears_status status = tears_keyring_open(keyring(), token, TEARS_STR(""), &text, &error);
    check(status == TEARS_CORRUPT || status == TEARS_UNSUPPORTED || status == TEARS_NOT_FOUND ||
          status == TEARS_DENIED);
    check(text.ptr == NULL && error.message[0] != '\0');
}

static void comes_back(struct tears_str plaintext, unsigned version)
{
    static const uint8_t nonce[T3_SEAL_NONCE_BYTES] = {1, 2, 3};
    const struct tears_str texts[2] = {plaintext, TEARS_STR("")};
    struct tears_owned_text token = {0};
    struct tears_owned_text text = {0};
    check(t3_keyring_seal_with(keyring(), version, nonce, texts, &token) == TEARS_OK);
    check(tears_keyring_open(keyring(), tears_owned_text_str(&token), TEARS_STR(""), &text, NULL) ==
          TEARS_OK);
    check(t3_str_equal(tears_owned_text_str(&text), plaintext));
    tears_owned_text_free(&text);
    tears_owned_text_free(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str bytes = tears_str_n((const char *)data, size);
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    stays_shut(bytes);
    if (t3_base64_put(&token, bytes, true) == TEARS_OK)
        stays_shut(t3_buf_str(&token));
    comes_back(bytes, 1);
    comes_back(bytes, 2);
    return 0;
}
