/*
 * event_object.c -- structs as JSON objects, by tables.
 *
 * Owns:     nothing.
 * Must not know: which messages there are.
 * Threads:  any.
 * Fails:    TEARS_INVALID with the member at fault; TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_object_decode().
 *
 * Reading is strict where peers are lenient: no UUID in braces, no number in quotes, no member
 * twice.  Whoever sends such a thing means something else than he thinks.
 */
#include "knowledge/event_object.h"

#include "base/fail.h"
#include "base/str.h"
#include "codec/text.h"

#include <tears/value.h>

static const char origin[] = "knowledge.event";

enum { UUID_TEXT_LENGTH = 36 };

/* Every member is reached through its offset in the struct. */
static const void *member_at(const void *from, const struct t3_member *declared)
{
    return (const char *)from + declared->offset;
}

static void *member_of(void *into, const struct t3_member *declared)
{
    return (char *)into + declared->offset;
}

/* ---- writing --------------------------------------------------------------------------------- */

static tears_status put_uuid(struct t3_buf *out, const uint8_t *uuid)
{
    char text[UUID_TEXT_LENGTH + 1];
    tears_uuid_text(uuid, text);
    T3_TRY(t3_buf_put_char(out, '"'));
    T3_TRY(t3_buf_put(out, tears_str_n(text, UUID_TEXT_LENGTH)));
    return t3_buf_put_char(out, '"');
}

static tears_status put_optional_uuid(struct t3_buf *out, const struct tears_optional_uuid *uuid)
{
    return uuid->is_set ? put_uuid(out, uuid->bytes) : t3_buf_put(out, TEARS_STR("null"));
}

static tears_status put_text(struct t3_buf *out, const struct tears_str *text, bool is_optional)
{
    if (text->ptr == NULL && is_optional)
        return t3_buf_put(out, TEARS_STR("null"));
    return t3_json_put_string_utf8(out, *text);
}

static tears_status put_integer(struct t3_buf *out, int64_t number)
{
    char text[T3_INT_TEXT_MAX];
    const size_t len = t3_int_text(number, text);
    return t3_buf_put(out, tears_str_n(text, len));
}

static tears_status put_label(struct t3_buf *out, const char *const *labels, uint32_t number)
{
    for (uint32_t i = 0; labels[i] != NULL; i++)
        if (i == number)
            return t3_json_put_string_utf8(out, tears_str_c(labels[i]));
    return TEARS_INVALID;
}

static tears_status put_texts(struct t3_buf *out, const struct t3_texts *texts)
{
    T3_TRY(t3_buf_put_char(out, '['));
    for (size_t i = 0; i < texts->count; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put_char(out, ','));
        T3_TRY(t3_json_put_string_utf8(out, texts->ptr[i]));
    }
    return t3_buf_put_char(out, ']');
}

static tears_status put_object(struct t3_buf *out, const struct t3_json_value *object)
{
    return t3_buf_put(out, object->text.ptr != NULL ? object->text : TEARS_STR("null"));
}

static tears_status put_value(struct t3_buf *out, const struct t3_member *declared,
                              const void *member)
{
    switch (declared->type) {
    case T3_MEMBER_TEXT:
        return put_text(out, member, false);
    case T3_MEMBER_OPTIONAL_TEXT:
        return put_text(out, member, true);
    case T3_MEMBER_UUID:
        return put_uuid(out, member);
    case T3_MEMBER_OPTIONAL_UUID:
        return put_optional_uuid(out, member);
    case T3_MEMBER_INTEGER:
        return put_integer(out, *(const int64_t *)member);
    case T3_MEMBER_BOOLEAN:
        return t3_buf_put(out, *(const bool *)member ? TEARS_STR("true") : TEARS_STR("false"));
    case T3_MEMBER_LABEL:
        return put_label(out, declared->labels, *(const uint32_t *)member);
    case T3_MEMBER_TEXTS:
        return put_texts(out, member);
    case T3_MEMBER_OBJECT:
        return put_object(out, member);
    }
    return TEARS_INTERNAL;
}

static tears_status put_member(struct t3_buf *out, const struct t3_member *declared,
                               const void *member)
{
    T3_TRY(t3_json_put_string_utf8(out, tears_str_c(declared->name)));
    T3_TRY(t3_buf_put_char(out, ':'));
    return put_value(out, declared, member);
}

static tears_status fail_encode(const struct t3_object *object, const struct t3_member *declared,
                                tears_status status, struct tears_error *error_out)
{
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, status, origin, "%s: more than %d bytes", object->what,
                       (int)TEARS_DRAFT_BYTES_MAX);
    return t3_fail(error_out, status, origin, "%s: \"%s\" %s", object->what, declared->name,
                   declared->type == T3_MEMBER_LABEL ? "has a number that stands for nothing"
                                                     : "is not UTF-8");
}

tears_status t3_object_encode(const struct t3_object *object, const void *from, struct t3_buf *out,
                              struct tears_error *error_out)
{
    tears_status status = TEARS_OK;
    for (size_t i = 0; i < object->count; i++) {
        const struct t3_member *declared = &object->members[i];
        status = t3_buf_put_char(out, i == 0 ? '{' : ',');
        if (status == TEARS_OK)
            status = put_member(out, declared, member_at(from, declared));
        if (status != TEARS_OK)
            return fail_encode(object, declared, status, error_out);
    }
    status = t3_buf_put_char(out, '}');
    return status == TEARS_OK ? TEARS_OK
                              : fail_encode(object, &object->members[0], status, error_out);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct decoder {
    const struct t3_object *object;
    struct t3_json_reader reader;
    struct t3_arena *arena;
    void *into;
    uint32_t seen; /* a bit for each member */
    struct tears_error *error;
};

static tears_status refuse(const struct decoder *decoder, const struct t3_member *declared,
                           const char *why)
{
    return t3_fail(decoder->error, TEARS_INVALID, origin, "%s: \"%s\" %s", decoder->object->what,
                   declared->name, why);
}

static tears_status fail_json(const struct decoder *decoder, tears_status status)
{
    if (status == TEARS_LIMIT)
        return t3_fail(decoder->error, TEARS_INVALID, origin, "%s: nested too deeply",
                       decoder->object->what);
    return t3_fail(decoder->error, TEARS_INVALID, origin, "%s: malformed JSON at byte %zu",
                   decoder->object->what, decoder->reader.at);
}

/* The text of a string that the reader has passed, resolved, in the arena. */
static tears_status take_string(const struct decoder *decoder, struct tears_str quoted,
                                struct tears_str *text_out)
{
    char *text = t3_arena_alloc(decoder->arena, quoted.len + 1);
    if (text == NULL)
        return t3_fail_memory(decoder->error, origin);
    const size_t len = t3_json_unescape_to(quoted, text);
    T3_ASSERT(len != SIZE_MAX); /* the reader has checked it */
    text[len] = '\0';
    *text_out = tears_str_n(text, len);
    return TEARS_OK;
}

static tears_status read_text(const struct decoder *decoder, const struct t3_member *declared,
                              const struct t3_json_value *value, struct tears_str *text_out)
{
    if (value->kind != T3_JSON_STRING)
        return refuse(decoder, declared, "is not a string");
    return take_string(decoder, value->text, text_out);
}

static tears_status read_uuid(const struct decoder *decoder, const struct t3_member *declared,
                              const struct t3_json_value *value, uint8_t *uuid_out)
{
    struct tears_str text;
    if (value->kind != T3_JSON_STRING)
        return refuse(decoder, declared, "is not a string");
    T3_TRY(take_string(decoder, value->text, &text));
    if (text.len != UUID_TEXT_LENGTH || tears_uuid_parse(text, uuid_out) != TEARS_OK)
        return refuse(decoder, declared, "is not a UUID");
    return TEARS_OK;
}

static tears_status read_label(const struct decoder *decoder, const struct t3_member *declared,
                               const struct t3_json_value *value, uint32_t *number_out)
{
    struct tears_str text;
    T3_TRY(read_text(decoder, declared, value, &text));
    for (uint32_t i = 0; declared->labels[i] != NULL; i++)
        if (t3_str_is(text, declared->labels[i])) {
            *number_out = i;
            return TEARS_OK;
        }
    return refuse(decoder, declared, "is none of the words it may be");
}

/* The next element of an array that was passed once and so is well formed; false: there is none. */
static bool next_element(struct t3_json_reader *reader, bool first, struct t3_json_value *value_out)
{
    bool done = false;
    tears_status status = t3_json_element(reader, first, &done);
    if (status == TEARS_OK && !done)
        status = t3_json_value(reader, value_out);
    T3_ASSERT(status == TEARS_OK);
    return !done;
}

static struct t3_json_reader open_array(struct tears_str array)
{
    struct t3_json_reader reader = {.text = array};
    const tears_status status = t3_json_array_open(&reader);
    T3_ASSERT(status == TEARS_OK);
    return reader;
}

static size_t count_elements(struct tears_str array)
{
    struct t3_json_reader reader = open_array(array);
    struct t3_json_value element;
    size_t count = 0;
    while (next_element(&reader, count == 0, &element))
        count++;
    return count;
}

static tears_status read_texts(const struct decoder *decoder, const struct t3_member *declared,
                               const struct t3_json_value *value, struct t3_texts *texts_out)
{
    struct t3_json_value element;
    if (value->kind != T3_JSON_ARRAY)
        return refuse(decoder, declared, "is not an array");
    const size_t count = count_elements(value->text);
    struct tears_str *texts = t3_arena_array(decoder->arena, count, sizeof *texts);
    if (texts == NULL)
        return t3_fail_memory(decoder->error, origin);
    struct t3_json_reader reader = open_array(value->text);
    for (size_t i = 0; next_element(&reader, i == 0, &element); i++) {
        if (element.kind != T3_JSON_STRING)
            return refuse(decoder, declared, "holds something that is not a string");
        T3_TRY(take_string(decoder, element.text, &texts[i]));
    }
    *texts_out = (struct t3_texts){texts, count};
    return TEARS_OK;
}

static tears_status read_integer(const struct decoder *decoder, const struct t3_member *declared,
                                 const struct t3_json_value *value, int64_t *number_out)
{
    if (value->kind != T3_JSON_NUMBER || t3_int_parse(value->text, number_out) != TEARS_OK)
        return refuse(decoder, declared, "is not an integer of 64 bits");
    return TEARS_OK;
}

static tears_status read_boolean(const struct decoder *decoder, const struct t3_member *declared,
                                 const struct t3_json_value *value, bool *boolean_out)
{
    if (value->kind != T3_JSON_TRUE && value->kind != T3_JSON_FALSE)
        return refuse(decoder, declared, "is neither true nor false");
    *boolean_out = value->kind == T3_JSON_TRUE;
    return TEARS_OK;
}

static tears_status read_optional_text(const struct decoder *decoder,
                                       const struct t3_member *declared,
                                       const struct t3_json_value *value,
                                       struct tears_str *text_out)
{
    if (value->kind != T3_JSON_NULL)
        return read_text(decoder, declared, value, text_out);
    *text_out = tears_str_n(NULL, 0);
    return TEARS_OK;
}

static tears_status read_optional_uuid(const struct decoder *decoder,
                                       const struct t3_member *declared,
                                       const struct t3_json_value *value,
                                       struct tears_optional_uuid *uuid_out)
{
    struct tears_optional_uuid uuid = {0};
    if (value->kind != T3_JSON_NULL) {
        T3_TRY(read_uuid(decoder, declared, value, uuid.bytes));
        uuid.is_set = true;
    }
    *uuid_out = uuid;
    return TEARS_OK;
}

static tears_status read_object(const struct decoder *decoder, const struct t3_member *declared,
                                const struct t3_json_value *value, struct t3_json_value *object_out)
{
    if (value->kind == T3_JSON_NULL)
        return TEARS_OK;
    if (value->kind != T3_JSON_OBJECT)
        return refuse(decoder, declared, "is not an object");
    *object_out = *value;
    return TEARS_OK;
}

static tears_status read_value(const struct decoder *decoder, const struct t3_member *declared,
                               const struct t3_json_value *value)
{
    void *member = member_of(decoder->into, declared);
    switch (declared->type) {
    case T3_MEMBER_TEXT:
        return read_text(decoder, declared, value, member);
    case T3_MEMBER_OPTIONAL_TEXT:
        return read_optional_text(decoder, declared, value, member);
    case T3_MEMBER_UUID:
        return read_uuid(decoder, declared, value, member);
    case T3_MEMBER_OPTIONAL_UUID:
        return read_optional_uuid(decoder, declared, value, member);
    case T3_MEMBER_INTEGER:
        return read_integer(decoder, declared, value, member);
    case T3_MEMBER_BOOLEAN:
        return read_boolean(decoder, declared, value, member);
    case T3_MEMBER_LABEL:
        return read_label(decoder, declared, value, member);
    case T3_MEMBER_TEXTS:
        return read_texts(decoder, declared, value, member);
    case T3_MEMBER_OBJECT:
        return read_object(decoder, declared, value, member);
    }
    return TEARS_INTERNAL;
}

static tears_status read_member(struct decoder *decoder, const struct t3_json_value *name,
                                const struct t3_json_value *value)
{
    struct tears_str text = name->text;
    if (name->escaped)
        T3_TRY(take_string(decoder, name->text, &text));
    for (size_t i = 0; i < decoder->object->count; i++) {
        const struct t3_member *declared = &decoder->object->members[i];
        if (!t3_str_is(text, declared->name))
            continue;
        if ((decoder->seen >> i & 1) != 0)
            return refuse(decoder, declared, "is given twice");
        decoder->seen |= UINT32_C(1) << i;
        return read_value(decoder, declared, value);
    }
    return TEARS_OK; /* from a newer peer */
}

static tears_status read_members(struct decoder *decoder)
{
    tears_status status = t3_json_object_open(&decoder->reader);
    for (bool first = true; status == TEARS_OK; first = false) {
        struct t3_json_value name;
        struct t3_json_value value;
        bool done;
        status = t3_json_member(&decoder->reader, first, &name, &done);
        if (status != TEARS_OK || done)
            break;
        status = t3_json_value(&decoder->reader, &value);
        if (status != TEARS_OK)
            break;
        T3_TRY(read_member(decoder, &name, &value));
    }
    if (status == TEARS_OK)
        status = t3_json_end(&decoder->reader);
    return status == TEARS_OK ? TEARS_OK : fail_json(decoder, status);
}

tears_status t3_object_decode(const struct t3_object *object, struct tears_str json,
                              struct t3_arena *arena, void *into, struct tears_error *error_out)
{
    T3_ASSERT(object->count <= 32);
    struct decoder decoder = {.object = object,
                              .reader = {.text = json},
                              .arena = arena,
                              .into = into,
                              .error = error_out};
    T3_TRY(read_members(&decoder));
    for (size_t i = 0; i < object->count; i++)
        if (!object->members[i].is_optional && (decoder.seen >> i & 1) == 0)
            return refuse(&decoder, &object->members[i], "is missing");
    return TEARS_OK;
}
