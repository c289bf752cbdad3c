/*
 * concept_name.c -- names without blanks around them, in lower case or folded.
 *
 * Owns:     nothing; keys are in the caller's arena.
 * Must not know: what is named.
 * Threads:  any.
 * Fails:    TEARS_INVALID on what is not UTF-8; TEARS_NO_MEMORY.
 * Begin at: t3_name_key().
 *
 * A key is a run of code points, not text: it is only hashed and compared.
 *
 * Lower case is that of Python's str.lower(), because peers compare so: one character for one,
 * but for a capital I with a dot, which becomes two, and a capital sigma, which depends on whether
 * a word ends there.
 *
 * Folding is Unicode's compatibility caseless match (D146): decompose, fold case, put the marks of
 * a letter in order.  A subscript iota is a mark in the first ordering and a letter in the second.
 * LIMITATIONS: where a compatibility character brings that iota along (U+037A), it comes into the
 * order later than D146 wants; such names are still the same as themselves, and as nothing else.
 */
#include "knowledge/concept_name.h"

#include "base/str.h"
#include "knowledge/concept_name_impl.h"

enum {
    CAPITAL_I_WITH_DOT = 0x130,
    DOT_ABOVE = 0x307,
    SUBSCRIPT_IOTA = 0x345,
    CAPITAL_SIGMA = 0x3a3,
    SMALL_IOTA = 0x3b9,
    FINAL_SIGMA = 0x3c2,
    HANGUL_FIRST = 0xac00,
    HANGUL_LAST = 0xd7a3
};

/* Code points in an arena. */
struct codes {
    uint32_t *at;
    size_t count;
};

/* ---- tables ---------------------------------------------------------------------------------- */

static uint32_t value_in(const struct t3_span *spans, size_t count, uint32_t code)
{
    size_t low = 0;
    while (low < count) {
        const size_t middle = low + (count - low) / 2;
        if (code > spans[middle].last)
            low = middle + 1;
        else if (code < spans[middle].first)
            count = middle;
        else
            return spans[middle].value;
    }
    return 0;
}

static uint32_t sigma_property(uint32_t code)
{
    return value_in(t3_sigma_spans, t3_sigma_spans_count, code);
}

static uint32_t combining_class(uint32_t code)
{
    return code < 0x300 ? 0 : value_in(t3_class_spans, t3_class_spans_count, code);
}

/* What the ranges make of the character: often itself. */
static uint32_t map_in(const struct t3_map_range *ranges, size_t count, uint32_t code)
{
    size_t low = 0;
    while (low < count) {
        const size_t middle = low + (count - low) / 2;
        const struct t3_map_range *range = &ranges[middle];
        if (code > range->last)
            low = middle + 1;
        else if (code < range->first)
            count = middle;
        else if ((code - range->first) % range->stride == 0)
            return (uint32_t)((int64_t)code + range->distance);
        else
            return code;
    }
    return code;
}

static const struct t3_map_sequence *find_sequence(uint32_t code)
{
    size_t low = 0;
    size_t high = t3_fold_sequences_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (t3_fold_sequences[middle].code == code)
            return &t3_fold_sequences[middle];
        if (t3_fold_sequences[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- text to code points --------------------------------------------------------------------- */

/* The character of `length` bytes, which are well formed. */
static uint32_t decode_one(const unsigned char *at, size_t length)
{
    if (length == 1)
        return at[0];
    uint32_t code = at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (at[i] & 0x3fu);
    return code;
}

static tears_status decode(struct tears_str text, struct t3_arena *arena, struct codes *out)
{
    uint32_t *codes = t3_arena_array(arena, text.len, sizeof *codes);
    if (codes == NULL)
        return TEARS_NO_MEMORY;
    size_t count = 0;
    for (size_t at = 0; at < text.len;) {
        const size_t length = t3_utf8_length(text.ptr + at, text.len - at);
        if (length == 0)
            return TEARS_INVALID;
        codes[count++] = decode_one((const unsigned char *)text.ptr + at, length);
        at += length;
    }
    *out = (struct codes){codes, count};
    return TEARS_OK;
}

/* As Python's str.isspace(). */
static bool is_blank(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20) || code == 0x85 ||
           code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

static struct codes trim(struct codes codes)
{
    while (codes.count > 0 && is_blank(codes.at[codes.count - 1]))
        codes.count--;
    while (codes.count > 0 && is_blank(codes.at[0])) {
        codes.at++;
        codes.count--;
    }
    return codes;
}

/* ---- lower case ------------------------------------------------------------------------------ */

/* Whether the sigma at `index` ends a word: a letter with case before it, and none after it. */
static bool sigma_is_final(const struct codes *codes, size_t index)
{
    size_t before = index;
    while (before > 0 && sigma_property(codes->at[before - 1]) == T3_SIGMA_PASSED_OVER)
        before--;
    if (before == 0 || sigma_property(codes->at[before - 1]) != T3_SIGMA_CASED)
        return false;
    size_t after = index + 1;
    while (after < codes->count && sigma_property(codes->at[after]) == T3_SIGMA_PASSED_OVER)
        after++;
    return after == codes->count || sigma_property(codes->at[after]) != T3_SIGMA_CASED;
}

static tears_status lower(struct codes in, struct t3_arena *arena, struct codes *out)
{
    uint32_t *codes = t3_arena_array(arena, in.count, 2 * sizeof *codes);
    if (codes == NULL)
        return TEARS_NO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < in.count; i++) {
        const uint32_t code = in.at[i];
        if (code == CAPITAL_I_WITH_DOT) {
            codes[count++] = 'i';
            codes[count++] = DOT_ABOVE;
        } else if (code == CAPITAL_SIGMA && sigma_is_final(&in, i)) {
            codes[count++] = FINAL_SIGMA;
        } else {
            codes[count++] = map_in(t3_lower_ranges, t3_lower_ranges_count, code);
        }
    }
    *out = (struct codes){codes, count};
    return TEARS_OK;
}

/* ---- folding --------------------------------------------------------------------------------- */

enum { EXPANSION_MAX = 18 }; /* U+FDFA is the longest */

/* The letters of a Hangul syllable (Unicode 3.12). */
static size_t expand_hangul(uint32_t code, uint32_t to[EXPANSION_MAX])
{
    const uint32_t syllable = code - HANGUL_FIRST;
    const uint32_t tail = syllable % 28;
    to[0] = 0x1100 + syllable / 588;
    to[1] = 0x1161 + syllable % 588 / 28;
    to[2] = 0x11a7 + tail;
    return tail != 0 ? 3 : 2;
}

static size_t expand(uint32_t code, uint32_t to[EXPANSION_MAX])
{
    if (code >= HANGUL_FIRST && code <= HANGUL_LAST)
        return expand_hangul(code, to);
    const struct t3_map_sequence *sequence = code < 0x80 ? NULL : find_sequence(code);
    if (sequence == NULL) {
        to[0] = map_in(t3_fold_ranges, t3_fold_ranges_count, code);
        return 1;
    }
    T3_ASSERT(sequence->length <= EXPANSION_MAX);
    memcpy(to, t3_fold_pool + sequence->at, sequence->length * sizeof *to);
    return sequence->length;
}

static tears_status expand_all(struct codes in, struct t3_arena *arena, struct codes *out)
{
    uint32_t one[EXPANSION_MAX];
    size_t count = 0;
    for (size_t i = 0; i < in.count; i++)
        count += expand(in.at[i], one);
    uint32_t *codes = t3_arena_array(arena, count, sizeof *codes);
    if (codes == NULL)
        return TEARS_NO_MEMORY;
    size_t at = 0;
    for (size_t i = 0; i < in.count; i++) {
        const size_t length = expand(in.at[i], one);
        memcpy(codes + at, one, length * sizeof *codes);
        at += length;
    }
    *out = (struct codes){codes, count};
    return TEARS_OK;
}

/* Orders a run of marks by class, equal ones as they were; counting, as a run may be long. */
static void order_run(uint32_t *run, size_t count, uint32_t *spare)
{
    size_t starts[256] = {0};
    size_t start = 0;
    for (size_t i = 0; i < count; i++)
        starts[combining_class(run[i])]++;
    for (size_t class = 0; class < T3_COUNT(starts); class ++) {
        const size_t members = starts[class];
        starts[class] = start;
        start += members;
    }
    memcpy(spare, run, count * sizeof *run);
    for (size_t i = 0; i < count; i++)
        run[starts[combining_class(spare[i])]++] = spare[i];
}

static void order_marks(struct codes codes, uint32_t *spare)
{
    size_t run = 0; /* where the marks began that end at i */
    for (size_t i = 0; i <= codes.count; i++) {
        if (i < codes.count && combining_class(codes.at[i]) != 0)
            continue;
        if (i - run > 1)
            order_run(codes.at + run, i - run, spare);
        run = i + 1;
    }
}

static tears_status fold(struct codes in, struct t3_arena *arena, struct codes *out)
{
    struct codes codes;
    T3_TRY(expand_all(in, arena, &codes));
    uint32_t *spare = t3_arena_array(arena, codes.count, sizeof *spare);
    if (spare == NULL)
        return TEARS_NO_MEMORY;
    order_marks(codes, spare);
    for (size_t i = 0; i < codes.count; i++)
        if (codes.at[i] == SUBSCRIPT_IOTA)
            codes.at[i] = SMALL_IOTA;
    order_marks(codes, spare);
    *out = codes;
    return TEARS_OK;
}

tears_status t3_name_key(struct tears_str name, uint64_t rule, struct t3_arena *arena,
                         struct tears_str *key_out)
{
    struct codes codes;
    struct codes key;
    T3_TRY(decode(name, arena, &codes));
    codes = trim(codes);
    T3_TRY(rule == TEARS_NAMES_FOLD ? fold(codes, arena, &key) : lower(codes, arena, &key));
    *key_out = tears_str_n((const char *)key.at, key.count * sizeof *key.at);
    return TEARS_OK;
}
