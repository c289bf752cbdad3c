/*
 * merge.c -- playbook entries in layers.
 *
 * Owns:     nothing; layers point by index at the caller's entries.
 * Must not know: how chains are found.
 * Threads:  any.
 * Fails:    as t3_layers_new().
 * Begin at: tears_layers_of_entries().
 */
#include "base/fail.h"
#include "knowledge/chain.h"

tears_status tears_layers_of_entries(const struct tears_entry *entries, size_t count,
                                     tears_layers **layers_out, struct tears_error *error_out)
{
    static const char call[] = "tears_layers_of_entries";
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_link *links = NULL;
    if (layers_out == NULL || (entries == NULL && count > 0))
        return t3_fail(error_out, TEARS_MISUSE, "knowledge", "%s: %s is NULL", call,
                       layers_out == NULL ? "layers_out" : "entries");
    T3_TRY(t3_links_new(&arena, count, call, &links, error_out));
    for (size_t i = 0; i < count; i++) {
        memcpy(links[i].id, entries[i].id, sizeof links[i].id);
        links[i].scope = entries[i].scope;
        links[i].origin = entries[i].origin_id;
    }
    return t3_layers_new(links, count, layers_out, error_out);
}
