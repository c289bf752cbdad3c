/*
 * yaml.h -- YAML text as a tree of values, and where in the text each of them stands.
 *
 * Private to the YAML format: yaml_read.c makes it, yaml_scalar.c says what a word means, yaml_write.c writes values,
 * yaml_edit.c changes the text so that it means another tree.
 */
#ifndef T3_CODEC_YAML_H
#define T3_CODEC_YAML_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json_tree.h"

enum t3_yaml_kind { T3_YAML_SCALAR, T3_YAML_SEQUENCE, T3_YAML_MAPPING, T3_YAML_ALIAS };

/* A node of the text.  Positions are in bytes; `end` is behind the last character that belongs to it. */
struct t3_yaml_node {
    enum t3_yaml_kind kind;
    bool is_flow; /* a collection in brackets */
    bool is_done; /* all of it was read */
    size_t start;
    size_t end;
    size_t column;         /* of a block collection's entries */
    json_t *value;         /* the tree's */
    size_t cost;           /* nodes and text it stands for, what aliases repeat counted each time */
    unsigned depth;        /* of collections in it, itself included */
    struct tears_str name; /* as a member of a mapping */
    size_t name_start;
    size_t name_end;
    struct t3_yaml_node *first;
    struct t3_yaml_node *last;
    struct t3_yaml_node *next;
};

/* Zero is none; ended by t3_yaml_done. */
struct t3_yaml {
    struct t3_arena arena;
    json_t *value;
    struct t3_yaml_node *root; /* NULL: the text holds no value, which is null */
};

void t3_yaml_done(struct t3_yaml *yaml);

/* TEARS_INVALID, TEARS_LIMIT, TEARS_NO_MEMORY. */
tears_status t3_yaml_read(struct tears_str text, struct t3_yaml *yaml_out,
                          struct tears_error *error);

/* What a word without quotes means (YAML 1.2, core schema). */
enum t3_yaml_word {
    T3_YAML_TEXT,
    T3_YAML_NULL,
    T3_YAML_BOOL,
    T3_YAML_INT,
    T3_YAML_FLOAT,
    T3_YAML_NO_NUMBER /* infinite, not a number, or too large: JSON has none */
};
struct t3_yaml_meaning {
    enum t3_yaml_word word;
    bool boolean;
    int64_t integer;
    double number;
};
struct t3_yaml_meaning t3_yaml_resolve(struct tears_str word);

/* Appends a value on one line: words and quoted text, collections in brackets. */
tears_status t3_yaml_put_flow(const json_t *value, struct t3_buf *out);

/* Appends a value in blocks, its lines indented by `indent`; the first line is not, when `is_begun`.  Ends without a newline. */
tears_status t3_yaml_put_block(const json_t *value, size_t indent, bool is_begun,
                               struct t3_buf *out);

/* Appends a member's name. */
tears_status t3_yaml_put_name(struct tears_str name, struct t3_buf *out);

/* Whether the value has to be written on lines of its own. */
static inline bool t3_yaml_is_block(const json_t *value)
{
    return json_object_size(value) > 0 || json_array_size(value) > 0;
}

/*
 * Writes text that means `wanted`, changing what `text`, of which `yaml` was read, has different.  Whether it succeeded must
 * be found out by reading it: where anchors or unusual layout are in the way it means something else, or nothing.
 */
tears_status t3_yaml_edit(struct tears_str text, const struct t3_yaml *yaml, const json_t *wanted,
                          struct t3_buf *out);

#endif
