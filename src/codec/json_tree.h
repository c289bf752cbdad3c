/*
 * json_tree.h -- values of documents as trees of jansson's.
 */
#ifndef T3_CODEC_JSON_TREE_H
#define T3_CODEC_JSON_TREE_H

#include <jansson.h>
#include <tears/format.h>

/* For T3_AUTO. */
void t3_json_done(json_t **value);

/* jansson's iterators take no const, although they change nothing. */
json_t *t3_json_without_const(const json_t *value);

/* Reads JSON text.  TEARS_INVALID, TEARS_LIMIT (too deep), TEARS_NO_MEMORY. */
tears_status t3_json_tree_parse(struct tears_str text, json_t **value_out,
                                struct tears_error *error);

/* Writes JSON text into the sink. */
tears_status t3_json_tree_give(const json_t *value, bool pretty, const struct tears_text_sink *sink,
                               struct tears_error *error);

/* What the functions of struct tears_format do, on a tree; the root may be replaced. */
tears_status t3_json_tree_get(json_t *root, struct tears_str path,
                              const struct tears_text_sink *sink, struct tears_error *error);
tears_status t3_json_tree_set(json_t **root, struct tears_str path, struct tears_str json,
                              struct tears_error *error);
tears_status t3_json_tree_merge(json_t **root, struct tears_str json, struct tears_error *error);

#endif
