/*
 * jose.c -- the text that tokens, proofs and key sets are made of, read strictly.
 *
 * Owns:     nothing.
 * Must not know: what a token means.
 * Threads:  any.
 * Fails:    TEARS_INVALID, TEARS_LIMIT on text that is not exactly as it should be.
 * Begin at: t3_base64url_parse_to(), t3_members_read().
 *
 * Why strict: whoever stores, hashes or compares tokens takes two spellings for two tokens.
 */
#include "security/jose.h"

#include "base/str.h"
#include "codec/text.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

/* ---- base64url ----------------------------------------------------------------------------------
 */

tears_status t3_base64url_put(struct t3_buf *out, struct tears_str bytes)
{
    const size_t start = out->len;
    T3_TRY(t3_base64_put(out, bytes, true));
    while (out->len > start && out->ptr[out->len - 1] == '=')
        out->ptr[--out->len] = '\0';
    return TEARS_OK;
}

size_t t3_base64url_parse_to(struct tears_str text, char *to)
{
    const size_t whole = text.len / 4 * 4;
    const size_t rest = text.len - whole;
    if (rest == 1 || (text.len > 0 && memchr(text.ptr, '=', text.len) != NULL))
        return SIZE_MAX;
    const size_t len = t3_base64_parse_to(tears_str_n(text.ptr, whole), true, to);
    if (len == SIZE_MAX || rest == 0)
        return len;
    char last[4] = {'=', '=', '=', '='};
    char bytes[3];
    memcpy(last, text.ptr + whole, rest);
    const size_t last_len = t3_base64_parse_to(tears_str_n(last, sizeof last), true, bytes);
    if (last_len == SIZE_MAX)
        return SIZE_MAX;
    memcpy(to + len, bytes, last_len);
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(last, sizeof last);
    return len + last_len;
}

void t3_base64url_32(const uint8_t bytes[32], char text_out[T3_DIGEST_TEXT_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *to = text_out;
    for (size_t i = 0; i < 33; i += 3) {
        const uint32_t third = i + 2 < 32 ? bytes[i + 2] : 0;
        const uint32_t group = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | third;
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = digits[group >> 6 & 63];
        *to++ = digits[group & 63];
    }
    text_out[T3_KEY_TEXT_LEN] = '\0'; /* over the digit of the byte that there is not */
}

void t3_digest_text(struct tears_str text, char text_out[T3_DIGEST_TEXT_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)(text.len > 0 ? text.ptr : ""), text.len, digest);
    t3_base64url_32(digest, text_out);
}

bool t3_equal_secret(struct tears_str a, struct tears_str b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ---- members ------------------------------------------------------------------------------------
 */

enum { NAME_BYTES_MAX = 64 };

/* Whether a JSON string, without its quotes, says `text`. */
static bool says(const struct t3_json_value *string, struct tears_str text)
{
    if (!string->escaped)
        return t3_str_equal(string->text, text);
    char resolved[NAME_BYTES_MAX * 6];
    if (string->text.len > sizeof resolved) /* an escape is at most six times as long */
        return false;
    const size_t len = t3_json_unescape_to(string->text, resolved);
    return len != SIZE_MAX && t3_str_equal(tears_str_n(resolved, len), text);
}

static struct t3_member *find(struct t3_member *members, size_t count,
                              const struct t3_json_value *name)
{
    for (size_t i = 0; i < count; i++)
        if (says(name, tears_str_c(members[i].name)))
            return &members[i];
    return NULL;
}

tears_status t3_members_read(struct tears_str json, struct t3_member *members, size_t count)
{
    struct t3_json_reader reader = {.text = json};
    T3_TRY(t3_json_object_open(&reader));
    for (bool first = true;; first = false) {
        struct t3_json_value name;
        struct t3_json_value value;
        bool done = false;
        T3_TRY(t3_json_member(&reader, first, &name, &done));
        if (done)
            return t3_json_end(&reader);
        T3_TRY(t3_json_value(&reader, &value));
        struct t3_member *member = find(members, count, &name);
        if (member == NULL)
            continue;
        if (member->present) /* which of the two counts differs from reader to reader */
            return TEARS_INVALID;
        member->present = true;
        member->value = value;
    }
}

bool t3_member_is(const struct t3_member *member, struct tears_str text)
{
    T3_ASSERT(text.len <= NAME_BYTES_MAX);
    return member->present && member->value.kind == T3_JSON_STRING && says(&member->value, text);
}

bool t3_member_integer(const struct t3_member *member, int64_t *out)
{
    return member->present && member->value.kind == T3_JSON_NUMBER &&
           t3_int_parse(member->value.text, out) == TEARS_OK;
}

struct tears_str t3_member_text(const struct t3_member *member, struct t3_buf *storage)
{
    const struct tears_str json = member->value.text;
    T3_ASSERT(storage->capacity - storage->len > json.len);
    char *const to = storage->ptr + storage->len;
    /* The reader has checked the escapes already. */
    const size_t len = t3_json_unescape_to(json, to);
    T3_ASSERT(len != SIZE_MAX);
    storage->len += len;
    storage->ptr[storage->len] = '\0';
    storage->len++; /* the NUL between texts */
    return tears_str_n(to, len);
}
