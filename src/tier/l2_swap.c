/*
 * l2_swap.c -- one write over exactly one revision, for tables that live in L2 only.
 *
 * Owns:     nothing.
 * Must not know: what the caller decides from the row.
 * Threads:  any; the arena is the caller's.
 * Fails:    TEARS_CONFLICT only when this write certainly was never stored.
 * Begin at: t3_l2_swap().
 *
 * An answer that says "stored" or "something else is there" ends it.  Without an answer the write may have happened, or may still
 * be under way.  Then what is stored is read, until the deadline:
 *   - it is what was sent, by this client: it had happened;
 *   - it is what the write was to replace: it is sent again; of two copies under way only one can win;
 *   - it is something else: it may have happened and been replaced since.  Nobody can tell, and
 *     whoever decided anew from what is there could do the same thing twice: TEARS_TIMEOUT.
 *
 * Two threads of one client may send the same bytes over the same revision, and both lose their answers.  One of
 * them was stored, and both find it.  So whoever knows that a revision is its own claims it, and who comes second has a conflict.
 */
#include "tier/l2_impl.h"

#include "base/fail.h"
#include "base/jitter.h"
#include "base/str.h"
#include "base/thread.h"
#include "schema/row_codec.h"

static const char origin[] = "l2";

enum { PAUSE_US = 20000 }; /* between two looks at a server that does not answer */

struct swapping {
    struct t3_l2 *l2;
    struct t3_l2_swap *swap;
    struct t3_kv_request write;
    struct t3_deadline deadline;
};

enum found { FOUND_OURS, FOUND_SEEN, FOUND_OTHER, NOT_FOUND_OUT };

/* -- what is there ------------------------------------------------------------------------- */

static bool is_what_was_sent(const struct t3_kv_request *write, const struct t3_kv_request *found)
{
    const bool wants_marker = write->verb == T3_KV_DELETE;
    if (!found->found_is_own || found->outcome != (wants_marker ? T3_KV_MARKER : T3_KV_VALUE))
        return false;
    if (found->found_has_version != write->has_version ||
        (write->has_version && found->found_version != write->version))
        return false;
    return wants_marker || t3_str_equal(found->found, write->value);
}

/* Reads the key; *revision_out is set for FOUND_OURS. */
static enum found look(struct swapping *swapping, uint64_t *revision_out)
{
    const struct t3_l2_swap *swap = swapping->swap;
    struct t3_kv_request read = {.verb = T3_KV_GET, .key = swapping->write.key};
    const struct t3_kv_call call = {.requests = &read, .count = 1, .deadline = swapping->deadline};
    enum found found = FOUND_OTHER;
    (void)t3_kv_run(swapping->l2->kv, &call, NULL);
    if (read.outcome == T3_KV_FAILED)
        found = NOT_FOUND_OUT;
    else if (read.revision == swap->seen) /* also nothing, where nothing was */
        found = FOUND_SEEN;
    else if (read.revision > swap->seen && is_what_was_sent(&swapping->write, &read))
        found = FOUND_OURS;
    *revision_out = read.revision;
    t3_kv_release(&read, 1);
    return found;
}

/* -- what was sent ------------------------------------------------------------------------- */

/* The revision was found to be this swap's.  False: another one has claimed it. */
static bool claim(struct t3_l2 *l2, uint64_t revision)
{
    _Atomic uint64_t *place = &l2->claims[revision % L2_CLAIMS_MAX];
    return atomic_exchange_explicit(place, revision, memory_order_relaxed) != revision;
}

static tears_status succeed(struct swapping *swapping, uint64_t revision, bool had_happened)
{
    if (!claim(swapping->l2, revision))
        return TEARS_CONFLICT;
    swapping->swap->revision = revision;
    swapping->swap->had_happened = had_happened;
    return TEARS_OK;
}

/* Sends the write.  TEARS_TIMEOUT: nobody knows whether it happened. */
static tears_status send(struct swapping *swapping)
{
    const struct t3_kv_call call = {
        .requests = &swapping->write,
        .count = 1,
        .deadline = swapping->deadline,
    };
    (void)t3_kv_run(swapping->l2->kv, &call, NULL);
    const struct t3_kv_request *write = &swapping->write;
    tears_status status = TEARS_LIMIT; /* REFUSED */
    if (write->outcome == T3_KV_STORED)
        status = succeed(swapping, write->revision, false);
    else if (write->outcome == T3_KV_RACED)
        status = TEARS_CONFLICT;
    else if (write->outcome == T3_KV_FAILED)
        status = write->status == TEARS_UNAVAILABLE ? TEARS_TIMEOUT : write->status;
    t3_kv_release(&swapping->write, 1);
    return status == TEARS_INVALID ? TEARS_LIMIT : status;
}

/* After a write without an answer.  TEARS_TIMEOUT: still not known. */
static tears_status find_out(struct swapping *swapping)
{
    while (!t3_deadline_passed(swapping->deadline)) {
        uint64_t revision = 0;
        switch (look(swapping, &revision)) {
        case FOUND_OURS:
            return succeed(swapping, revision, true);
        case FOUND_OTHER:
            return TEARS_TIMEOUT;
        case FOUND_SEEN: {
            const tears_status status = send(swapping);
            if (status != TEARS_TIMEOUT && status != TEARS_CONFLICT)
                return status; /* a conflict may be with the first copy */
            break;
        }
        case NOT_FOUND_OUT:
            t3_pause_us(PAUSE_US / 2 + t3_jitter(PAUSE_US));
            break;
        }
    }
    return TEARS_TIMEOUT;
}

static tears_status describe(tears_status status, const char *key, struct tears_error *error_out)
{
    if (status == TEARS_OK)
        return TEARS_OK;
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    if (status == TEARS_CONFLICT)
        return t3_fail(error_out, status, origin, "'%s' was changed by someone else", key);
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, status, origin, "the server does not take '%s'", key);
    if (status == TEARS_UNAVAILABLE)
        return t3_fail(error_out, status, origin, "L2 is away; '%s' was not changed", key);
    return t3_fail(error_out, status, origin, "L2 did not say whether '%s' was changed", key);
}

tears_status t3_l2_swap(struct t3_l2 *l2, const struct tears_schema *schema,
                        struct t3_l2_swap *swap, struct t3_arena *arena,
                        struct t3_deadline deadline, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(t3_buf_done) struct t3_buf ids = {0};
    T3_AUTO(t3_buf_done) struct t3_buf body = {0};
    size_t start;
    (void)arena; /* what is found is compared where it is */
    swap->had_happened = false;
    swap->revision = 0;
    tears_status status = t3_l2_put_keys(schema, swap->key, 1, &text, &start);
    if (status == TEARS_OK)
        status = t3_l2_put_ids(schema, swap->key, text.ptr, &ids);
    if (status == TEARS_OK && swap->row != NULL)
        status = t3_row_encode(schema, swap->row, &body);
    if (status != TEARS_OK)
        return describe(status == TEARS_NO_MEMORY ? status : TEARS_LIMIT,
                        text.ptr != NULL ? text.ptr : "a key", error_out);
    struct swapping swapping = {
        .l2 = l2,
        .swap = swap,
        .write = {.verb = swap->row != NULL ? T3_KV_PUT : T3_KV_DELETE,
                  .key = text.ptr,
                  .value = t3_buf_str(&body),
                  .expected = swap->seen,
                  .has_version = swap->has_version,
                  .version = swap->version,
                  .ids = t3_buf_str(&ids)},
        .deadline = deadline,
    };
    if (swap->seen == UINT64_MAX)
        return describe(TEARS_CONFLICT, text.ptr, error_out); /* that is no revision, but any */
    if (!t3_kv_is_usable(l2->kv))
        return describe(TEARS_UNAVAILABLE, text.ptr, error_out);
    status = send(&swapping);
    if (status == TEARS_TIMEOUT)
        status = find_out(&swapping);
    return describe(status, text.ptr, error_out);
}
