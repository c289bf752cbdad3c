/*
 * format.c -- formats by file name, and the documents read with them.
 *
 * Owns:     copies of the formats registered; the tree of each document.
 * Knows:    base/, format_json.h, format_yaml.h.
 * Must not know: what is in a document.
 * Threads:  any for the registry; the mutex guards its list, whose entries never change.
 * Fails:    as tears/format.h says; the results are then untouched.
 * Begin at: tears_formats_find(), tears_document_load().
 */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/fail.h"
#include "base/lock.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"
#include "codec/format_json.h"
#include "codec/format_yaml.h"

#define ORIGIN "format"

/* The newest is found first, so that it replaces what was registered before. */
struct entry {
    struct entry *older;
    struct tears_format format; /* extensions without dots in front */
};

struct tears_formats {
    struct t3_mutex mutex;
    struct t3_arena arena;
    struct entry *newest;
};

struct tears_document {
    const struct tears_format *format;
    void *tree;
};

/* ---- registering ------------------------------------------------------------------------------- */

static struct tears_str without_dots(struct tears_str extension)
{
    while (extension.len > 0 && extension.ptr[0] == '.')
        extension = t3_str_from(extension, 1);
    return extension;
}

static tears_status check_format(const struct tears_format *format, struct tears_error *error_out)
{
    if (format->load == NULL || format->dump == NULL || format->get == NULL ||
        format->set == NULL || format->merge == NULL || format->free_tree == NULL)
        return t3_fail(error_out, TEARS_MISUSE, ORIGIN, "format '" T3_STR_FMT "' lacks a function",
                       T3_STR_ARG(format->name));
    if (format->name.len == 0 || format->extension_count == 0)
        return t3_fail(error_out, TEARS_INVALID, ORIGIN,
                       "format '" T3_STR_FMT "' has no name or no extension",
                       T3_STR_ARG(format->name));
    for (size_t i = 0; i < format->extension_count; i++)
        if (without_dots(format->extensions[i]).len == 0)
            return t3_fail(error_out, TEARS_INVALID, ORIGIN,
                           "format '" T3_STR_FMT "' has an empty extension",
                           T3_STR_ARG(format->name));
    return TEARS_OK;
}

static tears_status add_locked(tears_formats *formats, const struct tears_format *format)
    T3_REQUIRES(formats->mutex)
{
    struct t3_arena *arena = &formats->arena;
    struct entry *entry = t3_arena_array(arena, 1, sizeof *entry);
    struct tears_str *extensions =
        t3_arena_array(arena, format->extension_count, sizeof *extensions);
    if (entry == NULL || extensions == NULL)
        return TEARS_NO_MEMORY;
    entry->format = *format;
    T3_TRY(t3_arena_str(arena, format->name, &entry->format.name));
    for (size_t i = 0; i < format->extension_count; i++)
        T3_TRY(t3_arena_str(arena, without_dots(format->extensions[i]), &extensions[i]));
    entry->format.extensions = extensions;
    entry->older = formats->newest;
    formats->newest = entry;
    return TEARS_OK;
}

tears_status tears_formats_register(tears_formats *formats, const struct tears_format *format,
                                    struct tears_error *error_out)
{
    struct tears_format own = {0};
    T3_TRY(t3_sized_copy(&own, sizeof own, format, ORIGIN, error_out));
    T3_TRY(check_format(&own, error_out));
    t3_lock(&formats->mutex);
    const tears_status status = add_locked(formats, &own);
    t3_unlock(&formats->mutex);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, ORIGIN);
}

tears_status tears_formats_new(tears_formats **formats_out, struct tears_error *error_out)
{
    tears_formats *formats = t3_alloc_zero(1, sizeof *formats);
    if (formats == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    t3_mutex_init(&formats->mutex);
    tears_status status = tears_formats_register(formats, t3_format_json(), error_out);
    if (status == TEARS_OK)
        status = tears_formats_register(formats, t3_format_yaml(), error_out);
    if (status != TEARS_OK)
        tears_formats_free(formats);
    else
        *formats_out = formats;
    return status;
}

void tears_formats_free(tears_formats *formats)
{
    if (formats == NULL)
        return;
    t3_mutex_done(&formats->mutex);
    t3_arena_done(&formats->arena);
    t3_free(formats);
}

/* ---- finding ----------------------------------------------------------------------------------- */

/* The last component of a path; slashes and "/." at its end do not count. */
static struct tears_str name_of(struct tears_str path)
{
    while (path.len > 1 && (path.ptr[path.len - 1] == '/' ||
                            (path.ptr[path.len - 1] == '.' && path.ptr[path.len - 2] == '/')))
        path.len--;
    size_t start = path.len;
    while (start > 0 && path.ptr[start - 1] != '/')
        start--;
    return t3_str_from(path, start);
}

/* What is behind the last dot of a name, not counting dots at its start; empty: nothing. */
static struct tears_str extension_of(struct tears_str name)
{
    const struct tears_str visible = without_dots(name);
    for (size_t i = visible.len; i > 0; i--)
        if (visible.ptr[i - 1] == '.')
            return t3_str_from(visible, i);
    return tears_str_n("", 0);
}

static bool has_extension(const struct tears_format *format, struct tears_str extension)
{
    for (size_t i = 0; i < format->extension_count; i++)
        if (t3_str_equal_nocase(format->extensions[i], extension))
            return true;
    return false;
}

tears_status tears_formats_find(tears_formats *formats, struct tears_str path,
                                const struct tears_format **format_out,
                                struct tears_error *error_out)
{
    const struct tears_str extension = extension_of(name_of(path));
    t3_lock(&formats->mutex);
    const struct entry *entry = formats->newest;
    while (entry != NULL && !has_extension(&entry->format, extension))
        entry = entry->older;
    t3_unlock(&formats->mutex);
    if (entry == NULL)
        return t3_fail(error_out, TEARS_NOT_FOUND, ORIGIN,
                       "no format is registered for the extension \"" T3_STR_FMT "\"",
                       T3_STR_ARG(extension));
    *format_out = &entry->format;
    return TEARS_OK;
}

/* ---- documents --------------------------------------------------------------------------------- */

/* What a format says when it fails; its text is not ours to trust. */
static tears_status retell(tears_status status, const struct tears_error *why,
                           struct tears_error *error_out)
{
    if (status == TEARS_OK)
        return TEARS_OK;
    return t3_fail(error_out, status, ORIGIN, "%.*s", (int)sizeof why->message - 1, why->message);
}

tears_status tears_document_load(const struct tears_format *format, struct tears_str text,
                                 tears_document **document_out, struct tears_error *error_out)
{
    struct tears_error why = {0};
    tears_document *document = t3_alloc_zero(1, sizeof *document);
    if (document == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    document->format = format;
    const tears_status status = format->load(format->owner, text, &document->tree, &why);
    if (status == TEARS_OK) {
        *document_out = document;
        return TEARS_OK;
    }
    t3_free(document);
    return retell(status, &why, error_out);
}

void tears_document_free(tears_document *document)
{
    if (document == NULL)
        return;
    document->format->free_tree(document->format->owner, document->tree);
    t3_free(document);
}

static tears_status put_text(void *owner, struct tears_str text)
{
    return t3_buf_put(owner, text);
}

/* Hands out what a format put into the buffer, or why it did not. */
static tears_status end_text(tears_status status, struct t3_buf *text,
                             const struct tears_error *why, struct tears_owned_text *text_out,
                             struct tears_error *error_out)
{
    T3_TRY(retell(status, why, error_out));
    return t3_owned_text_take(text, false, text_out) == TEARS_OK
               ? TEARS_OK
               : t3_fail_memory(error_out, ORIGIN);
}

tears_status tears_document_dump(const tears_document *document, struct tears_owned_text *text_out,
                                 struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_error why = {0};
    const struct tears_text_sink sink = {put_text, &text};
    const tears_status status =
        document->format->dump(document->format->owner, document->tree, &sink, &why);
    return end_text(status, &text, &why, text_out, error_out);
}

tears_status tears_document_get(const tears_document *document, struct tears_str path,
                                struct tears_owned_text *json_out, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_error why = {0};
    const struct tears_text_sink sink = {put_text, &text};
    const tears_status status =
        document->format->get(document->format->owner, document->tree, path, &sink, &why);
    return end_text(status, &text, &why, json_out, error_out);
}

tears_status tears_document_set(tears_document *document, struct tears_str path,
                                struct tears_str json, struct tears_error *error_out)
{
    struct tears_error why = {0};
    const tears_status status =
        document->format->set(document->format->owner, document->tree, path, json, &why);
    return retell(status, &why, error_out);
}

tears_status tears_document_merge(tears_document *document, struct tears_str json,
                                  struct tears_error *error_out)
{
    struct tears_error why = {0};
    const tears_status status =
        document->format->merge(document->format->owner, document->tree, json, &why);
    return retell(status, &why, error_out);
}
