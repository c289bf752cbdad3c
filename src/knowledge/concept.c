/*
 * concept.c -- concepts in layers, and which of the winners share a name.
 *
 * Owns:     a table of names while concepts are merged.
 * Must not know: how chains are found, how names are compared.
 * Threads:  any.
 * Fails:    as t3_layers_new(); TEARS_INVALID on a winner's name that is not UTF-8.
 * Begin at: tears_layers_of_concepts().
 *
 * Only winners are compared: what a row hides is not there for its reader.  Every name is put into
 * a hash table once; whoever finds it there already joins the layer that put it there.  So two
 * layers that share a name with a third one have one number, even if the names differ.
 */
#include "base/fail.h"
#include "base/hash.h"
#include "base/str.h"
#include "knowledge/chain.h"
#include "knowledge/concept_name.h"

#include <tears/value.h>

static const char origin[] = "knowledge";

/* A name that some winner has. */
struct held {
    struct tears_str key;
    size_t layer;
    bool is_used;
};

struct names {
    const struct tears_concept *concepts;
    struct tears_concept_options options;
    tears_layers *layers;
    struct held *slots; /* hash table by key, at most half full */
    size_t slot_mask;
    uint64_t seed;
    size_t *first_of; /* of a layer: another one with which it shares a name, or itself */
    struct t3_arena *arena;
    struct tears_error *error;
};

static size_t names_of(const struct names *names, const struct tears_concept *concept)
{
    return names->options.aliases != 0 ? 1 + concept->alias_count : 1;
}

static tears_status open_names(struct names *names)
{
    uint8_t seed[16];
    size_t name_count = 0;
    size_t slot_count = 4;
    for (size_t i = 0; i < names->layers->count; i++)
        name_count += names_of(names, &names->concepts[names->layers->layers[i].winner]);
    if (name_count > (size_t)64 * TEARS_LAYER_ROWS_MAX)
        return t3_fail(names->error, TEARS_LIMIT, origin, "%zu names are too many", name_count);
    while (slot_count < 2 * name_count)
        slot_count *= 2;
    names->slots = t3_arena_array(names->arena, slot_count, sizeof *names->slots);
    names->first_of = t3_arena_array(names->arena, names->layers->count, sizeof *names->first_of);
    if (names->slots == NULL || names->first_of == NULL)
        return t3_fail_memory(names->error, origin);
    names->slot_mask = slot_count - 1;
    tears_uuid_new(seed); /* nobody shall be able to choose names that collide */
    memcpy(&names->seed, seed + 8, sizeof names->seed);
    for (size_t i = 0; i < names->layers->count; i++)
        names->first_of[i] = i;
    return TEARS_OK;
}

/* The first of the layers that this one shares names with; shortens the way for the next call. */
static size_t find_first(struct names *names, size_t layer)
{
    while (names->first_of[layer] != layer) {
        names->first_of[layer] = names->first_of[names->first_of[layer]];
        layer = names->first_of[layer];
    }
    return layer;
}

static void join(struct names *names, size_t a, size_t b)
{
    const size_t first_a = find_first(names, a);
    const size_t first_b = find_first(names, b);
    names->layers->layers[a].ambiguous = true;
    names->layers->layers[b].ambiguous = true;
    if (first_a < first_b)
        names->first_of[first_b] = first_a;
    else
        names->first_of[first_a] = first_b;
}

static void hold(struct names *names, struct tears_str key, size_t layer)
{
    size_t slot = (size_t)t3_hash(key.ptr, key.len, names->seed) & names->slot_mask;
    while (names->slots[slot].is_used && !t3_str_equal(names->slots[slot].key, key))
        slot = (slot + 1) & names->slot_mask;
    struct held *held = &names->slots[slot];
    if (!held->is_used)
        *held = (struct held){.key = key, .layer = layer, .is_used = true};
    else if (held->layer != layer) /* a concept may repeat its name among its aliases */
        join(names, held->layer, layer);
}

static tears_status hold_name(struct names *names, struct tears_str name, size_t layer)
{
    struct tears_str key;
    const tears_status status = t3_name_key(name, names->options.names, names->arena, &key);
    if (status == TEARS_INVALID)
        return t3_fail(names->error, TEARS_INVALID, origin, "a name of row %zu is not UTF-8",
                       names->layers->layers[layer].winner);
    if (status != TEARS_OK)
        return t3_fail_memory(names->error, origin);
    if (key.len > 0)
        hold(names, key, layer);
    return TEARS_OK;
}

static tears_status hold_names_of(struct names *names, size_t layer)
{
    const struct tears_concept *concept = &names->concepts[names->layers->layers[layer].winner];
    T3_TRY(hold_name(names, concept->name, layer));
    for (size_t i = 0; names->options.aliases != 0 && i < concept->alias_count; i++)
        T3_TRY(hold_name(names, concept->aliases[i], layer));
    return TEARS_OK;
}

static tears_status mark_ambiguous(struct names *names)
{
    T3_TRY(open_names(names));
    for (size_t i = 0; i < names->layers->count; i++)
        T3_TRY(hold_names_of(names, i));
    for (size_t i = 0; i < names->layers->count; i++)
        if (names->layers->layers[i].ambiguous)
            names->layers->layers[i].namesakes = 1 + find_first(names, i);
    return TEARS_OK;
}

static tears_status read_options(const struct tears_concept_options *options,
                                 struct tears_concept_options *out, struct tears_error *error_out)
{
    *out = (struct tears_concept_options)TEARS_CONCEPT_OPTIONS_INIT;
    if (options == NULL)
        return TEARS_OK;
    if (options->size < sizeof options->size)
        return t3_fail(error_out, TEARS_MISUSE, origin,
                       "an options struct has size %zu: start from its _INIT macro", options->size);
    const unsigned char *bytes = (const unsigned char *)options;
    for (size_t i = sizeof *out; i < options->size; i++)
        if (bytes[i] != 0)
            return t3_fail(error_out, TEARS_UNSUPPORTED, origin,
                           "an options struct has a setting at byte %zu that this version of the "
                           "library (%s) does not know",
                           i, TEARS_VERSION);
    memcpy(out, options, options->size < sizeof *out ? options->size : sizeof *out);
    if (out->names > TEARS_NAMES_FOLD || out->aliases > 1)
        return t3_fail(error_out, TEARS_UNSUPPORTED, origin,
                       "this version of the library has no such way to compare names");
    return TEARS_OK;
}

static void free_layers_auto(tears_layers **layers)
{
    tears_layers_free(*layers);
}

tears_status tears_layers_of_concepts(const struct tears_concept *concepts, size_t count,
                                      const struct tears_concept_options *options,
                                      tears_layers **layers_out, struct tears_error *error_out)
{
    static const char call[] = "tears_layers_of_concepts";
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    T3_AUTO(free_layers_auto) tears_layers *layers = NULL;
    struct names names = {.concepts = concepts, .arena = &arena, .error = error_out};
    struct t3_link *links = NULL;
    if (layers_out == NULL || (concepts == NULL && count > 0))
        return t3_fail(error_out, TEARS_MISUSE, origin, "%s: %s is NULL", call,
                       layers_out == NULL ? "layers_out" : "concepts");
    T3_TRY(read_options(options, &names.options, error_out));
    T3_TRY(t3_links_new(&arena, count, call, &links, error_out));
    for (size_t i = 0; i < count; i++) {
        memcpy(links[i].id, concepts[i].id, sizeof links[i].id);
        links[i].scope = concepts[i].scope;
        links[i].origin = concepts[i].origin_id;
    }
    T3_TRY(t3_layers_new(links, count, &layers, error_out));
    names.layers = layers;
    T3_TRY(mark_ambiguous(&names));
    *layers_out = T3_TAKE(layers);
    return TEARS_OK;
}
