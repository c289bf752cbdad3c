/*
 * chain_check.c -- may a row get this origin?  Asked before it is written.
 *
 * Owns:     the ids on the way, on the stack.
 * Must not know: where origins are kept.
 * Threads:  any.
 * Fails:    TEARS_INVALID on a circle, TEARS_LIMIT on too many ancestors, and as the look-up fails.
 * Begin at: tears_origin_check().
 */
#include <tears/knowledge.h>
#include <tears/value.h>

#include "base/fail.h"

static const char error_origin[] = "knowledge";

/* The row itself, and the ancestors seen so far. */
struct way {
    uint8_t ids[1 + TEARS_ORIGIN_DEPTH_MAX][16];
    size_t count;
};

static bool was_seen(const struct way *way, const uint8_t *id)
{
    for (size_t i = 0; i < way->count; i++)
        if (memcmp(way->ids[i], id, sizeof way->ids[i]) == 0)
            return true;
    return false;
}

/* Goes on to the next ancestor, if that may be one. */
static tears_status step_to(struct way *way, const uint8_t *id, struct tears_error *error_out)
{
    char text[37];
    if (was_seen(way, id)) {
        tears_uuid_text(id, text);
        return t3_fail(error_out, TEARS_INVALID, error_origin,
                       "the origins run in a circle: %s comes twice", text);
    }
    if (way->count == T3_COUNT(way->ids)) {
        tears_uuid_text(way->ids[0], text);
        return t3_fail(error_out, TEARS_LIMIT, error_origin, "%s would have more than %d ancestors",
                       text, (int)TEARS_ORIGIN_DEPTH_MAX);
    }
    memcpy(way->ids[way->count++], id, sizeof way->ids[0]);
    return TEARS_OK;
}

tears_status tears_origin_check(const uint8_t *entry_id,
                                const struct tears_optional_uuid *origin_id,
                                tears_origin_fn origin_of, void *owner,
                                struct tears_error *error_out)
{
    if (entry_id == NULL || origin_of == NULL)
        return t3_fail(error_out, TEARS_MISUSE, error_origin, "tears_origin_check: %s is NULL",
                       entry_id == NULL ? "entry_id" : "origin_of");
    struct way way = {.count = 0};
    T3_TRY(step_to(&way, entry_id, error_out));
    struct tears_optional_uuid at = {0};
    if (origin_id != NULL)
        at = *origin_id;
    while (at.is_set) {
        T3_TRY(step_to(&way, at.bytes, error_out));
        struct tears_optional_uuid next = {0};
        const tears_status status = origin_of(owner, at.bytes, &next);
        if (status != TEARS_OK)
            return t3_fail(error_out, status, error_origin, "an origin cannot be looked up");
        at = next;
    }
    return TEARS_OK;
}
