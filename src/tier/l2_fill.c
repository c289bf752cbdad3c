/*
 * l2_fill.c -- fills after a miss, sent and forgotten until their answer comes.
 *
 * Owns:     a table of the fills under way, with copies of their keys.
 * Must not know: what a fill means to the reader that started it.
 * Threads:  any; answers come on a thread of the NATS library.
 * Fails:    by not filling: the next reader tries again.
 * Begin at: t3_l2_fill().
 *
 * What stops a fill of an old row is the marker of the write that made it old.  In a bucket that forgets entries by age the marker is
 * gone one day; so a fill older than half that age is not made.  The other half is for the way to the server.
 *
 * A fill is marked as one (Tears-Fill) when nothing was under its key, or a fill lease over nothing.  Over anything else it may hide
 * a change from those who follow the stream, which keeps one message for a key; then it looks like a put to them.
 *
 * A fill's ticket is a number counted up; its lowest bits are its place in the table.  An answer
 * whose ticket is not the one in its place is late: that fill was forgotten.
 */
#include "tier/l2_impl.h"

#include "base/alloc.h"
#include "base/str.h"
#include "schema/row_codec.h"

struct l2_fill {
    uint64_t ticket;
    uint64_t since_ms;
    void *collection;
    int64_t version;
    struct t3_key key; /* its values and bytes are one block */
    bool is_under_way;
};

/* -- key copies ---------------------------------------------------------------------------- */

static size_t bytes_of(const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_TEXT:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_BYTES:
    case TEARS_KIND_JSON:
        return value->as.bytes.len;
    default:
        return 0;
    }
}

/* A copy in one block, freed by t3_free(values).  False without memory. */
static bool copy_key(const struct t3_key *key, struct t3_key *copy_out)
{
    const size_t values_bytes = key->count * sizeof key->values[0];
    size_t bytes = values_bytes;
    for (uint32_t i = 0; i < key->count; i++)
        bytes += bytes_of(&key->values[i]);
    struct tears_value *values = t3_alloc(bytes);
    if (values == NULL)
        return false;
    char *at = (char *)values + values_bytes;
    for (uint32_t i = 0; i < key->count; i++) {
        values[i] = key->values[i];
        const size_t len = bytes_of(&key->values[i]);
        if (len == 0)
            continue;
        memcpy(at, key->values[i].as.bytes.ptr, len);
        values[i].as.bytes.ptr = at;
        at += len;
    }
    copy_out->hash = key->hash;
    copy_out->count = key->count;
    copy_out->values = values;
    return true;
}

static void free_key(struct t3_key *key)
{
    t3_free((void *)(uintptr_t)key->values);
    key->values = NULL;
}

/* -- the table ----------------------------------------------------------------------------- */

tears_status t3_l2_fills_init(struct t3_l2 *l2)
{
    t3_mutex_init(&l2->fills.mutex);
    l2->fills.next = 1;
    l2->fills.places = t3_alloc_zero(L2_FILLS_MAX, sizeof l2->fills.places[0]);
    return l2->fills.places != NULL ? TEARS_OK : TEARS_NO_MEMORY;
}

void t3_l2_fills_done(struct t3_l2 *l2)
{
    for (size_t i = 0; l2->fills.places != NULL && i < L2_FILLS_MAX; i++)
        if (l2->fills.places[i].is_under_way)
            free_key(&l2->fills.places[i].key);
    t3_free(l2->fills.places);
    t3_mutex_done(&l2->fills.mutex);
}

/* Looks at the next few places for one that is free or overdue; *overdue_out is the key to be freed
 * then. */
static struct l2_fill *find_place_locked(struct l2_fills *fills, struct t3_key *overdue_out)
    T3_REQUIRES(fills->mutex)
{
    enum { LOOKS_MAX = 8 };
    const uint64_t now_ms = t3_now_coarse_ms();
    for (int look = 0; look < LOOKS_MAX; look++) {
        const uint64_t ticket = fills->next++;
        struct l2_fill *place = &fills->places[ticket % L2_FILLS_MAX];
        if (place->is_under_way && now_ms - place->since_ms < L2_FILL_MS_MAX)
            continue;
        if (place->is_under_way)
            *overdue_out = place->key;
        place->ticket = ticket;
        place->since_ms = now_ms;
        place->is_under_way = true;
        return place;
    }
    return NULL;
}

/* Remembers the fill; it owns the key from now on.  False when too many are under way. */
static bool remember(struct l2_fills *fills, const struct l2_fill *fill, uint64_t *ticket_out)
{
    struct t3_key overdue = {0};
    t3_lock(&fills->mutex);
    struct l2_fill *place = find_place_locked(fills, &overdue);
    if (place != NULL) {
        place->collection = fill->collection;
        place->version = fill->version;
        place->key = fill->key;
        *ticket_out = place->ticket;
    }
    t3_unlock(&fills->mutex);
    free_key(&overdue);
    return place != NULL;
}

/* Takes the fill out of the table; false when it was forgotten. */
static bool recall(struct l2_fills *fills, uint64_t ticket, struct l2_fill *fill_out)
{
    t3_lock(&fills->mutex);
    struct l2_fill *place = &fills->places[ticket % L2_FILLS_MAX];
    const bool is_it = place->is_under_way && place->ticket == ticket;
    if (is_it) {
        *fill_out = *place;
        place->is_under_way = false;
    }
    t3_unlock(&fills->mutex);
    return is_it;
}

/* -- sending and answers ------------------------------------------------------------------- */

void t3_l2_fill_answered(void *owner, uint64_t ticket, const struct t3_kv_ack *ack)
{
    struct t3_l2 *l2 = owner;
    struct l2_fill fill;
    if (!recall(&l2->fills, ticket, &fill))
        return;
    if (ack == NULL)
        t3_kv_forget_bucket(l2->kv);
    const bool was_lost = ack != NULL && ack->error == T3_JS_WRONG_REVISION;
    const bool was_stored = ack != NULL && ack->error == 0;
    if (was_lost)
        t3_l2_count(&l2->fills_lost, 1);
    if ((was_lost || was_stored) && l2->sink.filled != NULL)
        l2->sink.filled(l2->sink.owner, fill.collection, &fill.key, fill.version,
                        was_stored ? ack->revision : 0, was_lost);
    free_key(&fill.key);
}

static tears_status send_fill(struct t3_l2 *l2, const struct t3_kv_request *request,
                              uint64_t ticket)
{
    char reply_to[T3_BUS_REPLY_BYTES];
    t3_bus_reply_to(l2->bus, ticket, reply_to);
    const tears_status status = t3_kv_send(l2->kv, request, reply_to);
    return status == TEARS_INVALID ? TEARS_LIMIT : status;
}

/* Whether the marker that should stop the fill may have been forgotten. */
static bool is_too_old(struct t3_l2 *l2, uint64_t began_ms)
{
    const uint64_t age_max_ms = t3_kv_age_max_ms(l2->kv);
    return age_max_ms != 0 && t3_now_coarse_ms() - began_ms >= age_max_ms / 2;
}

/* Copies the key, remembers the fill and sends it, unless its bucket is gone. */
static tears_status start_fill(struct t3_l2 *l2, const struct t3_kv_request *request,
                               const struct t3_key *key, struct l2_fill fill, uint64_t began_ms)
{
    uint64_t ticket = 0;
    if (!copy_key(key, &fill.key))
        return TEARS_NO_MEMORY;
    if (!remember(&l2->fills, &fill, &ticket)) {
        free_key(&fill.key);
        return TEARS_LIMIT;
    }
    const tears_status status =
        began_ms < t3_l2_since_ms(l2) ? TEARS_LIMIT : send_fill(l2, request, ticket);
    if (status == TEARS_OK)
        t3_l2_count(&l2->fill_count, 1);
    else if (recall(&l2->fills, ticket, &fill))
        free_key(&fill.key);
    return status;
}

/* A lease is taken back without anyone waiting for it, or hearing whether it worked: it would run out anyway.  What is left of
 * another write's announcement under it stays in force. */
static tears_status take_back(struct t3_l2 *l2, struct t3_kv_request *request,
                              const struct l2_known *known)
{
    const bool hides_nothing = request->expected == 0 || known->hides_nothing;
    request->verb = T3_KV_DELETE;
    request->has_version = !hides_nothing || request->version != 0;
    request->is_fill = known->under_left_ms == 0;
    request->lease_ms = known->under_left_ms;
    return send_fill(l2, request, 0);
}

tears_status t3_l2_fill(struct t3_l2 *l2, const struct tears_schema *schema, void *collection,
                        const struct t3_key *key, const struct t3_row *row, int64_t version,
                        uint64_t seen, uint64_t began_ms)
{
    if (!t3_kv_is_usable(l2->kv))
        return TEARS_UNAVAILABLE;
    if (seen == UINT64_MAX || (row != NULL && is_too_old(l2, began_ms)))
        return TEARS_LIMIT;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(t3_buf_done) struct t3_buf ids = {0};
    T3_AUTO(t3_buf_done) struct t3_buf body = {0};
    struct l2_known known = {0};
    size_t start;
    T3_TRY(t3_l2_put_keys(schema, key, 1, &text, &start));
    T3_TRY(t3_l2_put_ids(schema, key, text.ptr, &ids));
    if (seen != 0)
        (void)t3_l2_recall(l2, tears_str_c(text.ptr), seen, &known);
    struct t3_kv_request request = {
        .verb = T3_KV_PUT,
        .key = text.ptr,
        .expected = seen,
        .has_version = schema->version_column != T3_NO_COLUMN,
        .version = version,
        .is_fill = seen == 0 || (known.hides_nothing && !known.is_write),
        .ids = t3_buf_str(&ids),
    };
    if (row == NULL)
        return take_back(l2, &request, &known);
    if (known.is_write && known.left_ms > 0)
        return TEARS_LIMIT; /* the row is about to change */
    T3_TRY(t3_row_encode(schema, row, &body));
    request.value = t3_buf_str(&body);
    const struct l2_fill fill = {.collection = collection, .version = version};
    return start_fill(l2, &request, key, fill, began_ms);
}
