/*
 * flush_class.h -- what a failure of L3 says about the rows that were being written.  Pure.
 */
#ifndef T3_DEFERRED_FLUSH_CLASS_H
#define T3_DEFERRED_FLUSH_CLASS_H

#include "base/macros.h"

enum t3_flush_class {
    T3_FLUSH_TRANSIENT, /* nobody's fault: the same batch may pass later */
    T3_FLUSH_FK_MISSING, /* a row refers to one that is not there, or is referred to by one that still is */
    T3_FLUSH_TABLE_MISSING, /* no row of this table can be written as things are */
    T3_FLUSH_PERMANENT      /* a row of the batch will never be accepted */
};

/* The class of a call's failure; `sqlstate` "" and `message` "" when there is none. */
enum t3_flush_class t3_flush_classify(tears_status status, const char *sqlstate,
                                      const char *message);

/* Whether two transactions were in each other's way: the same batch may pass at once. */
bool t3_flush_is_contention(tears_status status, const char *sqlstate);

/* Whether the row clashes with another one, which may itself be about to go. */
bool t3_flush_is_clash(tears_status status, const char *sqlstate);

#endif
