/*
 * drift.c -- one comparison: what is there, what is declared, how they differ, and what would repair it.
 *
 * Owns:     struct tears_drift, and the schema in which declarations are made for real.
 * Must not know: how a catalogue is read, what a migration is.
 * Threads:  one at a time.
 * Fails:    as tears/drift.h says.
 * Begin at: t3_drift_open().
 */
#include "data/drift_impl.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"
#include "codec/json.h"
#include "core/core.h"

enum { TIMEOUT_MS_DEFAULT = 600000, CONNECT_MS = 30000, SCRATCH_NAME_BYTES = 64 };

/* ---- life ------------------------------------------------------------------------------------- */

static tears_status take_options(struct tears_drift *drift, const struct tears_drift_options *given,
                                 struct tears_error *error_out)
{
    struct tears_drift_options *options = &drift->options;

    if (given != NULL)
        T3_TRY(t3_sized_copy(options, sizeof *options, given, T3_DRIFT_ORIGIN, error_out));
    if (options->timeout_ms == 0)
        options->timeout_ms = TIMEOUT_MS_DEFAULT;
    if (t3_arena_str(&drift->arena, options->schema, &options->schema) != TEARS_OK)
        return t3_fail_memory(error_out, T3_DRIFT_ORIGIN);
    return TEARS_OK;
}

tears_status t3_drift_new(tears_client *client, const struct tears_drift_options *options,
                          tears_drift **drift_out, struct tears_error *error_out)
{
    if (client == NULL || drift_out == NULL || t3_client_is_foreign(client))
        return t3_fail(error_out, TEARS_MISUSE, T3_DRIFT_ORIGIN,
                       "a comparison needs a client that this process has opened");
    t3_error_clear(error_out);
    struct tears_drift *drift = t3_alloc_zero(1, sizeof *drift);
    if (drift == NULL)
        return t3_fail_memory(error_out, T3_DRIFT_ORIGIN);
    drift->client = client;
    drift->live.arena = &drift->arena;
    drift->declared.arena = &drift->arena;
    drift->comparison.arena = &drift->arena;
    drift->list.arena = &drift->arena;
    drift->repair.arena = &drift->arena;
    const tears_status status = take_options(drift, options, error_out);
    if (status != TEARS_OK) {
        tears_drift_free(drift);
        return status;
    }
    *drift_out = drift;
    return TEARS_OK;
}

void tears_drift_free(tears_drift *drift)
{
    if (drift == NULL)
        return;
    t3_arena_done(&drift->arena);
    t3_free(drift);
}

/* ---- the scratch schema ----------------------------------------------------------------------- */

static void name_scratch(char name_out[SCRATCH_NAME_BYTES])
{
    static const char prefix[] = "tears_scratch_";
    uint8_t id[16];
    char text[37];

    tears_uuid_new(id);
    tears_uuid_text(id, text);
    memcpy(name_out, prefix, sizeof prefix - 1);
    memcpy(name_out + sizeof prefix - 1, text, sizeof text);
}

/* Where CREATE cannot be rolled back the schema is there for all to see, until this. */
static tears_status drop_scratch(struct tears_drift *drift, const char *name,
                                 struct tears_error *error_out)
{
    T3_AUTO(t3_admin_free_auto) struct t3_admin *admin = NULL;
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    const struct t3_admin_options options = {.schema = drift->options.schema,
                                             .deadline = t3_deadline_in_ms(CONNECT_MS)};

    T3_TRY(t3_admin_open(drift->client->l3, &options, &admin, error_out));
    if (t3_buf_printf(&sql, "DROP SCHEMA \"%s\" CASCADE", name) != TEARS_OK)
        return t3_fail_memory(error_out, T3_DRIFT_ORIGIN);
    t3_admin_set_deadline(admin, t3_deadline_in_ms(drift->options.timeout_ms));
    return t3_admin_execute(admin, t3_buf_str(&sql), error_out);
}

static tears_status read_declared(struct tears_drift *drift, const struct t3_drift_source *source,
                                  struct tears_error *error_out)
{
    char name[SCRATCH_NAME_BYTES];
    name_scratch(name);
    T3_AUTO(t3_admin_free_auto) struct t3_admin *scratch = NULL;
    const struct t3_admin_options options = {.schema = tears_str_c(name),
                                             .create_schema = true,
                                             .scratch = true,
                                             .deadline = t3_deadline_in_ms(CONNECT_MS)};

    T3_TRY(t3_admin_open(drift->client->l3, &options, &scratch, error_out));
    const bool stays = !t3_admin_facts(scratch)->has_transactional_ddl;
    if (stays) /* each statement for itself: a transaction would only get in its way */
        t3_admin_rollback(scratch);
    t3_admin_set_deadline(scratch, t3_deadline_in_ms(drift->options.timeout_ms));
    tears_status status = source->declare(source->owner, scratch, error_out);
    if (status == TEARS_OK)
        status = t3_catalogue_read(&drift->declared, scratch, error_out);
    t3_admin_free(T3_TAKE(scratch));
    if (!stays)
        return status;
    struct tears_error dropping = {0};
    const tears_status dropped = drop_scratch(drift, name, &dropping);
    if (status == TEARS_OK && dropped != TEARS_OK && error_out != NULL)
        *error_out = dropping;
    return status != TEARS_OK ? status : dropped;
}

/* ---- comparing -------------------------------------------------------------------------------- */

tears_status t3_drift_read_live(struct tears_drift *drift, struct t3_admin *admin,
                                struct tears_error *error_out)
{
    t3_admin_set_deadline(admin, t3_deadline_in_ms(drift->options.timeout_ms));
    T3_TRY(t3_catalogue_read(&drift->live, admin, error_out));
    drift->fingerprint = t3_catalogue_fingerprint(&drift->live);
    return TEARS_OK;
}

static struct tears_drift_finding finding_of(const struct t3_pair *pair)
{
    const struct t3_item *item = t3_pair_item(pair);
    return (struct tears_drift_finding){.object = item->object,
                                        .table = item->table,
                                        .name = item->name,
                                        .expected = TEARS_STR(""),
                                        .actual = TEARS_STR("")};
}

/* What an item is as a whole, for those that are missing or extra. */
static struct tears_str whole(const struct t3_item *item)
{
    return item
        ->parts[item->object == TEARS_DRIFT_OBJECT_COLUMN ? T3_PART_TYPE : T3_PART_DEFINITION];
}

static tears_status add_parts(struct t3_drift_list *list, const struct t3_pair *pair)
{
    struct tears_drift_finding finding = finding_of(pair);

    for (uint64_t part = 0; part < T3_PART_COUNT; part++) {
        if ((pair->parts & 1u << part) == 0)
            continue;
        finding.difference = TEARS_DRIFT_TYPE + part;
        finding.expected = pair->declared->parts[part];
        finding.actual = pair->live->parts[part];
        T3_TRY(t3_drift_add(list, &finding));
    }
    if (!pair->has_other_name)
        return TEARS_OK;
    finding.difference = TEARS_DRIFT_NAME;
    finding.expected = pair->declared->name;
    finding.actual = pair->live->name;
    return t3_drift_add(list, &finding);
}

static tears_status add_findings(struct tears_drift *drift, const struct t3_pair *pair)
{
    struct tears_drift_finding finding = finding_of(pair);

    if (pair->declared != NULL && pair->live != NULL)
        return add_parts(&drift->list, pair);
    const struct t3_pair *table = t3_repair_table(&drift->repair, finding.table);
    const bool is_of_table = finding.object != TEARS_DRIFT_OBJECT_TABLE && table != NULL;
    if (is_of_table && (table->declared == NULL || table->live == NULL))
        return TEARS_OK; /* the table says it all */
    if (pair->live == NULL) {
        finding.difference = TEARS_DRIFT_MISSING;
        finding.expected = whole(pair->declared);
    } else {
        finding.difference = TEARS_DRIFT_EXTRA;
        finding.actual = whole(pair->live);
    }
    return t3_drift_add(&drift->list, &finding);
}

static tears_status compare(struct tears_drift *drift)
{
    struct t3_comparison *comparison = &drift->comparison;

    comparison->only_declared = drift->options.only_declared != 0;
    T3_TRY(t3_catalogue_compare(&drift->declared, &drift->live, comparison));
    drift->repair.comparison = comparison;
    drift->repair.destructive = drift->options.destructive != 0;
    for (size_t i = 0; i < comparison->count; i++)
        T3_TRY(add_findings(drift, &comparison->pairs[i]));
    t3_drift_sort(&drift->list);
    return t3_repair_plan(&drift->repair, drift->live.dialect);
}

tears_status t3_drift_conclude(struct tears_drift *drift, const struct t3_drift_source *source,
                               struct tears_error *error_out)
{
    T3_TRY(read_declared(drift, source, error_out));
    const tears_status status = compare(drift);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, T3_DRIFT_ORIGIN);
    return status == TEARS_OK
               ? TEARS_OK
               : t3_fail(error_out, status, T3_DRIFT_ORIGIN,
                         "the repair's statements are longer than %zu bytes", T3_SQL_BYTES_MAX);
}

static tears_status fill(struct tears_drift *drift, const struct t3_drift_source *source,
                         struct tears_error *error_out)
{
    T3_AUTO(t3_admin_free_auto) struct t3_admin *admin = NULL;
    const struct t3_admin_options options = {.schema = drift->options.schema,
                                             .deadline = t3_deadline_in_ms(CONNECT_MS)};

    T3_TRY(t3_admin_open(drift->client->l3, &options, &admin, error_out));
    T3_TRY(t3_drift_read_live(drift, admin, error_out));
    return t3_drift_conclude(drift, source, error_out);
}

tears_status t3_drift_open(tears_client *client, const struct tears_drift_options *options,
                           const struct t3_drift_source *source, tears_drift **drift_out,
                           struct tears_error *error_out)
{
    tears_drift *drift = NULL;

    T3_TRY(t3_drift_new(client, options, &drift, error_out));
    const tears_status status = fill(drift, source, error_out);
    if (status != TEARS_OK) {
        tears_drift_free(drift);
        return status;
    }
    *drift_out = drift;
    return TEARS_OK;
}

/* ---- looking at it ---------------------------------------------------------------------------- */

size_t tears_drift_count(const tears_drift *drift)
{
    return drift->list.count;
}

tears_status tears_drift_finding(const tears_drift *drift, size_t index,
                                 struct tears_drift_finding *finding_out)
{
    if (index >= drift->list.count)
        return TEARS_NOT_FOUND;
    *finding_out = drift->list.findings[index];
    return TEARS_OK;
}

size_t tears_drift_step_count(const tears_drift *drift)
{
    return drift->repair.count;
}

tears_status tears_drift_step(const tears_drift *drift, size_t index,
                              struct tears_drift_step *step_out)
{
    if (index >= drift->repair.count)
        return TEARS_NOT_FOUND;
    *step_out = drift->repair.steps[index].step;
    return TEARS_OK;
}

tears_status tears_drift_text(const tears_drift *drift, struct tears_owned_text *text_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};

    T3_TRY(t3_drift_put_text(&text, &drift->list));
    return t3_owned_text_take(&text, false, text_out);
}

static tears_status put_json_text(struct t3_buf *out, const char *name, struct tears_str text)
{
    T3_TRY(t3_buf_printf(out, "\"%s\": ", name));
    return t3_json_put_string_utf8(out, text);
}

static tears_status put_json_step(struct t3_buf *out, const struct tears_drift_step *step)
{
    T3_TRY(t3_buf_put_char(out, '{'));
    T3_TRY(put_json_text(out, "sql", step->sql));
    T3_TRY(t3_buf_put(out, TEARS_STR(", ")));
    T3_TRY(put_json_text(out, "reason", step->reason));
    return t3_buf_printf(out, ", \"destructive\": %s, \"run\": %s, \"outside_transaction\": %s}",
                         step->is_destructive != 0 ? "true" : "false",
                         step->is_run != 0 ? "true" : "false",
                         step->outside_transaction != 0 ? "true" : "false");
}

static tears_status put_json(struct t3_buf *out, const struct tears_drift *drift)
{
    T3_TRY(t3_buf_put_char(out, '{'));
    T3_TRY(t3_drift_put_json(out, &drift->list, true));
    T3_TRY(t3_buf_put(out, TEARS_STR(", ")));
    T3_TRY(put_json_text(out, "schema", drift->live.schema));
    T3_TRY(t3_buf_put(out, TEARS_STR(", \"repair\": [")));
    for (size_t i = 0; i < drift->repair.count; i++) {
        T3_TRY(t3_buf_put(out, tears_str_c(i > 0 ? ", " : "")));
        T3_TRY(put_json_step(out, &drift->repair.steps[i].step));
    }
    return t3_buf_put(out, TEARS_STR("]}"));
}

tears_status tears_drift_json(const tears_drift *drift, struct tears_owned_text *text_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};

    T3_TRY(put_json(&text, drift));
    return t3_owned_text_take(&text, false, text_out);
}
