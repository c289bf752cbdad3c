/*
 * sandbox_policy.c -- decisions: policies, the rules of keys, the lists of patterns.
 *
 * Owns:     nothing.
 * Must not know: files; it decides about names.
 * Threads:  any.
 * Fails:    TEARS_DENIED.  Whatever goes wrong while deciding is a denial, too.
 * Begin at: tears_policy_enforce(), t3_sandbox_decide().
 */
#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"
#include "security/sandbox_glob.h"
#include "security/sandbox_impl.h"

#include <stdio.h>

#define ORIGIN "sandbox"

/* ---- wording ----------------------------------------------------------------------------------- */

enum { SHOWN_BYTES_MAX = 120 };

/* One character of text at `to`, which has room for 8 bytes; gives the bytes written and moves *at. */
static size_t show_character(char *to, struct tears_str text, size_t *at)
{
    const unsigned char first = (unsigned char)text.ptr[*at];
    const size_t len = t3_utf8_length(text.ptr + *at, text.len - *at);
    const bool is_c1 = len == 2 && first == 0xc2 && (unsigned char)text.ptr[*at + 1] < 0xa0;
    *at += len > 0 ? len : 1;
    if (first == '\'' || first == '\\')
        return (size_t)snprintf(to, 8, "\\%c", first);
    if (first == '\t' || first == '\n')
        return (size_t)snprintf(to, 8, "\\%c", first == '\t' ? 't' : 'n');
    if (is_c1)
        return (size_t)snprintf(to, 8, "\\x%02x", (unsigned char)text.ptr[*at - 1]);
    if (len == 0 || first < 0x20 || first == 0x7f)
        return (size_t)snprintf(to, 8, "\\x%02x", first);
    memcpy(to, text.ptr + *at - len, len);
    return len;
}

struct t3_shown t3_shown(struct tears_str text)
{
    struct t3_shown shown = {"'"};
    size_t used = 1;
    size_t at = 0;
    while (at < text.len && used < SHOWN_BYTES_MAX)
        used += show_character(shown.text + used, text, &at);
    snprintf(shown.text + used, sizeof shown.text - used, "%s'", at < text.len ? "..." : "");
    return shown;
}

tears_status t3_policy_deny(struct tears_error *error_out, struct tears_str action,
                            struct tears_str target, int32_t detail, const char *reason)
{
    return t3_fail_detail(error_out, TEARS_DENIED, ORIGIN, detail, "",
                          "sandbox denied %s on %s: %s", t3_shown(action).text,
                          t3_shown(target).text, reason);
}

/* ---- any policy -------------------------------------------------------------------------------- */

tears_status tears_policy_enforce(const struct tears_policy *policy, struct tears_str action,
                                  struct tears_str target, struct tears_error *error_out)
{
    struct tears_policy own = {0};
    struct tears_error reason = {0};
    if (t3_sized_copy(&own, sizeof own, policy, ORIGIN, &reason) == TEARS_OK && own.check != NULL &&
        own.check(own.owner, action, target, &reason) == TEARS_OK)
        return TEARS_OK;
    reason.message[sizeof reason.message - 1] = '\0';
    return t3_policy_deny(error_out, action, target, reason.detail,
                          reason.message[0] != '\0' ? reason.message : "policy denied");
}

/* ---- keys -------------------------------------------------------------------------------------- */

static bool has_control_character(struct tears_str key)
{
    for (size_t i = 0; i < key.len; i++) {
        const unsigned char c = (unsigned char)key.ptr[i];
        const unsigned char next = i + 1 < key.len ? (unsigned char)key.ptr[i + 1] : 0xff;
        if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f || (c == 0xc2 && next < 0xa0))
            return true;
    }
    return false;
}

static bool has_component(struct tears_str key, const char *component)
{
    size_t at = 0;
    struct tears_str part;
    while (t3_path_next(key, &at, &part))
        if (component == NULL || t3_str_is(part, component))
            return true;
    return false;
}

static tears_status refuse(struct tears_error *error_out, int32_t detail, const char *reason)
{
    return t3_fail_detail(error_out, TEARS_DENIED, ORIGIN, detail, "", "%s", reason);
}

static tears_status decide_key(struct tears_str key, struct tears_error *error_out)
{
    if (key.len == 0)
        return refuse(error_out, TEARS_SANDBOX_EMPTY, "key is empty");
    if (key.len > TEARS_SANDBOX_KEY_BYTES_MAX)
        return t3_fail_detail(error_out, TEARS_DENIED, ORIGIN, TEARS_SANDBOX_TOO_LONG, "",
                              "key length %zu exceeds max %d", key.len,
                              TEARS_SANDBOX_KEY_BYTES_MAX);
    if (!t3_str_is_utf8(key))
        return refuse(error_out, TEARS_SANDBOX_NOT_UTF8, "key is not UTF-8");
    if (has_control_character(key))
        return refuse(error_out, TEARS_SANDBOX_CONTROL_CHARACTER,
                      "key contains NUL or control character");
    if (key.ptr[0] == '/')
        return refuse(error_out, TEARS_SANDBOX_ABSOLUTE_PATH, "absolute path not allowed");
    if (has_component(key, ".."))
        return refuse(error_out, TEARS_SANDBOX_PARENT_REFERENCE,
                      "parent-ref (..) not allowed in key");
    if (!has_component(key, NULL))
        return refuse(error_out, TEARS_SANDBOX_ROOT_ITSELF, "key names the root itself");
    return TEARS_OK;
}

bool t3_patterns_match(const struct t3_patterns *patterns, struct tears_str key)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (t3_glob_matches(patterns->items[i], key))
            return true;
    return false;
}

tears_status t3_sandbox_decide(const tears_sandbox *sandbox, struct tears_str action,
                               struct tears_str key, struct tears_error *error_out)
{
    const bool is_read = t3_str_is(action, "read");
    if (!is_read && !t3_str_is(action, "write"))
        return t3_fail_detail(error_out, TEARS_DENIED, ORIGIN, TEARS_SANDBOX_UNKNOWN_ACTION, "",
                              "action %s not in allowed actions (read, write)",
                              t3_shown(action).text);
    T3_TRY(decide_key(key, error_out));
    if (!t3_patterns_match(is_read ? &sandbox->reads : &sandbox->writes, key))
        return t3_fail_detail(error_out, TEARS_DENIED, ORIGIN, TEARS_SANDBOX_NO_MATCH, "",
                              "no %s-mode allow glob matched %s", is_read ? "read" : "write",
                              t3_shown(key).text);
    return TEARS_OK;
}

tears_status tears_sandbox_check_key(struct tears_str key, struct tears_error *error_out)
{
    struct tears_error reason = {0};
    if (decide_key(key, &reason) == TEARS_OK)
        return TEARS_OK;
    return t3_policy_deny(error_out, TEARS_STR("access"), key, reason.detail, reason.message);
}

tears_status tears_sandbox_check(const tears_sandbox *sandbox, struct tears_str action,
                                 struct tears_str key, struct tears_error *error_out)
{
    struct tears_error reason = {0};
    if (t3_sandbox_decide(sandbox, action, key, &reason) == TEARS_OK)
        return TEARS_OK;
    return t3_policy_deny(error_out, action, key, reason.detail, reason.message);
}

static tears_status sandbox_as_policy(void *owner, struct tears_str action, struct tears_str target,
                                      struct tears_error *error)
{
    return t3_sandbox_decide(owner, action, target, error);
}

void tears_sandbox_policy(const tears_sandbox *sandbox, struct tears_policy *policy_out)
{
    /* A policy's owner is the policy's business; this one never changes what it points to. */
    union {
        const tears_sandbox *sandbox;
        void *owner;
    } both = {.sandbox = sandbox};
    const struct tears_policy own = {.owner = both.owner, .check = sandbox_as_policy};
    t3_sized_give(policy_out, &own, sizeof own);
}

bool tears_sandbox_glob(struct tears_str pattern, struct tears_str key)
{
    return t3_glob_matches(pattern, key);
}
