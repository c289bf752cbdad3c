/**
 * @file format.h
 * Documents: a registry of formats by file name, JSON and YAML built in, and editing by path.
 *
 * A document is a tree; values go in and come out as JSON text, whatever the format of the file is.
 * Paths are JSON Pointers (RFC 6901): `/servers/0/name`, `~1` for a slash and `~0` for a tilde in a name, ""
 * for the whole document.
 * Source: spec core.md section 12.
 */
#ifndef TEARS_FORMAT_H
#define TEARS_FORMAT_H

#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Formats by file extension.  Shared by all threads. */
typedef struct tears_formats tears_formats;

/** One document that was read.  One thread at a time. */
typedef struct tears_document tears_document;

/** Where a format puts text: any number of calls. */
struct tears_text_sink {
    /** @return TEARS_OK, or a status that the format must return at once. */
    tears_status (*put)(void *owner, struct tears_str text);
    void *owner;
};

/**
 * A format.  Its functions may be called from several threads at once, on different trees.  One that
 * fails fills error->message and returns a status.  Start from TEARS_FORMAT_INIT.
 */
struct tears_format {
    size_t size;
    struct tears_str name; /**< such as "yaml" */
    const struct tears_str
        *extensions; /**< such as ".yaml", ".yml"; dots in front and case do not matter */
    size_t extension_count;
    void *owner; /**< passed to every function */

    /** Reads a whole document.  TEARS_INVALID when it is not in this format. */
    tears_status (*load)(void *owner, struct tears_str text, void **tree_out,
                         struct tears_error *error);
    /** Writes a whole document.  TEARS_INVALID when the format cannot hold what is in it. */
    tears_status (*dump)(void *owner, const void *tree, const struct tears_text_sink *sink,
                         struct tears_error *error);
    /** The value at the path, as JSON text.  TEARS_NOT_FOUND. */
    tears_status (*get)(void *owner, const void *tree, struct tears_str path,
                        const struct tears_text_sink *sink, struct tears_error *error);
    /** Puts JSON text at the path.  TEARS_NOT_FOUND when there is nothing to put it into.  The tree is unchanged on failure. */
    tears_status (*set)(void *owner, void *tree, struct tears_str path, struct tears_str json,
                        struct tears_error *error);
    /** Merges JSON text into the document (RFC 7396).  The tree is unchanged on failure. */
    tears_status (*merge)(void *owner, void *tree, struct tears_str json,
                          struct tears_error *error);
    void (*free_tree)(void *owner, void *tree); /**< never fails */
};

#define TEARS_FORMAT_INIT TEARS_SIZED(struct tears_format)

/**
 * Makes a registry that knows JSON (".json") and YAML (".yaml", ".yml").
 * @param formats_out  owned by the caller; end it with tears_formats_free.
 * @return TEARS_OK, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_formats_new(tears_formats **formats_out,
                                                       struct tears_error *error_out);

/** Ends a registry; its documents must be freed before.  NULL is accepted.  @thread setup  @since 0.1 */
TEARS_API void tears_formats_free(tears_formats *formats);

/**
 * Adds a format for its extensions; one that had them before is found under them no more, but stays
 * usable by those who found it.
 * @param format  copied, with its texts; `owner` must live as long as the registry.
 * @return TEARS_OK, TEARS_INVALID (no name, no extension, an empty one), TEARS_MISUSE (a function is
 * missing), TEARS_UNSUPPORTED (a format from a newer header), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_formats_register(tears_formats *formats,
                                                            const struct tears_format *format,
                                                            struct tears_error *error_out);

/**
 * Finds the format of a file by the last extension of its name, in any case (of ASCII letters).  A dot at the
 * start of a name begins no extension: `.env` has none.
 * @param format_out  borrowed; lives as long as the registry.
 * @return TEARS_OK, TEARS_NOT_FOUND (the message names the extension).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_formats_find(tears_formats *formats,
                                                        struct tears_str path,
                                                        const struct tears_format **format_out,
                                                        struct tears_error *error_out);

/**
 * Reads a document from text in a format.
 *
 * The built-in JSON is strict: one value, UTF-8, no duplicate members, no NUL in a member's name, at most 64 deep.  It keeps the order of members; whole numbers
 * must fit into 64 bits; other numbers are doubles.
 *
 * The built-in YAML reads one document of YAML 1.2's core schema: `no` and `on` are text, a member's name is the
 * text of its word.  What JSON has no value for is refused (`.inf`, unknown tags, collections as names), and so are
 * members given twice, more than 16 MiB, and aliases that stand for more than a million values.  It is written as it
 * was read, comments and all, except for the values that were changed: those are written on one line, new members and elements
 * on lines of their own.  Where a change cannot be made in the text (an anchor that others refer to, an unusual
 * layout), the document is written anew, without its comments.
 *
 * @param format        from tears_formats_find.
 * @param document_out  owned by the caller; end it with tears_document_free.
 * @return TEARS_OK, TEARS_INVALID (not in this format), TEARS_LIMIT (too deep), TEARS_NO_MEMORY, or what a
 * registered format returned.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_document_load(const struct tears_format *format,
                                                         struct tears_str text,
                                                         tears_document **document_out,
                                                         struct tears_error *error_out);

/** Ends a document.  NULL is accepted.  @thread any (one at a time)  @since 0.1 */
TEARS_API void tears_document_free(tears_document *document);

/**
 * The document as text of its format.  JSON is written with two blanks of indentation and a newline at the end.
 * @param text_out  ended with tears_owned_text_free.
 * @return TEARS_OK, TEARS_INVALID (the format cannot hold it), TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread any (one at a time on one document)  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_document_dump(const tears_document *document,
                                                         struct tears_owned_text *text_out,
                                                         struct tears_error *error_out);

/**
 * The value at a path, as JSON text without blanks.
 * @param json_out  ended with tears_owned_text_free.
 * @return TEARS_OK, TEARS_NOT_FOUND, TEARS_INVALID (not a JSON Pointer), TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread any (one at a time on one document)  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_document_get(const tears_document *document,
                                                        struct tears_str path,
                                                        struct tears_owned_text *json_out,
                                                        struct tears_error *error_out);

/**
 * Puts a value at a path: a member is replaced or added, an element is replaced, and `-` or the
 * number of elements adds one at the end of an array.  What it is put into must exist.
 * @return TEARS_OK, TEARS_NOT_FOUND, TEARS_INVALID (not a JSON Pointer, not JSON), TEARS_LIMIT (it would be too deep), TEARS_NO_MEMORY; on
 * failure the document is unchanged.
 * @thread any (one at a time on one document)  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_document_set(tears_document *document,
                                                        struct tears_str path,
                                                        struct tears_str json,
                                                        struct tears_error *error_out);

/**
 * Merges a JSON text into the document as RFC 7396 says: objects member by member, null removes a
 * member, anything else replaces.
 * @return TEARS_OK, TEARS_INVALID (not JSON), TEARS_LIMIT, TEARS_NO_MEMORY; on failure the document is unchanged.
 * @thread any (one at a time on one document)  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_document_merge(tears_document *document,
                                                          struct tears_str json,
                                                          struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
