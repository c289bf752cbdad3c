/*
 * tags.h -- small texts around SQL: command tags, kinds of statements.
 *
 * Source: spec data.md 2.3, 6.7 and 17.1.
 */
#ifndef T3_SCHEMA_TAGS_H
#define T3_SCHEMA_TAGS_H

#include "base/buf.h"

enum t3_operation {
    T3_OPERATION_SELECT, /* also everything that is none of the others */
    T3_OPERATION_INSERT,
    T3_OPERATION_UPSERT, /* an INSERT with ON CONFLICT */
    T3_OPERATION_UPDATE,
    T3_OPERATION_DELETE
};

/* The count at the end of a command tag such as "INSERT 0 3"; 0 when there is none. */
int64_t t3_tag_row_count(struct tears_str tag);

/* Appends the command tag of an operation on `row_count` rows. */
tears_status t3_tag_put(struct t3_buf *out, enum t3_operation operation, int64_t row_count);

enum t3_operation t3_operation_of(struct tears_str sql);

/* The lower-case word, as the proxied SQL messages have it. */
const char *t3_operation_name(enum t3_operation operation);

/* The operation of such a word.  TEARS_NOT_FOUND. */
tears_status t3_operation_find(struct tears_str name, enum t3_operation *operation_out);

#endif
