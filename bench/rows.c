/*
 * rows.c -- rows by number, and clients that hold them.
 */
#include "rows.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void bench_row_of(uint64_t number, struct bench_row *row_out)
{
    bench_uuid(number, row_out->id);
    bench_uuid(number ^ 0x5555, row_out->owner);
    bench_text(number, row_out->name, sizeof row_out->name);
    bench_text(number + 1, row_out->body, sizeof row_out->body);
    row_out->n = (int64_t)number;
}

void bench_fields_of(const struct bench_row *row, struct tears_field *fields_out)
{
    fields_out[0] = tears_field_of(TEARS_STR("id"), tears_uuid(row->id));
    fields_out[1] = tears_field_of(TEARS_STR("owner"), tears_uuid(row->owner));
    fields_out[2] =
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_n(row->name, sizeof row->name)));
    fields_out[3] =
        tears_field_of(TEARS_STR("body"), tears_text(tears_str_n(row->body, sizeof row->body)));
    fields_out[4] = tears_field_of(TEARS_STR("n"), tears_int(row->n));
}

enum { CHUNK = 5000 };

static void insert_chunk(tears_session *session, tears_collection *collection, uint64_t first,
                         size_t count)
{
    struct bench_row *rows = tears_session_alloc(session, count * sizeof *rows);
    struct tears_field *fields =
        tears_session_alloc(session, count * BENCH_FIELDS * sizeof *fields);
    struct tears_row_input *inputs = tears_session_alloc(session, count * sizeof *inputs);
    for (size_t i = 0; i < count; i++) {
        bench_row_of(first + i, &rows[i]);
        bench_fields_of(&rows[i], fields + i * BENCH_FIELDS);
        inputs[i].fields = fields + i * BENCH_FIELDS;
        inputs[i].field_count = BENCH_FIELDS;
        inputs[i].base = NULL;
    }
    bench_check(tears_insert_many(session, collection, inputs, count, NULL), session, "insert");
    tears_session_reset(session);
}

void bench_insert(tears_session *session, tears_collection *collection, uint64_t first,
                  uint64_t count)
{
    for (uint64_t done = 0; done < count; done += CHUNK) {
        const uint64_t left = count - done;
        insert_chunk(session, collection, first + done, left < CHUNK ? (size_t)left : CHUNK);
    }
}

void bench_get(tears_session *session, tears_collection *collection, uint64_t number, uint32_t tier)
{
    uint8_t id[16];
    bench_uuid(number, id);
    const struct tears_value key = tears_uuid(id);
    tears_entity *entity;
    bench_check(tears_get(session, collection, &key, 1, &entity), session, "get");
    if (tears_entity_tier(entity) != tier) {
        fprintf(stderr, "bench: a row came from L%u, not L%u\n", tears_entity_tier(entity), tier);
        exit(2);
    }
    tears_session_reset(session);
}

void bench_get_many(tears_session *session, tears_collection *collection, const uint64_t *numbers,
                    size_t count)
{
    struct tears_value *keys = tears_session_alloc(session, count * sizeof *keys);
    tears_entity **entities = tears_session_alloc(session, count * sizeof *entities);
    for (size_t i = 0; i < count; i++) {
        uint8_t id[16];
        bench_uuid(numbers[i], id);
        keys[i] = tears_uuid(id);
    }
    bench_check(tears_get_many(session, collection, keys, count, entities), session, "get_many");
    tears_session_reset(session);
}

void bench_choose(uint64_t *state, uint64_t rows, uint64_t *numbers, size_t count)
{
    const uint64_t first = bench_random(state) % rows;
    for (size_t i = 0; i < count; i++)
        numbers[i] = (first + i * 97) % rows;
}

enum { THREADS_MAX = 64 };

double bench_rate_of_threads(void *(*run)(void *), void *context, int threads, int each)
{
    pthread_t ids[THREADS_MAX];
    const uint64_t start = bench_now_ns();
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, run, context);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return (double)threads * each * 1e9 / (double)(bench_now_ns() - start);
}

static char paths[16][32];
static int path_count;

static void remove_files(void)
{
    for (int i = 0; i < path_count; i++) {
        static const char *const endings[] = {"", "-wal", "-shm"};
        for (int k = 0; k < 3; k++) {
            char path[48];
            snprintf(path, sizeof path, "%.31s%s", paths[i], endings[k]);
            (void)unlink(path); /* some of them may not exist */
        }
    }
}

tears_client *bench_lite_client(struct bench_lite *lite)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    tears_client *client = NULL;
    tears_session *session = NULL;
    tears_collection *collection = NULL;
    struct tears_error error;
    if (path_count == 0)
        atexit(remove_files);
    char *path = paths[path_count++];
    snprintf(path, sizeof paths[0], "/tmp/tears-bench-XXXXXX");
    const int fd = mkstemp(path);
    if (fd >= 0)
        close(fd);
    char url[96];
    snprintf(url, sizeof url, "sqlite:%s", path);
    options.l3_url = tears_str_c(url);
    options.l2_url = tears_str_c(lite->l2_url);
    options.namespace_name = TEARS_STR("bench");
    options.l1 = tears_str_c(lite->l1);
    options.l1_age_ms_max = 3600000;
    if (tears_client_open(&options, &client, &error) != TEARS_OK) {
        fprintf(stderr, "bench: %s\n", error.message);
        exit(2);
    }
    bench_check(tears_session_new(client, NULL, &session), NULL, "session");
    bench_check(tears_execute(session, TEARS_STR(BENCH_TABLE_LITE), NULL, 0, NULL), session,
                "create");
    bench_check(tears_collection_find(client, TEARS_STR("bench"), &collection), NULL, "find");
    bench_insert(session, collection, 0, lite->rows);
    tears_session_free(session);
    snprintf(lite->path, sizeof lite->path, "%s", path);
    return client;
}
