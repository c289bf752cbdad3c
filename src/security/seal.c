/*
 * seal.c -- authenticated encryption of stored secrets: AES-256-GCM under derived keys.
 *
 * Owns:     the derived keys, wiped at their end; never the master keys.
 * Must not know: where tokens are stored.
 * Threads:  any; a keyring never changes.
 * Fails:    TEARS_CORRUPT, TEARS_UNSUPPORTED, TEARS_NOT_FOUND, TEARS_DENIED on tokens; each says
 * only what kind of failure it is.
 * Begin at: tears_keyring_seal().
 *
 * Why a label for each version: a key then serves one layout only, and nothing sealed as one version
 * can be passed off as the other.
 */
#include "security/seal.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/owned_text.h"
#include "codec/text.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

static const char origin[] = "seal";

enum {
    VERSION_1 = 1,
    VERSION_2 = 2,
    VERSIONS = 2,
    ID_BYTES = 4,
    TAG_BYTES = 16,
    PREFIX_BYTES_MAX = 1 + ID_BYTES, /* version and key id: in front, and authenticated */
    MASTER_KEY_BYTES_MIN = 16
};
#define PLAINTEXT_BYTES_MAX ((size_t)128 * 1024 * 1024) /* its base64 fits a buffer */

static const char *const labels[VERSIONS] = {"threetears.core.security.encryption.v1",
                                             "threetears.core.security.encryption.v2"};

struct seal_key {
    uint32_t id;
    uint8_t bytes[VERSIONS][T3_SEAL_KEY_BYTES];
};

struct tears_keyring {
    EVP_CIPHER *cipher; /* looked up once: that costs more than sealing a short text */
    size_t count;
    struct seal_key keys[];
};

/* ---- keys ---------------------------------------------------------------------------------------
 */

static tears_status derive(EVP_KDF_CTX *context, struct tears_str master_key, const char *label,
                           uint8_t key_out[T3_SEAL_KEY_BYTES])
{
    char digest[] = "SHA256";
    /* OpenSSL's parameters are not const, though nothing is written to them here. */
    void *const secret = (void *)(uintptr_t)(master_key.len > 0 ? master_key.ptr : "");
    void *const info = (void *)(uintptr_t)label;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, master_key.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX_reset(context);
    return EVP_KDF_derive(context, key_out, T3_SEAL_KEY_BYTES, params) == 1 ? TEARS_OK
                                                                            : TEARS_NO_MEMORY;
}

static tears_status derive_all(tears_keyring *keyring, const struct tears_seal_secret *secrets)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    tears_status status = context != NULL ? TEARS_OK : TEARS_NO_MEMORY;
    for (size_t i = 0; i < keyring->count && status == TEARS_OK; i++) {
        keyring->keys[i].id = (uint32_t)secrets[i].id;
        for (size_t v = 0; v < VERSIONS && status == TEARS_OK; v++)
            status = derive(context, secrets[i].master_key, labels[v], keyring->keys[i].bytes[v]);
    }
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return status;
}

static tears_status check_secrets(const struct tears_seal_secret *secrets, size_t count,
                                  struct tears_error *error_out)
{
    if (count == 0 || count > T3_KEYRING_KEYS_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin, "a keyring has 1 to %d secrets, not %zu",
                       T3_KEYRING_KEYS_MAX, count);
    for (size_t i = 0; i < count; i++) {
        const bool may_be_short = (secrets[i].flags & TEARS_SEAL_SHORT_KEY) != 0;
        if (secrets[i].master_key.len < MASTER_KEY_BYTES_MIN && !may_be_short)
            return t3_fail(error_out, TEARS_INVALID, origin,
                           "master key %zu is shorter than %d bytes", i, MASTER_KEY_BYTES_MIN);
        if (secrets[i].id > UINT32_MAX)
            return t3_fail(error_out, TEARS_INVALID, origin,
                           "the id of master key %zu is too large", i);
        for (size_t k = 0; k < i; k++)
            if (secrets[i].id == secrets[k].id)
                return t3_fail(error_out, TEARS_INVALID, origin,
                               "master keys %zu and %zu have the same id", k, i);
    }
    return TEARS_OK;
}

tears_status tears_keyring_new(const struct tears_seal_secret *secrets, size_t count,
                               tears_keyring **keyring_out, struct tears_error *error_out)
{
    T3_TRY(check_secrets(secrets, count, error_out));
    tears_keyring *keyring = t3_alloc_zero(1, sizeof *keyring + count * sizeof keyring->keys[0]);
    if (keyring == NULL)
        return t3_fail_memory(error_out, origin);
    keyring->count = count;
    keyring->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (keyring->cipher == NULL || derive_all(keyring, secrets) != TEARS_OK) {
        tears_keyring_free(keyring);
        return t3_fail_memory(error_out, origin);
    }
    *keyring_out = keyring;
    return TEARS_OK;
}

void tears_keyring_free(tears_keyring *keyring)
{
    if (keyring == NULL)
        return;
    EVP_CIPHER_free(keyring->cipher);
    OPENSSL_cleanse(keyring->keys, keyring->count * sizeof keyring->keys[0]);
    t3_free(keyring);
}

const uint8_t *t3_keyring_key(const tears_keyring *keyring, unsigned version)
{
    return keyring->keys[0].bytes[version - 1];
}

/* ---- the cipher ---------------------------------------------------------------------------------
 */

static void done_cipher(EVP_CIPHER_CTX **cipher)
{
    EVP_CIPHER_CTX_free(*cipher);
    *cipher = NULL;
}

/* What one sealing or opening is about. */
struct box {
    EVP_CIPHER_CTX *cipher;
    const uint8_t *key;
    struct tears_str prefix; /* version, and key id in version 2 */
    struct tears_str context;
    const uint8_t *nonce;
};

static bool begin(const tears_keyring *keyring, const struct box *box, int encrypt)
{
    int len = 0;
    EVP_CIPHER_CTX *const cipher = box->cipher;
    return EVP_CipherInit_ex2(cipher, keyring->cipher, box->key, box->nonce, encrypt, NULL) == 1 &&
           EVP_CipherUpdate(cipher, NULL, &len, (const unsigned char *)box->prefix.ptr,
                            (int)box->prefix.len) == 1 &&
           (box->context.len == 0 ||
            EVP_CipherUpdate(cipher, NULL, &len, (const unsigned char *)box->context.ptr,
                             (int)box->context.len) == 1);
}

/* Writes text.len bytes and the tag. */
static bool encrypt(const tears_keyring *keyring, const struct box *box, struct tears_str text,
                    uint8_t *out)
{
    int len = 0;
    EVP_CIPHER_CTX *const cipher = box->cipher;
    return begin(keyring, box, 1) &&
           (text.len == 0 || EVP_CipherUpdate(cipher, out, &len, (const unsigned char *)text.ptr,
                                              (int)text.len) == 1) &&
           EVP_CipherFinal_ex(cipher, out + text.len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out + text.len) == 1;
}

/* Reads sealed.len - TAG_BYTES bytes out of ciphertext and tag; false: they are not under this key.
 */
static bool decrypt(const tears_keyring *keyring, const struct box *box, struct tears_str sealed,
                    uint8_t *out)
{
    int len = 0;
    EVP_CIPHER_CTX *const cipher = box->cipher;
    const size_t text_len = sealed.len - TAG_BYTES;
    const unsigned char *const bytes = (const unsigned char *)sealed.ptr;
    uint8_t tag[TAG_BYTES];
    memcpy(tag, bytes + text_len, sizeof tag);
    ERR_set_mark(); /* a token that does not open is no error of OpenSSL's */
    const bool done =
        begin(keyring, box, 0) &&
        (text_len == 0 || EVP_CipherUpdate(cipher, out, &len, bytes, (int)text_len) == 1) &&
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
        EVP_CipherFinal_ex(cipher, out + text_len, &len) == 1;
    ERR_pop_to_mark();
    return done;
}

/* ---- sealing ------------------------------------------------------------------------------------
 */

static size_t put_prefix(unsigned version, uint32_t id, uint8_t prefix_out[PREFIX_BYTES_MAX])
{
    prefix_out[0] = (uint8_t)version;
    if (version == VERSION_1)
        return 1;
    for (size_t i = 0; i < ID_BYTES; i++)
        prefix_out[1 + i] = (uint8_t)(id >> (8 * (ID_BYTES - 1 - i)));
    return PREFIX_BYTES_MAX;
}

tears_status t3_keyring_seal_with(const tears_keyring *keyring, unsigned version,
                                  const uint8_t nonce[T3_SEAL_NONCE_BYTES],
                                  const struct tears_str texts[2],
                                  struct tears_owned_text *token_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf sealed = {0};
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    T3_AUTO(done_cipher) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    uint8_t prefix[PREFIX_BYTES_MAX];
    const struct tears_str text = texts[0];
    const size_t prefix_len = put_prefix(version, keyring->keys[0].id, prefix);
    const struct box box = {.cipher = cipher,
                            .key = t3_keyring_key(keyring, version),
                            .prefix = tears_str_n((const char *)prefix, prefix_len),
                            .context = texts[1],
                            .nonce = nonce};
    T3_TRY(t3_buf_reserve(&sealed, prefix_len + T3_SEAL_NONCE_BYTES + text.len + TAG_BYTES));
    T3_TRY(t3_buf_put(&sealed, box.prefix));
    T3_TRY(t3_buf_put(&sealed, tears_str_n((const char *)nonce, T3_SEAL_NONCE_BYTES)));
    if (cipher == NULL || !encrypt(keyring, &box, text, (uint8_t *)sealed.ptr + sealed.len))
        return TEARS_NO_MEMORY; /* there is no other reason to fail */
    sealed.len += text.len + TAG_BYTES;
    T3_TRY(t3_base64_put(&token, t3_buf_str(&sealed), true));
    return t3_owned_text_take(&token, false, token_out);
}

static tears_status seal(const tears_keyring *keyring, unsigned version,
                         const struct tears_str texts[2], struct tears_owned_text *token_out,
                         struct tears_error *error_out)
{
    uint8_t nonce[T3_SEAL_NONCE_BYTES];
    if (texts[0].len > PLAINTEXT_BYTES_MAX || texts[1].len > PLAINTEXT_BYTES_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin, "text and context are at most %zu bytes",
                       PLAINTEXT_BYTES_MAX);
    if (RAND_bytes(nonce, sizeof nonce) != 1)
        return t3_fail(error_out, TEARS_INTERNAL, origin, "there are no random bytes");
    if (t3_keyring_seal_with(keyring, version, nonce, texts, token_out) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    return TEARS_OK;
}

tears_status tears_keyring_seal(const tears_keyring *keyring, struct tears_str plaintext,
                                struct tears_str context, struct tears_owned_text *token_out,
                                struct tears_error *error_out)
{
    const struct tears_str texts[2] = {plaintext, context};
    return seal(keyring, VERSION_2, texts, token_out, error_out);
}

tears_status tears_keyring_seal_v1(const tears_keyring *keyring, struct tears_str plaintext,
                                   struct tears_owned_text *token_out,
                                   struct tears_error *error_out)
{
    const struct tears_str texts[2] = {plaintext, TEARS_STR("")};
    return seal(keyring, VERSION_1, texts, token_out, error_out);
}

/* ---- opening ------------------------------------------------------------------------------------
 */

/* A decoded token in its parts. */
struct parts {
    EVP_CIPHER_CTX *cipher; /* to open them with */
    unsigned version;
    uint32_t id;
    struct tears_str prefix;
    const uint8_t *nonce;
    struct tears_str sealed; /* ciphertext and tag */
};

static tears_status take_apart(struct tears_str bytes, struct parts *parts,
                               struct tears_error *error_out)
{
    enum { LEN_MIN = 1 + T3_SEAL_NONCE_BYTES + TAG_BYTES };
    if (bytes.len < LEN_MIN)
        return t3_fail(error_out, TEARS_CORRUPT, origin, "the sealed text is too short");
    parts->version = (unsigned char)bytes.ptr[0];
    if (parts->version != VERSION_1 && parts->version != VERSION_2)
        return t3_fail(error_out, TEARS_UNSUPPORTED, origin, "sealed text of version %u",
                       parts->version);
    const size_t prefix_len = parts->version == VERSION_1 ? 1 : PREFIX_BYTES_MAX;
    if (bytes.len < LEN_MIN - 1 + prefix_len)
        return t3_fail(error_out, TEARS_CORRUPT, origin, "the sealed text is too short");
    for (size_t i = 1; i < prefix_len; i++)
        parts->id = parts->id << 8 | (unsigned char)bytes.ptr[i];
    const size_t head = prefix_len + T3_SEAL_NONCE_BYTES;
    parts->prefix = tears_str_n(bytes.ptr, prefix_len);
    parts->nonce = (const uint8_t *)bytes.ptr + prefix_len;
    parts->sealed = tears_str_n(bytes.ptr + head, bytes.len - head);
    return TEARS_OK;
}

/* Decrypts into `out` with whichever key it is; false: none. */
static bool try_keys(const tears_keyring *keyring, const struct parts *parts,
                     struct tears_str context, uint8_t *out)
{
    for (size_t i = 0; i < keyring->count; i++) {
        const struct seal_key *key = &keyring->keys[i];
        const struct box box = {.cipher = parts->cipher,
                                .key = key->bytes[parts->version - 1],
                                .prefix = parts->prefix,
                                .context = context,
                                .nonce = parts->nonce};
        if (parts->version == VERSION_2 && key->id != parts->id)
            continue;
        if (decrypt(keyring, &box, parts->sealed, out))
            return true;
    }
    return false;
}

static bool has_key(const tears_keyring *keyring, uint32_t id)
{
    for (size_t i = 0; i < keyring->count; i++)
        if (keyring->keys[i].id == id)
            return true;
    return false;
}

static tears_status open_bytes(const tears_keyring *keyring, struct tears_str bytes,
                               struct tears_str context, struct tears_owned_text *plaintext_out,
                               struct tears_error *error_out)
{
    T3_AUTO(t3_buf_wipe) struct t3_buf text = {0};
    T3_AUTO(done_cipher) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    struct parts parts = {.cipher = cipher};
    T3_TRY(take_apart(bytes, &parts, error_out));
    if (parts.version == VERSION_2 && !has_key(keyring, parts.id))
        return t3_fail(error_out, TEARS_NOT_FOUND, origin, "there is no key %u to open the text",
                       parts.id);
    const size_t len = parts.sealed.len - TAG_BYTES;
    if (cipher == NULL || t3_buf_reserve(&text, len) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    text.len = len; /* from here on there may be something to wipe */
    if ((parts.version == VERSION_1 && context.len > 0) ||
        !try_keys(keyring, &parts, context, (uint8_t *)text.ptr))
        return t3_fail(error_out, TEARS_DENIED, origin,
                       "the sealed text does not open: another key, another context, or changed");
    return t3_owned_text_take(&text, true, plaintext_out);
}

tears_status tears_keyring_open(const tears_keyring *keyring, struct tears_str token,
                                struct tears_str context, struct tears_owned_text *plaintext_out,
                                struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf bytes = {0};
    if (token.len > PLAINTEXT_BYTES_MAX / 3 * 4 + 64 || context.len > PLAINTEXT_BYTES_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin,
                       "the sealed text or its context is too large");
    const tears_status status = t3_base64_parse(&bytes, token, true);
    if (status == TEARS_INVALID)
        return t3_fail(error_out, TEARS_CORRUPT, origin, "the sealed text is malformed");
    if (status != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    return open_bytes(keyring, t3_buf_str(&bytes), context, plaintext_out, error_out);
}
