/*
 * json.c -- reading JSON as a stream.
 *
 * Owns:     nothing; values point into the text.
 * Must not know: columns, rows.
 * Threads:  one per reader.
 * Fails:    TEARS_INVALID with the position in reader->at; TEARS_LIMIT when nested too deeply.
 * Begin at: t3_json_value().
 *
 * Everything that is passed is checked (grammar, UTF-8, escapes), so what a value's text holds is
 * well formed.
 */
#include "codec/json.h"

#include "base/limits.h"
#include "base/str.h"
#include "codec/json_impl.h"

_Static_assert(T3_JSON_DEPTH_MAX <= 64, "struct nesting has one bit per level");

static tears_status malformed(struct t3_json_reader *reader, size_t at)
{
    reader->at = at;
    return TEARS_INVALID;
}

static int skip_blanks(struct t3_json_reader *reader)
{
    const char *text = reader->text.ptr;
    size_t at = reader->at;
    const size_t len = reader->text.len;
    while (at < len &&
           (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r'))
        at++;
    reader->at = at;
    return at < len ? (unsigned char)text[at] : -1;
}

/* The next character that is not blank, or -1 at the end; it is not consumed. */
static inline int peek(struct t3_json_reader *reader)
{
    if (reader->at < reader->text.len && (unsigned char)reader->text.ptr[reader->at] > ' ')
        return (unsigned char)reader->text.ptr[reader->at];
    return skip_blanks(reader);
}

static tears_status expect(struct t3_json_reader *reader, char c)
{
    if (peek(reader) != (unsigned char)c)
        return TEARS_INVALID;
    reader->at++;
    return TEARS_OK;
}

/* ---- strings ------------------------------------------------------------------------------------
 */

size_t t3_json_escape(const char *at, const char *end, uint32_t *code_out)
{
    static const char shorts[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (end - at < 2)
        return 0;
    if (at[1] != 'u') {
        for (size_t i = 0; i < sizeof shorts - 1; i += 2)
            if (at[1] == shorts[i]) {
                *code_out = (unsigned char)shorts[i + 1];
                return 2;
            }
        return 0;
    }
    const uint32_t code = end - at >= 6 ? t3_hex4(at + 2) : UINT32_MAX;
    if (code > 0xffff || (code >= 0xdc00 && code <= 0xdfff))
        return 0;
    *code_out = code;
    if (code < 0xd800 || code > 0xdbff)
        return 6;
    const bool has_second = end - at >= 12 && at[6] == '\\' && at[7] == 'u';
    const uint32_t second = has_second ? t3_hex4(at + 8) : UINT32_MAX;
    if (second < 0xdc00 || second > 0xdfff)
        return 0;
    *code_out = 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
    return 12;
}

/* The first byte from `p` on that is not plain ASCII inside a string. */
static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        const uint64_t special = t3_special_bytes(t3_load_word(p));
        if (special != 0)
            return p + t3_first_byte(special);
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* Reads the string whose opening quote is next. */
static tears_status read_string(struct t3_json_reader *reader, struct t3_json_value *value)
{
    const char *base = reader->text.ptr;
    const char *end = base + reader->text.len;
    const char *start = base + reader->at + 1;
    bool escaped = false;
    const char *p = skip_plain(start, end);
    while (p < end && *p != '"') {
        size_t len;
        if (*p == '\\') {
            uint32_t code;
            len = t3_json_escape(p, end, &code);
            escaped = true;
        } else {
            len = (unsigned char)*p >= 0x20 ? t3_utf8_length(p, (size_t)(end - p)) : 0;
        }
        if (len == 0)
            return malformed(reader, (size_t)(p - base));
        p = skip_plain(p + len, end);
    }
    if (p == end)
        return malformed(reader, reader->text.len);
    value->kind = T3_JSON_STRING;
    value->text = tears_str_n(start, (size_t)(p - start));
    value->escaped = escaped;
    reader->at = (size_t)(p + 1 - base);
    return TEARS_OK;
}

/* ---- numbers and words --------------------------------------------------------------------------
 */

static bool is_digit(const struct t3_json_reader *reader, size_t at)
{
    return at < reader->text.len && reader->text.ptr[at] >= '0' && reader->text.ptr[at] <= '9';
}

static bool is_char(const struct t3_json_reader *reader, size_t at, char c)
{
    return at < reader->text.len && reader->text.ptr[at] == c;
}

static tears_status read_number(struct t3_json_reader *reader, struct t3_json_value *value)
{
    const size_t start = reader->at;
    size_t at = start + (is_char(reader, start, '-') ? 1 : 0);
    if (!is_digit(reader, at))
        return malformed(reader, at);
    if (is_char(reader, at, '0'))
        at++; /* no other digit may follow */
    else
        while (is_digit(reader, at))
            at++;
    if (is_char(reader, at, '.')) {
        if (!is_digit(reader, ++at))
            return malformed(reader, at);
        while (is_digit(reader, at))
            at++;
    }
    if (is_char(reader, at, 'e') || is_char(reader, at, 'E')) {
        at++;
        at += is_char(reader, at, '+') || is_char(reader, at, '-') ? 1 : 0;
        if (!is_digit(reader, at))
            return malformed(reader, at);
        while (is_digit(reader, at))
            at++;
    }
    value->kind = T3_JSON_NUMBER;
    value->text = tears_str_n(reader->text.ptr + start, at - start);
    reader->at = at;
    return TEARS_OK;
}

static tears_status read_word(struct t3_json_reader *reader, const char *word,
                              enum t3_json_kind kind, struct t3_json_value *value)
{
    const struct tears_str rest = t3_str_from(reader->text, reader->at);
    if (!t3_str_starts(rest, word))
        return TEARS_INVALID;
    value->kind = kind;
    value->text = tears_str_n(rest.ptr, strlen(word));
    reader->at += value->text.len;
    return TEARS_OK;
}

static tears_status read_nonfinite(struct t3_json_reader *reader, const char *word,
                                   struct t3_json_value *value)
{
    return reader->allow_nonfinite ? read_word(reader, word, T3_JSON_NUMBER, value) : TEARS_INVALID;
}

/* Reads a value that is neither array nor object; `c` is its first character. */
static tears_status read_scalar(struct t3_json_reader *reader, int c, struct t3_json_value *value)
{
    value->escaped = false;
    switch (c) {
    case '"':
        return read_string(reader, value);
    case 't':
        return read_word(reader, "true", T3_JSON_TRUE, value);
    case 'f':
        return read_word(reader, "false", T3_JSON_FALSE, value);
    case 'n':
        return read_word(reader, "null", T3_JSON_NULL, value);
    case 'N':
        return read_nonfinite(reader, "NaN", value);
    case 'I':
        return read_nonfinite(reader, "Infinity", value);
    case '-':
        if (is_char(reader, reader->at + 1, 'I'))
            return read_nonfinite(reader, "-Infinity", value);
        return read_number(reader, value);
    default:
        return c >= '0' && c <= '9' ? read_number(reader, value) : TEARS_INVALID;
    }
}

/* ---- arrays and objects -------------------------------------------------------------------------
 */

/* Where a skip is: how deep, and for each level whether it is an object. */
struct nesting {
    uint64_t objects;
    unsigned depth;
};

static bool in_object(const struct nesting *nesting)
{
    return (nesting->objects >> (nesting->depth - 1) & 1) != 0;
}

/* A member's name and its colon. */
static tears_status skip_name(struct t3_json_reader *reader)
{
    struct t3_json_value name;
    if (peek(reader) != '"')
        return TEARS_INVALID;
    T3_TRY(read_string(reader, &name));
    return expect(reader, ':');
}

/* Enters the array or object that begins here, up to its first value; *empty_out: it had none and
 * is left again. */
static tears_status open_level(struct t3_json_reader *reader, struct nesting *nesting, char opening,
                               bool *empty_out)
{
    const bool is_object = opening == '{';
    if (nesting->depth == T3_JSON_DEPTH_MAX)
        return TEARS_LIMIT;
    reader->at++;
    *empty_out = peek(reader) == (is_object ? '}' : ']');
    if (*empty_out) {
        reader->at++;
        return TEARS_OK;
    }
    const uint64_t bit = (uint64_t)1 << nesting->depth;
    nesting->objects = is_object ? nesting->objects | bit : nesting->objects & ~bit;
    nesting->depth++;
    return is_object ? skip_name(reader) : TEARS_OK;
}

/* After a value: goes up as far as levels end here, then to the next value unless all have ended.
 */
static tears_status next_in_level(struct t3_json_reader *reader, struct nesting *nesting)
{
    while (nesting->depth > 0) {
        const bool is_object = in_object(nesting);
        const int c = peek(reader);
        if (c == ',') {
            reader->at++;
            return is_object ? skip_name(reader) : TEARS_OK;
        }
        if (c != (is_object ? '}' : ']'))
            return TEARS_INVALID;
        reader->at++;
        nesting->depth--;
    }
    return TEARS_OK;
}

/* Checks and passes the array or object that begins here, without recursion. */
static tears_status skip_nested(struct t3_json_reader *reader)
{
    struct nesting nesting = {0};
    do {
        const int c = peek(reader);
        bool ended = true;
        if (c == '{' || c == '[') {
            T3_TRY(open_level(reader, &nesting, (char)c, &ended));
        } else {
            struct t3_json_value scalar;
            T3_TRY(read_scalar(reader, c, &scalar));
        }
        if (ended)
            T3_TRY(next_in_level(reader, &nesting));
    } while (nesting.depth > 0);
    return TEARS_OK;
}

/* ---- the reader ---------------------------------------------------------------------------------
 */

tears_status t3_json_value(struct t3_json_reader *reader, struct t3_json_value *value_out)
{
    const int c = peek(reader);
    if (c != '{' && c != '[')
        return read_scalar(reader, c, value_out);
    const size_t start = reader->at;
    T3_TRY(skip_nested(reader));
    value_out->kind = c == '{' ? T3_JSON_OBJECT : T3_JSON_ARRAY;
    value_out->text = tears_str_n(reader->text.ptr + start, reader->at - start);
    value_out->escaped = false;
    return TEARS_OK;
}

tears_status t3_json_object_open(struct t3_json_reader *reader)
{
    return expect(reader, '{');
}

tears_status t3_json_member(struct t3_json_reader *reader, bool first,
                            struct t3_json_value *name_out, bool *done_out)
{
    int c = peek(reader);
    *done_out = c == '}';
    if (*done_out) {
        reader->at++;
        return TEARS_OK;
    }
    if (!first) {
        if (c != ',')
            return TEARS_INVALID;
        reader->at++;
        c = peek(reader);
    }
    if (c != '"')
        return TEARS_INVALID;
    T3_TRY(read_string(reader, name_out));
    return expect(reader, ':');
}

tears_status t3_json_array_open(struct t3_json_reader *reader)
{
    return expect(reader, '[');
}

tears_status t3_json_element(struct t3_json_reader *reader, bool first, bool *done_out)
{
    const int c = peek(reader);
    *done_out = c == ']';
    if (*done_out) {
        reader->at++;
        return TEARS_OK;
    }
    return first ? TEARS_OK : expect(reader, ',');
}

tears_status t3_json_end(struct t3_json_reader *reader)
{
    return peek(reader) == -1 ? TEARS_OK : TEARS_INVALID;
}

bool t3_json_is_valid(struct tears_str text)
{
    struct t3_json_reader reader = {.text = text};
    struct t3_json_value value;
    return t3_json_value(&reader, &value) == TEARS_OK && t3_json_end(&reader) == TEARS_OK;
}

/* ---- resolving escapes --------------------------------------------------------------------------
 */

char *t3_json_put_code(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (code & 0x3f));
    return to;
}

/* Copies up to the next backslash; false when there is none any more. */
static bool copy_run(const char **from, const char *end, char **to)
{
    const char *backslash = memchr(*from, '\\', (size_t)(end - *from));
    const size_t run = (size_t)((backslash != NULL ? backslash : end) - *from);
    memcpy(*to, *from, run);
    *to += run;
    *from += run;
    return backslash != NULL;
}

size_t t3_json_unescape_to(struct tears_str text, char *to)
{
    if (text.len == 0)
        return 0;
    const char *from = text.ptr;
    const char *end = from + text.len;
    char *at = to;
    while (copy_run(&from, end, &at)) {
        uint32_t code;
        const size_t len = t3_json_escape(from, end, &code);
        if (len == 0)
            return SIZE_MAX;
        at = t3_json_put_code(at, code);
        from += len;
    }
    return (size_t)(at - to);
}

tears_status t3_json_unescape(struct tears_str text, struct t3_buf *out)
{
    T3_TRY(t3_buf_reserve(out, text.len));
    const size_t len = t3_json_unescape_to(text, out->ptr + out->len);
    if (len != SIZE_MAX)
        out->len += len;
    out->ptr[out->len] = '\0';
    return len != SIZE_MAX ? TEARS_OK : TEARS_INVALID;
}

size_t t3_json_from_ascii(struct tears_str json, char *to)
{
    if (json.len == 0)
        return 0;
    const char *from = json.ptr;
    const char *end = from + json.len;
    char *at = to;
    while (copy_run(&from, end, &at)) {
        uint32_t code;
        const size_t len = t3_json_escape(from, end, &code);
        T3_ASSERT(len > 0); /* the text is well formed */
        if (code >= 0x7f) {
            at = t3_json_put_code(at, code);
        } else {
            memcpy(at, from, len);
            at += len;
        }
        from += len;
    }
    return (size_t)(at - to);
}
