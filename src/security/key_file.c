/*
 * key_file.c -- keys as files hold them: PEM, JWK, or the text of a seed.
 *
 * Owns:     nothing that lasts; what it decodes on the way is wiped.
 * Must not know: files; the text is the caller's.
 * Threads:  any.
 * Fails:    TEARS_INVALID, repeating nothing of the text; TEARS_NO_MEMORY.
 * Begin at: tears_signing_key_read().
 *
 * An Ed25519 key has exactly one DER encoding in use (RFC 8410): a fixed beginning and 32 bytes.  Comparing that
 * beginning takes the place of an ASN.1 parser, which would read much more than we want to accept.
 */
#include "base/fail.h"
#include "base/str.h"
#include "codec/text.h"
#include "security/jose.h"
#include "security/jwks_impl.h"

#include <openssl/crypto.h>

static const char origin[] = "key";

enum { DER_START_MAX = 16, DER_BYTES_MAX = DER_START_MAX + TEARS_KEY_BYTES };

/* One kind of PEM block: the lines around it, and the DER that stands before the 32 bytes. */
struct pem_kind {
    const char *begin;
    const char *end;
    uint8_t start[DER_START_MAX];
    size_t start_len;
};

static const struct pem_kind private_pem = {
    .begin = "-----BEGIN PRIVATE KEY-----",
    .end = "-----END PRIVATE KEY-----",
    .start = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
              0x04, 0x20},
    .start_len = 16,
};

static const struct pem_kind public_pem = {
    .begin = "-----BEGIN PUBLIC KEY-----",
    .end = "-----END PUBLIC KEY-----",
    .start = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00},
    .start_len = 12,
};

static const char blanks[] = " \t\r\n";

/* The base64 between the lines of a block that is the whole text, or false. */
static bool find_block(struct tears_str text, const struct pem_kind *kind,
                       struct tears_str *base64_out)
{
    const struct tears_str begin = tears_str_c(kind->begin);
    const struct tears_str end = tears_str_c(kind->end);
    if (text.len < begin.len + end.len || !t3_str_starts(text, kind->begin) ||
        !t3_str_starts(t3_str_from(text, text.len - end.len), kind->end))
        return false;
    *base64_out = tears_str_n(text.ptr + begin.len, text.len - begin.len - end.len);
    return true;
}

static bool read_block(struct tears_str base64, const struct pem_kind *kind,
                       uint8_t key_out[TEARS_KEY_BYTES])
{
    char digits[(DER_BYTES_MAX + 2) / 3 * 4];
    char der[sizeof digits / 4 * 3];
    size_t count = 0;
    bool is_key = true;
    for (size_t i = 0; is_key && i < base64.len; i++) {
        if (memchr(blanks, base64.ptr[i], sizeof blanks - 1) != NULL)
            continue;
        is_key = count < sizeof digits;
        if (is_key)
            digits[count++] = base64.ptr[i];
    }
    is_key = is_key &&
             t3_base64_parse_to(tears_str_n(digits, count), false, der) ==
                 kind->start_len + TEARS_KEY_BYTES &&
             memcmp(der, kind->start, kind->start_len) == 0;
    if (is_key)
        memcpy(key_out, der + kind->start_len, TEARS_KEY_BYTES);
    OPENSSL_cleanse(digits, sizeof digits);
    OPENSSL_cleanse(der, sizeof der);
    return is_key;
}

static bool read_key_text(const struct t3_member *member, uint8_t key_out[TEARS_KEY_BYTES])
{
    char bytes[T3_DIGEST_TEXT_BYTES];
    const bool is_key = member->present && member->value.kind == T3_JSON_STRING &&
                        member->value.text.len == T3_KEY_TEXT_LEN &&
                        t3_base64url_parse_to(member->value.text, bytes) == TEARS_KEY_BYTES;
    if (is_key)
        memcpy(key_out, bytes, TEARS_KEY_BYTES);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return is_key;
}

/* The seed of a private JWK, and the public half it claims (which it must name: RFC 8037). */
static bool read_private_jwk(struct tears_str json, uint8_t seed_out[TEARS_KEY_BYTES],
                             uint8_t public_out[TEARS_KEY_BYTES])
{
    enum { KTY, CRV, D, X, ALG };
    struct t3_member members[] = {
        {.name = "kty"}, {.name = "crv"}, {.name = "d"}, {.name = "x"}, {.name = "alg"}};
    return t3_members_read(json, members, T3_COUNT(members)) == TEARS_OK &&
           t3_member_is(&members[KTY], TEARS_STR("OKP")) &&
           t3_member_is(&members[CRV], TEARS_STR("Ed25519")) &&
           (!members[ALG].present || t3_member_is(&members[ALG], TEARS_STR("EdDSA"))) &&
           read_key_text(&members[D], seed_out) && read_key_text(&members[X], public_out);
}

static tears_status fail_private(struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_INVALID, origin,
                   "the text is no Ed25519 private key: PEM, JWK or the base64 of a 32-byte seed");
}

static tears_status key_of_jwk(struct tears_str json, tears_signing_key **key_out,
                               struct tears_error *error_out)
{
    uint8_t seed[TEARS_KEY_BYTES];
    uint8_t claimed[TEARS_KEY_BYTES];
    tears_signing_key *key = NULL;
    const tears_status status = read_private_jwk(json, seed, claimed)
                                    ? tears_signing_key_new(seed, &key, error_out)
                                    : fail_private(error_out);
    OPENSSL_cleanse(seed, sizeof seed);
    T3_TRY(status);
    if (memcmp(key->public_key, claimed, TEARS_KEY_BYTES) != 0) {
        tears_signing_key_free(key);
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "the JWK's `x` is not the public half of its `d`");
    }
    *key_out = key;
    return TEARS_OK;
}

tears_status tears_signing_key_read(struct tears_str text, tears_signing_key **key_out,
                                    struct tears_error *error_out)
{
    uint8_t seed[TEARS_KEY_BYTES];
    struct tears_str base64;
    text = t3_str_trim(text, blanks);
    if (text.len > 0 && text.ptr[0] == '{')
        return key_of_jwk(text, key_out, error_out);
    if (!find_block(text, &private_pem, &base64)) {
        const tears_status parsed = tears_signing_key_parse(text, key_out, error_out);
        return parsed == TEARS_INVALID ? fail_private(error_out) : parsed;
    }
    if (!read_block(base64, &private_pem, seed))
        return fail_private(error_out);
    const tears_status status = tears_signing_key_new(seed, key_out, error_out);
    OPENSSL_cleanse(seed, sizeof seed);
    return status;
}

tears_status tears_public_key_read(struct tears_str text, uint8_t public_out[TEARS_KEY_BYTES],
                                   struct tears_error *error_out)
{
    struct tears_str base64;
    text = t3_str_trim(text, blanks);
    const bool is_jwk = text.len > 0 && text.ptr[0] == '{';
    if (is_jwk && t3_jwk_parse(text, public_out) == TEARS_OK)
        return TEARS_OK;
    if (!is_jwk && find_block(text, &public_pem, &base64) &&
        read_block(base64, &public_pem, public_out))
        return TEARS_OK;
    return t3_fail(error_out, TEARS_INVALID, origin,
                   "the text is no Ed25519 public key: PEM or JWK");
}
