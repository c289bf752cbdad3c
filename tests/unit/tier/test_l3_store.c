/*
 * test_l3_store.c -- the adapter for an application's own store, with the store of files from
 * examples/ and with one that breaks its promises.
 */
#include "tier/l3.h"

#include "base/alloc.h"
#include "dir_store.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { ID, NAME, NOTE, RAW, RATIO, SEEN, PRICE, PLACE, ROW_VERSION, COLUMN_COUNT };

static struct tears_schema *users_schema(uint64_t on_conflict)
{
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_BIGINT},
        {.name = TEARS_STR("name"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("note"), .type = TEARS_TYPE_JSONB, .nullable = true},
        {.name = TEARS_STR("raw"), .type = TEARS_TYPE_BYTES, .nullable = true},
        {.name = TEARS_STR("ratio"), .type = TEARS_TYPE_DOUBLE, .nullable = true},
        {.name = TEARS_STR("seen"), .type = TEARS_TYPE_TIMESTAMPTZ, .nullable = true},
        {.name = TEARS_STR("price"),
         .type = TEARS_TYPE_NUMERIC,
         .nullable = true,
         .precision = 12,
         .scale = 4,
         .has_scale = true},
        {.name = TEARS_STR("place"), .type = TEARS_TYPE_VECTOR, .nullable = true, .vector_dim = 2},
        {.name = TEARS_STR("row_version"), .type = TEARS_TYPE_BIGINT},
    };
    const struct tears_str key[] = {TEARS_STR("id")};
    const struct tears_schema_def def = {.name = TEARS_STR("users"),
                                         .primary_key = key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = T3_COUNT(columns),
                                         .version_column = TEARS_STR("row_version"),
                                         .on_conflict = on_conflict};
    struct tears_schema *schema = NULL;
    struct tears_error error = {0};
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    return schema;
}

struct world {
    char directory[64];
    struct dir_store *files;
    struct t3_l3 *l3;
    struct tears_schema *schema;
    struct t3_arena arena;
    struct tears_error error;
    struct t3_l3_call call;
};

static void open_world(struct world *world, const struct tears_store *store)
{
    assert_int_equal(t3_l3_store_open(store, &world->l3, &world->error), TEARS_OK);
    world->schema = users_schema(TEARS_ON_CONFLICT_UPDATE);
    world->call = (struct t3_l3_call){
        .arena = &world->arena, .deadline = t3_deadline_in_ms(60000), .error = &world->error};
}

static void close_world(struct world *world)
{
    world->l3->ops->free(world->l3);
    tears_schema_free(world->schema);
    t3_arena_done(&world->arena);
}

static int set_up_files(void **state)
{
    static struct world world;
    world = (struct world){.directory = "/tmp/test_l3_store_XXXXXX"};
    assert_non_null(mkdtemp(world.directory));
    assert_int_equal(dir_store_open(world.directory, &world.files, &world.error), TEARS_OK);
    open_world(&world, dir_store_functions(world.files));
    *state = &world;
    return 0;
}

static void remove_table(const char *table)
{
    DIR *directory = opendir(table);
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", table, entry->d_name);
        (void)unlink(path); /* "." and ".." refuse */
    }
    closedir(directory);
    assert_int_equal(rmdir(table), 0);
}

static int tear_down_files(void **state)
{
    struct world *world = *state;
    close_world(world);
    dir_store_free(world->files);
    char table[96];
    snprintf(table, sizeof table, "%s/users", world->directory);
    remove_table(table);
    assert_int_equal(rmdir(world->directory), 0);
    return 0;
}

/* ---- writes ---- */

struct change {
    struct t3_cell cells[COLUMN_COUNT];
    struct tears_value id;
    struct t3_write write;
};

static struct t3_write *user(struct change *change, enum t3_write_kind kind, int64_t id,
                             const char *name)
{
    *change = (struct change){.id = tears_int(id)};
    uint32_t count = 0;
    if (kind == T3_WRITE_INSERT || kind == T3_WRITE_UPSERT)
        change->cells[count++] = (struct t3_cell){ID, change->id};
    if (name != NULL)
        change->cells[count++] = (struct t3_cell){NAME, tears_text(tears_str_c(name))};
    change->write = (struct t3_write){
        .cells = change->cells, .cell_count = count, .key = {.values = &change->id, .count = 1}};
    return &change->write;
}

static tears_status write_one(struct world *world, enum t3_write_kind kind, struct t3_write *write)
{
    return world->l3->ops->write(world->l3, &world->call, world->schema, kind, write, 1);
}

static tears_status insert(struct world *world, int64_t id, const char *name)
{
    struct change change;
    T3_TRY(write_one(world, T3_WRITE_INSERT, user(&change, T3_WRITE_INSERT, id, name)));
    return change.write.status;
}

static tears_status fetch(struct world *world, int64_t id, struct t3_row **row_out)
{
    const struct tears_value value = tears_int(id);
    const struct t3_key key = {.values = &value, .count = 1};
    return world->l3->ops->fetch(world->l3, &world->call, world->schema, &key, 1, row_out);
}

static void assert_name(struct world *world, const struct t3_row *row, const char *name)
{
    assert_non_null(row);
    assert_string_equal(t3_row_value(row, &world->schema->layout, NAME).as.bytes.ptr, name);
}

/* ---- the store of files ---- */

static void rows_are_files_and_keep_their_values(void **state)
{
    struct world *world = *state;
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 7, "A\xC3\xA4\"\\\n");
    const double numbers[] = {-0.0, 1e-300};
    const struct tears_value values[] = {tears_json(TEARS_STR("{\"n\": 1e400, \"m\": 0.10}")),
                                         tears_bytes(TEARS_STR("\0\xFF")),
                                         tears_double((double)NAN),
                                         tears_timestamp_us(-1),
                                         tears_decimal(TEARS_STR("0.1000")),
                                         tears_vector(numbers, 2)};
    for (uint32_t i = 0; i < T3_COUNT(values); i++)
        change.cells[write->cell_count++] = (struct t3_cell){NOTE + i, values[i]};
    change.cells[1].value = tears_text(TEARS_STR("a\0b"));
    assert_int_equal(write_one(world, T3_WRITE_INSERT, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_int_equal(write->version, 1);
    struct t3_row *row;
    assert_int_equal(fetch(world, 7, &row), TEARS_OK);
    assert_memory_equal(row, write->row, row->size);
    for (uint32_t i = 0; i < T3_COUNT(values); i++)
        assert_true(t3_row_cell_equal(row, &world->schema->layout, NOTE + i, &values[i]));
    assert_int_equal(t3_row_value(row, &world->schema->layout, NAME).as.bytes.len, 3);
    char path[128];
    snprintf(path, sizeof path, "%s/users/7.json", world->directory);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(fetch(world, 8, &row), TEARS_OK);
    assert_null(row);
}

static void writes_follow_the_rules_of_the_tier(void **state)
{
    struct world *world = *state;
    struct change change;
    assert_int_equal(insert(world, 7, "Ada"), TEARS_OK);
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 7, "Bob");
    assert_int_equal(write_one(world, T3_WRITE_INSERT, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_name(world, write->row, "Ada");

    write = user(&change, T3_WRITE_UPDATE, 7, "Eve");
    write->has_base = true;
    write->base = 1;
    assert_int_equal(write_one(world, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_int_equal(write->version, 2);
    write->base = 1;
    assert_int_equal(write_one(world, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_name(world, write->row, "Eve");
    assert_int_equal(write->version, 2);
    write = user(&change, T3_WRITE_UPDATE, 99, "Eve");
    assert_int_equal(write_one(world, T3_WRITE_UPDATE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_NOT_FOUND);

    write = user(&change, T3_WRITE_UPSERT, 7, "Kim");
    assert_int_equal(write_one(world, T3_WRITE_UPSERT, write), TEARS_OK);
    assert_int_equal(write->version, 3);
    write = user(&change, T3_WRITE_DELETE, 7, NULL);
    assert_int_equal(write_one(world, T3_WRITE_DELETE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_int_equal(write->version, 3);
    assert_null(write->row);
    assert_int_equal(write_one(world, T3_WRITE_DELETE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_NOT_FOUND);
    write->has_base = true;
    assert_int_equal(write_one(world, T3_WRITE_DELETE, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_CONFLICT);
    assert_null(write->row);
}

static void the_policy_ignore_leaves_the_row(void **state)
{
    struct world *world = *state;
    tears_schema_free(world->schema);
    world->schema = users_schema(TEARS_ON_CONFLICT_IGNORE);
    assert_int_equal(insert(world, 7, "Ada"), TEARS_OK);
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_UPSERT, 7, "Bob");
    assert_int_equal(write_one(world, T3_WRITE_UPSERT, write), TEARS_OK);
    assert_int_equal(write->status, TEARS_OK);
    assert_name(world, write->row, "Ada");
}

static void pages_come_in_key_order(void **state)
{
    struct world *world = *state;
    for (int64_t id = 0; id < 25; id++)
        assert_int_equal(insert(world, (id * 7) % 25 - 5, id % 2 == 0 ? "even" : "odd"), TEARS_OK);
    const uint32_t order[] = {ID};
    struct t3_scan scan = {.order = order, .order_count = 1, .row_max = 4};
    struct tears_value after;
    int64_t expected = -5;
    for (size_t count = 4; count == 4;) {
        struct t3_row **rows;
        assert_int_equal(
            world->l3->ops->scan(world->l3, &world->call, world->schema, &scan, &rows, &count),
            TEARS_OK);
        for (size_t i = 0; i < count; i++) {
            after = t3_row_value(rows[i], &world->schema->layout, ID);
            assert_int_equal(after.as.integer, expected++);
        }
        scan.after = &after;
    }
    assert_int_equal(expected, 20);
    const struct t3_cell filter = {NAME, tears_text(TEARS_STR("odd"))};
    struct t3_scan filtered = {
        .filters = &filter, .filter_count = 1, .order = order, .order_count = 1, .row_max = 100};
    struct t3_row **rows;
    size_t count;
    assert_int_equal(
        world->l3->ops->scan(world->l3, &world->call, world->schema, &filtered, &rows, &count),
        TEARS_OK);
    assert_int_equal(count, 12);
    filtered.descending = true;
    assert_int_equal(
        world->l3->ops->scan(world->l3, &world->call, world->schema, &filtered, &rows, &count),
        TEARS_UNSUPPORTED);
}

static void a_damaged_file_is_corrupt(void **state)
{
    struct world *world = *state;
    assert_int_equal(insert(world, 7, "Ada"), TEARS_OK);
    char path[128];
    snprintf(path, sizeof path, "%s/users/7.json", world->directory);
    static const char *const contents[] = {"{", "[]", "{\"id\": 7}", "{\"id\": 7, \"name\": 5}",
                                           "{\"id\": 8, \"name\": \"x\", \"row_version\": 1}"};
    for (size_t i = 0; i < T3_COUNT(contents); i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(contents[i], file) >= 0);
        assert_int_equal(fclose(file), 0);
        struct t3_row *row;
        assert_int_equal(fetch(world, 7, &row), TEARS_CORRUPT);
        assert_true(world->error.message[0] != '\0');
        assert_string_equal(world->error.origin, "l3.store");
    }
}

static void what_a_store_cannot_do_is_unsupported(void **state)
{
    struct world *world = *state;
    struct t3_l3_tx *tx = NULL;
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &tx), TEARS_UNSUPPORTED);
    struct t3_result result;
    assert_int_equal(
        world->l3->ops->query(world->l3, &world->call, TEARS_STR("SELECT 1"), NULL, 0, &result),
        TEARS_UNSUPPORTED);
    struct tears_schema *schema;
    assert_int_equal(world->l3->ops->describe(world->l3, &world->call, TEARS_STR("users"),
                                              TEARS_STR(""), 0, &schema),
                     TEARS_UNSUPPORTED);
    struct tears_str *names;
    size_t count;
    assert_int_equal(world->l3->ops->tables(world->l3, &world->call, &names, &count),
                     TEARS_UNSUPPORTED);
    struct t3_findings findings = {.arena = &world->arena};
    assert_int_equal(world->l3->ops->doctor(world->l3, &world->call, &findings), TEARS_OK);
    assert_true(findings.count >= 2);
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 1, "Ada");
    write->key.count = 0;
    assert_int_equal(write_one(world, T3_WRITE_INSERT, write), TEARS_INVALID);
    assert_int_equal(insert(world, 1, "Ada"), TEARS_OK);
}

/* ---- threads on the store of files ---- */

enum { THREADS = 4, ROUNDS = 10 };

static void *count_up(void *context)
{
    struct world *shared = context;
    struct world here = {.l3 = shared->l3, .schema = shared->schema};
    here.call = (struct t3_l3_call){
        .arena = &here.arena, .deadline = t3_deadline_in_ms(60000), .error = &here.error};
    bool failed = false;
    for (int done = 0; done < ROUNDS && !failed;) {
        struct t3_row *row = NULL;
        struct change change;
        failed = fetch(&here, 1, &row) != TEARS_OK || row == NULL;
        if (failed)
            break;
        struct t3_write *write = user(&change, T3_WRITE_UPDATE, 1, NULL);
        const double ratio = t3_row_value(row, &here.schema->layout, RATIO).as.number;
        change.cells[0] = (struct t3_cell){RATIO, tears_double(ratio + 1)};
        write->cell_count = 1;
        write->has_base = true;
        write->base = t3_schema_row_version(here.schema, row);
        failed = write_one(&here, T3_WRITE_UPDATE, write) != TEARS_OK;
        done += write->status == TEARS_OK ? 1 : 0;
    }
    t3_arena_done(&here.arena);
    return failed ? context : NULL;
}

static void no_update_is_lost_between_threads(void **state)
{
    struct world *world = *state;
    struct change change;
    struct t3_write *write = user(&change, T3_WRITE_INSERT, 1, "Ada");
    change.cells[write->cell_count++] = (struct t3_cell){RATIO, tears_double(0)};
    assert_int_equal(write_one(world, T3_WRITE_INSERT, write), TEARS_OK);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, world), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    struct t3_row *row;
    assert_int_equal(fetch(world, 1, &row), TEARS_OK);
    const struct tears_value sum = tears_double(THREADS * ROUNDS);
    assert_true(t3_row_cell_equal(row, &world->schema->layout, RATIO, &sum));
    assert_int_equal(t3_schema_row_version(world->schema, row), THREADS * ROUNDS + 1);
}

/* ---- a store that does as it is told by the test ---- */

struct puppet {
    struct tears_store store;
    tears_status status;
    const char *message;
    const struct tears_field *fields; /* what it gives */
    size_t field_count;
    size_t row_count; /* how often */
    int fail_from;    /* the call that fails with `status`, from 1; 0: all */
    int calls, begun, committed, rolled_back;
};

static tears_status play(struct puppet *puppet, const struct tears_row_sink *sink,
                         struct tears_error *error)
{
    puppet->calls++;
    if (puppet->message != NULL)
        snprintf(error->message, sizeof error->message, "%s", puppet->message);
    for (size_t i = 0; i < puppet->row_count && sink != NULL; i++)
        if (sink->put(sink->owner, puppet->fields, puppet->field_count) != TEARS_OK)
            break; /* and forgets to say so */
    return puppet->calls >= puppet->fail_from ? puppet->status : TEARS_OK;
}

static tears_status puppet_fetch(void *owner, void *tx, const tears_schema *schema,
                                 const struct tears_value *key, size_t key_count,
                                 uint64_t deadline_ms, const struct tears_row_sink *sink,
                                 struct tears_error *error)
{
    (void)tx, (void)schema, (void)key, (void)key_count, (void)deadline_ms;
    return play(owner, sink, error);
}

static tears_status puppet_upsert(void *owner, void *tx, const tears_schema *schema, uint64_t mode,
                                  const struct tears_field *fields, size_t field_count,
                                  const struct tears_value *base, uint64_t deadline_ms,
                                  const struct tears_row_sink *sink, struct tears_error *error)
{
    (void)tx, (void)schema, (void)mode, (void)base, (void)deadline_ms;
    struct puppet *puppet = owner;
    struct tears_field given[3] = {{.name = TEARS_STR("row_version"), .value = tears_int(1)}};
    puppet->fields = given;
    puppet->field_count = 1;
    for (size_t i = 0; i < field_count && i < 2; i++)
        given[puppet->field_count++] = fields[i];
    puppet->row_count = 1;
    const tears_status status = play(puppet, sink, error);
    puppet->row_count = 0; /* `given` ends here */
    return status;
}

static tears_status puppet_remove(void *owner, void *tx, const tears_schema *schema,
                                  const struct tears_value *key, size_t key_count,
                                  const struct tears_value *base, uint64_t deadline_ms,
                                  struct tears_error *error)
{
    (void)tx, (void)schema, (void)key, (void)key_count, (void)base, (void)deadline_ms;
    return play(owner, NULL, error);
}

static tears_status puppet_scan(void *owner, void *tx, const tears_schema *schema,
                                const struct tears_field *filters, size_t filter_count,
                                const struct tears_value *after_key, size_t row_max,
                                uint64_t deadline_ms, const struct tears_row_sink *rows,
                                struct tears_error *error)
{
    (void)tx, (void)schema, (void)filters, (void)filter_count, (void)after_key, (void)row_max;
    (void)deadline_ms;
    return play(owner, rows, error);
}

static tears_status puppet_begin(void *owner, void **tx_out, struct tears_error *error)
{
    (void)error;
    struct puppet *puppet = owner;
    puppet->begun++;
    *tx_out = puppet;
    return TEARS_OK;
}

static tears_status puppet_commit(void *owner, void *tx, struct tears_error *error)
{
    (void)error;
    assert_ptr_equal(tx, owner);
    ((struct puppet *)owner)->committed++;
    return TEARS_OK;
}

static void puppet_rollback(void *owner, void *tx)
{
    assert_ptr_equal(tx, owner);
    ((struct puppet *)owner)->rolled_back++;
}

struct stage {
    struct world world;
    struct puppet puppet;
};

static int set_up_puppet(void **state)
{
    static struct stage stage;
    stage = (struct stage){.puppet = {.store = {.size = sizeof(struct tears_store),
                                                .owner = &stage.puppet,
                                                .fetch = puppet_fetch,
                                                .upsert = puppet_upsert,
                                                .remove = puppet_remove,
                                                .scan = puppet_scan,
                                                .begin = puppet_begin,
                                                .commit = puppet_commit,
                                                .rollback = puppet_rollback}}};
    open_world(&stage.world, &stage.puppet.store);
    *state = &stage;
    return 0;
}

static int tear_down_puppet(void **state)
{
    struct stage *stage = *state;
    close_world(&stage->world);
    return 0;
}

static void failures_are_passed_on_with_their_words(void **state)
{
    struct stage *stage = *state;
    static const tears_status statuses[] = {TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_DENIED,
                                            TEARS_LIMIT, TEARS_NO_MEMORY};
    stage->puppet.message = "the line is cut";
    for (size_t i = 0; i < T3_COUNT(statuses); i++) {
        struct t3_row *row;
        stage->puppet.status = statuses[i];
        assert_int_equal(fetch(&stage->world, 1, &row), statuses[i]);
        assert_non_null(strstr(stage->world.error.message, "'users': the line is cut"));
        assert_int_equal(stage->world.error.status, statuses[i]);
        assert_int_equal(insert(&stage->world, 1, "Ada"), statuses[i]);
    }
    stage->puppet.message = NULL; /* it may also say nothing */
    stage->puppet.status = TEARS_UNAVAILABLE;
    struct t3_row *row;
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_UNAVAILABLE);
    assert_true(stage->world.error.message[0] != '\0');
}

static void statuses_without_a_meaning_become_internal(void **state)
{
    struct stage *stage = *state;
    struct t3_row *row;
    stage->puppet.status = TEARS_DONE;
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_INTERNAL);
    stage->puppet.status = (tears_status)999;
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_INTERNAL);
    stage->puppet.status = TEARS_OK; /* found, but no row */
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_INTERNAL);
    stage->puppet.status = TEARS_NOT_FOUND;
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_OK);
    assert_null(row);
}

static void rows_are_checked_against_the_schema(void **state)
{
    struct stage *stage = *state;
    struct t3_row *row;
    struct tears_field fields[] = {
        {.name = TEARS_STR("unknown"), .value = tears_int(5)},
        {.name = TEARS_STR("row_version"), .value = tears_int(3)},
        {.name = TEARS_STR("name"), .value = tears_text(TEARS_STR("Ada"))},
        {.name = TEARS_STR("id"), .value = tears_int(1)},
        {.name = TEARS_STR("seen"), .value = tears_text(TEARS_STR("2026-06-03T12:00:00Z"))},
    };
    stage->puppet.fields = fields;
    stage->puppet.field_count = T3_COUNT(fields);
    stage->puppet.row_count = 1;
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_OK);
    assert_true(t3_row_is_null(row, NOTE)); /* not given, and may be NULL */
    assert_true(t3_row_value(row, &stage->world.schema->layout, SEEN).as.integer ==
                1780488000000000);
    assert_int_equal(fetch(&stage->world, 2, &row), TEARS_CORRUPT); /* another row's */
    stage->puppet.row_count = 2;
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_INTERNAL); /* one was asked for */
    stage->puppet.row_count = 1;
    fields[2].value = tears_null(); /* never NULL */
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_CORRUPT);
    fields[2].value = tears_int(5);
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_CORRUPT);
    fields[2].name = TEARS_STR("other"); /* not given */
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_CORRUPT);
    assert_non_null(strstr(stage->world.error.message, "'name'"));
}

static void a_batch_is_one_transaction_of_the_store(void **state)
{
    struct stage *stage = *state;
    struct world *world = &stage->world;
    struct change changes[3];
    struct t3_write writes[3];
    for (int64_t i = 0; i < 3; i++)
        writes[i] = *user(&changes[i], T3_WRITE_INSERT, i, "x");
    assert_int_equal(
        world->l3->ops->write(world->l3, &world->call, world->schema, T3_WRITE_INSERT, writes, 3),
        TEARS_OK);
    assert_int_equal(stage->puppet.begun, 1);
    assert_int_equal(stage->puppet.committed, 1);
    stage->puppet.status = TEARS_UNAVAILABLE;
    stage->puppet.fail_from = stage->puppet.calls + 3;
    assert_int_equal(
        world->l3->ops->write(world->l3, &world->call, world->schema, T3_WRITE_INSERT, writes, 3),
        TEARS_UNAVAILABLE);
    assert_int_equal(stage->puppet.rolled_back, 1);
    assert_int_equal(stage->puppet.committed, 1);
    assert_false(world->call.outcome_unknown);

    stage->puppet.store.begin = NULL; /* without transactions half a batch may be there */
    stage->puppet.fail_from = stage->puppet.calls + 3;
    assert_int_equal(
        world->l3->ops->write(world->l3, &world->call, world->schema, T3_WRITE_INSERT, writes, 3),
        TEARS_UNAVAILABLE);
    assert_true(world->call.outcome_unknown);
}

static void a_session_can_hold_a_transaction(void **state)
{
    struct stage *stage = *state;
    struct world *world = &stage->world;
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &world->call.tx), TEARS_OK);
    assert_int_equal(insert(world, 1, "Ada"), TEARS_OK);
    struct t3_l3_tx *tx = T3_TAKE(world->call.tx);
    assert_int_equal(world->l3->ops->commit(world->l3, &world->call, tx), TEARS_OK);
    assert_int_equal(world->l3->ops->begin(world->l3, &world->call, &tx), TEARS_OK);
    world->l3->ops->rollback(world->l3, tx);
    assert_int_equal(stage->puppet.begun, 2);
    assert_int_equal(stage->puppet.committed, 1);
    assert_int_equal(stage->puppet.rolled_back, 1);
}

static void a_passed_deadline_does_not_reach_the_store(void **state)
{
    struct stage *stage = *state;
    stage->world.call.deadline = t3_deadline_in_ms(0);
    struct t3_row *row;
    assert_int_equal(fetch(&stage->world, 1, &row), TEARS_TIMEOUT);
    assert_int_equal(stage->puppet.calls, 0);
}

static void an_incomplete_store_is_refused(void **state)
{
    struct stage *stage = *state;
    struct tears_store store = stage->puppet.store;
    struct t3_l3 *l3 = NULL;
    store.commit = NULL;
    assert_int_equal(t3_l3_store_open(&store, &l3, NULL), TEARS_INVALID);
    store = stage->puppet.store;
    store.scan = NULL;
    assert_int_equal(t3_l3_store_open(&store, &l3, NULL), TEARS_INVALID);
    store = stage->puppet.store;
    store.size = 8;
    assert_int_equal(t3_l3_store_open(&store, &l3, NULL), TEARS_UNSUPPORTED);
    assert_null(l3);
}

static void every_failing_allocation_is_survived(void **state)
{
    struct world *shared = *state;
    for (uint64_t nth = 1;; nth++) {
        struct world world = {.schema = shared->schema};
        world.call = (struct t3_l3_call){
            .arena = &world.arena, .deadline = t3_deadline_in_ms(60000), .error = &world.error};
        t3_alloc_fail_at(nth);
        tears_status status = t3_l3_store_open(dir_store_functions(shared->files), &world.l3, NULL);
        struct t3_row *row = NULL;
        if (status == TEARS_OK)
            status = insert(&world, (int64_t)nth, "Ada");
        if (status == TEARS_OK)
            status = fetch(&world, (int64_t)nth, &row);
        const bool reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        if (world.l3 != NULL)
            world.l3->ops->free(world.l3);
        t3_arena_done(&world.arena);
        if (!reached) {
            assert_int_equal(status, TEARS_OK);
            return;
        }
    }
}

#define FILES(function)  cmocka_unit_test_setup_teardown(function, set_up_files, tear_down_files)
#define PUPPET(function) cmocka_unit_test_setup_teardown(function, set_up_puppet, tear_down_puppet)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILES(rows_are_files_and_keep_their_values),
        FILES(writes_follow_the_rules_of_the_tier),
        FILES(the_policy_ignore_leaves_the_row),
        FILES(pages_come_in_key_order),
        FILES(a_damaged_file_is_corrupt),
        FILES(what_a_store_cannot_do_is_unsupported),
        FILES(no_update_is_lost_between_threads),
        FILES(every_failing_allocation_is_survived),
        PUPPET(failures_are_passed_on_with_their_words),
        PUPPET(statuses_without_a_meaning_become_internal),
        PUPPET(rows_are_checked_against_the_schema),
        PUPPET(a_batch_is_one_transaction_of_the_store),
        PUPPET(a_session_can_hold_a_transaction),
        PUPPET(a_passed_deadline_does_not_reach_the_store),
        PUPPET(an_incomplete_store_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
