/*
 * fuzz_key_file.c -- any text as the file of a key.
 *
 * What must hold: what is taken for a private key has a public half that its thumbprint can be made of; what is taken for a
 * public key is taken for the same again; no text is both, and no message repeats anything of it.
 */
#include "base/str.h"

#include <stdlib.h>
#include <tears/jwks.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str text = tears_str_n((const char *)data, size);
    uint8_t first[TEARS_KEY_BYTES] = {0};
    uint8_t again[TEARS_KEY_BYTES] = {1};
    char thumbprint[TEARS_THUMBPRINT_BYTES];
    struct tears_error error = {0};
    tears_signing_key *key = NULL;
    const bool is_private = tears_signing_key_read(text, &key, &error) == TEARS_OK;
    check(is_private ? key != NULL : error.message[0] != '\0');
    if (is_private) {
        tears_signing_key_public(key, first);
        tears_jwk_thumbprint(first, thumbprint);
        check(strlen(thumbprint) == TEARS_THUMBPRINT_BYTES - 1);
    }
    tears_signing_key_free(key);
    if (tears_public_key_read(text, first, &error) != TEARS_OK)
        return 0;
    check(!is_private && tears_public_key_read(text, again, &error) == TEARS_OK);
    check(memcmp(first, again, sizeof first) == 0);
    return 0;
}
