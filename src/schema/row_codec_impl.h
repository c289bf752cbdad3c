/*
 * row_codec_impl.h -- what the sources of the row decoder share; private to src/schema.
 */
#ifndef T3_SCHEMA_ROW_CODEC_IMPL_H
#define T3_SCHEMA_ROW_CODEC_IMPL_H

#include "codec/json.h"
#include "schema/row_codec.h"

struct t3_row_decoder {
    const struct tears_schema *schema;
    struct t3_json_reader reader;
    struct t3_arena *arena; /* for what the stack has no room for */
    char *stack_at; /* scratch memory that ends with the decoder; NULL: results must outlive it */
    char *stack_end;
    bool strict; /* input by people: nothing is bent to fit */
    struct tears_error *error;
};

/* Decodes the value of a column; it may end up NULL. */
tears_status t3_row_decode_value(struct t3_row_decoder *decoder, uint32_t column,
                                 const struct t3_json_value *value, struct tears_value *out);

/* The content of a JSON string, escapes resolved: in the input itself or in the decoder's memory.
 */
tears_status t3_row_resolve(struct t3_row_decoder *decoder, const struct t3_json_value *string,
                            struct tears_str *text_out);

/* Reports what the reader did not accept, with its position. */
tears_status t3_row_fail_json(struct t3_row_decoder *decoder, tears_status status);

tears_status t3_row_fail_memory(struct t3_row_decoder *decoder);

#endif
