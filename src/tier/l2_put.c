/*
 * l2_put.c -- writes rows and delete markers to L2, so that an older version never replaces a newer
 * one.
 *
 * Owns:     nothing.
 * Must not know: when a write becomes durable; it is told of rows that are.
 * Threads:  any; the arena is the caller's.
 * Fails:    per put; TEARS_UNAVAILABLE or TEARS_TIMEOUT mean that L2 may still hold the old value.
 * Begin at: t3_l2_put(), then after_read() for the rules.
 *
 * Every put is a compare-and-swap on the revision that its decision was based on.  The puts of a
 * call move through rounds: read those whose revision is not known, decide, write the others, all
 * in flight at once.  A put that lost its race, or whose acknowledgement was lost, is read again in
 * the next round; finding its own version there means that it had happened.
 *
 * Why a delete marker is always safe: readers that find one ask the database, and fill by
 * compare-and-swap on the marker's revision.  It costs a miss, never a stale row.  So a marker is
 * the answer to everything that cannot be decided:
 *   - a row too large for the server, or refused by it;
 *   - a lost race in a table without versions;
 *   - more lost races than we care to run;
 *   - a freshly inserted row that meets a row of a higher version: one left behind by a failed
 * delete of an earlier row with this key, or a newer one. Nobody can tell. But a marker must not
 * make the version under a key go down, or a late put of an older row would pass it.  So a marker
 * has the highest version known, or none at all; and a put that has not seen a marker before never
 * goes over one that has none.
 */
#include "tier/l2_impl.h"

#include "base/fail.h"
#include "base/jitter.h"
#include "base/limits.h"
#include "base/thread.h"
#include "schema/row_codec.h"

static const char origin[] = "l2";

enum {
    ROUNDS_MAX = 8,
    BACKOFF_AFTER = 2, /* rounds without a pause: most races are lost once */
    BACKOFF_US = 200,
    BODIES_BYTES_MAX = 16 * 1024 * 1024 /* of puts in flight together */
};

enum stage { STAGE_READ, STAGE_WRITE, STAGE_DONE };

struct step {
    struct t3_l2_put *put;
    const char *key;
    struct tears_str body; /* empty for a delete marker */
    enum stage stage;
    bool is_marker; /* a marker is to be written */
    bool has_version;
    bool ends_in_conflict; /* the marker stands for a lost race */
    int64_t version;
    uint64_t expected;
};

struct putting {
    struct t3_l2 *l2;
    const struct tears_schema *schema;
    struct step *steps;
    size_t count;
    struct t3_kv_request *requests; /* `count` of them, used by each round for some */
    struct step **asked;            /* asked[i] is the step of requests[i] */
    struct t3_arena *arena;
    struct t3_deadline deadline;
};

/* -- decisions ----------------------------------------------------------------------------- */

static void end(struct step *step, tears_status status, uint64_t revision)
{
    step->stage = STAGE_DONE;
    step->put->status = status;
    step->put->revision = revision;
}

static void write_over(struct step *step, uint64_t revision)
{
    step->stage = STAGE_WRITE;
    step->expected = revision;
}

static void write_marker(struct step *step, uint64_t revision, int64_t version)
{
    write_over(step, revision);
    step->is_marker = true;
    step->has_version = true;
    step->version = version;
}

/* A marker over whatever is there.  It has no version, so nothing is compared with it. */
static void write_last_marker(struct step *step, bool ends_in_conflict)
{
    write_over(step, T3_KV_ANY_REVISION);
    step->is_marker = true;
    step->has_version = false;
    step->ends_in_conflict = ends_in_conflict;
}

/* Where a put starts. */
static void begin(struct step *step)
{
    const struct t3_l2_put *put = step->put;
    const bool has_seen = put->seen != UINT64_MAX;
    step->is_marker = put->row == NULL;
    step->has_version = put->versioned;
    step->version = put->version;
    if (has_seen)
        write_over(step, put->seen);
    else if (put->row != NULL && (put->authoritative || !put->versioned))
        write_over(step, 0); /* nothing there is what is likely, or all that we may replace */
    else if (put->versioned)
        step->stage = STAGE_READ;
    else
        write_last_marker(step, false);
}

/* The rules for a row that finds `entry` under its key. */
static void row_after_read(struct step *step, const struct t3_l2_entry *entry)
{
    const struct t3_l2_put *put = step->put;
    switch (entry->state) {
    case T3_L2_ABSENT:
    case T3_L2_DAMAGED:
        write_over(step, entry->revision);
        break;
    case T3_L2_TOMBSTONE:
        if (entry->version != 0 && entry->version < put->version)
            write_over(step, entry->revision);
        else /* it may be newer: it stays, and readers ask the database */
            end(step, put->authoritative ? TEARS_OK : TEARS_CONFLICT, entry->revision);
        break;
    case T3_L2_ROW:
        if (entry->version == put->version) /* ours, or a reader's fill of the same row */
            end(step, TEARS_OK, entry->revision);
        else if (entry->version < put->version)
            write_over(step, entry->revision);
        else if (put->authoritative) {
            write_marker(step, entry->revision, entry->version);
            step->ends_in_conflict = true;
        } else
            end(step, TEARS_CONFLICT, entry->revision);
        break;
    }
}

/* The rules for a deletion that finds `entry` under its key. */
static void marker_after_read(struct step *step, const struct t3_l2_entry *entry)
{
    const struct t3_l2_put *put = step->put;
    switch (entry->state) {
    case T3_L2_ABSENT: /* a marker even here: it stops a fill that read the database before the
                          delete */
    case T3_L2_DAMAGED:
        write_marker(step, entry->revision, put->version);
        break;
    case T3_L2_TOMBSTONE:
        if (entry->version == 0 || entry->version >= put->version)
            end(step, TEARS_OK, entry->revision);
        else
            write_marker(step, entry->revision, put->version);
        break;
    case T3_L2_ROW:
        if (entry->version > put->version && !put->authoritative)
            end(step, TEARS_CONFLICT, entry->revision);
        else
            write_marker(step, entry->revision,
                         entry->version > put->version ? entry->version : put->version);
        break;
    }
}

/* Decides what to do, knowing what is under the key now. */
static void after_read(struct step *step, const struct t3_l2_entry *entry)
{
    step->ends_in_conflict = false;
    if (step->put->row == NULL)
        marker_after_read(step, entry);
    else
        row_after_read(step, entry);
}

/* What a write that lost its race does next. */
static void after_race(struct step *step)
{
    if (step->put->versioned)
        step->stage = STAGE_READ;
    else
        write_last_marker(step, step->put->row != NULL);
}

static void after_failure(struct step *step, tears_status status)
{
    if (status == TEARS_LIMIT || status == TEARS_INVALID)
        end(step, TEARS_OK, 0); /* a key that cannot be sent is in no bucket: nothing to correct */
    else if (status == TEARS_TIMEOUT)
        after_race(step); /* it may have happened */
    else
        end(step, status, 0);
}

static void after_write(struct step *step, const struct t3_kv_request *request)
{
    if (request->outcome == T3_KV_STORED)
        end(step, step->ends_in_conflict ? TEARS_CONFLICT : TEARS_OK, request->revision);
    else if (request->outcome == T3_KV_RACED)
        after_race(step);
    else if (request->outcome != T3_KV_REFUSED)
        after_failure(step, request->status);
    else if (step->is_marker && step->expected == T3_KV_ANY_REVISION)
        end(step, TEARS_UNAVAILABLE, 0);
    else
        write_last_marker(step, false);
}

/* -- rounds -------------------------------------------------------------------------------- */

static bool is_at(const struct step *step, enum stage stage)
{
    return step->stage == stage;
}

/* Fills requests[] and asked[] with the steps at a stage; gives their number. */
static size_t ask(struct putting *putting, enum stage stage)
{
    size_t count = 0;
    for (size_t i = 0; i < putting->count; i++) {
        struct step *step = &putting->steps[i];
        if (!is_at(step, stage))
            continue;
        struct t3_kv_request request = {.verb = T3_KV_GET, .key = step->key};
        if (stage == STAGE_WRITE) {
            request.verb = step->is_marker ? T3_KV_DELETE : T3_KV_PUT;
            request.value = step->body;
            request.expected = step->expected;
            request.has_version = step->has_version;
            request.version = step->version;
        }
        putting->asked[count] = step;
        putting->requests[count++] = request;
    }
    return count;
}

/* One exchange; outcomes, also of a failure, are in the requests. */
static void exchange(struct putting *putting, size_t count, struct tears_error *error_out)
{
    const struct t3_kv_call call = {
        .requests = putting->requests,
        .count = count,
        .deadline = putting->deadline,
    };
    (void)t3_kv_run(putting->l2->kv, &call, error_out);
}

static void read_round(struct putting *putting, struct tears_error *error_out)
{
    const size_t count = ask(putting, STAGE_READ);
    if (count == 0)
        return;
    exchange(putting, count, error_out);
    for (size_t i = 0; i < count; i++) {
        struct step *step = putting->asked[i];
        const struct t3_kv_request *request = &putting->requests[i];
        struct t3_l2_entry entry;
        if (request->outcome == T3_KV_FAILED && request->status == TEARS_LIMIT)
            end(step, TEARS_OK, 0);
        else if (request->outcome == T3_KV_FAILED)
            end(step, request->status, 0);
        else if (t3_l2_read_entry(putting->l2, putting->schema, step->put->key, request,
                                  putting->arena, &entry) != TEARS_OK)
            end(step, TEARS_NO_MEMORY, 0);
        else
            after_read(step, &entry);
    }
    t3_kv_release(putting->requests, count);
}

static void write_round(struct putting *putting, struct tears_error *error_out)
{
    const size_t count = ask(putting, STAGE_WRITE);
    if (count == 0)
        return;
    exchange(putting, count, error_out);
    for (size_t i = 0; i < count; i++)
        after_write(putting->asked[i], &putting->requests[i]);
    t3_kv_release(putting->requests, count);
}

static size_t count_unfinished(const struct putting *putting)
{
    size_t count = 0;
    for (size_t i = 0; i < putting->count; i++)
        count += is_at(&putting->steps[i], STAGE_DONE) ? 0 : 1;
    return count;
}

/* A pause that grows and differs from that of the others who lost. */
static void back_off(size_t round)
{
    if (round < BACKOFF_AFTER)
        return;
    t3_pause_us(t3_jitter((uint64_t)BACKOFF_US << (round - BACKOFF_AFTER)));
}

static void run_rounds(struct putting *putting, struct tears_error *error_out)
{
    for (size_t round = 0; round < ROUNDS_MAX && count_unfinished(putting) > 0; round++) {
        back_off(round);
        read_round(putting, error_out);
        write_round(putting, error_out);
    }
    for (size_t i = 0; i < putting->count; i++)
        if (!is_at(&putting->steps[i], STAGE_DONE))
            write_last_marker(&putting->steps[i], true);
    write_round(putting, error_out);
    for (size_t i = 0; i < putting->count; i++)
        if (!is_at(&putting->steps[i], STAGE_DONE))
            end(&putting->steps[i], TEARS_UNAVAILABLE, 0);
}

/* -- a call -------------------------------------------------------------------------------- */

/* Encodes bodies until all are, or they are too many bytes to be in flight together; gives how
 * many. */
static tears_status encode_bodies(const struct tears_schema *schema, struct t3_l2_put *puts,
                                  size_t count, struct t3_buf *bodies, size_t *ends)
{
    for (size_t i = 0; i < count; i++) {
        if (puts[i].row != NULL)
            T3_TRY(t3_row_encode(schema, puts[i].row, bodies));
        ends[i] = bodies->len;
    }
    return TEARS_OK;
}

/* How many puts, at least one, go together. */
static size_t window_of(const struct t3_l2_put *puts, size_t count)
{
    size_t bytes = 0;
    size_t n = 0;
    while (n < count && n < T3_KV_BATCH_MAX) {
        bytes += puts[n].row != NULL ? puts[n].row->size : 0;
        if (n > 0 && bytes > BODIES_BYTES_MAX)
            break;
        n++;
    }
    return n;
}

static tears_status put_window(struct putting *putting, struct t3_l2_put *puts,
                               struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_AUTO(t3_buf_done) struct t3_buf bodies = {0};
    const size_t count = putting->count;
    size_t *offsets = t3_arena_array(putting->arena, 2 * count, sizeof *offsets);
    if (offsets == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        T3_TRY(t3_l2_put_keys(putting->schema, puts[i].key, 1, &text, &offsets[i]));
    size_t *ends = offsets + count;
    T3_TRY(encode_bodies(putting->schema, puts, count, &bodies, ends));
    for (size_t i = 0; i < count; i++) {
        const size_t body_start = i > 0 ? ends[i - 1] : 0;
        const struct tears_str all = t3_buf_str(&bodies);
        putting->steps[i] = (struct step){
            .put = &puts[i],
            .key = text.ptr + offsets[i],
            .body = tears_str_n(all.ptr + body_start, ends[i] - body_start),
        };
        begin(&putting->steps[i]);
    }
    run_rounds(putting, error_out);
    return TEARS_OK;
}

/* Counts the results and gives the first failure. */
static tears_status sum_up(struct t3_l2 *l2, const struct t3_l2_put *puts, size_t count)
{
    tears_status failure = TEARS_OK;
    uint64_t stored = 0;
    uint64_t conflicts = 0;
    for (size_t i = 0; i < count; i++) {
        stored += puts[i].status == TEARS_OK ? 1 : 0;
        conflicts += puts[i].status == TEARS_CONFLICT ? 1 : 0;
        if (failure == TEARS_OK && puts[i].status != TEARS_CONFLICT)
            failure = puts[i].status;
    }
    t3_l2_count(&l2->puts, stored);
    t3_l2_count(&l2->put_conflicts, conflicts);
    return failure;
}

tears_status t3_l2_put(struct t3_l2 *l2, const struct tears_schema *schema, struct t3_l2_put *puts,
                       size_t count, struct t3_arena *arena, struct t3_deadline deadline,
                       struct tears_error *error_out)
{
    const size_t most = count < T3_KV_BATCH_MAX ? count : T3_KV_BATCH_MAX;
    struct putting putting = {
        .l2 = l2,
        .schema = schema,
        .steps = t3_arena_array(arena, most, sizeof(struct step)),
        .requests = t3_arena_array(arena, most, sizeof(struct t3_kv_request)),
        .asked = t3_arena_array(arena, most, sizeof(struct step *)),
        .arena = arena,
        .deadline = deadline,
    };
    for (size_t i = 0; i < count; i++) {
        puts[i].status = TEARS_NO_MEMORY;
        puts[i].revision = 0;
    }
    if (putting.steps == NULL || putting.requests == NULL || putting.asked == NULL)
        return t3_fail_memory(error_out, origin);
    for (size_t at = 0; at < count; at += putting.count) {
        putting.count = window_of(puts + at, count - at);
        const tears_status status = put_window(&putting, puts + at, error_out);
        for (size_t i = 0; status != TEARS_OK && i < putting.count; i++)
            puts[at + i].status = status;
    }
    const tears_status status = sum_up(l2, puts, count);
    if (status != TEARS_OK && error_out != NULL && error_out->status != status)
        return t3_fail(error_out, status, origin, "L2 could not be brought up to date: %s",
                       tears_status_text(status));
    return status;
}
