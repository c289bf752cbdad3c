/*
 * explain.c -- what each tier holds of one row, and whether that can be right.
 *
 * Owns:     nothing; what it gives is the session's.
 * Knows:    which tier may contradict which.
 * Must not know: JSON, SQL, NATS.
 * Threads:  the session's.
 * Fails:    TEARS_INVALID (key), TEARS_NO_MEMORY; a tier that cannot be asked is part of the answer.
 * Begin at: tears_explain().
 *
 * The tiers are asked one after the other, so a write in between can make them look different.  What disagrees is therefore
 * looked at a second time, and only what disagrees then as well is said to.
 */
#include "core/core.h"

#include "base/fail.h"
#include "base/hash.h"
#include "core/correct.h"
#include "core/defer.h"
#include "core/freshness.h"
#include "core/repair.h"
#include "core/status.h"

enum { LOOKS = 2, HASH_DIGITS = 16 };

struct look {
    struct tears_session *session;
    struct tears_collection *collection;
    struct t3_key key;
    struct tears_explanation *out;
};

/* ---- texts -------------------------------------------------------------------------------- */

static tears_status keep(const struct look *look, const struct t3_buf *text,
                         struct tears_str *kept_out)
{
    return t3_session_status(look->session,
                             t3_arena_str(&look->session->arena, t3_buf_str(text), kept_out));
}

static uint64_t hash_value(const struct tears_value *value, uint64_t seed)
{
    switch (value->kind) {
    case TEARS_KIND_NULL:
        return t3_hash("", 0, seed + 1);
    case TEARS_KIND_BOOL:
        return t3_hash(&value->as.boolean, sizeof value->as.boolean, seed);
    case TEARS_KIND_UUID:
        return t3_hash(value->as.uuid, sizeof value->as.uuid, seed);
    case TEARS_KIND_DOUBLE:
        return t3_hash(&value->as.number, sizeof value->as.number, seed);
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
        return t3_hash(&value->as.integer, sizeof value->as.integer, seed);
    case TEARS_KIND_VECTOR:
        return t3_hash(value->as.vector.ptr, value->as.vector.len * sizeof(double), seed);
    default:
        return t3_hash(value->as.bytes.ptr, value->as.bytes.len, seed);
    }
}

/* Of the cells, not of the block: what pads it says nothing. */
static tears_status put_row(const struct look *look, const struct t3_row *row,
                            struct tears_copy *copy)
{
    const struct tears_schema *schema = look->collection->schema;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct tears_value value = t3_row_value(row, &schema->layout, i);
        hash = hash_value(&value, hash);
    }
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_session_status(look->session,
                             t3_buf_printf(&text, "%016llx", (unsigned long long)hash)));
    copy->state = TEARS_COPY_ROW;
    copy->version = t3_schema_row_version(schema, row);
    return keep(look, &text, &copy->hash);
}

static struct tears_copy copy_of(uint64_t state)
{
    const struct tears_str none = TEARS_STR("");
    return (struct tears_copy){.state = state,
                               .age_ms = UINT64_MAX,
                               .as_of_ms = UINT64_MAX,
                               .hash = none,
                               .writer = none,
                               .detail = none};
}

/* The tier could not be asked; why is in the error. */
static tears_status put_unknown(const struct look *look, tears_status status,
                                const struct tears_error *error, struct tears_copy *copy)
{
    const struct tears_str reason =
        tears_str_c(error->message[0] != '\0' ? error->message : tears_status_text(status));
    copy->state = TEARS_COPY_UNKNOWN;
    return t3_session_status(look->session,
                             t3_arena_str(&look->session->arena, reason, &copy->detail));
}

/* ---- tiers -------------------------------------------------------------------------------- */

static tears_status look_at_l1(const struct look *look)
{
    struct tears_collection *collection = look->collection;
    struct tears_copy *copy = &look->out->l1;
    struct t3_l1 *l1 = collection->l1;
    *copy = copy_of(l1 != NULL ? TEARS_COPY_ABSENT : TEARS_COPY_UNUSED);
    if (l1 == NULL)
        return TEARS_OK;
    enum t3_l1_answer answer;
    struct t3_l1_hit hit = {0};
    if (l1->ops->peek(l1, collection->space, &look->key, &look->session->arena, &answer, &hit) !=
        TEARS_OK)
        return t3_session_no_memory(look->session);
    if (answer == T3_L1_MISS)
        return TEARS_OK;
    const uint64_t now_ms = t3_now_coarse_ms();
    const uint64_t as_of_ms = t3_as_of_ms(collection, hit.confirmed_ms);
    const bool is_expired = answer == T3_L1_EXPIRED || hit.expires_ms <= now_ms;
    copy->state = TEARS_COPY_MARKER;
    copy->revision = hit.revision;
    copy->age_ms = now_ms > hit.confirmed_ms ? now_ms - hit.confirmed_ms : 0;
    copy->as_of_ms = now_ms > as_of_ms ? now_ms - as_of_ms : 0;
    copy->is_trusted = !is_expired && copy->as_of_ms <= t3_collection_bound_ms(collection);
    if (!copy->is_trusted)
        copy->detail = is_expired ? TEARS_STR("its age is over: it will be read anew")
                                  : TEARS_STR("not known to be right: it will be read anew");
    return hit.row != NULL ? put_row(look, hit.row, copy) : TEARS_OK;
}

static tears_status put_lease(const struct look *look, const struct t3_l2_entry *entry,
                              struct tears_copy *copy)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const bool is_write = entry->lease == T3_L2_WRITE_LEASE;
    copy->state = TEARS_COPY_LEASED;
    T3_TRY(t3_session_status(
        look->session,
        t3_buf_printf(&text, "%s; at most %llu ms more",
                      is_write ? "a write is announced" : "another process reads the row from L3",
                      (unsigned long long)entry->lease_left_ms)));
    return keep(look, &text, &copy->detail);
}

static tears_status put_entry(const struct look *look, const struct t3_l2_entry *entry,
                              struct tears_copy *copy)
{
    copy->version = entry->version;
    copy->revision = entry->revision;
    copy->writer = entry->origin;
    switch (entry->state) {
    case T3_L2_ABSENT:
        copy->state = TEARS_COPY_ABSENT;
        return TEARS_OK;
    case T3_L2_DAMAGED:
        copy->state = TEARS_COPY_DAMAGED;
        copy->detail = TEARS_STR("no row of this table, or from another bucket: readers ask L3");
        return TEARS_OK;
    case T3_L2_ROW:
        T3_TRY(put_row(look, entry->row, copy));
        if (entry->is_dirty)
            copy->state = TEARS_COPY_DIRTY;
        return TEARS_OK;
    case T3_L2_TOMBSTONE:
        break;
    }
    if (entry->lease != T3_L2_NO_LEASE)
        return put_lease(look, entry, copy);
    copy->state = TEARS_COPY_MARKER;
    return TEARS_OK;
}

static tears_status look_at_l2(const struct look *look)
{
    struct tears_session *session = look->session;
    struct tears_collection *collection = look->collection;
    struct tears_copy *copy = &look->out->l2;
    *copy = copy_of(collection->l2 != NULL ? TEARS_COPY_ABSENT : TEARS_COPY_UNUSED);
    if (collection->l2 == NULL)
        return TEARS_OK;
    struct t3_l2_entry entry = {.state = T3_L2_ABSENT};
    struct tears_error error;
    t3_error_clear(&error);
    const tears_status status =
        t3_l2_inspect(collection->l2, collection->schema, &look->key, &session->arena,
                      t3_session_deadline(session), &entry, &error);
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(session);
    return status == TEARS_OK ? put_entry(look, &entry, copy)
                              : put_unknown(look, status, &error, copy);
}

static tears_status look_at_l3(const struct look *look)
{
    struct tears_session *session = look->session;
    struct tears_collection *collection = look->collection;
    struct tears_copy *copy = &look->out->l3;
    *copy = copy_of(collection->lives_in_l2 ? TEARS_COPY_UNUSED : TEARS_COPY_ABSENT);
    if (collection->lives_in_l2)
        return TEARS_OK;
    struct t3_row *row = NULL;
    struct t3_l3_call call = t3_session_l3_call(session, collection);
    call.tx = NULL; /* what others see, not what this transaction has written */
    const tears_status status =
        collection->l3->ops->fetch(collection->l3, &call, collection->schema, &look->key, 1, &row);
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(session);
    if (status != TEARS_OK) {
        const tears_status kept = put_unknown(look, status, &session->error, copy);
        t3_error_clear(&session->error);
        return kept;
    }
    return row != NULL ? put_row(look, row, copy) : TEARS_OK;
}

/* ---- conclusions -------------------------------------------------------------------------- */

static bool tells_row(const struct tears_copy *copy)
{
    return copy->state == TEARS_COPY_ROW;
}

/* The tier that decides; NULL: it could not be asked. */
static const struct tears_copy *truth_of(const struct tears_explanation *it)
{
    const struct tears_copy *truth = it->l3.state == TEARS_COPY_UNUSED ? &it->l2 : &it->l3;
    return truth->state == TEARS_COPY_UNKNOWN ? NULL : truth;
}

/* Whether the copy says anything that the truth does not.  Only L1's markers say that there is no row. */
static bool contradicts(const struct tears_copy *copy, const struct tears_copy *truth, bool is_l1)
{
    if (copy == truth)
        return false;
    if (tells_row(copy))
        return !tells_row(truth) || memcmp(copy->hash.ptr, truth->hash.ptr, HASH_DIGITS) != 0;
    return is_l1 && copy->state == TEARS_COPY_MARKER && tells_row(truth);
}

static bool is_agreed(const struct tears_explanation *it)
{
    const struct tears_copy *truth = truth_of(it);
    if (truth == NULL) /* then at least no two caches may differ */
        return !tells_row(&it->l1) || !tells_row(&it->l2) || !contradicts(&it->l1, &it->l2, true);
    return !contradicts(&it->l1, truth, true) && !contradicts(&it->l2, truth, false);
}

static bool is_queued(const struct look *look)
{
    for (const struct t3_correction *one = look->session->corrections; one != NULL; one = one->next)
        if (one->collection == look->collection && t3_key_equal(&one->key, &look->key))
            return true;
    return false;
}

/* Whether a deferred write of this process waits for L3. */
static bool is_deferred(const struct look *look)
{
    struct t3_journal_ref ref;
    return look->collection->pending != NULL &&
           t3_pending_find(look->collection->pending, &look->key, &ref);
}

static const char *hint_for(const struct look *look)
{
    const struct tears_explanation *it = look->out;
    const struct tears_copy *truth = truth_of(it);
    if (is_deferred(look))
        return "a deferred write of this process waits for L3: see `tears pending`";
    if (it->l2.state == TEARS_COPY_DIRTY)
        return "a deferred write of another process waits for L3";
    if (it->agree)
        return "";
    if (truth == NULL)
        return "L1 and L2 differ, and L3 could not be asked which of them is right";
    if (it->pending)
        return "a correction of this process is under way: look again";
    if (contradicts(&it->l2, truth, false) && it->l2.version > it->l3.version && tells_row(truth))
        return "L2 holds a version that L3 does not have: L3 was put back from a copy, or L2 is "
               "shared "
               "by several databases; `invalidate` it in `tears shell`";
    if (contradicts(&it->l2, truth, false))
        return "L3 was changed without L2 being told: by SQL outside the library (see `tears "
               "outbox`), "
               "or a writer died in between (see strict mode); `invalidate` it in `tears shell`";
    if (it->l1.is_trusted)
        return "only L1 of this process is behind: it serves the row within its bound";
    return "only L1 of this process is behind, and does not serve what it holds";
}

static tears_status look_once(const struct look *look)
{
    struct tears_explanation *out = look->out;
    T3_TRY(look_at_l3(look));
    T3_TRY(look_at_l2(look));
    T3_TRY(look_at_l1(look));
    out->pending = is_deferred(look) || is_queued(look) ||
                   t3_repair_holds(look->session->client->repair, look->collection, &look->key);
    out->agree = is_agreed(out);
    return TEARS_OK;
}

static tears_status put_key(const struct look *look)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    look->out->l2_key = TEARS_STR("");
    T3_TRY(t3_session_status(look->session,
                             t3_key_put_l2(look->collection->schema, &look->key, &text)));
    return keep(look, &text, &look->out->l2_key);
}

tears_status tears_explain(tears_session *session, tears_collection *collection,
                           const struct tears_value *key, size_t key_count,
                           const struct tears_explanation **explanation_out)
{
    struct tears_value storage[16];
    struct look look = {.session = session, .collection = collection};
    T3_TRY(t3_session_enter(session));
    T3_TRY(t3_session_status(session, t3_key_init(collection->schema, key, key_count, storage,
                                                  &session->arena, &look.key, &session->error)));
    look.out = t3_arena_array(&session->arena, 1, sizeof *look.out);
    if (look.out == NULL)
        return t3_session_no_memory(session);
    T3_TRY(put_key(&look));
    for (int i = 0; i < LOOKS && !look.out->agree; i++)
        T3_TRY(look_once(&look));
    look.out->hint = tears_str_c(hint_for(&look));
    *explanation_out = look.out;
    return TEARS_OK;
}
