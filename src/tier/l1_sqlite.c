/*
 * l1_sqlite.c -- the in-process tier on in-memory SQLite: entries, tickets, expiry, eviction.
 *
 * Owns:     a private database, the slots (what is known of an entry beside its cells), the
 * tickets. Knows:    l1_sqlite_table (the SQL), driver/lite. Must not know: the other tiers.
 * Threads:  any.  One mutex, a leaf, for everything but ticket().
 * Fails:    NO_MEMORY and LIMIT; the key is then not cached.
 * Begin at: sqlite_get(), sqlite_put().
 *
 * A slot's number is its entry's rowid, so what changes on every read (visited) or often (revision)
 * is one store into an array and never an UPDATE.  An entry is there when its row is there *and*
 * its slot says so: a row whose DELETE failed is dead all the same, and is overwritten when its
 * slot or its key is used again.
 *
 * Eviction.  A hand goes round the slots; an entry that was read since it last passed is spared
 * once, any other is evicted.  New entries count as not read, so a scan displaces itself first.
 *
 * Bounds.  Costs are estimated (t3_l1_sqlite_cost) and kept below bytes_max.  The pages that SQLite
 * may take are limited to bytes_max as well, so a wrong estimate leads to earlier evictions and
 * never to more memory.
 */
#include "tier/l1_sqlite_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "tier/result_lite.h"

enum {
    PAGE_BYTES = 4096,
    PAGES_MIN = 64,      /* the catalogue of a few tables */
    FULL_EVICTIONS = 16, /* entries to evict when SQLite says it is full */
    FULL_RETRIES = 64
};

static struct l1_sqlite *of(struct t3_l1 *l1)
{
    return (struct l1_sqlite *)l1;
}

/* ---- slots ---- */

static tears_status take_slot(struct l1_sqlite *l1, uint32_t *slot_out)
{
    if (l1->first_free != L1_NO_SLOT) {
        *slot_out = l1->first_free;
        l1->first_free = l1->slots[*slot_out].next_free;
        return TEARS_OK;
    }
    if (l1->slot_count == l1->slot_capacity) {
        const uint32_t capacity = l1->slot_capacity == 0 ? 64 : l1->slot_capacity * 2;
        struct l1_slot *slots = t3_resize(l1->slots, capacity * sizeof *slots);
        if (slots == NULL)
            return TEARS_NO_MEMORY;
        l1->slots = slots;
        l1->slot_capacity = capacity;
    }
    *slot_out = l1->slot_count++;
    l1->slots[*slot_out] = (struct l1_slot){0};
    return TEARS_OK;
}

static void book(struct l1_sqlite *l1, uint32_t number, const struct l1_slot *slot)
{
    l1->slots[number] = *slot;
    l1->entry_count++;
    l1->stats.bytes += slot->bytes;
    l1->stats.payload_bytes += slot->payload;
    l1->stats.rows += slot->absent ? 0 : 1;
}

/* Takes the entry out of the books; its row may still be there. */
static void unbook(struct l1_sqlite *l1, uint32_t number)
{
    struct l1_slot *slot = &l1->slots[number];
    T3_ASSERT(slot->in_use);
    l1->entry_count--;
    l1->stats.bytes -= slot->bytes;
    l1->stats.payload_bytes -= slot->payload;
    l1->stats.rows -= slot->absent ? 0 : 1;
    slot->in_use = false;
}

static void free_slot(struct l1_sqlite *l1, uint32_t number)
{
    l1->slots[number].next_free = l1->first_free;
    l1->first_free = number;
}

/* The entry is dead from here on, whether or not SQLite can delete its row. */
static void drop_slot(struct l1_sqlite *l1, uint32_t number)
{
    const uint32_t space = l1->slots[number].space;
    unbook(l1, number);
    free_slot(l1, number);
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    if (t3_l1_sqlite_statement(l1, L1_DELETE, space, 0, &stmt) != TEARS_OK)
        return;
    const struct tears_value value = tears_int(number);
    bool row;
    if (t3_lite_bind(stmt, 1, &value, &l1->scratch, NULL) == TEARS_OK)
        (void)t3_lite_step(stmt, &row, NULL);
}

static bool slot_is_used(const struct l1_sqlite *l1, uint32_t number, uint32_t space)
{
    return number < l1->slot_count && l1->slots[number].in_use && l1->slots[number].space == space;
}

static bool is_expired(const struct l1_slot *slot)
{
    return t3_now_coarse_ms() >= slot->expires_ms;
}

/* Evicts until `bytes` more fit, and at least so many entries; an empty tier ends it. */
static void make_room(struct l1_sqlite *l1, uint64_t bytes, uint32_t at_least)
{
    uint32_t evicted = 0;
    while (l1->entry_count > 0 && (l1->stats.bytes + bytes > l1->bytes_max || evicted < at_least)) {
        l1->hand = l1->hand + 1 < l1->slot_count ? l1->hand + 1 : 0;
        struct l1_slot *slot = &l1->slots[l1->hand];
        if (!slot->in_use)
            continue;
        if (slot->visited && !is_expired(slot)) {
            slot->visited = false;
            continue;
        }
        drop_slot(l1, l1->hand);
        l1->stats.evictions++;
        evicted++;
    }
}

/* t3_live(slot) in the views.  Its table need not be checked: a row is in the table of its slot's
 * space, or it is dead. */
static int64_t live_in_view(void *owner, int64_t number)
{
    const struct l1_sqlite *l1 = owner;
    if (number < 0 || number >= l1->slot_count)
        return 0;
    const struct l1_slot *slot = &l1->slots[number];
    return slot->in_use && !slot->absent && !is_expired(slot) ? 1 : 0;
}

/* ---- finding ---- */

/* Runs a statement by key.  *slot_out L1_NO_SLOT: no entry, and the statement is at no row. */
static tears_status look_up(struct l1_sqlite *l1, struct t3_lite_stmt *stmt, uint32_t space,
                            const struct t3_key *key, uint32_t *slot_out)
{
    *slot_out = L1_NO_SLOT;
    T3_TRY(t3_l1_sqlite_bind_key(l1, stmt, 1, key));
    bool found;
    T3_TRY(t3_lite_step(stmt, &found, NULL));
    if (!found)
        return TEARS_OK;
    const uint32_t number = (uint32_t)t3_lite_cell_raw(stmt, 0).as.integer;
    if (slot_is_used(l1, number, space))
        *slot_out = number;
    return TEARS_OK;
}

/* The slot of the key's entry, expired or not, or L1_NO_SLOT; also when it cannot be found out. */
static uint32_t find_slot_locked(struct l1_sqlite *l1, uint32_t space, const struct t3_key *key)
    T3_REQUIRES(l1->mutex)
{
    uint32_t slot = L1_NO_SLOT;
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    if (t3_l1_sqlite_statement(l1, L1_FIND, space, 0, &stmt) != TEARS_OK)
        return L1_NO_SLOT;
    (void)look_up(l1, stmt, space, key, &slot);
    return slot;
}

/*
 * Every call of the tier goes through these two, so that the texts bound in one call are gone
 * before the next.
 */
static void enter(struct l1_sqlite *l1)
{
    t3_lock(&l1->mutex);
    t3_arena_reset(&l1->scratch);
}

static void leave(struct l1_sqlite *l1)
{
    t3_unlock(&l1->mutex);
}

/* ---- reading ---- */

/* A cache may fail to answer; only the lack of memory is the caller's business. */
static tears_status forgiven(tears_status status)
{
    return status == TEARS_NO_MEMORY ? status : TEARS_OK;
}

static tears_status read_row(struct l1_sqlite *l1, struct t3_lite_stmt *stmt, uint32_t space,
                             struct t3_arena *arena, struct t3_row **row_out)
{
    const struct t3_layout *layout = &l1->spaces[space].schema->layout;
    struct tears_value *values = t3_arena_array(&l1->scratch, layout->count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < layout->count; i++)
        T3_TRY(t3_lite_cell(stmt, i + 1, layout->kinds[i], T3_LITE_OURS, &l1->scratch, &values[i]));
    return t3_row_new(arena, layout, values, row_out);
}

/* What get answers of a slot. */
static enum t3_l1_answer answer_of(const struct l1_slot *slot)
{
    if (is_expired(slot))
        return slot->absent ? T3_L1_MISS : T3_L1_EXPIRED;
    return slot->absent ? T3_L1_ABSENT : T3_L1_HIT;
}

/* All of the hit but the row. */
static void tell(const struct l1_slot *slot, struct t3_l1_hit *hit)
{
    hit->revision = slot->absent ? 0 : slot->revision;
    hit->confirmed_ms = slot->confirmed_ms;
    hit->expires_ms = slot->expires_ms;
    hit->now_ms = t3_now_coarse_ms();
}

/* Looks a row up; `peek`: see l1.h. */
static tears_status get_locked(struct l1_sqlite *l1, uint32_t space, const struct t3_key *key,
                               struct t3_arena *arena, bool peek, struct t3_l1_hit *hit,
                               enum t3_l1_answer *answer) T3_REQUIRES(l1->mutex)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_l1_sqlite_statement(l1, L1_GET, space, 0, &stmt));
    uint32_t number;
    T3_TRY(look_up(l1, stmt, space, key, &number));
    if (number == L1_NO_SLOT)
        return TEARS_OK;
    struct l1_slot *slot = &l1->slots[number];
    const enum t3_l1_answer found = peek && slot->absent ? T3_L1_ABSENT : answer_of(slot);
    if (found == T3_L1_HIT || found == T3_L1_EXPIRED)
        T3_TRY(read_row(l1, stmt, space, arena, &hit->row));
    tell(slot, hit);
    if (!peek && found != T3_L1_EXPIRED)
        slot->visited = true;
    *answer = found;
    return TEARS_OK;
}

static tears_status look(struct t3_l1 *base, uint32_t space, const struct t3_key *key,
                         struct t3_arena *arena, bool peek, enum t3_l1_answer *answer_out,
                         struct t3_l1_hit *hit_out)
{
    struct l1_sqlite *l1 = of(base);
    enum t3_l1_answer answer = T3_L1_MISS;
    struct t3_l1_hit hit = {0};
    enter(l1);
    const tears_status status = forgiven(get_locked(l1, space, key, arena, peek, &hit, &answer));
    leave(l1);
    T3_TRY(status);
    *answer_out = answer;
    *hit_out = hit;
    return TEARS_OK;
}

static tears_status sqlite_get(struct t3_l1 *base, uint32_t space, const struct t3_key *key,
                               struct t3_arena *arena, enum t3_l1_answer *answer_out,
                               struct t3_l1_hit *hit_out)
{
    return look(base, space, key, arena, false, answer_out, hit_out);
}

static tears_status sqlite_peek(struct t3_l1 *base, uint32_t space, const struct t3_key *key,
                                struct t3_arena *arena, enum t3_l1_answer *answer_out,
                                struct t3_l1_hit *hit_out)
{
    return look(base, space, key, arena, true, answer_out, hit_out);
}

/* The cell, its bytes copied out of SQLite's memory. */
static tears_status read_cell(struct t3_lite_stmt *stmt, uint8_t kind, struct t3_arena *arena,
                              struct tears_value *value_out)
{
    struct tears_value value;
    T3_TRY(t3_lite_cell(stmt, 1, kind, T3_LITE_OURS, arena, &value));
    const bool has_bytes = value.kind == TEARS_KIND_TEXT || value.kind == TEARS_KIND_DECIMAL ||
                           value.kind == TEARS_KIND_JSON || value.kind == TEARS_KIND_BYTES;
    if (has_bytes)
        T3_TRY(t3_arena_str(arena, value.as.bytes, &value.as.bytes));
    *value_out = value;
    return TEARS_OK;
}

/* A column of a row by key. */
struct cell_request {
    uint32_t space;
    uint32_t column;
    const struct t3_key *key;
    struct t3_arena *arena;
};

static tears_status get_cell_locked(struct l1_sqlite *l1, const struct cell_request *request,
                                    enum t3_l1_answer *answer, struct tears_value *value,
                                    struct t3_l1_hit *hit) T3_REQUIRES(l1->mutex)
{
    const uint32_t space = request->space;
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_l1_sqlite_statement(l1, L1_CELL, space, request->column, &stmt));
    uint32_t number;
    T3_TRY(look_up(l1, stmt, space, request->key, &number));
    if (number == L1_NO_SLOT)
        return TEARS_OK;
    struct l1_slot *slot = &l1->slots[number];
    const uint8_t kind = l1->spaces[space].schema->layout.kinds[request->column];
    const enum t3_l1_answer found = answer_of(slot);
    if (found == T3_L1_EXPIRED || found == T3_L1_MISS)
        return TEARS_OK;
    if (found == T3_L1_HIT)
        T3_TRY(read_cell(stmt, kind, request->arena, value));
    tell(slot, hit);
    slot->visited = true;
    *answer = found;
    return TEARS_OK;
}

static tears_status sqlite_get_cell(struct t3_l1 *base, uint32_t space, const struct t3_key *key,
                                    uint32_t column, struct t3_arena *arena,
                                    enum t3_l1_answer *answer_out, struct tears_value *value_out,
                                    struct t3_l1_hit *hit_out)
{
    struct l1_sqlite *l1 = of(base);
    const struct cell_request request = {
        .space = space, .column = column, .key = key, .arena = arena};
    enum t3_l1_answer answer = T3_L1_MISS;
    struct tears_value value = tears_null();
    struct t3_l1_hit hit = {0};
    enter(l1);
    const tears_status status = forgiven(get_cell_locked(l1, &request, &answer, &value, &hit));
    leave(l1);
    T3_TRY(status);
    if (answer == T3_L1_HIT)
        *value_out = value;
    *hit_out = hit;
    *answer_out = answer;
    return TEARS_OK;
}

static bool sqlite_contains(struct t3_l1 *base, uint32_t space, const struct t3_key *key)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    const uint32_t slot = find_slot_locked(l1, space, key);
    const bool contains = slot != L1_NO_SLOT && answer_of(&l1->slots[slot]) == T3_L1_HIT;
    leave(l1);
    return contains;
}

static uint64_t sqlite_ticket(struct t3_l1 *base, uint32_t space, const struct t3_key *key)
{
    return t3_ticket_read(&of(base)->tickets, t3_ticket_hash(space, key));
}

/* ---- keeping ---- */

/* Up to a tenth earlier than asked for, so that rows read together do not all expire together. */
static uint64_t expiry_of(struct l1_sqlite *l1, uint64_t age_ms_max)
{
    l1->random ^= l1->random << 13;
    l1->random ^= l1->random >> 7;
    l1->random ^= l1->random << 17;
    const uint64_t age = age_ms_max - (age_ms_max > 9 ? l1->random % (age_ms_max / 10) : 0);
    const uint64_t now = t3_now_coarse_ms();
    return age < UINT64_MAX - now ? now + age : UINT64_MAX;
}

/* Stores under the slot; when SQLite may not take another page, others have to go. */
static tears_status store_evicting(struct l1_sqlite *l1, uint32_t space, uint32_t slot,
                                   const struct t3_l1_put *put)
{
    tears_status status = t3_l1_sqlite_store(l1, space, slot, put);
    for (int i = 0; status == TEARS_LIMIT && l1->entry_count > 0 && i < FULL_RETRIES; i++) {
        make_room(l1, 0, FULL_EVICTIONS);
        status = t3_l1_sqlite_store(l1, space, slot, put);
    }
    return status;
}

/* Puts an entry where none is (`slot` L1_NO_SLOT) or where one was and is out of the books. */
static tears_status install(struct l1_sqlite *l1, uint32_t space, uint32_t number,
                            const struct t3_l1_put *put)
{
    const uint64_t cost = t3_l1_sqlite_cost(l1, space, put);
    const bool fits = cost <= l1->bytes_max;
    tears_status status = fits ? TEARS_OK : TEARS_LIMIT;
    if (fits)
        make_room(l1, cost, 0);
    if (fits && number == L1_NO_SLOT)
        status = take_slot(l1, &number);
    if (status == TEARS_OK)
        status = store_evicting(l1, space, number, put);
    if (status != TEARS_OK) {
        if (number != L1_NO_SLOT)
            free_slot(l1, number);
        return status == TEARS_NO_MEMORY ? status : TEARS_LIMIT;
    }
    const struct tears_schema *schema = l1->spaces[space].schema;
    const size_t payload = put->row != NULL ? t3_row_payload(put->row, &schema->layout) : 0;
    const struct l1_slot slot = {.expires_ms = expiry_of(l1, put->age_ms_max),
                                 .confirmed_ms = put->confirmed_ms,
                                 .revision = put->revision,
                                 .version = put->version,
                                 .space = space,
                                 .bytes = cost,
                                 .payload = payload,
                                 .in_use = true,
                                 .absent = put->row == NULL};
    book(l1, number, &slot);
    return TEARS_OK;
}

/* What is put was also right when the same, that is there already, was; the revision goes with the
 * moment: each is believed only because of the other. */
static void inherit_confirmed(struct t3_l1_put *put, const struct l1_slot *there, bool versioned)
{
    const bool same = there->absent
                          ? put->row == NULL
                          : versioned && put->row != NULL && there->version == put->version;
    if (!same || there->confirmed_ms <= put->confirmed_ms)
        return;
    put->confirmed_ms = there->confirmed_ms;
    put->revision = there->revision;
}

/* The rules of l1.h's put: the check and the store are one step under the mutex. */
static tears_status put_locked(struct l1_sqlite *l1, uint32_t space, const struct t3_l1_put *put)
    T3_REQUIRES(l1->mutex)
{
    const bool versioned = l1->spaces[space].schema->version_column != T3_NO_COLUMN;
    const uint64_t hash = t3_ticket_hash(space, put->key);
    const bool current = put->ticket == t3_ticket_read(&l1->tickets, hash);
    if (put->own_write)
        t3_ticket_move(&l1->tickets, hash);
    const uint32_t number = find_slot_locked(l1, space, put->key);
    const bool keeps = current || (put->own_write && versioned);
    const bool newer_there = number != L1_NO_SLOT && versioned && !l1->slots[number].absent &&
                             !is_expired(&l1->slots[number]) &&
                             l1->slots[number].version > put->version;
    if (!keeps || newer_there) {
        if (!keeps && put->own_write && number != L1_NO_SLOT)
            drop_slot(l1, number);
        l1->stats.stale_fills += put->own_write ? 0 : 1;
        return TEARS_OK;
    }
    if (number == L1_NO_SLOT)
        return install(l1, space, number, put);
    struct t3_l1_put merged = *put;
    if (current)
        inherit_confirmed(&merged, &l1->slots[number], versioned);
    unbook(l1, number); /* from here on the old row is gone, even if the new one cannot be stored */
    return install(l1, space, number, &merged);
}

static tears_status sqlite_put(struct t3_l1 *base, uint32_t space, const struct t3_l1_put *put)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    const tears_status status = put_locked(l1, space, put);
    leave(l1);
    return status;
}

static void sqlite_set_revision(struct t3_l1 *base, uint32_t space, const struct t3_key *key,
                                int64_t version, uint64_t revision)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    const uint32_t number = find_slot_locked(l1, space, key);
    if (number != L1_NO_SLOT && !l1->slots[number].absent && l1->slots[number].version == version)
        l1->slots[number].revision = revision;
    leave(l1);
}

/* Whether a slot has the row that was asked about: see l1.h's confirm. */
static bool is_row_at(const struct l1_slot *slot, bool versioned, int64_t version,
                      uint64_t revision)
{
    if (slot->absent)
        return false;
    return versioned ? slot->version == version : revision != 0 && slot->revision == revision;
}

static void sqlite_confirm(struct t3_l1 *base, uint32_t space, const struct t3_key *key,
                           int64_t version, uint64_t revision, uint64_t ticket,
                           uint64_t confirmed_ms, uint64_t age_ms_max)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    const bool versioned = l1->spaces[space].schema->version_column != T3_NO_COLUMN;
    const uint32_t number = find_slot_locked(l1, space, key);
    const bool current = ticket == t3_ticket_read(&l1->tickets, t3_ticket_hash(space, key));
    if (current && number != L1_NO_SLOT &&
        is_row_at(&l1->slots[number], versioned, version, revision)) {
        struct l1_slot *slot = &l1->slots[number];
        slot->expires_ms = expiry_of(l1, age_ms_max);
        if (confirmed_ms >= slot->confirmed_ms) {
            slot->confirmed_ms = confirmed_ms;
            slot->revision = revision;
        }
    }
    leave(l1);
}

/* ---- collecting ---- */

/* The key of the row in a slot, in the arena. */
static tears_status read_key(struct l1_sqlite *l1, uint32_t number, struct t3_arena *arena,
                             struct t3_key *key_out)
{
    const uint32_t space = l1->slots[number].space;
    const struct tears_schema *schema = l1->spaces[space].schema;
    const struct tears_value value = tears_int(number);
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_l1_sqlite_statement(l1, L1_ROW, space, 0, &stmt));
    T3_TRY(t3_lite_bind(stmt, 1, &value, &l1->scratch, NULL));
    bool found;
    T3_TRY(t3_lite_step(stmt, &found, NULL));
    if (!found)
        return TEARS_NOT_FOUND;
    struct t3_row *row;
    struct t3_key key;
    struct tears_value values[T3_KEY_COLUMNS_MAX];
    T3_TRY(read_row(l1, stmt, space, &l1->scratch, &row));
    t3_key_of_row(schema, row, values, &key);
    return t3_key_copy(&key, arena, key_out);
}

/* A row that SQLite cannot read is passed over. */
static tears_status collect_locked(struct l1_sqlite *l1, uint32_t space, uint64_t before_ms,
                                   uint64_t *cursor, struct t3_arena *arena, struct t3_key *keys,
                                   size_t max, size_t *count) T3_REQUIRES(l1->mutex)
{
    uint64_t number = *cursor;
    for (; number < l1->slot_count && *count < max; number++) {
        const struct l1_slot *slot = &l1->slots[number];
        if (!slot_is_used(l1, (uint32_t)number, space) || slot->confirmed_ms >= before_ms ||
            is_expired(slot))
            continue;
        const tears_status status = read_key(l1, (uint32_t)number, arena, &keys[*count]);
        if (status == TEARS_NO_MEMORY)
            return status;
        *count += status == TEARS_OK;
    }
    *cursor = number < l1->slot_count ? number : 0;
    return TEARS_OK;
}

static tears_status sqlite_collect(struct t3_l1 *base, uint32_t space, uint64_t before_ms,
                                   uint64_t *cursor, size_t max, struct t3_arena *arena,
                                   struct t3_key *keys_out, size_t *count_out)
{
    struct l1_sqlite *l1 = of(base);
    size_t count = 0;
    enter(l1);
    const tears_status status =
        collect_locked(l1, space, before_ms, cursor, arena, keys_out, max, &count);
    leave(l1);
    T3_TRY(status);
    *count_out = count;
    return TEARS_OK;
}

/* ---- forgetting ---- */

static void sqlite_bump(struct t3_l1 *base, uint32_t space, const struct t3_key *key)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    t3_ticket_move(&l1->tickets, t3_ticket_hash(space, key));
    /* Somebody wrote the key, so that it is absent is no longer known. */
    const uint32_t number = find_slot_locked(l1, space, key);
    if (number != L1_NO_SLOT && l1->slots[number].absent)
        drop_slot(l1, number);
    leave(l1);
}

static void sqlite_drop(struct t3_l1 *base, uint32_t space, const struct t3_key *key)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    const uint32_t number = find_slot_locked(l1, space, key);
    if (number != L1_NO_SLOT)
        drop_slot(l1, number);
    leave(l1);
}

static bool sqlite_drop_older(struct t3_l1 *base, uint32_t space, const struct t3_key *key,
                              int64_t version)
{
    struct l1_sqlite *l1 = of(base);
    bool stays = false;
    bool exact = false;
    enter(l1);
    t3_ticket_move(&l1->tickets, t3_ticket_hash(space, key));
    const uint32_t number = find_slot_locked(l1, space, key);
    if (number != L1_NO_SLOT) {
        const struct l1_slot *slot = &l1->slots[number];
        const bool versioned = l1->spaces[space].schema->version_column != T3_NO_COLUMN;
        stays = versioned && !slot->absent && slot->version >= version;
        exact = slot->version == version;
        if (!stays)
            drop_slot(l1, number);
    }
    leave(l1);
    return stays && exact;
}

static void clear_locked(struct l1_sqlite *l1, uint32_t space) T3_REQUIRES(l1->mutex)
{
    t3_tickets_move_all(&l1->tickets);
    for (uint32_t i = 0; i < l1->slot_count; i++) {
        if (!l1->slots[i].in_use || l1->slots[i].space != space)
            continue;
        unbook(l1, i);
        free_slot(l1, i);
    }
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    /* Rows that cannot be deleted for lack of memory are dead already: their slots say so. */
    if (t3_l1_sqlite_statement(l1, L1_CLEAR, space, 0, &stmt) == TEARS_OK)
        (void)t3_lite_step(stmt, &row, NULL);
}

static void sqlite_clear(struct t3_l1 *base, uint32_t space)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    clear_locked(l1, space);
    leave(l1);
}

static void sqlite_stats(struct t3_l1 *base, struct t3_l1_stats *stats_out)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    *stats_out = l1->stats;
    leave(l1);
}

/* ---- SQL ---- */

static tears_status query_locked(struct l1_sqlite *l1, const struct t3_adhoc *adhoc,
                                 struct t3_arena *arena, struct t3_result *result_out,
                                 struct tears_error *error_out) T3_REQUIRES(l1->mutex)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_adhoc_prepare(l1->conn, adhoc, &l1->scratch, &stmt, error_out));
    if (!t3_lite_is_readonly(stmt))
        return t3_fail(error_out, TEARS_DENIED, L1_SQLITE_ORIGIN,
                       "only statements that read may run over the cached rows");
    return t3_result_collect(stmt, arena, result_out, error_out);
}

tears_status t3_l1_sqlite_query(struct t3_l1 *base, const struct t3_adhoc *adhoc,
                                struct t3_arena *arena, struct t3_result *result_out,
                                struct tears_error *error_out)
{
    struct l1_sqlite *l1 = of(base);
    T3_ASSERT(t3_l1_is_sqlite(base));
    enter(l1);
    t3_lite_set_deadline(l1->conn, t3_deadline_in_ms(T3_L1_SQL_MS_MAX));
    const tears_status status = query_locked(l1, adhoc, arena, result_out, error_out);
    t3_lite_set_deadline(l1->conn, (struct t3_deadline){UINT64_MAX});
    leave(l1);
    return status;
}

/* ---- life ---- */

static tears_status add_space_locked(struct l1_sqlite *l1, const struct tears_schema *schema,
                                     struct tears_error *error_out) T3_REQUIRES(l1->mutex)
{
    if (l1->space_count == l1->space_capacity) {
        const uint32_t capacity = l1->space_capacity == 0 ? 16 : l1->space_capacity * 2;
        struct l1_space *spaces = t3_resize(l1->spaces, capacity * sizeof *spaces);
        if (spaces == NULL)
            return t3_fail_memory(error_out, L1_SQLITE_ORIGIN);
        l1->spaces = spaces;
        l1->space_capacity = capacity;
    }
    l1->spaces[l1->space_count].schema = schema;
    T3_TRY(t3_l1_sqlite_create(l1, l1->space_count, error_out));
    l1->space_count++;
    return TEARS_OK;
}

static tears_status sqlite_open_space(struct t3_l1 *base, const struct tears_schema *schema,
                                      uint32_t *space_out, struct tears_error *error_out)
{
    struct l1_sqlite *l1 = of(base);
    enter(l1);
    const tears_status status = add_space_locked(l1, schema, error_out);
    const uint32_t space = l1->space_count - 1;
    leave(l1);
    T3_TRY(status);
    *space_out = space;
    return TEARS_OK;
}

static void sqlite_free(struct t3_l1 *base)
{
    struct l1_sqlite *l1 = of(base);
    t3_lite_conn_free(l1->conn);
    t3_mutex_done(&l1->mutex);
    t3_tickets_done(&l1->tickets);
    t3_arena_done(&l1->scratch);
    t3_free(l1->spaces);
    t3_free(l1->slots);
    t3_free(l1);
}

static const struct t3_l1_ops ops = {.open_space = sqlite_open_space,
                                     .get = sqlite_get,
                                     .get_cell = sqlite_get_cell,
                                     .peek = sqlite_peek,
                                     .contains = sqlite_contains,
                                     .ticket = sqlite_ticket,
                                     .put = sqlite_put,
                                     .set_revision = sqlite_set_revision,
                                     .confirm = sqlite_confirm,
                                     .bump = sqlite_bump,
                                     .drop = sqlite_drop,
                                     .drop_older = sqlite_drop_older,
                                     .collect = sqlite_collect,
                                     .clear = sqlite_clear,
                                     .stats = sqlite_stats,
                                     .free = sqlite_free};

bool t3_l1_is_sqlite(const struct t3_l1 *l1)
{
    return l1->ops == &ops;
}

static tears_status open_database(struct l1_sqlite *l1, struct tears_error *error_out)
{
    T3_TRY(t3_lite_conn_open_memory(L1_SQLITE_ORIGIN, &l1->conn, error_out));
    l1->live = (struct t3_lite_function){.name = "t3_live", .call = live_in_view, .owner = l1};
    T3_TRY(t3_lite_add_function(l1->conn, &l1->live, error_out));
    uint64_t pages = l1->bytes_max / PAGE_BYTES;
    pages = pages < PAGES_MIN ? PAGES_MIN : pages < INT32_MAX ? pages : INT32_MAX;
    T3_AUTO(t3_buf_done) struct t3_buf pragmas = {0};
    if (t3_buf_printf(&pragmas,
                      "PRAGMA page_size=%d; PRAGMA journal_mode=MEMORY; PRAGMA max_page_count=%llu",
                      PAGE_BYTES, (unsigned long long)pages) != TEARS_OK)
        return t3_fail_memory(error_out, L1_SQLITE_ORIGIN);
    return t3_lite_exec(l1->conn, pragmas.ptr, error_out);
}

tears_status t3_l1_sqlite_new(uint64_t bytes_max, struct t3_l1 **l1_out,
                              struct tears_error *error_out)
{
    struct l1_sqlite *l1 = t3_alloc_zero(1, sizeof *l1);
    if (l1 == NULL)
        return t3_fail_memory(error_out, L1_SQLITE_ORIGIN);
    l1->base.ops = &ops;
    l1->bytes_max = bytes_max;
    l1->stats.bytes_max = bytes_max;
    l1->first_free = L1_NO_SLOT;
    l1->random = 0x9E3779B97F4A7C15u ^ t3_now_us();
    t3_mutex_init(&l1->mutex);
    tears_status status = t3_tickets_init(&l1->tickets, t3_ticket_bits(bytes_max));
    status = status == TEARS_OK ? open_database(l1, error_out)
                                : t3_fail_memory(error_out, L1_SQLITE_ORIGIN);
    if (status != TEARS_OK) {
        sqlite_free(&l1->base);
        return status;
    }
    *l1_out = &l1->base;
    return TEARS_OK;
}
