/*
 * notice_action.h -- what a process does with an invalidation message (spec core.md 2.5).
 */
#ifndef T3_SCHEMA_NOTICE_ACTION_H
#define T3_SCHEMA_NOTICE_ACTION_H

#include "codec/notice.h"

enum t3_notice_action {
    T3_NOTICE_EVICT,   /* the row may be cached here and is older than the notice */
    T3_NOTICE_OWN,     /* this process sent it */
    T3_NOTICE_FOREIGN, /* about a table that is not used here, or not cached */
    T3_NOTICE_ARITY    /* its number of key values is not the table's: worth a warning */
};

/* What a process knows about itself and the table that a notice names. */
struct t3_notice_receiver {
    struct tears_str origin; /* this process' own id */
    bool table_known;
    bool has_l1;
    size_t key_count; /* key columns of the table, when known */
};

enum t3_notice_action t3_notice_decide(const struct t3_notice *notice,
                                       const struct t3_notice_receiver *receiver);

#endif
