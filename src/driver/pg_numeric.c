/*
 * pg_numeric.c -- PostgreSQL's binary numeric as exact decimal text.
 *
 * Owns:     nothing.
 * Must not know: anything but the format.
 * Threads:  any.
 * Fails:    TEARS_CORRUPT, TEARS_NO_MEMORY.
 * Begin at: t3_pg_numeric_text().
 *
 *   | groups: 2 bytes | weight: 2 | sign: 2 | scale: 2 | groups of four decimal digits, 2 bytes
 * each |
 *
 * Group i stands for its value times 10000 to the power of (weight - i); groups that are not there
 * are zero.
 */
#include "driver/pg_type.h"

enum {
    NUMERIC_NEGATIVE = 0x4000,
    NUMERIC_NAN = 0xC000,
    NUMERIC_PLUS = 0xD000,
    NUMERIC_MINUS = 0xF000
};

static uint16_t read_16(const char *at)
{
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return __builtin_bswap16(word);
}

/* Digits come in groups of four; group 0 stands 4 * weight places before the point. */
struct numeric {
    int32_t group_count;
    int32_t weight;
    uint32_t sign;
    int32_t scale;
    const char *groups;
};

static tears_status numeric_read(struct tears_str cell, struct numeric *numeric_out)
{
    if (cell.len < 8)
        return TEARS_CORRUPT;
    struct numeric numeric = {.group_count = read_16(cell.ptr)};
    numeric.weight = (int16_t)read_16(cell.ptr + 2);
    numeric.sign = read_16(cell.ptr + 4);
    numeric.scale = read_16(cell.ptr + 6);
    numeric.groups = cell.ptr + 8;
    if (cell.len != 8 + 2 * (size_t)numeric.group_count)
        return TEARS_CORRUPT;
    for (int32_t i = 0; i < numeric.group_count; i++)
        if (read_16(numeric.groups + 2 * i) > 9999)
            return TEARS_CORRUPT;
    *numeric_out = numeric;
    return TEARS_OK;
}

static uint32_t numeric_group(const struct numeric *numeric, int32_t index)
{
    return index >= 0 && index < numeric->group_count ? read_16(numeric->groups + 2 * index) : 0;
}

static char *put_group(char *at, uint32_t group)
{
    at[0] = (char)('0' + group / 1000);
    at[1] = (char)('0' + group / 100 % 10);
    at[2] = (char)('0' + group / 10 % 10);
    at[3] = (char)('0' + group % 10);
    return at + 4;
}

/* The whole part without leading zeros, "0" when it is zero. */
static char *put_whole(char *at, const struct numeric *numeric)
{
    char *start = at;
    for (int32_t i = 0; i <= numeric->weight; i++) {
        at = put_group(at, numeric_group(numeric, i));
        if (start + 4 == at) { /* still the first group that may begin with zeros */
            const char *first = start;
            while (first < at && *first == '0')
                first++;
            const size_t kept = (size_t)(at - first);
            memmove(start, first, kept);
            at = start + kept;
        }
    }
    if (at == start)
        *at++ = '0';
    return at;
}

static char *put_fraction(char *at, const struct numeric *numeric)
{
    if (numeric->scale == 0)
        return at;
    *at++ = '.';
    char *end = at + numeric->scale;
    for (int32_t i = numeric->weight + 1; at < end; i++) {
        char group[4];
        put_group(group, numeric_group(numeric, i));
        const size_t wanted = end - at < 4 ? (size_t)(end - at) : 4;
        memcpy(at, group, wanted);
        at += wanted;
    }
    return at;
}

static tears_status numeric_special(uint32_t sign, struct tears_str *text_out)
{
    if (sign == NUMERIC_NAN)
        *text_out = TEARS_STR("NaN");
    else if (sign == NUMERIC_PLUS)
        *text_out = TEARS_STR("Infinity");
    else if (sign == NUMERIC_MINUS)
        *text_out = TEARS_STR("-Infinity");
    else
        return TEARS_CORRUPT;
    return TEARS_OK;
}

tears_status t3_pg_numeric_text(struct tears_str cell, struct t3_arena *arena,
                                struct tears_str *text_out)
{
    struct numeric numeric;
    T3_TRY(numeric_read(cell, &numeric));
    if (numeric.sign != 0 && numeric.sign != NUMERIC_NEGATIVE)
        return numeric_special(numeric.sign, text_out);
    const size_t whole = numeric.weight < 0 ? 1 : 4 * ((size_t)numeric.weight + 1);
    const size_t room = whole + (size_t)numeric.scale + 8; /* sign, point, NUL, one group ahead */
    char *text = t3_arena_alloc(arena, room);
    if (text == NULL)
        return TEARS_NO_MEMORY;
    char *at = text;
    if (numeric.sign == NUMERIC_NEGATIVE)
        *at++ = '-';
    at = put_whole(at, &numeric);
    at = put_fraction(at, &numeric);
    *at = '\0';
    *text_out = tears_str_n(text, (size_t)(at - text));
    return TEARS_OK;
}
