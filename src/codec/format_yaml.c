/*
 * format_yaml.c -- YAML documents whose comments survive being edited.
 *
 * Owns:     the text of a document, and the tree it means.
 * Knows:    base/, yaml.h, json_tree.h.
 * Must not know: file names, other formats.
 * Threads:  one at a time on one document.
 * Fails:    as tears/format.h says; set and merge leave the document unchanged then.
 * Begin at: t3_format_yaml().
 *
 * A change is made to a copy of the tree; then the text is edited until it means the copy, and read back to be sure.  Where
 * it does not (anchors that others refer to, layouts that the editor does not know), the document is written anew, without its
 * comments: content goes before form.
 */
#include "codec/format_yaml.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "codec/yaml.h"

#define ORIGIN "format.yaml"

struct document {
    struct t3_buf text;
    struct t3_yaml yaml; /* read of the text */
};

static void document_done(struct document *document)
{
    t3_yaml_done(&document->yaml);
    t3_buf_done(&document->text);
}

static tears_status yaml_load(void *owner, struct tears_str text, void **tree_out,
                              struct tears_error *error)
{
    (void)owner;
    struct document *document = t3_alloc_zero(1, sizeof *document);
    if (document == NULL)
        return t3_fail_memory(error, ORIGIN);
    tears_status status = t3_yaml_read(text, &document->yaml, error);
    if (status == TEARS_OK && t3_buf_put(&document->text, text) != TEARS_OK)
        status = t3_fail_memory(error, ORIGIN);
    if (status != TEARS_OK) {
        document_done(document);
        t3_free(document);
        return status;
    }
    *tree_out = document;
    return TEARS_OK;
}

static void yaml_free(void *owner, void *tree)
{
    (void)owner;
    document_done(tree);
    t3_free(tree);
}

static tears_status yaml_dump(void *owner, const void *tree, const struct tears_text_sink *sink,
                              struct tears_error *error)
{
    (void)owner;
    const tears_status status =
        sink->put(sink->owner, t3_buf_str(&((const struct document *)tree)->text));
    if (status != TEARS_OK)
        return t3_fail(error, status, ORIGIN, "the document was not written: %s",
                       tears_status_text(status));
    return TEARS_OK;
}

static tears_status yaml_get(void *owner, const void *tree, struct tears_str path,
                             const struct tears_text_sink *sink, struct tears_error *error)
{
    (void)owner;
    return t3_json_tree_get(((const struct document *)tree)->yaml.value, path, sink, error);
}

/* ---- changing ---------------------------------------------------------------------------------- */

/* Reads the text, which the document then has.  False: it does not mean `wanted`. */
static bool means(struct document *document, const json_t *wanted)
{
    return t3_yaml_read(t3_buf_str(&document->text), &document->yaml, NULL) == TEARS_OK &&
           json_equal(document->yaml.value, wanted) == 1;
}

static tears_status write_anew(const json_t *wanted, struct t3_buf *out)
{
    T3_TRY(t3_yaml_put_block(wanted, 0, false, out));
    return t3_buf_put_char(out, '\n');
}

/* Makes a document that means `wanted`: the old one edited or, if that cannot be, a new one. */
static tears_status make_other(const struct document *old, const json_t *wanted,
                               struct document *other, struct tears_error *error)
{
    tears_status status = t3_yaml_edit(t3_buf_str(&old->text), &old->yaml, wanted, &other->text);
    if (status == TEARS_OK && means(other, wanted))
        return TEARS_OK;
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error, ORIGIN);
    document_done(other);
    status = write_anew(wanted, &other->text);
    if (status != TEARS_OK)
        return t3_fail(error, status, ORIGIN, "the document cannot be written: %s",
                       tears_status_text(status));
    if (means(other, wanted))
        return TEARS_OK;
    return t3_fail(error, TEARS_INVALID, ORIGIN,
                   "YAML cannot hold the document: a name is too long, or it is too large");
}

static tears_status become(struct document *document, const json_t *wanted,
                           struct tears_error *error)
{
    struct document other = {0};
    if (json_equal(document->yaml.value, wanted) == 1)
        return TEARS_OK;
    const tears_status status = make_other(document, wanted, &other, error);
    if (status != TEARS_OK) {
        document_done(&other);
        return status;
    }
    document_done(document);
    *document = other;
    return TEARS_OK;
}

static tears_status yaml_set(void *owner, void *tree, struct tears_str path, struct tears_str json,
                             struct tears_error *error)
{
    (void)owner;
    struct document *document = tree;
    T3_AUTO(t3_json_done) json_t *wanted = json_deep_copy(document->yaml.value);
    if (wanted == NULL)
        return t3_fail_memory(error, ORIGIN);
    T3_TRY(t3_json_tree_set(&wanted, path, json, error));
    return become(document, wanted, error);
}

static tears_status yaml_merge(void *owner, void *tree, struct tears_str json,
                               struct tears_error *error)
{
    (void)owner;
    struct document *document = tree;
    T3_AUTO(t3_json_done) json_t *wanted = json_deep_copy(document->yaml.value);
    if (wanted == NULL)
        return t3_fail_memory(error, ORIGIN);
    T3_TRY(t3_json_tree_merge(&wanted, json, error));
    return become(document, wanted, error);
}

const struct tears_format *t3_format_yaml(void)
{
    static const struct tears_str extensions[] = {{".yaml", 5}, {".yml", 4}};
    static const struct tears_format format = {.size = sizeof format,
                                               .name = {"yaml", 4},
                                               .extensions = extensions,
                                               .extension_count = 2,
                                               .load = yaml_load,
                                               .dump = yaml_dump,
                                               .get = yaml_get,
                                               .set = yaml_set,
                                               .merge = yaml_merge,
                                               .free_tree = yaml_free};
    return &format;
}
