/*
 * worker_operate.c -- the operations of a worker: each is written down when it begins and when it has ended.
 *
 * Owns:     nothing; the session is the thread's.
 * Must not know: what may come out; that is judged later.
 * Threads:  one for each session.
 * Fails:    never: a failure is an outcome like any other.
 * Begin at: chaos_operate().
 */
#include "worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_MAX = 8, HOT_KEYS = 24, HOT_SHARE = 650, TOKEN_BYTES_MAX = 64 * 1024 };

uint64_t chaos_number(struct chaos_worker *worker)
{
    return atomic_fetch_add(&worker->next_number, 1);
}

/* ---- records ---- */

static struct chaos_record *begin(struct chaos_thread *thread, enum chaos_kind kind, uint32_t table,
                                  uint32_t key)
{
    struct chaos_worker *worker = thread->worker;
    struct chaos_record *record = chaos_log_begin(worker->log);
    if (record == NULL) { /* what cannot be written down must not happen */
        worker->is_resting = true;
        return NULL;
    }
    record->kind = (uint8_t)kind;
    record->table = (uint8_t)table;
    record->key = key;
    record->level = thread->level;
    record->session = thread->session_id;
    record->worker = worker->options.worker;
    record->bound_ms =
        thread->level == TEARS_READ_BOUNDED ? thread->bound_ms : worker->bound_ms[table];
    return record;
}

static void announce(struct chaos_record *record)
{
    atomic_store_explicit(&record->state, CHAOS_BEGUN, memory_order_release);
}

static int64_t stamp_of(const tears_entity *entity)
{
    struct tears_value value = tears_null();
    if (entity == NULL || tears_entity_get(entity, TEARS_STR("stamp"), &value) != TEARS_OK)
        return 0;
    return value.as.integer;
}

static void end_read(struct chaos_thread *thread, struct chaos_record *record, tears_status status,
                     const tears_entity *entity)
{
    record->status = (uint16_t)status;
    record->degraded = (uint16_t)tears_session_degraded(thread->session);
    if (status == TEARS_OK && entity != NULL) {
        record->stamp = stamp_of(entity);
        record->version = tears_entity_version(entity);
        record->tier = (uint8_t)tears_entity_tier(entity);
    } else {
        record->tier = (uint8_t)tears_session_tier(thread->session);
    }
    chaos_falsify(thread, record);
    chaos_log_end(record);
}

static void end_write(struct chaos_thread *thread, struct chaos_record *record, tears_status status,
                      const tears_entity *entity)
{
    record->status = (uint16_t)status;
    record->degraded = (uint16_t)tears_session_degraded(thread->session);
    if (status == TEARS_OK && entity != NULL)
        record->version = tears_entity_version(entity);
    chaos_log_end(record);
}

/* ---- reads ---- */

static tears_entity *read_one(struct chaos_thread *thread, enum chaos_kind kind, uint32_t table,
                              uint32_t key)
{
    const struct tears_value id = tears_int((int64_t)key);
    tears_entity *entity = NULL;
    struct chaos_record *record = begin(thread, kind, table, key);
    if (record == NULL)
        return NULL;
    announce(record);
    const tears_status status =
        tears_get(thread->session, thread->worker->tables[table], &id, 1, &entity);
    end_read(thread, record, status, entity);
    return status == TEARS_OK ? entity : NULL;
}

static uint32_t pick_key(struct chaos_thread *thread)
{
    const unsigned keys = thread->worker->options.keys;
    const bool is_hot = chaos_random_chance(&thread->random, HOT_SHARE) && keys > HOT_KEYS;
    return (uint32_t)chaos_random_below(&thread->random, is_hot ? HOT_KEYS : keys);
}

static void read_many(struct chaos_thread *thread, uint32_t table)
{
    struct chaos_record *records[BATCH_MAX] = {NULL};
    struct tears_value ids[BATCH_MAX];
    tears_entity *entities[BATCH_MAX] = {NULL};
    const size_t count = chaos_random_between(&thread->random, 2, BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const uint32_t key = pick_key(thread);
        ids[i] = tears_int((int64_t)key);
        records[i] = begin(thread, CHAOS_GET_MANY, table, key);
        if (records[i] == NULL)
            return;
        announce(records[i]);
    }
    const tears_status status =
        tears_get_many(thread->session, thread->worker->tables[table], ids, count, entities);
    for (size_t i = 0; i < count; i++)
        end_read(thread, records[i],
                 status == TEARS_OK && entities[i] == NULL ? TEARS_NOT_FOUND : status,
                 status == TEARS_OK ? entities[i] : NULL);
}

/* ---- writes ---- */

static struct chaos_record *begin_write(struct chaos_thread *thread, enum chaos_kind kind,
                                        uint32_t table, uint32_t key)
{
    struct chaos_record *record = begin(thread, kind, table, key);
    if (record == NULL)
        return NULL;
    if (kind != CHAOS_DELETE)
        record->stamp = (int64_t)chaos_number(thread->worker);
    return record;
}

/* The columns of a row: its key only when it is to be made. */
static size_t fields_of(const struct chaos_record *record, bool with_key,
                        struct tears_field fields[3])
{
    size_t count = 0;
    if (with_key)
        fields[count++] = tears_field_of(TEARS_STR("id"), tears_int((int64_t)record->key));
    fields[count++] = tears_field_of(TEARS_STR("stamp"), tears_int(record->stamp));
    fields[count++] = tears_field_of(TEARS_STR("note"), tears_text(TEARS_STR("written by chaos")));
    return count;
}

static void put_row(struct chaos_thread *thread, enum chaos_kind kind, uint32_t table, uint32_t key)
{
    struct tears_field fields[3];
    tears_entity *entity = NULL;
    struct chaos_record *record = begin_write(thread, kind, table, key);
    if (record == NULL)
        return;
    announce(record);
    const size_t count = fields_of(record, true, fields);
    tears_collection *collection = thread->worker->tables[table];
    tears_status status = TEARS_OK;
    if (!chaos_forgets_write(thread))
        status = kind == CHAOS_INSERT
                     ? tears_insert(thread->session, collection, fields, count, &entity)
                     : tears_upsert(thread->session, collection, fields, count, &entity);
    end_write(thread, record, status, entity);
}

static void update(struct chaos_thread *thread, uint32_t table, uint32_t key)
{
    struct tears_field fields[3];
    tears_entity *base = read_one(thread, CHAOS_GET, table, key);
    if (base == NULL)
        return;
    if (chaos_random_chance(&thread->random, 100))
        usleep((useconds_t)chaos_random_below(&thread->random, 5000)); /* invites a conflict */
    struct chaos_record *record = begin_write(thread, CHAOS_UPDATE, table, key);
    if (record == NULL)
        return;
    const int64_t base_version = tears_entity_version(base);
    record->base = stamp_of(base);
    announce(record);
    tears_entity *entity = NULL;
    tears_status status = TEARS_OK;
    if (!chaos_forgets_write(thread))
        status =
            tears_update(thread->session, base, fields, fields_of(record, false, fields), &entity);
    end_write(thread, record, status, entity);
    if (status != TEARS_OK)
        return;
    chaos_remember_own(thread, record, base_version);
    if (thread->worker->options.bug == CHAOS_BUG_NO_FLOOR)
        (void)read_one(thread, CHAOS_GET, table, key);
}

static void delete_row(struct chaos_thread *thread, uint32_t table, uint32_t key)
{
    const struct tears_value id = tears_int((int64_t)key);
    const tears_entity *base =
        chaos_random_chance(&thread->random, 300) ? read_one(thread, CHAOS_GET, table, key) : NULL;
    struct chaos_record *record = begin_write(thread, CHAOS_DELETE, table, key);
    if (record == NULL)
        return;
    announce(record);
    const tears_status status =
        base != NULL ? tears_delete_entity(thread->session, base)
                     : tears_delete(thread->session, thread->worker->tables[table], &id, 1);
    end_write(thread, record, status, NULL);
}

/* What somebody does in psql.  Only the outbox tells of it. */
static void update_raw(struct chaos_thread *thread, uint32_t key)
{
    struct chaos_record *record = begin_write(thread, CHAOS_RAW, CHAOS_OUTBOX, key);
    uint64_t rows = 0;
    if (record == NULL)
        return;
    announce(record);
    const struct tears_value params[] = {tears_int(record->stamp), tears_int((int64_t)key)};
    tears_status status = tears_execute(
        thread->session,
        TEARS_STR(
            "UPDATE chaos_outbox SET stamp = $1, row_version = row_version + 1 WHERE id = $2"),
        params, 2, &rows);
    if (status == TEARS_OK && rows == 0)
        status = TEARS_NOT_FOUND;
    end_write(thread, record, status, NULL);
}

/* ---- tokens ---- */

/* Another process takes it from a file: "NUMBER TEXT". */
static void hand_out(struct chaos_thread *thread)
{
    char path[512];
    char fresh[544];
    struct tears_str token = {NULL, 0};
    struct chaos_worker *worker = thread->worker;
    if (tears_session_token(thread->session, &token) != TEARS_OK || token.len == 0 ||
        token.len > TOKEN_BYTES_MAX)
        return;
    struct chaos_record *record = begin(thread, CHAOS_TOKEN, 0, 0);
    if (record == NULL)
        return;
    record->stamp = (int64_t)chaos_number(worker);
    record->status = TEARS_OK;
    chaos_log_end(record);
    snprintf(path, sizeof path, "%s/token-%u", worker->options.folder, worker->options.worker);
    snprintf(fresh, sizeof fresh, "%s.%" PRIx64, path, (uint64_t)record->stamp);
    FILE *file = fopen(fresh, "w");
    if (file == NULL)
        return;
    fprintf(file, "%" PRId64 " %.*s", record->stamp, (int)token.len, token.ptr);
    fclose(file);
    (void)rename(fresh, path);
}

static void take_over(struct chaos_thread *thread)
{
    static _Thread_local char text[TOKEN_BYTES_MAX + 32];
    char path[512];
    int begin_at = 0;
    int64_t number = 0;
    struct chaos_worker *worker = thread->worker;
    snprintf(path, sizeof path, "%s/token-%u", worker->options.folder,
             (unsigned)chaos_random_below(&thread->random, CHAOS_WORKERS_MAX));
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    const size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    if (sscanf(text, "%" SCNd64 " %n", &number, &begin_at) != 1 || begin_at == 0)
        return;
    struct chaos_record *record = begin(thread, CHAOS_FOLLOW, 0, 0);
    if (record == NULL)
        return;
    record->stamp = number;
    announce(record);
    record->status = (uint16_t)tears_session_follow(thread->session, tears_str_c(text + begin_at));
    chaos_log_end(record);
}

/* ---- by chance ---- */

void chaos_operate(struct chaos_thread *thread)
{
    const uint32_t table = (uint32_t)chaos_random_below(&thread->random, CHAOS_TABLES);
    const uint32_t key = pick_key(thread);
    const uint64_t chance = chaos_random_below(&thread->random, 1000);
    const bool is_session = thread->level == TEARS_READ_SESSION;
    if (is_session && chaos_random_chance(&thread->random, 60))
        hand_out(thread);
    if (is_session && chaos_random_chance(&thread->random, 40))
        take_over(thread);
    if (chance < 600)
        (void)read_one(thread, CHAOS_GET, table, key);
    else if (chance < 720)
        read_many(thread, table);
    else if (chance < 860)
        update(thread, table, key);
    else if (chance < 920)
        put_row(thread, CHAOS_UPSERT, table, key);
    else if (chance < 955)
        put_row(thread, CHAOS_INSERT, table, key);
    else if (chance < 985)
        delete_row(thread, table, key);
    else
        update_raw(thread, key);
}

void chaos_read_all(struct chaos_thread *thread)
{
    for (uint32_t table = 0; table < CHAOS_TABLES; table++)
        for (uint32_t key = 0; key < thread->worker->options.keys; key++) {
            (void)read_one(thread, CHAOS_FINAL, table, key);
            if (key % 64 == 63)
                tears_session_reset(thread->session);
        }
}
