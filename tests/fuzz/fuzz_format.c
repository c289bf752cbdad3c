/*
 * fuzz_format.c -- a JSON document, a path, a value to put there and to merge, one a line.
 *
 * What must hold: what is dumped loads again and dumps the same; after a failure the document is as it was;
 * what was put is what is got.
 */
#include "codec/format_json.h"
#include "document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tears_str rest = tears_str_n((const char *)data, size);
    tears_document *document = NULL;
    const struct tears_str text = take_line(&rest);
    const struct tears_str path = take_line(&rest);
    if (tears_document_load(t3_format_json(), text, &document, NULL) != TEARS_OK)
        return 0;
    check_reload(document, t3_format_json());
    change(document, t3_format_json(), path, rest);
    tears_document_free(document);
    return 0;
}
