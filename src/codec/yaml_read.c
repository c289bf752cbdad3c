/*
 * yaml_read.c -- YAML text into values, with the place of each.
 *
 * Owns:     struct t3_yaml while it is made.
 * Knows:    base/, yaml.h, libyaml's parser, jansson.
 * Must not know: what is done with the values.
 * Threads:  any.
 * Fails:    TEARS_INVALID on what is not YAML or what JSON cannot hold; TEARS_LIMIT; TEARS_NO_MEMORY.
 * Begin at: t3_yaml_read().
 *
 * What a hostile text could do, and what stops it: nesting (T3_JSON_DEPTH_MAX, what aliases bring in counted); aliases of
 * aliases, which stand for more than memory holds (every alias costs what it stands for, and the sum is bounded); an
 * alias inside its own anchor; members given twice; words that mean no value.
 */
#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/yaml.h"

#include <yaml.h>

#define ORIGIN "format.yaml"

/* A name for a node, newest first. */
struct anchor {
    struct anchor *older;
    struct tears_str name;
    const struct t3_yaml_node *node;
};

/* A collection that is being read. */
struct frame {
    struct t3_yaml_node *node;
    size_t cost_before;
    bool has_name; /* of the member whose value comes next */
    struct tears_str name;
    size_t name_start;
    size_t name_end;
};

struct reader {
    struct t3_yaml *yaml;
    struct tears_str text;
    struct tears_error *error;
    yaml_parser_t parser;
    struct frame frames[T3_JSON_DEPTH_MAX];
    unsigned depth;
    struct anchor *anchors;
    size_t anchor_count;
    size_t cost;
    size_t
        base; /* of what libyaml gets: behind a byte order mark, which it would count as a column */
    size_t chars; /* libyaml counts characters: so many are up to the byte `bytes` */
    size_t bytes;
    unsigned documents;
};

void t3_yaml_done(struct t3_yaml *yaml)
{
    json_decref(yaml->value);
    t3_arena_done(&yaml->arena);
    memset(yaml, 0, sizeof *yaml);
}

/* ---- failures ---------------------------------------------------------------------------------- */

static tears_status refuse(const struct reader *reader, const yaml_event_t *event, const char *what)
{
    return t3_fail(reader->error, TEARS_INVALID, ORIGIN, "line %zu: %s", event->start_mark.line + 1,
                   what);
}

static tears_status too_much(const struct reader *reader, const char *what)
{
    return t3_fail(reader->error, TEARS_LIMIT, ORIGIN, "%s", what);
}

static tears_status no_memory(const struct reader *reader)
{
    return t3_fail_memory(reader->error, ORIGIN);
}

static tears_status fail_parser(const struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return no_memory(reader);
    return t3_fail(reader->error, TEARS_INVALID, ORIGIN, "line %zu: %s",
                   parser->problem_mark.line + 1,
                   parser->problem != NULL ? parser->problem : "cannot be read");
}

/* ---- places ------------------------------------------------------------------------------------ */

static bool is_inner_byte(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The byte at which a character begins.  Events come in the order of the text, so this walks it once. */
static size_t byte_of(struct reader *reader, size_t index)
{
    while (reader->chars > index && reader->bytes > reader->base) {
        reader->bytes--;
        reader->chars -= !is_inner_byte(reader->text.ptr[reader->bytes]);
    }
    while (reader->chars < index && reader->bytes < reader->text.len) {
        reader->bytes++;
        while (reader->bytes < reader->text.len && is_inner_byte(reader->text.ptr[reader->bytes]))
            reader->bytes++;
        reader->chars++;
    }
    return reader->bytes;
}

/* A block of text ends behind its last line break; what follows it begins there. */
static size_t without_breaks(const struct reader *reader, size_t start, size_t end)
{
    while (end > start && (reader->text.ptr[end - 1] == '\n' || reader->text.ptr[end - 1] == '\r'))
        end--;
    return end;
}

/* ---- nodes ------------------------------------------------------------------------------------- */

static tears_status spend(struct reader *reader, size_t cost)
{
    if (cost > T3_YAML_COST_MAX - reader->cost)
        return too_much(reader, "the document stands for too many values");
    reader->cost += cost;
    return TEARS_OK;
}

/* Takes the value, whatever happens. */
static tears_status attach_value(struct reader *reader, json_t *value)
{
    if (value == NULL)
        return no_memory(reader);
    if (reader->depth == 0) {
        reader->yaml->value = value;
        return TEARS_OK;
    }
    const struct frame *frame = &reader->frames[reader->depth - 1];
    json_t *parent = frame->node->value;
    const int rc = json_is_array(parent) ? json_array_append_new(parent, value)
                                         : json_object_setn_new_nocheck(parent, frame->name.ptr,
                                                                        frame->name.len, value);
    return rc == 0 ? TEARS_OK : no_memory(reader);
}

static void attach_node(struct reader *reader, struct t3_yaml_node *node)
{
    if (reader->depth == 0) {
        reader->yaml->root = node;
        return;
    }
    struct frame *frame = &reader->frames[reader->depth - 1];
    struct t3_yaml_node *parent = frame->node;
    node->name = frame->name;
    node->name_start = frame->name_start;
    node->name_end = frame->name_end;
    frame->has_name = false;
    if (parent->column == SIZE_MAX) /* `- ` stands before it, as a rule */
        parent->column = node->column >= 2 && node->column != SIZE_MAX ? node->column - 2 : 0;
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
}

/* A node for a value, which is taken. */
static tears_status add_node(struct reader *reader, const yaml_event_t *event,
                             enum t3_yaml_kind kind, json_t *value, struct t3_yaml_node **node_out)
{
    T3_TRY(attach_value(reader, value));
    struct t3_yaml_node *node = t3_arena_array(&reader->yaml->arena, 1, sizeof *node);
    if (node == NULL)
        return no_memory(reader);
    node->kind = kind;
    node->value = value;
    node->start = byte_of(reader, event->start_mark.index);
    node->end = without_breaks(reader, node->start, byte_of(reader, event->end_mark.index));
    node->column = event->start_mark.column;
    attach_node(reader, node);
    *node_out = node;
    return TEARS_OK;
}

/* How deep the collection is now that something `depth` deep is in it. */
static void deepen(struct reader *reader, unsigned depth)
{
    if (reader->depth == 0)
        return;
    struct t3_yaml_node *parent = reader->frames[reader->depth - 1].node;
    parent->depth = parent->depth > depth + 1 ? parent->depth : depth + 1;
}

/* ---- anchors and aliases ----------------------------------------------------------------------- */

static tears_status add_anchor(struct reader *reader, const yaml_char_t *name,
                               const struct t3_yaml_node *node)
{
    if (name == NULL)
        return TEARS_OK;
    if (++reader->anchor_count > T3_YAML_ANCHORS_MAX)
        return too_much(reader, "the document has too many anchors");
    struct anchor *anchor = t3_arena_array(&reader->yaml->arena, 1, sizeof *anchor);
    if (anchor == NULL || t3_arena_str(&reader->yaml->arena, tears_str_c((const char *)name),
                                       &anchor->name) != TEARS_OK)
        return no_memory(reader);
    anchor->node = node;
    anchor->older = reader->anchors;
    reader->anchors = anchor;
    return TEARS_OK;
}

static tears_status read_alias(struct reader *reader, const yaml_event_t *event)
{
    const struct tears_str name = tears_str_c((const char *)event->data.alias.anchor);
    const struct anchor *anchor = reader->anchors;
    struct t3_yaml_node *node = NULL;
    while (anchor != NULL && !t3_str_equal(anchor->name, name))
        anchor = anchor->older;
    if (anchor == NULL)
        return refuse(reader, event, "an alias of no anchor");
    const struct t3_yaml_node *meant = anchor->node;
    if (!meant->is_done)
        return refuse(reader, event, "an alias of what it is in");
    if (reader->depth + meant->depth > T3_JSON_DEPTH_MAX)
        return too_much(reader, "the document is nested too deeply");
    T3_TRY(spend(reader, meant->cost));
    T3_TRY(add_node(reader, event, T3_YAML_ALIAS, json_incref(meant->value), &node));
    node->is_done = true;
    deepen(reader, meant->depth);
    return TEARS_OK;
}

/* ---- scalars ----------------------------------------------------------------------------------- */

#define TAG "tag:yaml.org,2002:"

static bool tag_is(const yaml_char_t *tag, const char *name)
{
    return tag != NULL && strcmp((const char *)tag, name) == 0;
}

static bool is_any_tag(const yaml_char_t *tag)
{
    return tag_is(tag, TAG "null") || tag_is(tag, TAG "bool") || tag_is(tag, TAG "int") ||
           tag_is(tag, TAG "float");
}

static bool tag_allows(const yaml_char_t *tag, enum t3_yaml_word word)
{
    if (tag == NULL)
        return true;
    return (tag_is(tag, TAG "null") && word == T3_YAML_NULL) ||
           (tag_is(tag, TAG "bool") && word == T3_YAML_BOOL) ||
           (tag_is(tag, TAG "int") && word == T3_YAML_INT) ||
           (tag_is(tag, TAG "float") && (word == T3_YAML_FLOAT || word == T3_YAML_INT));
}

static json_t *value_of(const struct t3_yaml_meaning *meaning, const yaml_char_t *tag)
{
    switch (meaning->word) {
    case T3_YAML_BOOL:
        return json_boolean(meaning->boolean);
    case T3_YAML_INT:
        return tag_is(tag, TAG "float") ? json_real((double)meaning->integer)
                                        : json_integer(meaning->integer);
    case T3_YAML_FLOAT:
        return json_real(meaning->number);
    case T3_YAML_NULL:
    case T3_YAML_TEXT:
    case T3_YAML_NO_NUMBER:
        break;
    }
    return json_null();
}

static tears_status make_scalar(const struct reader *reader, const yaml_event_t *event,
                                json_t **value_out)
{
    const yaml_char_t *tag = event->data.scalar.tag;
    const struct tears_str text =
        tears_str_n((const char *)event->data.scalar.value, event->data.scalar.length);
    const bool is_word = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    const bool is_text = tag_is(tag, "!") || tag_is(tag, TAG "str") || (tag == NULL && !is_word);
    if (!is_text && tag != NULL && !is_any_tag(tag))
        return refuse(reader, event, "a tag that is not known here");
    const struct t3_yaml_meaning meaning = t3_yaml_resolve(text);
    if (!is_text && meaning.word == T3_YAML_NO_NUMBER)
        return refuse(reader, event, "a number that does not fit, or is none");
    if (is_text || (tag == NULL && meaning.word == T3_YAML_TEXT)) {
        *value_out = json_stringn(text.ptr, text.len); /* libyaml has checked that it is UTF-8 */
        return TEARS_OK;
    }
    if (!tag_allows(tag, meaning.word))
        return refuse(reader, event, "a value that is not what its tag says");
    *value_out = value_of(&meaning, tag);
    return TEARS_OK;
}

/* The name of a member, whatever the word would mean as a value. */
static tears_status read_name(struct reader *reader, const yaml_event_t *event)
{
    struct frame *frame = &reader->frames[reader->depth - 1];
    const struct tears_str name =
        tears_str_n((const char *)event->data.scalar.value, event->data.scalar.length);
    if (name.len > 0 && memchr(name.ptr, '\0', name.len) != NULL)
        return refuse(reader, event, "a member's name with a NUL in it");
    if (t3_arena_str(&reader->yaml->arena, name, &frame->name) != TEARS_OK)
        return no_memory(reader);
    if (json_object_getn(frame->node->value, frame->name.ptr, frame->name.len) != NULL)
        return refuse(reader, event, "a member is given twice");
    frame->name_start = byte_of(reader, event->start_mark.index);
    frame->name_end = byte_of(reader, event->end_mark.index);
    if (frame->node->column == SIZE_MAX)
        frame->node->column = event->start_mark.column;
    frame->has_name = true;
    return spend(reader, 1 + name.len / 64);
}

/* A name is due where a mapping has none for its next value. */
static bool is_name_due(const struct reader *reader)
{
    return reader->depth > 0 && reader->frames[reader->depth - 1].node->kind == T3_YAML_MAPPING &&
           !reader->frames[reader->depth - 1].has_name;
}

static tears_status read_scalar(struct reader *reader, const yaml_event_t *event)
{
    json_t *value = NULL;
    struct t3_yaml_node *node = NULL;
    if (is_name_due(reader)) {
        if (event->data.scalar.anchor != NULL)
            return refuse(reader, event, "an anchor of a member's name");
        return read_name(reader, event);
    }
    const size_t cost = 1 + event->data.scalar.length / 64;
    T3_TRY(spend(reader, cost));
    T3_TRY(make_scalar(reader, event, &value));
    T3_TRY(add_node(reader, event, T3_YAML_SCALAR, value, &node));
    node->cost = cost;
    node->is_done = true;
    deepen(reader, 0);
    return add_anchor(reader, event->data.scalar.anchor, node);
}

/* ---- collections ------------------------------------------------------------------------------- */

/* What the start of a sequence and of a mapping have in common. */
struct opening {
    enum t3_yaml_kind kind;
    bool is_flow;
    const yaml_char_t *anchor;
    const yaml_char_t *tag;
    const char *own_tag;
};

static tears_status open_collection(struct reader *reader, const yaml_event_t *event,
                                    const struct opening *opening)
{
    struct t3_yaml_node *node = NULL;
    if (is_name_due(reader))
        return refuse(reader, event, "a collection as a member's name");
    if (opening->tag != NULL && !tag_is(opening->tag, "!") &&
        !tag_is(opening->tag, opening->own_tag))
        return refuse(reader, event, "a tag that is not known here");
    if (reader->depth == T3_JSON_DEPTH_MAX)
        return too_much(reader, "the document is nested too deeply");
    const size_t cost_before = reader->cost;
    T3_TRY(spend(reader, 1));
    json_t *value = opening->kind == T3_YAML_MAPPING ? json_object() : json_array();
    T3_TRY(add_node(reader, event, opening->kind, value, &node));
    node->is_flow = opening->is_flow;
    node->depth = 1;
    if (opening->anchor != NULL || opening->tag != NULL) /* which stand before its first entry */
        node->column = SIZE_MAX;
    struct frame *frame = &reader->frames[reader->depth++];
    memset(frame, 0, sizeof *frame);
    frame->node = node;
    frame->cost_before = cost_before;
    return add_anchor(reader, opening->anchor, node);
}

static void close_collection(struct reader *reader, const yaml_event_t *event)
{
    const struct frame *frame = &reader->frames[--reader->depth];
    struct t3_yaml_node *node = frame->node;
    if (node->is_flow)
        node->end = byte_of(reader, event->end_mark.index);
    else if (node->last != NULL)
        node->end = node->last->end; /* libyaml's mark is behind the comments that follow */
    node->cost = reader->cost - frame->cost_before;
    node->is_done = true;
    deepen(reader, node->depth);
}

static tears_status open_sequence(struct reader *reader, const yaml_event_t *event)
{
    const struct opening opening = {
        .kind = T3_YAML_SEQUENCE,
        .is_flow = event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE,
        .anchor = event->data.sequence_start.anchor,
        .tag = event->data.sequence_start.tag,
        .own_tag = TAG "seq",
    };
    return open_collection(reader, event, &opening);
}

static tears_status open_mapping(struct reader *reader, const yaml_event_t *event)
{
    const struct opening opening = {
        .kind = T3_YAML_MAPPING,
        .is_flow = event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE,
        .anchor = event->data.mapping_start.anchor,
        .tag = event->data.mapping_start.tag,
        .own_tag = TAG "map",
    };
    return open_collection(reader, event, &opening);
}

/* ---- the document ------------------------------------------------------------------------------ */

static tears_status read_event(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++reader->documents == 1 ? TEARS_OK
                                        : refuse(reader, event, "a second document begins");
    case YAML_ALIAS_EVENT:
        return is_name_due(reader) ? refuse(reader, event, "an alias as a member's name")
                                   : read_alias(reader, event);
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_sequence(reader, event);
    case YAML_MAPPING_START_EVENT:
        return open_mapping(reader, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_collection(reader, event);
        return TEARS_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return TEARS_OK;
}

static tears_status read_events(struct reader *reader)
{
    for (bool is_over = false; !is_over;) {
        yaml_event_t event;
        if (yaml_parser_parse(&reader->parser, &event) != 1)
            return fail_parser(reader);
        is_over = event.type == YAML_STREAM_END_EVENT;
        const tears_status status = read_event(reader, &event);
        yaml_event_delete(&event);
        T3_TRY(status);
    }
    if (reader->yaml->value == NULL)
        reader->yaml->value = json_null();
    return TEARS_OK;
}

tears_status t3_yaml_read(struct tears_str text, struct t3_yaml *yaml_out,
                          struct tears_error *error)
{
    struct reader reader = {.yaml = yaml_out, .text = text, .error = error};
    memset(yaml_out, 0, sizeof *yaml_out);
    if (text.len > T3_YAML_BYTES_MAX)
        return t3_fail(error, TEARS_LIMIT, ORIGIN, "the document has %zu bytes; the limit is %d",
                       text.len, T3_YAML_BYTES_MAX);
    if (yaml_parser_initialize(&reader.parser) != 1)
        return t3_fail_memory(error, ORIGIN);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    reader.base = t3_str_starts(text, "\xef\xbb\xbf") ? 3 : 0;
    reader.bytes = reader.base;
    const struct tears_str rest = t3_str_from(text, reader.base);
    yaml_parser_set_input_string(&reader.parser,
                                 (const unsigned char *)(rest.len > 0 ? rest.ptr : ""), rest.len);
    const tears_status status = read_events(&reader);
    yaml_parser_delete(&reader.parser);
    if (status != TEARS_OK)
        t3_yaml_done(yaml_out);
    return status;
}
