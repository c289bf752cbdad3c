/*
 * fuzz_sandbox.c -- any bytes as a pattern, a newline, and a key.
 *
 * What must hold: the matcher agrees with a slow one that tries everything (on short inputs); a key that is allowed
 * follows the rules; resolving gives a path below the root; opening by the kernel and by our walk
 * come to the same end.
 */
#include "base/str.h"
#include "security/sandbox_beneath.h"
#include "security/sandbox_glob.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <tears/sandbox.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOW_COMPONENTS_MAX = 6, SLOW_BYTES_MAX = 40 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* ---- a matcher that is short to read, and exponential ---- */

struct parts {
    struct tears_str items[SLOW_COMPONENTS_MAX];
    size_t count;
};

static bool split(struct tears_str path, struct parts *parts)
{
    size_t at = 0;
    struct tears_str part;
    parts->count = 0;
    while (t3_path_next(path, &at, &part)) {
        if (parts->count == SLOW_COMPONENTS_MAX)
            return false;
        parts->items[parts->count++] = part;
    }
    return true;
}

/* Patterns of one component without a double star: the matcher under test, which is simple there. */
static bool one_matches(struct tears_str pattern, struct tears_str component)
{
    return t3_glob_matches(pattern, component);
}

static bool slow_matches(const struct parts *pattern, size_t p, const struct parts *key, size_t k)
{
    if (p == pattern->count)
        return k == key->count;
    if (!t3_str_is(pattern->items[p], "**"))
        return k < key->count && one_matches(pattern->items[p], key->items[k]) &&
               slow_matches(pattern, p + 1, key, k + 1);
    size_t end = p;
    while (end < pattern->count && t3_str_is(pattern->items[end], "**"))
        end++;
    if (end == pattern->count)
        return p == 0 || k < key->count;
    for (size_t skip = k; skip <= key->count; skip++)
        if (slow_matches(pattern, end, key, skip))
            return true;
    return false;
}

static void compare_matchers(struct tears_str pattern, struct tears_str key)
{
    struct parts pattern_parts;
    struct parts key_parts;
    const bool matches = tears_sandbox_glob(pattern, key);
    if (pattern.len > SLOW_BYTES_MAX || key.len > SLOW_BYTES_MAX || pattern.len == 0 ||
        key.len == 0 || !split(pattern, &pattern_parts) || !split(key, &key_parts) ||
        pattern_parts.count == 0)
        return;
    const bool same_start = (pattern.ptr[0] == '/') == (key.ptr[0] == '/');
    check(matches == (same_start && slow_matches(&pattern_parts, 0, &key_parts, 0)));
}

/* ---- files ---- */

static tears_sandbox *sandbox_of(const struct tears_str *pattern)
{
    const struct tears_sandbox_root root = {TEARS_STR("r"), TEARS_STR("/usr/include")};
    struct tears_sandbox_options options = TEARS_SANDBOX_OPTIONS_INIT;
    tears_sandbox *sandbox = NULL;
    options.roots = &root;
    options.root_count = 1;
    options.allow_read = pattern;
    options.allow_read_count = 1;
    return tears_sandbox_new(&options, &sandbox, NULL) == TEARS_OK ? sandbox : NULL;
}

static tears_status open_key(const tears_sandbox *sandbox, struct tears_str key, bool use_openat2)
{
    struct tears_sandbox_request request = TEARS_SANDBOX_REQUEST_INIT;
    struct tears_error error = {0};
    int fd = -1;
    request.root = TEARS_STR("r");
    request.key = key;
    request.flags = TEARS_SANDBOX_OPEN_READ;
    t3_beneath_use_openat2(use_openat2);
    const tears_status status = tears_sandbox_open(sandbox, &request, &fd, &error);
    t3_beneath_use_openat2(true);
    check((fd >= 0) == (status == TEARS_OK));
    check(status == TEARS_OK || t3_str_is_utf8(tears_str_c(error.message)));
    if (fd >= 0)
        check(close(fd) == 0);
    return status;
}

static void use_files(const tears_sandbox *sandbox, struct tears_str pattern, struct tears_str key)
{
    struct tears_error error = {0};
    struct tears_owned_text path = TEARS_OWNED_TEXT_INIT;
    const tears_status status = tears_sandbox_check(sandbox, TEARS_STR("read"), key, &error);
    if (status == TEARS_OK) {
        check(key.len > 0 && key.len <= TEARS_SANDBOX_KEY_BYTES_MAX && key.ptr[0] != '/');
        check(t3_str_is_utf8(key) && memchr(key.ptr, '\0', key.len) == NULL);
        check(t3_glob_matches(pattern, key));
    } else {
        check(status == TEARS_DENIED && error.detail != 0);
    }
    const tears_status opened = open_key(sandbox, key, true);
    check(status == TEARS_OK || opened == TEARS_DENIED);
    const tears_status walked = open_key(sandbox, key, false);
    /* the walk refuses what is very deep; which of several errors a path meets first may differ */
    check((opened == TEARS_OK) == (walked == TEARS_OK) || walked == TEARS_INVALID);
    if (tears_sandbox_resolve(sandbox, TEARS_STR("r"), key, &path, NULL) == TEARS_OK)
        check(t3_str_starts(tears_owned_text_str(&path), "/usr/include"));
    tears_owned_text_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tears_str text = tears_str_n((const char *)data, size);
    const char *newline = size > 0 ? memchr(text.ptr, '\n', text.len) : NULL;
    const size_t at = newline != NULL ? (size_t)(newline - text.ptr) : size;
    const struct tears_str pattern = tears_str_n(text.ptr, at);
    const struct tears_str key = t3_str_from(text, at + 1);
    if (size > 4096)
        return 0;
    compare_matchers(pattern, key);
    tears_sandbox *sandbox = sandbox_of(&pattern);
    if (sandbox != NULL)
        use_files(sandbox, pattern, key);
    tears_sandbox_free(sandbox);
    return 0;
}
