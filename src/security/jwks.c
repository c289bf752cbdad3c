/*
 * jwks.c -- sets of public keys: reading and writing JWKS documents.
 *
 * Owns:     the keys of a set, counted among all who use it.
 * Must not know: where documents come from, what tokens say.
 * Threads:  any; a set never changes.
 * Fails:    TEARS_INVALID, TEARS_LIMIT on a document that cannot be used; one bad entry only costs
 * itself.
 * Begin at: tears_jwks_parse().
 *
 * Why a duplicate name costs both keys: which of the two a verifier takes would depend on who wrote
 * the verifier, and that is what somebody who can add an entry would use.
 */
#include "security/jwks_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"

static const char origin[] = "jwks";

/* ---- one key ------------------------------------------------------------------------------------
 */

enum { KTY, CRV, X, D, USE, ALG, KID, PURPOSE, JWK_MEMBERS };

#define JWK_MEMBER_NAMES                                                             \
    {.name = "kty"}, {.name = "crv"}, {.name = "x"}, {.name = "d"}, {.name = "use"}, \
        {.name = "alg"}, {.name = "kid"},                                            \
    {                                                                                \
        .name = "purpose"                                                            \
    }

static bool is_absent_or(const struct t3_member *member, struct tears_str text)
{
    return !member->present || t3_member_is(member, text);
}

static tears_status read_key(struct tears_str json, struct t3_member members[JWK_MEMBERS],
                             uint8_t public_out[TEARS_KEY_BYTES])
{
    char bytes[T3_DIGEST_TEXT_BYTES];
    T3_TRY(t3_members_read(json, members, JWK_MEMBERS));
    if (!t3_member_is(&members[KTY], TEARS_STR("OKP")) ||
        !t3_member_is(&members[CRV], TEARS_STR("Ed25519")) || members[D].present ||
        !is_absent_or(&members[USE], TEARS_STR("sig")) ||
        !is_absent_or(&members[ALG], TEARS_STR("EdDSA")))
        return TEARS_INVALID;
    const struct t3_member *x = &members[X];
    if (!x->present || x->value.kind != T3_JSON_STRING || x->value.text.len != T3_KEY_TEXT_LEN ||
        t3_base64url_parse_to(x->value.text, bytes) != TEARS_KEY_BYTES)
        return TEARS_INVALID;
    memcpy(public_out, bytes, TEARS_KEY_BYTES);
    return TEARS_OK;
}

tears_status t3_jwk_parse(struct tears_str json, uint8_t public_out[TEARS_KEY_BYTES])
{
    struct t3_member members[] = {JWK_MEMBER_NAMES};
    return read_key(json, members, public_out);
}

/* ---- purposes -----------------------------------------------------------------------------------
 */

static const struct tears_jwks_pin *find_pin(const struct tears_jwks_options *options,
                                             const uint8_t public_key[TEARS_KEY_BYTES])
{
    char thumbprint[TEARS_THUMBPRINT_BYTES];
    if (options->pin_count == 0)
        return NULL;
    tears_jwk_thumbprint(public_key, thumbprint);
    for (size_t i = 0; i < options->pin_count; i++)
        if (t3_str_is(options->pins[i].thumbprint, thumbprint))
            return &options->pins[i];
    return NULL;
}

static uint64_t tagged_purposes(const struct t3_member *purpose)
{
    if (t3_member_is(purpose, TEARS_STR("identity")))
        return TEARS_PURPOSE_IDENTITY;
    return t3_member_is(purpose, TEARS_STR("assertion")) ? TEARS_PURPOSE_ASSERTION : 0;
}

/* ---- reading a set ------------------------------------------------------------------------------
 */

/* Takes what an entry says; TEARS_INVALID: it is not usable, TEARS_NOT_FOUND: only its name is
 * missing. */
static tears_status read_entry(struct tears_str json, const struct tears_jwks_options *options,
                               struct t3_arena *arena, struct tears_jwk *jwk)
{
    struct t3_member members[] = {JWK_MEMBER_NAMES};
    T3_TRY(read_key(json, members, jwk->public_key));
    const struct t3_member *kid = &members[KID];
    if (!kid->present || kid->value.kind != T3_JSON_STRING || kid->value.text.len == 0)
        return TEARS_NOT_FOUND;
    const struct tears_jwks_pin *pin = find_pin(options, jwk->public_key);
    if (pin == NULL && options->pinned_only != 0)
        return TEARS_INVALID;
    if (pin != NULL)
        jwk->purposes = pin->purposes;
    else if (members[PURPOSE].present)
        jwk->purposes = tagged_purposes(&members[PURPOSE]);
    else
        jwk->purposes = options->untagged_purposes != 0 ? options->untagged_purposes
                                                        : (uint64_t)TEARS_PURPOSES_ALL;
    char *text = t3_arena_alloc(arena, kid->value.text.len + 1);
    if (text == NULL)
        return TEARS_NO_MEMORY;
    const size_t len = t3_json_unescape_to(kid->value.text, text);
    text[len] = '\0';
    jwk->kid = tears_str_n(text, len);
    return TEARS_OK;
}

static struct t3_jwks_key *find(const tears_jwks *jwks, struct tears_str kid)
{
    for (size_t i = 0; i < jwks->count; i++)
        if (t3_str_equal(jwks->keys[i].jwk.kid, kid))
            return &jwks->keys[i];
    return NULL;
}

/* The key under this name already differs: neither can be trusted to be the one that is meant. */
static void poison(struct t3_jwks_key *key)
{
    EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

static tears_status add_entry(tears_jwks *jwks, struct tears_str json,
                              const struct tears_jwks_options *options)
{
    struct tears_jwk jwk = {0};
    const tears_status status = read_entry(json, options, &jwks->arena, &jwk);
    if (status == TEARS_NO_MEMORY)
        return status;
    jwks->has_nameless = jwks->has_nameless || status == TEARS_NOT_FOUND;
    struct t3_jwks_key *same = status == TEARS_OK ? find(jwks, jwk.kid) : NULL;
    if (same != NULL && memcmp(same->jwk.public_key, jwk.public_key, TEARS_KEY_BYTES) != 0)
        poison(same);
    if (status != TEARS_OK || same != NULL) {
        jwks->skipped++;
        return TEARS_OK;
    }
    struct t3_jwks_key *key = &jwks->keys[jwks->count];
    key->jwk = jwk;
    key->pkey = t3_public_key_new(jwk.public_key);
    if (key->pkey == NULL)
        return TEARS_NO_MEMORY;
    jwks->count++;
    return TEARS_OK;
}

/* Takes poisoned keys out. */
static void drop_poisoned(tears_jwks *jwks)
{
    size_t kept = 0;
    for (size_t i = 0; i < jwks->count; i++) {
        if (jwks->keys[i].pkey != NULL)
            jwks->keys[kept++] = jwks->keys[i];
        else
            jwks->skipped++;
    }
    jwks->count = kept;
}

/* Calls add_entry for every element, or only counts them when there is no set. */
static tears_status each_entry(struct tears_str array, tears_jwks *jwks,
                               const struct tears_jwks_options *options, size_t *count_out)
{
    struct t3_json_reader reader = {.text = array};
    size_t count = 0;
    T3_TRY(t3_json_array_open(&reader));
    for (bool first = true;; first = false) {
        struct t3_json_value entry;
        bool done = false;
        T3_TRY(t3_json_element(&reader, first, &done));
        if (done)
            break;
        T3_TRY(t3_json_value(&reader, &entry));
        if (jwks != NULL)
            T3_TRY(add_entry(jwks, entry.text, options));
        count++;
    }
    *count_out = count;
    return TEARS_OK;
}

static tears_status read_set(struct tears_str document, const struct tears_jwks_options *options,
                             tears_jwks *jwks, struct tears_error *error_out)
{
    struct t3_member keys[] = {{.name = "keys"}};
    size_t count = 0;
    const tears_status form = t3_members_read(document, keys, T3_COUNT(keys));
    if (form == TEARS_LIMIT)
        return t3_fail(error_out, form, origin, "the key set is nested too deeply");
    if (form != TEARS_OK || !keys[0].present || keys[0].value.kind != T3_JSON_ARRAY ||
        each_entry(keys[0].value.text, NULL, options, &count) != TEARS_OK)
        return t3_fail(error_out, TEARS_INVALID, origin, "the document is no key set");
    if (count > T3_JWKS_KEYS_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin, "the key set has %zu keys; the limit is %d",
                       count, T3_JWKS_KEYS_MAX);
    jwks->keys = t3_arena_array(&jwks->arena, count, sizeof *jwks->keys);
    if (jwks->keys == NULL || each_entry(keys[0].value.text, jwks, options, &count) != TEARS_OK)
        return t3_fail_memory(error_out, origin); /* the form was checked above */
    drop_poisoned(jwks);
    if (count > 0 && jwks->count == 0 && !jwks->has_nameless)
        return t3_fail(error_out, TEARS_INVALID, origin, "none of the %zu keys can be used", count);
    return TEARS_OK;
}

tears_status tears_jwks_parse(struct tears_str document, const struct tears_jwks_options *options,
                              tears_jwks **jwks_out, struct tears_error *error_out)
{
    struct tears_jwks_options own = {.size = sizeof own};
    if (options != NULL)
        T3_TRY(t3_sized_copy(&own, sizeof own, options, origin, error_out));
    if (document.len > T3_JWKS_BYTES_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin, "the key set is %zu bytes; the limit is %d",
                       document.len, T3_JWKS_BYTES_MAX);
    tears_jwks *jwks = t3_alloc_zero(1, sizeof *jwks);
    if (jwks == NULL)
        return t3_fail_memory(error_out, origin);
    atomic_init(&jwks->users, 1);
    const tears_status status = read_set(document, &own, jwks, error_out);
    if (status != TEARS_OK) {
        tears_jwks_free(jwks);
        return status;
    }
    *jwks_out = jwks;
    return TEARS_OK;
}

/* ---- using a set --------------------------------------------------------------------------------
 */

size_t tears_jwks_count(const tears_jwks *jwks)
{
    return jwks->count;
}

size_t tears_jwks_skipped(const tears_jwks *jwks)
{
    return jwks->skipped;
}

struct tears_jwk tears_jwks_at(const tears_jwks *jwks, size_t index)
{
    T3_ASSERT(index < jwks->count);
    return jwks->keys[index].jwk;
}

const struct t3_jwks_key *t3_jwks_lookup(const tears_jwks *jwks, struct tears_str kid)
{
    return find(jwks, kid);
}

tears_status tears_jwks_find(const tears_jwks *jwks, struct tears_str kid,
                             struct tears_jwk *jwk_out)
{
    const struct t3_jwks_key *key = find(jwks, kid);
    if (key == NULL)
        return TEARS_NOT_FOUND;
    *jwk_out = key->jwk;
    return TEARS_OK;
}

tears_jwks *t3_jwks_share(tears_jwks *jwks)
{
    /* The caller holds a share, so the count cannot reach zero meanwhile. */
    atomic_fetch_add_explicit(&jwks->users, 1, memory_order_relaxed);
    return jwks;
}

void tears_jwks_free(tears_jwks *jwks)
{
    /* Releases what this user did; the last one acquires what all the others did. */
    if (jwks == NULL || atomic_fetch_sub_explicit(&jwks->users, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < jwks->count; i++)
        EVP_PKEY_free(jwks->keys[i].pkey);
    t3_arena_done(&jwks->arena);
    t3_free(jwks);
}

/* ---- writing a set ------------------------------------------------------------------------------
 */

static tears_status put_key(struct t3_buf *out, const struct tears_jwk *key)
{
    char x[T3_DIGEST_TEXT_BYTES];
    t3_base64url_32(key->public_key, x);
    T3_TRY(t3_buf_printf(out, "{\"x\":\"%s\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":", x));
    T3_TRY(t3_json_put_string(out, key->kid));
    T3_TRY(t3_buf_put(out, TEARS_STR(",\"use\":\"sig\",\"alg\":\"EdDSA\"")));
    if (key->purposes == TEARS_PURPOSE_IDENTITY)
        T3_TRY(t3_buf_put(out, TEARS_STR(",\"purpose\":\"identity\"")));
    else if (key->purposes == TEARS_PURPOSE_ASSERTION)
        T3_TRY(t3_buf_put(out, TEARS_STR(",\"purpose\":\"assertion\"")));
    return t3_buf_put_char(out, '}');
}

static tears_status put_set(struct t3_buf *out, const struct tears_jwk *keys, size_t count)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("{\"keys\":[")));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put_char(out, ','));
        T3_TRY(put_key(out, &keys[i]));
    }
    return t3_buf_put(out, TEARS_STR("]}"));
}

static bool names_are_unique(const struct tears_jwk *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (t3_str_equal(keys[i].kid, keys[k].kid))
                return false;
    return true;
}

tears_status tears_jwks_build(const struct tears_jwk *keys, size_t count,
                              struct tears_owned_text *document_out, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf document = {.len_max = T3_JWKS_BYTES_MAX};
    if (count > T3_JWKS_KEYS_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin, "a key set has at most %d keys",
                       T3_JWKS_KEYS_MAX);
    for (size_t i = 0; i < count; i++)
        if (keys[i].kid.len == 0)
            return t3_fail(error_out, TEARS_INVALID, origin, "key %zu has no name", i);
    if (!names_are_unique(keys, count))
        return t3_fail(error_out, TEARS_INVALID, origin, "two keys have the same name");
    tears_status status = put_set(&document, keys, count);
    if (status == TEARS_OK)
        status = t3_owned_text_take(&document, false, document_out);
    if (status == TEARS_INVALID)
        return t3_fail(error_out, status, origin, "a key's name is not UTF-8");
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, status, origin, "the key set would exceed %d bytes",
                       T3_JWKS_BYTES_MAX);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, origin);
}
