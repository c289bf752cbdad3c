/*
 * event_object.h -- structs as JSON objects, both ways, by one table of their members.
 */
#ifndef T3_KNOWLEDGE_EVENT_OBJECT_H
#define T3_KNOWLEDGE_EVENT_OBJECT_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

#include <tears/knowledge.h>

/* How a member stands in the struct, and in JSON. */
enum t3_member_type {
    T3_MEMBER_TEXT,          /* struct tears_str; a string */
    T3_MEMBER_OPTIONAL_TEXT, /* struct tears_str with ptr NULL; null */
    T3_MEMBER_UUID,          /* 16 bytes; 36 characters */
    T3_MEMBER_OPTIONAL_UUID, /* struct tears_optional_uuid; 36 characters or null */
    T3_MEMBER_INTEGER,       /* int64_t */
    T3_MEMBER_BOOLEAN,       /* bool */
    T3_MEMBER_LABEL,         /* uint32_t; one of the labels, by its index */
    T3_MEMBER_TEXTS,         /* struct t3_texts; an array of strings */
    T3_MEMBER_OBJECT /* struct t3_json_value, checked but not read; null is as good as absent */
};

struct t3_texts {
    const struct tears_str *ptr;
    size_t count;
};

struct t3_member {
    const char *name;
    enum t3_member_type type;
    bool is_optional; /* may be absent when read; the struct then keeps what it has */
    size_t offset;
    const char *const *labels; /* of a label, NULL at the end */
};

/* The members of one struct, in the order in which they are written. */
struct t3_object {
    const char *what; /* for messages: "draft event" */
    const struct t3_member *members;
    size_t count; /* at most 32 */
};

/*
 * Appends the object, compact.  TEARS_INVALID with the member's name (text that is not UTF-8, a
 * label that is none), TEARS_LIMIT, TEARS_NO_MEMORY.
 */
tears_status t3_object_encode(const struct t3_object *object, const void *from, struct t3_buf *out,
                              struct tears_error *error_out);

/*
 * Reads an object into the struct; what it points to is in the arena.  Members that the table does
 * not have are passed over.  TEARS_INVALID with the member's name, TEARS_NO_MEMORY.
 */
tears_status t3_object_decode(const struct t3_object *object, struct tears_str json,
                              struct t3_arena *arena, void *into, struct tears_error *error_out);

#endif
