/*
 * vectors_flush.c -- flush.jsonl: the buffer of deferred writes, their order, what a failure means, and a whole flush.
 *
 * The package counts how often a write was tried, and drops it when that is too often.  Here nothing is dropped: what may pass later waits as long as it
 * takes, and what never will is a dead letter at once.  Where a vector records the other way, the handler says so.
 *
 * Threads:  one.
 * Begin at: flush_ops.
 */
#include "vectors/vectors_flush.h"
#include "base/str.h"
#include "deferred/flush_class.h"
#include "deferred/order.h"

#include <stdlib.h>

enum { TRIES_MAX = 10, FK_TRIES_MAX = 100 }; /* after which the package drops a write */

/* ---- tables of the vectors ------------------------------------------------------------------------ */

/* A table of an id and of one text; which refers to another row of the table, when `refers`. */
static struct tears_schema *entry_schema(struct tears_str name, bool refers)
{
    const struct tears_str key = TEARS_STR("id");
    const struct tears_column_def columns[] = {
        {.name = TEARS_STR("id"), .type = TEARS_TYPE_STRING},
        {.name = TEARS_STR("value"),
         .type = TEARS_TYPE_STRING,
         .nullable = true,
         .references_table = refers ? name : TEARS_STR(""),
         .references_column = refers ? TEARS_STR("id") : TEARS_STR("")}};
    const struct tears_schema_def def = {.name = name,
                                         .columns = columns,
                                         .column_count = 2,
                                         .primary_key = &key,
                                         .primary_key_count = 1};
    struct tears_schema *schema = NULL;
    must(tears_schema_new(&def, &schema, NULL), "tears_schema_new");
    return schema;
}

/* The column of a table that names its parent; NULL: it has none. */
static const char *parent_column(const json_t *parent_map, const char *table)
{
    if (json_is_object(parent_map))
        return json_string_value(json_object_get(parent_map, table));
    return strcmp(table, "messages") == 0 ? "parent_message_id" : NULL;
}

const char *flush_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : "";
}

/* The id of an entry's parent; "" none. */
const char *flush_parent(const json_t *entry, const json_t *parent_map)
{
    const char *column = parent_column(parent_map, flush_text(entry, "table"));
    return column != NULL ? flush_text(json_object_get(entry, "data"), column) : "";
}

/* ---- order ---------------------------------------------------------------------------------------- */

static const struct t3_record *record_of(struct vector *vector, const struct tears_schema *schema,
                                         const json_t *entry, const json_t *parent_map)
{
    const char *parent = flush_parent(entry, parent_map);
    const struct tears_value values[] = {tears_text(tears_str_c(flush_text(entry, "id"))),
                                         parent[0] != '\0' ? tears_text(tears_str_c(parent))
                                                           : tears_null()};
    struct t3_record *record = t3_arena_array(vector->arena, 1, sizeof *record);
    struct t3_row *row = NULL;
    if (record == NULL)
        give_up("no memory");
    must(t3_row_new(vector->arena, &schema->layout, values, &row), "t3_row_new");
    record->kind = T3_RECORD_UPSERT;
    record->row = row;
    return record;
}

/* Those of the recorded pairs that our order satisfies: any order that satisfies all of them is right. */
static json_t *satisfied(const struct vector *vector, const size_t *place)
{
    const json_t *pairs = json_object_get(json_object_get(vector->line, "out"), "before");
    json_t *before = json_array();
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        const json_int_t first = json_integer_value(json_array_get(pair, 0));
        const json_int_t second = json_integer_value(json_array_get(pair, 1));
        if (place[first] < place[second])
            json_array_append_new(before, json_pack("[I,I]", first, second));
    }
    return before;
}

/* The package has one space of ids for all tables that have parents: here they are one table that refers to itself. */
static json_t *toposort(struct vector *vector)
{
    const json_t *pending = json_object_get(vector->in, "pending");
    const json_t *parent_map = json_object_get(vector->in, "parent_map");
    const size_t count = json_array_size(pending);
    struct tears_schema *family = entry_schema(TEARS_STR("family"), true);
    struct tears_schema *others = entry_schema(TEARS_STR("others"), false);
    const struct tears_schema *const schemas[] = {family, others};
    uint32_t ranks[2];
    bool in_cycle[2];
    must(t3_order_tables(schemas, 2, vector->arena, ranks, in_cycle), "t3_order_tables");
    struct t3_order_row *rows = t3_arena_array(vector->arena, count + 1, sizeof *rows);
    size_t *order = t3_arena_array(vector->arena, count + 1, sizeof *order);
    size_t *place = t3_arena_array(vector->arena, count + 1, sizeof *place);
    if (rows == NULL || order == NULL || place == NULL)
        give_up("no memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(pending, i);
        const size_t which = parent_column(parent_map, flush_text(entry, "table")) == NULL;
        rows[i] = (struct t3_order_row){
            schemas[which], record_of(vector, schemas[which], entry, parent_map), ranks[which]};
    }
    size_t circles;
    must(t3_order_rows(rows, count, vector->arena, order, &circles), "t3_order_rows");
    for (size_t i = 0; i < count; i++)
        place[order[i]] = i;
    tears_schema_free(family);
    tears_schema_free(others);
    return json_pack("{s:I,s:o}", "count", (json_int_t)count, "before", satisfied(vector, place));
}

/* ---- what a failure means -------------------------------------------------------------------------- */

static json_t *retry_decision(struct vector *vector)
{
    const json_t *error = json_object_get(vector->in, "error");
    const char *message = flush_text(error, "message");
    const char *sqlstate = flush_text(error, "sqlstate");
    const json_int_t retries = json_integer_value(json_object_get(vector->in, "retries"));
    const bool is_of_database = strstr(message, "violates") != NULL;
    const enum t3_flush_class class =
        t3_flush_classify(is_of_database ? TEARS_INVALID : TEARS_UNAVAILABLE, sqlstate, message);
    if (class == T3_FLUSH_PERMANENT)
        vector->differs = "what the database will never take is a dead letter at once";
    else if (retries + 1 >= (class == T3_FLUSH_FK_MISSING ? FK_TRIES_MAX : TRIES_MAX))
        vector->differs = "what may pass later waits as long as it takes, and is never dropped";
    return json_pack("{s:s,s:I}", "action", class == T3_FLUSH_PERMANENT ? "dead letter" : "requeue",
                     "retries", retries + 1);
}

/* ---- a log in memory ------------------------------------------------------------------------------- */

void flush_log_open(struct flush_log *log)
{
    const struct t3_journal_options options = {.durability = TEARS_DURABLE_NONE};
    memset(log, 0, sizeof *log);
    must(t3_journal_open(&options, never, &log->journal, NULL), "t3_journal_open");
    const struct t3_pending_options pending = {.journal = log->journal};
    must(t3_pending_new(&pending, &log->pending, NULL), "t3_pending_new");
}

void flush_log_close(struct flush_log *log)
{
    t3_pending_free(log->pending);
    t3_journal_free(log->journal);
    for (size_t i = 0; i < log->table_count; i++)
        tears_schema_free(log->tables[i].schema);
}

struct flush_log_table *flush_log_find(struct flush_log *log, struct tears_str name)
{
    for (size_t i = 0; i < log->table_count; i++)
        if (t3_str_equal(log->tables[i].schema->name, name))
            return &log->tables[i];
    return NULL;
}

struct flush_log_table *flush_log_table(struct flush_log *log, const char *name)
{
    struct flush_log_table *table = flush_log_find(log, tears_str_c(name));
    if (table != NULL)
        return table;
    if (log->table_count == TABLES_MAX)
        give_up("a vector with many tables");
    table = &log->tables[log->table_count++];
    table->schema = entry_schema(tears_str_c(name), strcmp(name, "messages") == 0);
    must(t3_pending_table_open(log->pending, table->schema, false, never, &table->pending, NULL),
         "t3_pending_table_open");
    return table;
}

struct t3_key flush_log_key(struct vector *vector, const struct flush_log_table *table,
                            const char *id)
{
    struct tears_value *storage = t3_arena_array(vector->arena, 2, sizeof *storage);
    struct t3_key key;
    if (storage == NULL)
        give_up("no memory");
    storage[0] = tears_text(tears_str_c(id));
    must(t3_key_init(table->schema, storage, 1, storage + 1, vector->arena, &key, NULL),
         "t3_key_init");
    return key;
}

/* `value` "": NULL. */
void flush_log_save(struct vector *vector, const struct flush_log_table *table, const char *id,
                    const char *value)
{
    const struct t3_key key = flush_log_key(vector, table, id);
    const struct t3_cell cells[] = {
        {ENTRY_ID, tears_text(tears_str_c(id))},
        {ENTRY_VALUE, value[0] != '\0' ? tears_text(tears_str_c(value)) : tears_null()}};
    const struct t3_defer defer = {
        .kind = T3_RECORD_UPSERT, .key = &key, .cells = cells, .cell_count = 2};
    struct t3_pending_outcome outcome;
    must(t3_pending_save(table->pending, &defer, 1, vector->arena, never, &outcome, NULL),
         "t3_pending_save");
    must(outcome.status, "a save");
}

static void land(struct flush_log *log, const struct t3_pending_item *item)
{
    const struct t3_pending_end end = {.ref = {item->record.id, item->record.seq},
                                       .table = item->table,
                                       .fate = T3_FATE_LANDED,
                                       .row = item->record.row};
    must(t3_pending_end(log->pending, 0, &end, 1, never, NULL), "t3_pending_end");
}

/* ---- the buffer ------------------------------------------------------------------------------------ */

static json_t *drain(struct vector *vector, struct flush_log *log)
{
    struct t3_pending_item *items;
    size_t count;
    json_t *drained = json_array();
    must(t3_pending_collect(log->pending, NULL, 0, 0, SIZE_MAX, vector->arena, &items, &count),
         "t3_pending_collect");
    for (size_t i = 0; i < count; i++) {
        const struct tears_schema *schema = t3_pending_schema(items[i].table);
        const struct t3_row *row = items[i].record.row;
        const struct tears_value id = t3_row_value(row, &schema->layout, ENTRY_ID);
        const struct tears_value value = t3_row_value(row, &schema->layout, ENTRY_VALUE);
        json_array_append_new(drained,
                              json_pack("{s:o,s:o,s:I,s:I}", "table", give_text(schema->name), "id",
                                        give_text(id.as.bytes), "v",
                                        (json_int_t)strtoll(value.as.bytes.ptr, NULL, 10),
                                        "retries", (json_int_t)0));
        land(log, &items[i]);
    }
    return drained;
}

static json_t *take_away(struct vector *vector, struct flush_log *log, const json_t *op)
{
    const struct flush_log_table *table = flush_log_table(log, flush_text(op, "table"));
    const struct t3_key key = flush_log_key(vector, table, flush_text(op, "id"));
    struct t3_journal_ref ref;
    struct t3_pending_item item;
    bool is_free;
    if (!t3_pending_find(table->pending, &key, &ref))
        return json_false();
    if (!t3_pending_item(log->pending, ref.id, &item, &is_free) || !is_free)
        give_up("a record that cannot be taken");
    land(log, &item);
    return json_true();
}

static json_t *count_rows(struct flush_log *log)
{
    struct t3_pending_stats stats;
    t3_pending_stats(log->pending, NULL, &stats);
    return json_integer((json_int_t)stats.rows);
}

static void add(struct vector *vector, struct flush_log *log, const json_t *op)
{
    char value[24];
    (void)snprintf(value, sizeof value, "%lld",
                   (long long)json_integer_value(json_object_get(op, "v")));
    flush_log_save(vector, flush_log_table(log, flush_text(op, "table")), flush_text(op, "id"),
                   value);
}

static json_t *buffer(struct vector *vector)
{
    struct flush_log log;
    const json_t *ops = json_object_get(vector->in, "ops");
    json_t *results = json_array();
    flush_log_open(&log);
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const json_t *op = json_array_get(ops, i);
        const char *name = flush_text(op, "op");
        if (strcmp(name, "add") == 0)
            add(vector, &log, op);
        else if (strcmp(name, "remove") == 0)
            json_array_append_new(results, take_away(vector, &log, op));
        else
            json_array_append_new(results, strcmp(name, "drain") == 0 ? drain(vector, &log)
                                                                      : count_rows(&log));
    }
    flush_log_close(&log);
    return json_pack("{s:o}", "results", results);
}

const struct vector_op flush_ops[] = {
    {"flush", "toposort", toposort, false},
    {"flush", "retry_decision", retry_decision, false},
    {"flush", "buffer", buffer, false},
    {"flush", "flush", flush_run, false},
    {NULL, NULL, NULL, false},
};
