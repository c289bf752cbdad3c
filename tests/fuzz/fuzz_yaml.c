/*
 * fuzz_yaml.c -- a value to put, a path to put it at, and a YAML document: two lines and the rest.
 *
 * What must hold: a document is dumped as it was loaded; what is edited loads again and means the same tree as the document
 * says; after a failure it is as it was; what was put is what is got.
 */
#include "codec/format_yaml.h"
#include "document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tears_str rest = tears_str_n((const char *)data, size);
    tears_document *document = NULL;
    const struct tears_str value = take_line(&rest);
    const struct tears_str path = take_line(&rest);
    if (tears_document_load(t3_format_yaml(), rest, &document, NULL) != TEARS_OK)
        return 0;
    expect_same(document, rest);
    change(document, t3_format_yaml(), path, value);
    tears_document_free(document);
    return 0;
}
