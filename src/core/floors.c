/*
 * floors.c -- a small table of versions by the hashes of keys.
 *
 * Owns:     the floors of a session.
 * Must not know: the tiers.
 * Threads:  the session's.
 * Fails:    never, but for tokens; without memory or room the session reads from L3.
 * Begin at: t3_floors_allow().
 *
 * Two keys of one hash share a floor, the one set last.  Then one of them may be refused by mistake, and is read from L3; or
 * allowed by mistake, once in 2^64 pairs of keys.
 */
#include "core/floors.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "codec/text.h"

enum { CAPACITY_MIN = 64 };

struct floor {
    uint64_t hash; /* 0: a free place */
    int64_t version;
    bool was_gone;
};

struct t3_floors {
    struct floor *places;
    size_t capacity; /* a power of two, at most half used */
    size_t count;
};

/* ---- the table --------------------------------------------------------------------------------- */

/* The same in every process and on every machine.  False without memory. */
static bool hash_of(const struct tears_collection *collection, const struct t3_key *key,
                    uint64_t *hash_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (t3_key_put_l2(collection->schema, key, &text) != TEARS_OK)
        return false;
    const uint64_t hash = t3_hash(text.ptr, text.len, 0);
    *hash_out = hash != 0 ? hash : 1;
    return true;
}

/* The key's place, or the free one where it would be.  The table is not empty. */
static struct floor *place_of(const struct t3_floors *floors, uint64_t hash)
{
    size_t at = (size_t)hash & (floors->capacity - 1);
    while (floors->places[at].hash != 0 && floors->places[at].hash != hash)
        at = (at + 1) & (floors->capacity - 1);
    return &floors->places[at];
}

static const struct floor *find(const struct t3_floors *floors, uint64_t hash)
{
    if (floors == NULL)
        return NULL;
    const struct floor *floor = place_of(floors, hash);
    return floor->hash != 0 ? floor : NULL;
}

static tears_status grow(struct t3_floors *floors)
{
    struct t3_floors larger = {.capacity =
                                   floors->capacity == 0 ? CAPACITY_MIN : floors->capacity * 2};
    larger.places = t3_alloc_zero(larger.capacity, sizeof *larger.places);
    if (larger.places == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < floors->capacity; i++)
        if (floors->places[i].hash != 0)
            *place_of(&larger, floors->places[i].hash) = floors->places[i];
    t3_free(floors->places);
    floors->places = larger.places;
    floors->capacity = larger.capacity;
    return TEARS_OK;
}

static tears_status make_room(struct tears_session *session)
{
    if (session->floors == NULL) {
        session->floors = t3_alloc_zero(1, sizeof *session->floors);
        if (session->floors == NULL)
            return TEARS_NO_MEMORY;
    }
    struct t3_floors *floors = session->floors;
    return floors->count * 2 < floors->capacity ? TEARS_OK : grow(floors);
}

/* The floor of the key, made if there is none: its version is then INT64_MIN.  NULL: no memory, or no more keys are taken; then
 * the session reads what has no floor from L3. */
static struct floor *floor_for(struct tears_session *session, uint64_t hash)
{
    struct floor *floor = NULL;
    if (session->floors != NULL)
        floor = place_of(session->floors, hash);
    if (floor != NULL && floor->hash != 0)
        return floor;
    if ((session->floors != NULL && session->floors->count == T3_FLOORS_MAX) ||
        make_room(session) != TEARS_OK) {
        session->floors_are_full = true;
        return NULL;
    }
    floor = place_of(session->floors, hash);
    floor->hash = hash;
    floor->version = INT64_MIN;
    floor->was_gone = false;
    session->floors->count++;
    return floor;
}

void t3_floors_free(struct t3_floors *floors)
{
    if (floors == NULL)
        return;
    t3_free(floors->places);
    t3_free(floors);
}

/* ---- what was seen ----------------------------------------------------------------------------- */

static bool is_noted(const struct tears_session *session, const struct tears_collection *collection)
{
    return session->level == TEARS_READ_SESSION &&
           collection->schema->version_column != T3_NO_COLUMN;
}

static void set(struct tears_session *session, const struct tears_collection *collection,
                const struct t3_key *key, struct floor seen)
{
    if (!hash_of(collection, key, &seen.hash)) {
        session->floors_are_full = true;
        return;
    }
    struct floor *floor = floor_for(session, seen.hash);
    if (floor != NULL)
        *floor = seen;
}

/* A version that is NULL orders nothing. */
static int64_t version_of(const struct tears_collection *collection, const struct t3_row *row)
{
    const struct tears_schema *schema = collection->schema;
    return t3_row_is_null(row, schema->version_column) ? T3_FLOOR_UNKNOWN
                                                       : t3_schema_row_version(schema, row);
}

void t3_floors_note(struct tears_session *session, const struct tears_collection *collection,
                    const struct t3_key *key, int64_t version, bool deleted)
{
    /* a store that does not tell the deleted row's version leaves only L3 to tell a later row from it */
    const bool is_unknown = deleted && version == 0;
    const struct floor seen = {.version = is_unknown ? T3_FLOOR_UNKNOWN : version,
                               .was_gone = deleted};
    if (is_noted(session, collection))
        set(session, collection, key, seen);
}

void t3_floors_note_row(struct tears_session *session, const struct tears_collection *collection,
                        const struct t3_key *key, const struct t3_row *row)
{
    if (!is_noted(session, collection))
        return;
    const struct floor seen = {.version =
                                   row != NULL ? version_of(collection, row) : T3_FLOOR_UNKNOWN,
                               .was_gone = row == NULL};
    set(session, collection, key, seen);
}

bool t3_floors_allow(const struct tears_session *session, const struct tears_collection *collection,
                     const struct t3_key *key, const struct t3_row *row)
{
    uint64_t hash;
    if (session->floors == NULL && !session->floors_are_full)
        return true;
    if (!hash_of(collection, key, &hash))
        return false;
    const struct floor *floor = find(session->floors, hash);
    if (floor == NULL)
        return !session->floors_are_full;
    if (row == NULL)
        return floor->was_gone;
    const int64_t version = version_of(collection, row);
    return version != T3_FLOOR_UNKNOWN &&
           (version > floor->version || (version == floor->version && !floor->was_gone));
}

/* ---- tokens ------------------------------------------------------------------------------------ */

enum { TOKEN_FORMAT = 1, TOKEN_IS_FULL = 1, HEAD_BYTES = 6, FLOOR_BYTES = 18 };

/* Multiples of three: base64 of them needs no padding, whose "=" a token must not have. */
_Static_assert(HEAD_BYTES % 3 == 0 && FLOOR_BYTES % 3 == 0, "a token would need padding");

static void put_number(uint64_t number, size_t bytes, uint8_t *to)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t number_at(const uint8_t *from, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)from[i] << (8 * i);
    return number;
}

static tears_status put_floors(const struct t3_floors *floors, struct t3_buf *out)
{
    for (size_t i = 0; floors != NULL && i < floors->capacity; i++) {
        const struct floor *floor = &floors->places[i];
        uint8_t bytes[FLOOR_BYTES] = {0};
        if (floor->hash == 0)
            continue;
        put_number(floor->hash, 8, bytes);
        put_number((uint64_t)floor->version, 8, bytes + 8);
        bytes[16] = floor->was_gone;
        T3_TRY(t3_buf_put(out, tears_str_n((const char *)bytes, sizeof bytes)));
    }
    return TEARS_OK;
}

tears_status t3_floors_put_token(const struct tears_session *session, struct t3_buf *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf floors = {0};
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    if (session->floors == NULL && !session->floors_are_full)
        return TEARS_OK;
    T3_TRY(put_floors(session->floors, &floors));
    uint8_t head[HEAD_BYTES] = {TOKEN_FORMAT, session->floors_are_full ? TOKEN_IS_FULL : 0};
    put_number(t3_hash(floors.ptr, floors.len, 0), 4, head + 2);
    T3_TRY(t3_buf_put(&token, tears_str_n((const char *)head, sizeof head)));
    T3_TRY(t3_buf_put(&token, t3_buf_str(&floors)));
    return t3_base64_put(out, t3_buf_str(&token), true);
}

/* Whether the bytes are a token of this format, whole and unchanged. */
static bool is_token(const uint8_t *bytes, size_t len)
{
    if (len < HEAD_BYTES || (len - HEAD_BYTES) % FLOOR_BYTES != 0 ||
        (len - HEAD_BYTES) / FLOOR_BYTES > T3_FLOORS_MAX || bytes[0] != TOKEN_FORMAT ||
        bytes[1] > TOKEN_IS_FULL)
        return false;
    const uint64_t check = t3_hash(bytes + HEAD_BYTES, len - HEAD_BYTES, 0) & UINT32_MAX;
    if (check != number_at(bytes + 2, 4))
        return false;
    for (size_t at = HEAD_BYTES; at < len; at += FLOOR_BYTES)
        if (number_at(bytes + at, 8) == 0 || bytes[at + 16] > 1 || bytes[at + 17] != 0)
            return false;
    return true;
}

/* The higher of two floors of one key; gone at a version is later than there at it. */
static bool is_higher(const struct floor *a, const struct floor *b)
{
    return a->version > b->version || (a->version == b->version && a->was_gone && !b->was_gone);
}

/*
 * Of an absence that was only seen no version is known: beside a row, nobody can say which of the two is later, so that no cache
 * is believed.
 */
static bool is_order_unknown(const struct floor *a, const struct floor *b)
{
    return (a->version == T3_FLOOR_UNKNOWN || b->version == T3_FLOOR_UNKNOWN) &&
           a->was_gone != b->was_gone;
}

static void raise_floor(struct tears_session *session, const struct floor *given)
{
    struct floor *floor = floor_for(session, given->hash);
    if (floor == NULL)
        return;
    const bool is_new = floor->version == INT64_MIN && !floor->was_gone;
    if (!is_new && is_order_unknown(given, floor))
        *floor = (struct floor){.hash = given->hash, .version = T3_FLOOR_UNKNOWN};
    else if (is_higher(given, floor))
        *floor = *given;
}

tears_status t3_floors_take_token(struct tears_session *session, struct tears_str token)
{
    T3_AUTO(t3_buf_done) struct t3_buf decoded = {0};
    if (token.len == 0)
        return TEARS_OK;
    if (token.len > (HEAD_BYTES + (size_t)T3_FLOORS_MAX * FLOOR_BYTES) / 3 * 4)
        return TEARS_INVALID;
    T3_TRY(t3_base64_parse(&decoded, token, true));
    const uint8_t *bytes = (const uint8_t *)decoded.ptr;
    if (!is_token(bytes, decoded.len))
        return TEARS_INVALID;
    if (bytes[1] == TOKEN_IS_FULL)
        session->floors_are_full = true;
    for (size_t at = HEAD_BYTES; at < decoded.len; at += FLOOR_BYTES) {
        const struct floor given = {.hash = number_at(bytes + at, 8),
                                    .version = (int64_t)number_at(bytes + at + 8, 8),
                                    .was_gone = bytes[at + 16] == 1};
        raise_floor(session, &given);
    }
    return TEARS_OK;
}
