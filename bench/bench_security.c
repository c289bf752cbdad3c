/*
 * bench_security.c -- tokens, sealed text and call hashes against the bare primitives of OpenSSL.
 *
 * The floors are what a program would write with OpenSSL at hand, keys made beforehand: one Ed25519 verification of the
 * same bytes; one AES-256-GCM encryption of the same text under a fresh random nonce; jansson's sorted, compact, ASCII
 * text of the same call, and its SHA-256.
 */
#include "harness.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <tears/call_hash.h>
#include <tears/seal.h>
#include <tears/token.h>

enum { VERIFICATIONS = 2000, SEALS = 20000, HASHES = 20000, TEXT_BYTES = 100 };
enum { SIGNATURE_BYTES = 64 };

static volatile unsigned char sink;

static void need(bool is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "bench: %s\n", what);
    exit(2);
}

static double per_operation(uint64_t start, int count)
{
    return (double)(bench_now_ns() - start) / count;
}

/* ---- token verify ---- */

struct token_case {
    tears_jwks *jwks;
    struct tears_owned_text token;
    struct tears_token_policy policy;
    EVP_PKEY *key;
    EVP_MD_CTX *context;
    size_t signed_len;
    uint8_t signature[SIGNATURE_BYTES];
};

static double verify_floor(void *context)
{
    struct token_case *one = context;
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < VERIFICATIONS; i++) {
        need(EVP_DigestVerifyInit(one->context, NULL, NULL, NULL, one->key) == 1 &&
                 EVP_DigestVerify(one->context, one->signature, sizeof one->signature,
                                  (const unsigned char *)one->token.ptr, one->signed_len) == 1,
             "the signature does not verify");
        EVP_MD_CTX_reset(one->context);
    }
    return per_operation(start, VERIFICATIONS);
}

static double verify_ours(void *context)
{
    struct token_case *one = context;
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < VERIFICATIONS; i++) {
        struct tears_verified_identity verified;
        bench_check(tears_token_verify(tears_owned_text_str(&one->token), one->jwks, &one->policy,
                                       &verified, NULL),
                    NULL, "verify");
        tears_owned_text_free(&verified.text);
    }
    return per_operation(start, VERIFICATIONS);
}

/* The bytes of the signature, which is the last segment. */
static void find_signature(struct token_case *one)
{
    unsigned char bytes[SIGNATURE_BYTES + 8];
    char padded[SIGNATURE_BYTES * 4 / 3 + 8];
    const char *dot = strrchr(one->token.ptr, '.');
    one->signed_len = (size_t)(dot - one->token.ptr);
    snprintf(padded, sizeof padded, "%s==", dot + 1);
    for (char *c = padded; *c != '\0'; c++)
        *c = (char)(*c == '-' ? '+' : *c == '_' ? '/' : *c);
    need(EVP_DecodeBlock(bytes, (const unsigned char *)padded, (int)strlen(padded)) >=
             SIGNATURE_BYTES,
         "the signature cannot be read");
    memcpy(one->signature, bytes, sizeof one->signature);
}

static void bench_token(void)
{
    static const char *const name = "token verify";
    if (!bench_wants(name))
        return;
    static const uint8_t seed[TEARS_KEY_BYTES] = {1, 2, 3};
    struct token_case one = {.policy = TEARS_TOKEN_POLICY_INIT};
    const struct tears_identity identity = {
        .issuer = TEARS_STR("hub"),
        .agent_id = TEARS_STR("8f0c5b3e-1f0d-4f9a-9b0e-0d6f9d3c7a11"),
        .customer_id = TEARS_STR("5a6b7c8d-2222-4333-8444-555566667777"),
        .session_id = TEARS_STR("session-1"),
        .pod_id = TEARS_STR("pod-1"),
        .issued_at = 1700000000,
        .expires_at = 4102444800,
        .user_id = TEARS_STR("user-1"),
        .holder = TEARS_STR("1IG2tMH7J2wbJZnOf8LJzQitKf7LMvoAElsuDMVM54Y"),
    };
    struct tears_owned_text document = TEARS_OWNED_TEXT_INIT;
    struct tears_jwk jwk = {.kid = TEARS_STR("key-1")};
    tears_signing_key *key = NULL;
    bench_check(tears_signing_key_new(seed, &key, NULL), NULL, "key");
    tears_signing_key_public(key, jwk.public_key);
    bench_check(tears_jwks_build(&jwk, 1, &document, NULL), NULL, "jwks");
    bench_check(tears_jwks_parse(tears_owned_text_str(&document), NULL, &one.jwks, NULL), NULL,
                "jwks");
    bench_check(tears_token_sign(key, jwk.kid, &identity, &one.token, NULL), NULL, "sign");
    one.policy.issuer = TEARS_STR("hub");
    one.key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, jwk.public_key, TEARS_KEY_BYTES);
    one.context = EVP_MD_CTX_new();
    need(one.key != NULL && one.context != NULL, "out of memory");
    find_signature(&one);
    bench_run(&(struct bench_case){name, "one Ed25519 verify", "ns", false, 1.15, verify_floor,
                                   verify_ours, &one});
    EVP_MD_CTX_free(one.context);
    EVP_PKEY_free(one.key);
    tears_owned_text_free(&one.token);
    tears_owned_text_free(&document);
    tears_jwks_free(one.jwks);
    tears_signing_key_free(key);
}

/* ---- seal ---- */

struct seal_case {
    tears_keyring *keyring;
    EVP_CIPHER *cipher;
    char text[TEXT_BYTES];
};

/* As one text is sealed: a context of its own, a nonce, the key; key and context cannot be kept between threads. */
static double seal_floor(void *context)
{
    static const unsigned char key[32] = {1};
    struct seal_case *one = context;
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < SEALS; i++) {
        unsigned char nonce[12];
        unsigned char out[TEXT_BYTES + 16];
        int len = 0;
        EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
        need(RAND_bytes(nonce, sizeof nonce) == 1 &&
                 EVP_EncryptInit_ex2(cipher, one->cipher, key, nonce, NULL) == 1 &&
                 EVP_EncryptUpdate(cipher, out, &len, (const unsigned char *)one->text,
                                   TEXT_BYTES) == 1 &&
                 EVP_EncryptFinal_ex(cipher, out + TEXT_BYTES, &len) == 1 &&
                 EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, out + TEXT_BYTES) == 1,
             "AES-GCM");
        EVP_CIPHER_CTX_free(cipher);
        sink = out[0];
    }
    return per_operation(start, SEALS);
}

static double seal_ours(void *context)
{
    struct seal_case *one = context;
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < SEALS; i++) {
        struct tears_owned_text token = TEARS_OWNED_TEXT_INIT;
        bench_check(tears_keyring_seal(one->keyring, tears_str_n(one->text, TEXT_BYTES),
                                       TEARS_STR("users/email/42"), &token, NULL),
                    NULL, "seal");
        sink = (unsigned char)token.ptr[0];
        tears_owned_text_free(&token);
    }
    return per_operation(start, SEALS);
}

static void bench_seal(void)
{
    static const char *const name = "seal of 100 bytes";
    if (!bench_wants(name))
        return;
    const struct tears_seal_secret secret = {.id = 1,
                                             .master_key = TEARS_STR("a master key, long enough")};
    struct seal_case one = {.cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)};
    bench_text(1, one.text, sizeof one.text);
    bench_check(tears_keyring_new(&secret, 1, &one.keyring, NULL), NULL, "keyring");
    bench_run(&(struct bench_case){name, "one AES-256-GCM", "ns", false, 2.0, seal_floor, seal_ours,
                                   &one});
    tears_keyring_free(one.keyring);
    EVP_CIPHER_free(one.cipher);
}

/* ---- call hash ---- */

static const char call_arguments[] =
    "{\"target\":\"host.example\",\"ports\":\"1-1024\",\"options\":{\"timing\":4,\"scripts\":["
    "\"default\",\"vuln\"],\"verbose\":true,\"rate\":12.5},\"note\":\"caf\\u00e9\",\"retry\":null}";

static double hash_floor(void *context)
{
    (void)context;
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < HASHES; i++) {
        unsigned char digest[SHA256_DIGEST_LENGTH];
        json_t *arguments = json_loadb(call_arguments, sizeof call_arguments - 1, 0, NULL);
        json_t *call = json_pack("{s:o,s:s,s:s}", "arguments", arguments, "correlation_id",
                                 "corr-1", "tool_name", "pentest.nmap");
        char *text = json_dumps(call, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENSURE_ASCII);
        need(text != NULL, "jansson");
        SHA256((const unsigned char *)text, strlen(text), digest);
        sink = digest[0];
        free(text);
        json_decref(call);
    }
    return per_operation(start, HASHES);
}

static double hash_ours(void *context)
{
    (void)context;
    const struct tears_call call = {.tool_name = TEARS_STR("pentest.nmap"),
                                    .arguments = tears_str_c(call_arguments),
                                    .correlation_id = TEARS_STR("corr-1")};
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < HASHES; i++) {
        char hash[TEARS_CALL_HASH_BYTES];
        bench_check(tears_call_hash(&call, hash, NULL), NULL, "call hash");
        sink = (unsigned char)hash[0];
    }
    return per_operation(start, HASHES);
}

static double bare_sha(void *context)
{
    char text[256];
    (void)context;
    bench_text(1, text, sizeof text);
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < HASHES; i++) {
        unsigned char digest[SHA256_DIGEST_LENGTH];
        SHA256((const unsigned char *)text, sizeof text, digest);
        sink = digest[0];
    }
    return per_operation(start, HASHES);
}

static void bench_call_hash(void)
{
    static const char *const name = "call hash";
    if (!bench_wants(name))
        return;
    bench_run(&(struct bench_case){name, "jansson's sorted text and SHA-256", "ns", false, 1.0,
                                   hash_floor, hash_ours, NULL});
    bench_note("a SHA-256 of 256 bytes", bare_sha(NULL), "ns");
}

void bench_security(void)
{
    bench_token();
    bench_seal();
    bench_call_hash();
}
