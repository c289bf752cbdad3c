/*
 * json.h -- reading and writing JSON text as a stream, keeping numbers as they are written.
 *
 * The row codec is built on it.  Documents (options, definitions) are jansson's business.
 */
#ifndef T3_CODEC_JSON_H
#define T3_CODEC_JSON_H

#include "base/buf.h"

enum t3_json_kind {
    T3_JSON_NULL,
    T3_JSON_TRUE,
    T3_JSON_FALSE,
    T3_JSON_NUMBER, /* text is the number as written; NaN, Infinity and -Infinity only if asked for
                     */
    T3_JSON_STRING, /* text is between the quotes, escapes not resolved */
    T3_JSON_ARRAY,  /* the opening bracket only, or the whole text when skipped */
    T3_JSON_OBJECT
};

struct t3_json_value {
    enum t3_json_kind kind;
    struct tears_str text; /* as in the input, points into it */
    bool escaped;          /* string: it contains a backslash */
};

/* A reader over text that stays where it is.  After a failure `at` is the position. */
struct t3_json_reader {
    struct tears_str text;
    size_t at;
    bool allow_nonfinite; /* the tokens NaN, Infinity, -Infinity, as Python writes them */
};

/* All give TEARS_OK or TEARS_INVALID (malformed, at reader->at), TEARS_LIMIT (deeper than
 * T3_JSON_DEPTH_MAX). */

/* Expects '{'. */
tears_status t3_json_object_open(struct t3_json_reader *reader);
/* The next member's name (not resolved), or *done_out after '}'.  `first` says whether it is the
 * first. */
tears_status t3_json_member(struct t3_json_reader *reader, bool first,
                            struct t3_json_value *name_out, bool *done_out);
tears_status t3_json_array_open(struct t3_json_reader *reader);
tears_status t3_json_element(struct t3_json_reader *reader, bool first, bool *done_out);
/* Reads one whole value of any kind; arrays and objects are checked and skipped, their text is
 * given. */
tears_status t3_json_value(struct t3_json_reader *reader, struct t3_json_value *value_out);
/* Expects nothing but blanks until the end. */
tears_status t3_json_end(struct t3_json_reader *reader);

/* Whether the text is exactly one well-formed JSON value (strict: no NaN), valid UTF-8. */
bool t3_json_is_valid(struct tears_str text);

/*
 * Appends the bytes of a string value with its escapes resolved, as UTF-8.  TEARS_INVALID for a bad
 * escape or half a surrogate pair.
 */
tears_status t3_json_unescape(struct tears_str text, struct t3_buf *out);

/* The same into memory with room for text.len bytes; the number of bytes, or SIZE_MAX where the
 * other says TEARS_INVALID. */
size_t t3_json_unescape_to(struct tears_str text, char *to);

/*
 * Appends a quoted JSON string, as Python's json.dumps writes it (ASCII only, \uXXXX lower case).
 * TEARS_INVALID when the text is not UTF-8 (part of it may have been appended), TEARS_NO_MEMORY,
 * TEARS_LIMIT.
 */
tears_status t3_json_put_string(struct t3_buf *out, struct tears_str utf8);

/* The same with only what JSON must escape: every other character stands as UTF-8. */
tears_status t3_json_put_string_utf8(struct t3_buf *out, struct tears_str utf8);

/*
 * Appends JSON text that is already well formed, with every non-ASCII character inside strings
 * written as \uXXXX (DEL too); nothing else changes, numbers least of all.  TEARS_INVALID when it
 * is not UTF-8.
 */
tears_status t3_json_put_ascii(struct t3_buf *out, struct tears_str json);

/*
 * The way back: well-formed JSON text with every \uXXXX from DEL upwards as the character itself,
 * into memory with room for json.len bytes.  The number of bytes.  (The memory is another than the
 * text's.)  So a JSONB value leaves L2 as it came out of the database.
 */
size_t t3_json_from_ascii(struct tears_str json, char *to);

/* Appends a double as Python's repr writes it; non-finite as NaN, Infinity, -Infinity. */
tears_status t3_json_put_double(struct t3_buf *out, double number);

#endif
