/*
 * format_json.c -- JSON documents.
 *
 * Owns:     the tree of a document.
 * Knows:    base/, json_tree.h.
 * Must not know: file names, other formats.
 * Threads:  one at a time on one tree.
 * Fails:    as tears/format.h says; set and merge leave the tree unchanged then.
 * Begin at: t3_format_json().
 */
#include "codec/format_json.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "codec/json_tree.h"

#define ORIGIN "format.json"

/* A document, because `set` with an empty path replaces the whole of it. */
struct tree {
    json_t *root;
};

static tears_status json_load_tree(void *owner, struct tears_str text, void **tree_out,
                                   struct tears_error *error)
{
    (void)owner;
    struct tree *tree = t3_alloc_zero(1, sizeof *tree);
    if (tree == NULL)
        return t3_fail_memory(error, ORIGIN);
    const tears_status status = t3_json_tree_parse(text, &tree->root, error);
    if (status != TEARS_OK)
        t3_free(tree);
    else
        *tree_out = tree;
    return status;
}

static void json_free_tree(void *owner, void *tree)
{
    (void)owner;
    json_decref(((struct tree *)tree)->root);
    t3_free(tree);
}

static tears_status json_dump_tree(void *owner, const void *tree,
                                   const struct tears_text_sink *sink, struct tears_error *error)
{
    (void)owner;
    return t3_json_tree_give(((const struct tree *)tree)->root, true, sink, error);
}

static tears_status json_get_value(void *owner, const void *tree, struct tears_str path,
                                   const struct tears_text_sink *sink, struct tears_error *error)
{
    (void)owner;
    return t3_json_tree_get(((const struct tree *)tree)->root, path, sink, error);
}

static tears_status json_set_value(void *owner, void *tree, struct tears_str path,
                                   struct tears_str json, struct tears_error *error)
{
    (void)owner;
    return t3_json_tree_set(&((struct tree *)tree)->root, path, json, error);
}

static tears_status json_merge_value(void *owner, void *tree, struct tears_str json,
                                     struct tears_error *error)
{
    (void)owner;
    return t3_json_tree_merge(&((struct tree *)tree)->root, json, error);
}

const struct tears_format *t3_format_json(void)
{
    static const struct tears_str extensions[] = {{".json", 5}};
    static const struct tears_format format = {.size = sizeof format,
                                               .name = {"json", 4},
                                               .extensions = extensions,
                                               .extension_count = 1,
                                               .load = json_load_tree,
                                               .dump = json_dump_tree,
                                               .get = json_get_value,
                                               .set = json_set_value,
                                               .merge = json_merge_value,
                                               .free_tree = json_free_tree};
    return &format;
}
