/*
 * notice_action.c -- the decision about one invalidation message.
 *
 * Owns:     nothing.
 * Knows:    codec/notice.h.
 * Must not know: where notices come from, how a cache forgets.
 * Threads:  any.
 * Fails:    never.
 * Begin at: t3_notice_decide().
 */
#include "schema/notice_action.h"

#include "base/str.h"

enum t3_notice_action t3_notice_decide(const struct t3_notice *notice,
                                       const struct t3_notice_receiver *receiver)
{
    if (notice->origin.ptr != NULL && t3_str_equal(notice->origin, receiver->origin))
        return T3_NOTICE_OWN;
    if (!receiver->table_known || !receiver->has_l1)
        return T3_NOTICE_FOREIGN;
    return notice->id_count == receiver->key_count ? T3_NOTICE_EVICT : T3_NOTICE_ARITY;
}
