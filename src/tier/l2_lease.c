/*
 * l2_lease.c -- announces what is about to happen to a key: a fill, or a write.
 *
 * Owns:     nothing.
 * Must not know: how long a write may take, or who waits for a fill.
 * Threads:  any; the arena is the caller's.
 * Fails:    TEARS_CONFLICT when others were faster; TEARS_UNAVAILABLE at once when the server is away.
 * Begin at: t3_l2_lease() for fills, t3_l2_announce() for writes.
 *
 * Both are delete markers with a time for which they are good.  A marker hides what was under its key from those
 * who follow the stream, which keeps only the last message of a key.  So one that goes over something says so: it has the
 * header Tears-Version, 0 when the version is not known; one that goes over nothing has none.
 *
 * A write is announced by compare-and-swap on the revision that the writer remembers: one round trip, for all keys
 * together.  Where that fails, what is there is read and announced over, in further rounds.  An announcement that
 * goes over another one that is still good takes over its time, and remembers it: see l2_put.c.
 */
#include "tier/l2_impl.h"

#include "base/fail.h"
#include "base/jitter.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/thread.h"

static const char origin[] = "l2";

enum { ROUNDS_MAX = 8, BACKOFF_AFTER = 2, BACKOFF_US = 200 };

/* -- fills --------------------------------------------------------------------------------- */

/* What becomes of an announcement that was not stored. */
static tears_status status_of(const struct t3_kv_request *request)
{
    if (request->outcome == T3_KV_STORED)
        return TEARS_OK;
    if (request->outcome == T3_KV_RACED)
        return TEARS_CONFLICT;
    if (request->outcome == T3_KV_FAILED)
        return request->status == TEARS_INVALID ? TEARS_LIMIT : request->status;
    return TEARS_UNAVAILABLE; /* refused: the bucket is full, say */
}

tears_status t3_l2_lease(struct t3_l2 *l2, const struct tears_schema *schema,
                         const struct t3_key *key, uint64_t seen, int64_t version,
                         uint64_t lease_ms, struct t3_deadline deadline, uint64_t *revision_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(t3_buf_done) struct t3_buf ids = {0};
    struct l2_known known = {0};
    size_t start;
    if (lease_ms == 0 || lease_ms > L2_LEASE_MS_MAX)
        return TEARS_LIMIT;
    if (seen == UINT64_MAX)
        return TEARS_CONFLICT; /* not known: it must be read first */
    T3_TRY(t3_l2_put_keys(schema, key, 1, &text, &start));
    T3_TRY(t3_l2_put_ids(schema, key, text.ptr, &ids));
    if (seen != 0)
        (void)t3_l2_recall(l2, tears_str_c(text.ptr), seen, &known);
    if (known.is_write && known.left_ms > 0)
        return TEARS_CONFLICT; /* the row is about to change */
    struct t3_kv_request request = {
        .verb = T3_KV_DELETE,
        .key = text.ptr,
        .expected = seen,
        .has_version = seen != 0 && !(known.hides_nothing && !known.is_write && version == 0),
        .version = version,
        .is_fill = true,
        .lease_ms = lease_ms,
        .ids = t3_buf_str(&ids),
    };
    const struct t3_kv_call call = {.requests = &request, .count = 1, .deadline = deadline};
    (void)t3_kv_run(l2->kv, &call, NULL);
    const tears_status status = status_of(&request);
    if (status == TEARS_OK) {
        const struct l2_announcement announcement = {
            .key = tears_str_c(text.ptr),
            .revision = request.revision,
            .lease_ms = lease_ms,
            .hides_nothing = !request.has_version,
        };
        (void)t3_l2_observe(l2, &announcement);
        *revision_out = request.revision;
    }
    t3_kv_release(&request, 1);
    return status;
}

/* -- writes -------------------------------------------------------------------------------- */

enum stage { STAGE_READ, STAGE_WRITE, STAGE_DONE };

struct step {
    enum stage stage;
    const struct t3_key *key;
    const char *text;
    struct tears_str ids;
    uint64_t expected;
    uint64_t under_ms; /* another write's announcement under it is good for so long; 0: none */
    bool has_version;
    int64_t version;
    tears_status status; /* STAGE_DONE */
    uint64_t revision;
};

struct announcing {
    struct t3_l2 *l2;
    const struct tears_schema *schema;
    struct step *steps;
    size_t count;
    struct t3_kv_request *requests;
    struct step **asked;
    uint64_t lease_ms;
    struct t3_arena *arena;
    struct t3_deadline deadline;
};

static void end(struct step *step, tears_status status, uint64_t revision)
{
    step->stage = STAGE_DONE;
    step->status = status;
    step->revision = revision;
}

static void announce_over(struct step *step, uint64_t revision)
{
    step->stage = STAGE_WRITE;
    step->expected = revision;
    step->has_version = revision != 0;
}

/* Where an announcement starts: over what the writer remembers, or by a look. */
static void begin(struct t3_l2 *l2, struct step *step, uint64_t seen)
{
    struct l2_known known = {0};
    if (seen == UINT64_MAX) {
        step->stage = STAGE_READ;
        return;
    }
    announce_over(step, seen);
    if (seen != 0 && t3_l2_recall(l2, tears_str_c(step->text), seen, &known)) {
        if (known.is_write) /* one's own is announced again, for longer */
            step->under_ms = known.is_ours ? known.under_left_ms : known.left_ms;
        step->has_version = !known.hides_nothing;
    }
}

static void after_read(struct step *step, const struct t3_l2_entry *entry)
{
    announce_over(step, entry->revision);
    step->has_version = entry->revision != 0 && !entry->hides_nothing;
    step->version = entry->version;
    step->under_ms = entry->lease == T3_L2_WRITE_LEASE ? entry->lease_left_ms : 0;
}

static uint64_t lease_of(const struct announcing *announcing, const struct step *step)
{
    return step->under_ms > announcing->lease_ms ? step->under_ms : announcing->lease_ms;
}

static void after_write(struct announcing *announcing, struct step *step,
                        const struct t3_kv_request *request)
{
    const tears_status status = status_of(request);
    if (status == TEARS_CONFLICT || status == TEARS_TIMEOUT) {
        step->stage = STAGE_READ; /* a look will tell */
        return;
    }
    end(step, status, request->revision);
    if (status != TEARS_OK)
        return;
    const struct l2_announcement announcement = {
        .key = tears_str_c(step->text),
        .revision = request->revision,
        .lease_ms = request->lease_ms,
        .is_write = true,
        .is_ours = true,
        .hides_nothing = !request->has_version,
        .under_ms = step->under_ms,
    };
    (void)t3_l2_observe(announcing->l2, &announcement);
}

/* Fills requests[] and asked[] with the steps at a stage; gives their number. */
static size_t ask(struct announcing *announcing, enum stage stage)
{
    size_t count = 0;
    for (size_t i = 0; i < announcing->count; i++) {
        struct step *step = &announcing->steps[i];
        if (step->stage != stage)
            continue;
        struct t3_kv_request request = {.verb = T3_KV_GET, .key = step->text};
        if (stage == STAGE_WRITE) {
            request.verb = T3_KV_DELETE;
            request.expected = step->expected;
            request.has_version = step->has_version;
            request.version = step->version;
            request.lease_ms = lease_of(announcing, step);
            request.ids = step->ids;
        }
        announcing->asked[count] = step;
        announcing->requests[count++] = request;
    }
    return count;
}

static void take_look(struct announcing *announcing, struct step *step,
                      const struct t3_kv_request *request)
{
    struct t3_l2_entry entry;
    if (request->outcome == T3_KV_FAILED)
        end(step, status_of(request), 0);
    else if (t3_l2_read_entry(announcing->l2, announcing->schema, step->key, request,
                              announcing->arena, &entry) != TEARS_OK)
        end(step, TEARS_NO_MEMORY, 0);
    else
        after_read(step, &entry);
}

static void run_stage(struct announcing *announcing, enum stage stage,
                      struct tears_error *error_out)
{
    const size_t count = ask(announcing, stage);
    const struct t3_kv_call call = {
        .requests = announcing->requests,
        .count = count,
        .deadline = announcing->deadline,
    };
    if (count == 0)
        return;
    (void)t3_kv_run(announcing->l2->kv, &call, error_out);
    for (size_t i = 0; i < count; i++)
        if (stage == STAGE_READ)
            take_look(announcing, announcing->asked[i], &announcing->requests[i]);
        else
            after_write(announcing, announcing->asked[i], &announcing->requests[i]);
    t3_kv_release(announcing->requests, count);
}

static bool is_finished(const struct announcing *announcing)
{
    for (size_t i = 0; i < announcing->count; i++)
        if (announcing->steps[i].stage != STAGE_DONE)
            return false;
    return true;
}

static void run_rounds(struct announcing *announcing, struct tears_error *error_out)
{
    for (size_t round = 0; round < ROUNDS_MAX && !is_finished(announcing); round++) {
        if (round > 0 && t3_deadline_passed(announcing->deadline))
            break;
        if (round >= BACKOFF_AFTER)
            t3_pause_us(t3_jitter((uint64_t)BACKOFF_US << (round - BACKOFF_AFTER)));
        run_stage(announcing, STAGE_READ, error_out);
        run_stage(announcing, STAGE_WRITE, error_out);
    }
    const bool is_late = t3_deadline_passed(announcing->deadline);
    for (size_t i = 0; i < announcing->count; i++)
        if (announcing->steps[i].stage != STAGE_DONE)
            end(&announcing->steps[i], is_late ? TEARS_TIMEOUT : TEARS_CONFLICT, 0);
}

/* Writes the keys' texts, makes the steps, runs them; the revisions go to `seen`. */
static tears_status announce_window(struct announcing *announcing, const struct t3_key *keys,
                                    uint64_t *seen, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(t3_buf_done) struct t3_buf ids = {0};
    const size_t count = announcing->count;
    size_t *starts = t3_arena_array(announcing->arena, 2 * count, sizeof *starts);
    if (starts == NULL)
        return TEARS_NO_MEMORY;
    size_t *ids_ends = starts + count;
    T3_TRY(t3_l2_put_keys(announcing->schema, keys, count, &text, starts));
    for (size_t i = 0; i < count; i++) {
        T3_TRY(t3_l2_put_ids(announcing->schema, &keys[i], text.ptr + starts[i], &ids));
        ids_ends[i] = ids.len;
    }
    for (size_t i = 0; i < count; i++) {
        const size_t ids_start = i > 0 ? ids_ends[i - 1] : 0;
        announcing->steps[i] = (struct step){
            .key = &keys[i],
            .text = text.ptr + starts[i],
            .ids = tears_str_n(t3_buf_str(&ids).ptr + ids_start, ids_ends[i] - ids_start),
        };
        begin(announcing->l2, &announcing->steps[i], seen[i]);
    }
    run_rounds(announcing, error_out);
    tears_status failure = TEARS_OK;
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &announcing->steps[i];
        if (step->status == TEARS_OK)
            seen[i] = step->revision;
        else if (failure == TEARS_OK)
            failure = step->status;
    }
    return failure;
}

tears_status t3_l2_announce(struct t3_l2 *l2, const struct tears_schema *schema,
                            const struct t3_key *keys, size_t count, uint64_t lease_ms,
                            struct t3_arena *arena, struct t3_deadline deadline, uint64_t *seen,
                            struct tears_error *error_out)
{
    const size_t most = count < T3_KV_BATCH_MAX ? count : T3_KV_BATCH_MAX;
    struct announcing announcing = {
        .l2 = l2,
        .schema = schema,
        .steps = t3_arena_array(arena, most, sizeof(struct step)),
        .requests = t3_arena_array(arena, most, sizeof(struct t3_kv_request)),
        .asked = t3_arena_array(arena, most, sizeof(struct step *)),
        .lease_ms = lease_ms,
        .arena = arena,
        .deadline = deadline,
    };
    if (announcing.steps == NULL || announcing.requests == NULL || announcing.asked == NULL)
        return t3_fail_memory(error_out, origin);
    if (lease_ms == 0 || lease_ms > L2_LEASE_MS_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin,
                       "an announcement lasts between 1 and %d milliseconds", L2_LEASE_MS_MAX);
    tears_status status = TEARS_OK;
    for (size_t at = 0; at < count && status == TEARS_OK; at += announcing.count) {
        announcing.count = count - at < T3_KV_BATCH_MAX ? count - at : T3_KV_BATCH_MAX;
        status = announce_window(&announcing, keys + at, seen + at, error_out);
    }
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, origin);
    if (status != TEARS_OK)
        return t3_fail(error_out, status, origin,
                       "a write to '" T3_STR_FMT "' could not be announced in L2: %s",
                       T3_STR_ARG(schema->name), tears_status_text(status));
    return TEARS_OK;
}
