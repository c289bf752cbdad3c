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
 *     delete of an earlier row with this key, or a newer one; nobody can tell;
 *   - a compare-and-swap during which the bucket turned out to be another one.
 * But a marker must not make the version under a key go down, or a late put of an older row would
 * pass it.  So a marker has the highest version known, or none at all; and a put that has not seen
 * a marker before never goes over one that has none.
 *
 * A marker that was there before a write says nothing about readers that saw it, asked the database before the write,
 * and are on their way back to fill over it.  So a write that leaves a marker in place puts it anew, unless the marker is newer
 * than the write: then those readers have read what is newer too.
 *
 * Announcements (l2_lease.c) are markers whose writer will come back for them.  While one is good, no row is put over it but by its
 * own writer: if that one dies between its commit and its put, the row would stay.  Others put the
 * announcement anew, with their version when that is higher, and end in a conflict: the announcer then loses its
 * compare-and-swap, and goes by versions.
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
    struct tears_str ids;  /* of a key whose text is a hash */
    enum stage stage;
    bool is_marker; /* a marker is to be written */
    bool has_version;
    bool ends_in_conflict; /* the marker stands for a lost race */
    int64_t version;
    uint64_t lease_ms; /* of a marker: an announcement of another writer that stays in force */
    uint64_t expected;
};

struct putting {
    struct t3_l2 *l2;
    uint64_t generation; /* of the bucket that remembered revisions are of */
    uint64_t since_ms;   /* of that bucket */
    uint64_t obeyed;     /* the last revision that the feed gave out before */
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
    step->lease_ms = 0;
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

static bool goes_by_seen(const struct step *step)
{
    return step->put->seen != UINT64_MAX && step->expected == step->put->seen;
}

/* Puts another writer's announcement anew: it stays in force, and its writer must look again. */
static void renew_announcement(struct step *step, uint64_t revision, uint64_t left_ms)
{
    write_over(step, revision);
    step->is_marker = true;
    step->lease_ms = left_ms;
    step->ends_in_conflict = step->put->row != NULL;
}

/* Where a put starts.  What is seen may be one's own announcement, and that may have gone over another's. */
static void begin(struct t3_l2 *l2, struct step *step)
{
    const struct t3_l2_put *put = step->put;
    const bool has_seen = put->seen != UINT64_MAX;
    struct l2_known known = {0};
    step->is_marker = put->row == NULL;
    step->has_version = put->versioned;
    step->version = put->version;
    if (has_seen && put->seen != 0)
        (void)t3_l2_recall(l2, tears_str_c(step->key), put->seen, &known);
    if (put->row != NULL && put->known_ms != 0 && put->known_ms < t3_l2_since_ms(l2))
        write_last_marker(step, true);
    else if (known.under_left_ms > 0) {
        renew_announcement(step, put->seen, known.under_left_ms);
        step->has_version = true; /* else the announcement would say that nothing was there */
    } else if (has_seen)
        write_over(step, put->seen);
    else if (put->row != NULL && (put->authoritative || !put->versioned))
        write_over(step, 0); /* nothing there is what is likely, or all that we may replace */
    else
        step->stage = STAGE_READ; /* also before a mere marker: it must not end an announcement */
}

/* The highest version known of two, of which that of the entry may not be known. */
static int64_t highest(const struct t3_l2_entry *entry, int64_t version)
{
    if (entry->hides_nothing)
        return version;
    return entry->version == 0 || entry->version > version ? entry->version : version;
}

/* A marker over one that may be older than the write, so that fills over the old one fail. */
static void renew_marker(struct step *step, const struct t3_l2_entry *entry)
{
    write_marker(step, entry->revision, highest(entry, step->put->version));
    step->has_version = step->version != 0;
}

/* The rules for a row that finds `entry` under its key. */
static void row_after_read(struct step *step, const struct t3_l2_entry *entry)
{
    const struct t3_l2_put *put = step->put;
    const bool is_newer = entry->version != 0 && entry->version < put->version;
    switch (entry->state) {
    case T3_L2_ABSENT:
        write_over(step, entry->revision);
        break;
    case T3_L2_TOMBSTONE:
    case T3_L2_DAMAGED:
        if (is_newer || entry->hides_nothing || entry->revision == put->seen ||
            (entry->state == T3_L2_DAMAGED && entry->version == 0))
            write_over(step, entry->revision);
        else if (entry->version != 0) /* it may be newer: it stays, and readers ask the database */
            end(step, put->authoritative ? TEARS_OK : TEARS_CONFLICT, entry->revision);
        else {
            renew_marker(step, entry);
            step->ends_in_conflict = !put->authoritative;
        }
        break;
    case T3_L2_ROW:
        if (entry->version == put->version && !put->authoritative && !put->is_dirty &&
            !entry->is_dirty)
            end(step, TEARS_OK, entry->revision); /* ours, or a reader's fill of the same row */
        else if (entry->version <= put->version)
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
        write_marker(step, entry->revision, put->version);
        break;
    case T3_L2_TOMBSTONE:
    case T3_L2_DAMAGED:
        if (entry->state == T3_L2_TOMBSTONE && entry->version > put->version)
            end(step, TEARS_OK, entry->revision);
        else if (entry->state == T3_L2_DAMAGED && entry->version == 0)
            write_marker(step, entry->revision, put->version);
        else
            renew_marker(step, entry);
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

/* The rules of a table without versions: whoever comes second leaves a marker. */
static void unversioned_after_read(struct step *step, const struct t3_l2_entry *entry)
{
    if (entry->revision == step->put->seen)
        write_over(step, entry->revision); /* the first try has not happened, or not yet */
    else
        write_last_marker(step, step->put->row != NULL);
}

/* Decides what to do, knowing what is under the key now. */
static void after_read(struct step *step, const struct t3_l2_entry *entry)
{
    const struct t3_l2_put *put = step->put;
    step->ends_in_conflict = false;
    step->is_marker = put->row == NULL;
    step->has_version = put->versioned;
    step->version = put->version;
    if (entry->lease == T3_L2_WRITE_LEASE && entry->revision != put->seen) {
        renew_announcement(step, entry->revision, entry->lease_left_ms);
        step->version = put->versioned ? highest(entry, put->version) : entry->version;
        step->has_version = !entry->hides_nothing || step->version != 0;
    } else if (!put->versioned)
        unversioned_after_read(step, entry);
    else if (put->row == NULL)
        marker_after_read(step, entry);
    else
        row_after_read(step, entry);
}

static void after_failure(struct step *step, tears_status status)
{
    if (status == TEARS_LIMIT || status == TEARS_INVALID)
        end(step, TEARS_OK, 0); /* a key that cannot be sent is in no bucket: nothing to correct */
    else if (status == TEARS_TIMEOUT)
        step->stage = STAGE_READ; /* it may have happened */
    else
        end(step, status, 0);
}

/* Whether the bucket turned out to be another one meanwhile.  One whose revisions are below those that were obeyed is one that the feed
 * does not know of yet. */
static bool bucket_has_changed(const struct putting *putting, uint64_t revision)
{
    if (revision <= putting->obeyed)
        t3_l2_wake_feed(putting->l2);
    return revision <= putting->obeyed || t3_l2_since_ms(putting->l2) != putting->since_ms;
}

/* A write was stored.  A remembered revision is one of the bucket of then, and a row may be history in a younger one; if the bucket
 * has become another one since, what was replaced is not known. */
static void after_stored(const struct putting *putting, struct step *step, uint64_t revision)
{
    const bool is_by_memory = goes_by_seen(step) && step->put->seen != 0;
    if ((is_by_memory && t3_l2_generation(putting->l2) != putting->generation) ||
        (!step->is_marker && bucket_has_changed(putting, revision)))
        write_last_marker(step, step->put->row != NULL);
    else
        end(step, step->ends_in_conflict ? TEARS_CONFLICT : TEARS_OK, revision);
}

static void after_write(const struct putting *putting, struct step *step,
                        const struct t3_kv_request *request)
{
    if (request->outcome == T3_KV_STORED)
        after_stored(putting, step, request->revision);
    else if (request->outcome == T3_KV_RACED)
        step->stage = STAGE_READ;
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
            request.ids = step->ids;
            request.lease_ms = step->is_marker ? step->lease_ms : 0;
            request.is_dirty = !step->is_marker && step->put->is_dirty;
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
        else {
            t3_l2_count(&putting->l2->damaged, entry.state == T3_L2_DAMAGED ? 1 : 0);
            after_read(step, &entry);
        }
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
        after_write(putting, putting->asked[i], &putting->requests[i]);
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

/* The texts that the steps of a window point into. */
struct texts {
    struct t3_buf keys;
    struct t3_buf ids;
    struct t3_buf bodies;
    size_t *starts; /* of keys; NUL-terminated */
    size_t *ids_ends;
    size_t *body_ends;
};

static void texts_done(struct texts *texts)
{
    t3_buf_done(&texts->keys);
    t3_buf_done(&texts->ids);
    t3_buf_done(&texts->bodies);
}

static tears_status write_texts(const struct putting *putting, struct t3_l2_put *puts,
                                struct texts *texts)
{
    const size_t count = putting->count;
    texts->starts = t3_arena_array(putting->arena, 3 * count, sizeof texts->starts[0]);
    if (texts->starts == NULL)
        return TEARS_NO_MEMORY;
    texts->ids_ends = texts->starts + count;
    texts->body_ends = texts->ids_ends + count;
    for (size_t i = 0; i < count; i++) {
        const struct t3_key *key = puts[i].key;
        T3_TRY(t3_l2_put_keys(putting->schema, key, 1, &texts->keys, &texts->starts[i]));
        T3_TRY(
            t3_l2_put_ids(putting->schema, key, texts->keys.ptr + texts->starts[i], &texts->ids));
        texts->ids_ends[i] = texts->ids.len;
    }
    return encode_bodies(putting->schema, puts, count, &texts->bodies, texts->body_ends);
}

/* The i-th of the texts that end at `ends`. */
static struct tears_str part(const struct t3_buf *all, const size_t *ends, size_t i)
{
    const size_t start = i > 0 ? ends[i - 1] : 0;
    return tears_str_n(t3_buf_str(all).ptr + start, ends[i] - start);
}

static tears_status put_window(struct putting *putting, struct t3_l2_put *puts,
                               struct tears_error *error_out)
{
    T3_AUTO(texts_done) struct texts texts = {0};
    T3_TRY(write_texts(putting, puts, &texts));
    for (size_t i = 0; i < putting->count; i++) {
        putting->steps[i] = (struct step){
            .put = &puts[i],
            .key = texts.keys.ptr + texts.starts[i],
            .body = part(&texts.bodies, texts.body_ends, i),
            .ids = part(&texts.ids, texts.ids_ends, i),
        };
        begin(putting->l2, &putting->steps[i]);
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
        .generation = t3_l2_generation(l2),
        .since_ms = t3_l2_since_ms(l2),
        .obeyed = atomic_load_explicit(&l2->feed.revision, memory_order_relaxed),
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
