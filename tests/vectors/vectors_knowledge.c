/*
 * vectors_knowledge.c -- knowledge.jsonl: scopes, layers, drafts, enforcement records.
 *
 * Threads:  one.
 * Begin at: knowledge_ops.
 */
#include "vectors/vectors.h"

#include "base/str.h"

#include <tears/knowledge.h>

static struct tears_str member_text(const json_t *object, const char *member)
{
    return text_of(json_object_get(object, member));
}

static void read_uuid(struct tears_str text, uint8_t uuid_out[16])
{
    must(tears_uuid_parse(text, uuid_out), "tears_uuid_parse");
}

static struct tears_optional_uuid optional_uuid(struct tears_str text)
{
    struct tears_optional_uuid uuid = {0};
    if (text.ptr != NULL) {
        uuid.is_set = true;
        read_uuid(text, uuid.bytes);
    }
    return uuid;
}

static json_t *give_uuid(const uint8_t uuid[16])
{
    char text[37];
    tears_uuid_text(uuid, text);
    return json_string(text);
}

static json_t *give_optional_uuid(const struct tears_optional_uuid *uuid)
{
    return uuid->is_set ? give_uuid(uuid->bytes) : json_null();
}

/* ---- scopes and links ------------------------------------------------------------------------ */

static json_t *derive_scope(struct vector *vector)
{
    const struct tears_optional_uuid customer = optional_uuid(in_text(vector, "customer_id"));
    const struct tears_optional_uuid user = optional_uuid(in_text(vector, "user_id"));
    uint32_t scope = 0;
    const tears_status status = tears_scope_derive(customer.is_set ? customer.bytes : NULL,
                                                   user.is_set ? user.bytes : NULL, &scope, NULL);
    if (status == TEARS_INVALID)
        return refuse(vector, "invalid_scope");
    must(status, "tears_scope_derive");
    return give_member("scope", tears_str_c(tears_scope_name(scope)));
}

static tears_status origin_in_map(void *owner, const uint8_t id[16],
                                  struct tears_optional_uuid *origin_out)
{
    char text[37];
    tears_uuid_text(id, text);
    *origin_out = optional_uuid(member_text(owner, text));
    return TEARS_OK;
}

static json_t *origin_cycle(struct vector *vector)
{
    const struct tears_optional_uuid entry = optional_uuid(in_text(vector, "entry_id"));
    const struct tears_optional_uuid origin = optional_uuid(in_text(vector, "origin_id"));
    json_t *map = json_object_get(vector->in, "origin_of");
    const tears_status status = tears_origin_check(entry.bytes, &origin, origin_in_map, map, NULL);
    if (status == TEARS_INVALID || status == TEARS_LIMIT)
        return refuse(vector, "origin_cycle");
    must(status, "tears_origin_check");
    return json_pack("{s:b}", "ok", 1);
}

static json_t *table_ref(struct vector *vector)
{
    struct tears_owned_text ref = TEARS_OWNED_TEXT_INIT;
    must(tears_table_ref(in_text(vector, "schema"), in_text(vector, "table"), &ref, NULL),
         "tears_table_ref");
    json_t *out = give_member("ref", tears_str_n(ref.ptr, ref.len));
    tears_owned_text_free(&ref);
    return out;
}

/* ---- layers ---------------------------------------------------------------------------------- */

static uint32_t scope_of(const json_t *row)
{
    uint32_t scope = 0;
    must(tears_scope_parse(member_text(row, "scope"), &scope, NULL), "tears_scope_parse");
    return scope;
}

static json_t *give_scope(uint32_t scope)
{
    return scope != TEARS_SCOPE_NONE ? json_string(tears_scope_name(scope)) : json_null();
}

/* `rows` are the vector's; the layers hold indexes into them. */
static json_t *give_shadowed(const json_t *rows, const struct tears_layer *layer)
{
    json_t *shadowed = json_array();
    for (size_t i = 0; i < layer->shadowed_count; i++)
        json_array_append(shadowed,
                          json_object_get(json_array_get(rows, layer->shadowed[i]), "id"));
    return shadowed;
}

static json_t *give_layers(const json_t *effective, const json_t *rows, const tears_layers *layers)
{
    json_t *shadowed = json_array();
    for (size_t i = 0; i < tears_layers_count(layers); i++)
        json_array_append_new(shadowed, give_shadowed(rows, tears_layers_at(layers, i)));
    return json_pack("{s:O, s:o}", "effective", effective, "shadowed", shadowed);
}

static json_t *merge_entries(struct vector *vector)
{
    const json_t *rows = json_object_get(vector->in, "entries");
    const size_t count = json_array_size(rows);
    struct tears_entry *entries = t3_arena_array(vector->arena, count, sizeof *entries);
    if (entries == NULL)
        give_up("memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        read_uuid(member_text(row, "id"), entries[i].id);
        entries[i].scope = scope_of(row);
        entries[i].origin_id = optional_uuid(member_text(row, "origin"));
        entries[i].title = member_text(row, "title");
        entries[i].always_inject = json_is_true(json_object_get(row, "always_inject"));
    }
    tears_layers *layers = NULL;
    must(tears_layers_of_entries(entries, count, &layers, NULL), "tears_layers_of_entries");
    json_t *effective = json_array();
    for (size_t i = 0; i < tears_layers_count(layers); i++) {
        const struct tears_layer *layer = tears_layers_at(layers, i);
        const struct tears_entry *winner = &entries[layer->winner];
        json_array_append_new(
            effective,
            json_pack("{s:o, s:o, s:o, s:b}", "id", give_uuid(winner->id), "title",
                      give_text(winner->title.ptr != NULL ? winner->title : TEARS_STR("")),
                      "shadows_scope", give_scope(layer->shadows_scope), "always_inject",
                      winner->always_inject));
    }
    json_t *out = give_layers(effective, rows, layers);
    json_decref(effective);
    tears_layers_free(layers);
    return out;
}

static json_t *merge_concepts(struct vector *vector)
{
    const json_t *rows = json_object_get(vector->in, "concepts");
    const size_t count = json_array_size(rows);
    struct tears_concept *concepts = t3_arena_array(vector->arena, count, sizeof *concepts);
    if (concepts == NULL)
        give_up("memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        read_uuid(member_text(row, "id"), concepts[i].id);
        concepts[i].scope = scope_of(row);
        concepts[i].origin_id = optional_uuid(member_text(row, "origin"));
        concepts[i].name = member_text(row, "name");
    }
    tears_layers *layers = NULL;
    must(tears_layers_of_concepts(concepts, count, NULL, &layers, NULL),
         "tears_layers_of_concepts");
    json_t *effective = json_array();
    for (size_t i = 0; i < tears_layers_count(layers); i++) {
        const struct tears_layer *layer = tears_layers_at(layers, i);
        const struct tears_concept *winner = &concepts[layer->winner];
        json_array_append_new(
            effective, json_pack("{s:o, s:o, s:o, s:b}", "id", give_uuid(winner->id), "name",
                                 give_text(winner->name), "shadows_scope",
                                 give_scope(layer->shadows_scope), "ambiguous", layer->ambiguous));
    }
    json_t *out = give_layers(effective, rows, layers);
    json_decref(effective);
    tears_layers_free(layers);
    return out;
}

/* ---- drafts ---------------------------------------------------------------------------------- */

static const char *const target_names[] = {"entry", "concept"};
static const char *const op_names[] = {"confirm", "edit", "discard"};
static const char *const kind_names[] = {"event", "command"};

static uint32_t number_of(const char *const *names, size_t count, struct tears_str name)
{
    for (uint32_t i = 0; i < count; i++)
        if (t3_str_is(name, names[i]))
            return i;
    give_up("an unknown word in a draft");
}

static struct tears_draft_event event_of(const json_t *from)
{
    struct tears_draft_event event = {
        .target = number_of(target_names, T3_COUNT(target_names), member_text(from, "target")),
        .title = member_text(from, "title"),
        .body = member_text(from, "body"),
        .related_domain = member_text(from, "related_domain"),
        .turn_count = json_integer_value(json_object_get(from, "turn_count")),
        .contradicts_entity_id = optional_uuid(member_text(from, "contradicts_entity_id")),
    };
    read_uuid(member_text(from, "draft_id"), event.draft_id);
    read_uuid(member_text(from, "customer_id"), event.customer_id);
    read_uuid(member_text(from, "user_id"), event.user_id);
    read_uuid(member_text(from, "datasource_id"), event.datasource_id);
    read_uuid(member_text(from, "conversation_id"), event.conversation_id);
    read_uuid(member_text(from, "message_id_source"), event.message_id_source);
    return event;
}

static struct tears_draft_command command_of(const json_t *from)
{
    struct tears_draft_command command = {
        .target = number_of(target_names, T3_COUNT(target_names), member_text(from, "target")),
        .op = number_of(op_names, T3_COUNT(op_names), member_text(from, "op")),
        .title = member_text(from, "title"),
        .body = member_text(from, "body"),
    };
    read_uuid(member_text(from, "draft_id"), command.draft_id);
    read_uuid(member_text(from, "user_id"), command.user_id);
    return command;
}

static json_t *draft_encode(struct vector *vector)
{
    const json_t *from = json_object_get(vector->in, "message");
    struct tears_draft_message message = {
        .kind = number_of(kind_names, T3_COUNT(kind_names), member_text(from, "kind"))};
    if (message.kind == TEARS_DRAFT_EVENT)
        message.event = event_of(json_object_get(from, "event"));
    else
        message.command = command_of(json_object_get(from, "command"));
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    must(tears_draft_encode(&message, &text, NULL), "tears_draft_encode");
    json_t *out = give_member("text", tears_owned_text_str(&text));
    tears_owned_text_free(&text);
    return out;
}

static json_t *give_event(const struct tears_draft_event *event)
{
    json_t *out = json_object();
    json_object_set_new(out, "draft_id", give_uuid(event->draft_id));
    json_object_set_new(out, "target", json_string(target_names[event->target]));
    json_object_set_new(out, "customer_id", give_uuid(event->customer_id));
    json_object_set_new(out, "user_id", give_uuid(event->user_id));
    json_object_set_new(out, "datasource_id", give_uuid(event->datasource_id));
    json_object_set_new(out, "title", give_text(event->title));
    json_object_set_new(out, "body", give_text(event->body));
    json_object_set_new(out, "related_domain", give_text(event->related_domain));
    json_object_set_new(out, "conversation_id", give_uuid(event->conversation_id));
    json_object_set_new(out, "message_id_source", give_uuid(event->message_id_source));
    json_object_set_new(out, "turn_count", json_integer(event->turn_count));
    json_object_set_new(out, "contradicts_entity_id",
                        give_optional_uuid(&event->contradicts_entity_id));
    return out;
}

static json_t *give_command(const struct tears_draft_command *command)
{
    json_t *out = json_object();
    json_object_set_new(out, "draft_id", give_uuid(command->draft_id));
    json_object_set_new(out, "target", json_string(target_names[command->target]));
    json_object_set_new(out, "op", json_string(op_names[command->op]));
    json_object_set_new(out, "user_id", give_uuid(command->user_id));
    json_object_set_new(out, "title", give_text(command->title));
    json_object_set_new(out, "body", give_text(command->body));
    return out;
}

static json_t *draft_decode(struct vector *vector)
{
    tears_draft *draft = NULL;
    const tears_status status = tears_draft_decode(in_base64(vector, "payload_b64"), &draft, NULL);
    if (status == TEARS_INVALID)
        return refuse(vector, "invalid_message");
    must(status, "tears_draft_decode");
    const struct tears_draft_message *message = tears_draft_message(draft);
    const bool is_event = message->kind == TEARS_DRAFT_EVENT;
    json_t *out = json_pack("{s:s, s:o, s:o}", "kind", kind_names[message->kind], "event",
                            is_event ? give_event(&message->event) : json_null(), "command",
                            is_event ? json_null() : give_command(&message->command));
    tears_draft_free(draft);
    return out;
}

static json_t *enforcement_decode(struct vector *vector)
{
    tears_rule *rule = NULL;
    const tears_status status = tears_rule_decode(in_text(vector, "text"), &rule, NULL);
    if (status == TEARS_INVALID)
        return refuse(vector, "invalid_message");
    must(status, "tears_rule_decode");
    const struct tears_enforcement *enforcement = tears_rule_enforcement(rule);
    json_t *predicates = json_array();
    for (size_t i = 0; i < enforcement->required_predicate_count; i++)
        json_array_append_new(predicates, give_text(enforcement->required_predicates[i]));
    json_t *out =
        json_pack("{s:o, s:o, s:b, s:o, s:o}", "table", give_text(enforcement->table),
                  "required_predicates", predicates, "forbidden_bare_aggregate",
                  enforcement->forbidden_bare_aggregate, "canonical_sql",
                  give_text(enforcement->canonical_sql), "note", give_text(enforcement->note));
    tears_rule_free(rule);
    return out;
}

const struct vector_op knowledge_ops[] = {
    {"knowledge", "derive_scope", derive_scope, false},
    {"knowledge", "origin_cycle", origin_cycle, false},
    {"knowledge", "table_ref", table_ref, false},
    {"knowledge", "merge_entries", merge_entries, false},
    {"knowledge", "merge_concepts", merge_concepts, false},
    {"knowledge", "draft_encode", draft_encode, false},
    {"knowledge", "draft_decode", draft_decode, false},
    {"knowledge", "enforcement_decode", enforcement_decode, false},
    {NULL, NULL, NULL, false},
};
