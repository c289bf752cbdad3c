/*
 * sandbox_glob.c -- matches relative paths against patterns, component by component.
 *
 * Owns:     nothing.
 * Must not know: files; it compares text.
 * Threads:  any.
 * Fails:    never; text that is not UTF-8 is matched byte by byte where it is not.
 * Begin at: t3_glob_matches().
 *
 * Both levels, the components of a path and the characters of a component, are matched in the same way: a star
 * ("**" there, "*" here) first stands for nothing; when what follows does not match, the last star
 * takes one more, and that is all the going back there is.  An earlier star need not be tried again: what it
 * could take, the later one can take too.  So the time is a product of lengths, never exponential.
 *
 * Source: spec platform.md 2.7.2, whose measured table is a test.
 */
#include "security/sandbox_glob.h"

#include "base/str.h"

/* ---- one component ----------------------------------------------------------------------------- */

/* The character at `at`, which is moved behind it; a byte that begins none counts as one. */
static struct tears_str take_character(struct tears_str text, size_t *at)
{
    const size_t len = t3_utf8_length(text.ptr + *at, text.len - *at);
    const struct tears_str character = tears_str_n(text.ptr + *at, len > 0 ? len : 1);
    *at += character.len;
    return character;
}

/* UTF-8 orders characters by their numbers. */
static bool is_between(struct tears_str low, struct tears_str character, struct tears_str high)
{
    return t3_str_compare(low, character) <= 0 && t3_str_compare(character, high) <= 0;
}

/* The content of the set whose '[' is before `at`; false when no ']' ends it. */
static bool find_set(struct tears_str pattern, size_t at, struct tears_str *set_out)
{
    size_t end = at;
    if (end < pattern.len && pattern.ptr[end] == '!')
        end++;
    if (end < pattern.len && pattern.ptr[end] == ']')
        end++;
    while (end < pattern.len && pattern.ptr[end] != ']')
        end++;
    *set_out = tears_str_n(pattern.ptr + at, end - at);
    return end < pattern.len;
}

static bool set_contains(struct tears_str set, struct tears_str character)
{
    size_t at = 0;
    while (at < set.len) {
        const struct tears_str low = take_character(set, &at);
        if (at + 1 >= set.len || set.ptr[at] != '-') {
            if (t3_str_equal(low, character))
                return true;
            continue;
        }
        at++;
        if (is_between(low, character, take_character(set, &at)))
            return true;
    }
    return false;
}

/* Whether the piece of the pattern at *at (not a star), which is then moved behind it, takes the character. */
static bool piece_takes(struct tears_str pattern, size_t *at, struct tears_str character)
{
    struct tears_str set;
    const char c = pattern.ptr[*at];
    if (c == '[' && find_set(pattern, *at + 1, &set)) {
        const bool negated = set.len > 0 && set.ptr[0] == '!';
        *at += set.len + 2;
        return set_contains(t3_str_from(set, negated ? 1 : 0), character) != negated;
    }
    if (c == '?') {
        (*at)++;
        return true;
    }
    return t3_str_equal(take_character(pattern, at), character);
}

static bool component_matches(struct tears_str pattern, struct tears_str text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* behind the last star */
    size_t star_text = 0;   /* where what follows it began to be tried */
    while (t < text.len || p < pattern.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        size_t next = t;
        if (p < pattern.len && t < text.len &&
            piece_takes(pattern, &p, take_character(text, &next))) {
            t = next;
            continue;
        }
        if (star == SIZE_MAX || star_text >= text.len)
            return false;
        (void)take_character(text, &star_text); /* the star takes one more */
        t = star_text;
        p = star;
    }
    return true;
}

/* ---- whole paths ------------------------------------------------------------------------------- */

bool t3_path_next(struct tears_str path, size_t *at, struct tears_str *component_out)
{
    while (*at < path.len) {
        size_t end = *at;
        while (end < path.len && path.ptr[end] != '/')
            end++;
        const struct tears_str component = tears_str_n(path.ptr + *at, end - *at);
        *at = end < path.len ? end + 1 : end;
        if (component.len > 0 && !t3_str_is(component, ".")) {
            *component_out = component;
            return true;
        }
    }
    return false;
}

static bool is_absolute(struct tears_str path)
{
    return path.len > 0 && path.ptr[0] == '/';
}

/* The next component of the pattern; of several "**" in a row it is the last. */
static bool pattern_next(struct tears_str pattern, size_t *at, struct tears_str *piece_out)
{
    struct tears_str ahead;
    if (!t3_path_next(pattern, at, piece_out))
        return false;
    for (size_t next = *at; t3_str_is(*piece_out, "**") && t3_path_next(pattern, &next, &ahead);) {
        if (!t3_str_is(ahead, "**"))
            break;
        *at = next;
    }
    return true;
}

/*
 * A double star at the end, behind something else, takes one component or more: what is below a
 * folder is not the folder.  Anywhere else it takes none or more.
 */
bool t3_glob_matches(struct tears_str pattern, struct tears_str key)
{
    size_t p = 0;
    size_t k = 0;
    size_t star = SIZE_MAX;
    size_t star_key = 0;
    struct tears_str piece = {NULL, 0};
    struct tears_str component = {NULL, 0};
    if (is_absolute(pattern) != is_absolute(key))
        return false;
    bool first = true;
    for (;;) {
        const bool more_pattern = pattern_next(pattern, &p, &piece);
        if (more_pattern && t3_str_is(piece, "**")) {
            size_t end = p;
            struct tears_str after;
            if (!t3_path_next(pattern, &end, &after)) /* the last piece takes all that is left */
                return first || t3_path_next(key, &k, &component);
            star = p;
            star_key = k;
            first = false;
            continue;
        }
        const bool more_key = t3_path_next(key, &k, &component);
        if (!more_pattern && !more_key)
            return !first; /* a pattern of nothing matches nothing */
        first = false;
        if (more_pattern && more_key && component_matches(piece, component))
            continue;
        if (star == SIZE_MAX || !t3_path_next(key, &star_key, &component))
            return false;
        k = star_key;
        p = star;
    }
}
