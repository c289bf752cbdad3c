/*
 * vectors_formats.c -- formats.jsonl: formats by file name.
 *
 * Threads:  one.
 * Begin at: formats_ops.
 */
#include "vectors/vectors.h"

#include <tears/format.h>

static void free_formats(tears_formats **formats)
{
    tears_formats_free(*formats);
}

/* The built-in format under the name and the extensions of the vector. */
static void add(struct vector *vector, tears_formats *formats, const json_t *description)
{
    const struct tears_format *json = NULL;
    must(tears_formats_find(formats, TEARS_STR("x.json"), &json, NULL), "tears_formats_find");
    struct tears_format format = *json;
    format.name = text_of(json_object_get(description, "handler"));
    format.extensions =
        names_of(vector, json_object_get(description, "extensions"), &format.extension_count);
    must(tears_formats_register(formats, &format, NULL), "tears_formats_register");
}

static json_t *lookup(struct vector *vector)
{
    const json_t *handlers = json_object_get(vector->in, "register");
    const struct tears_format *found = NULL;
    T3_AUTO(free_formats) tears_formats *formats = NULL;
    must(tears_formats_new(&formats, NULL), "tears_formats_new");
    for (size_t i = 0; i < json_array_size(handlers); i++)
        add(vector, formats, json_array_get(handlers, i));
    if (tears_formats_find(formats, in_text(vector, "path"), &found, NULL) != TEARS_OK)
        return refuse(vector, "unknown_format");
    return give_member("handler", found->name);
}

const struct vector_op formats_ops[] = {
    {"formats", "lookup", lookup, false},
    {NULL, NULL, NULL, false},
};
