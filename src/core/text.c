/*
 * text.c -- values and rows as text and JSON, for people and bindings.
 *
 * Owns: nothing.  Must not know: the tiers.  Threads: the session's.  Begin at:
 * tears_value_parse().
 */
#include "core/core.h"

#include "base/fail.h"
#include "codec/json.h"
#include "schema/row_codec.h"

#include <math.h>

tears_status tears_value_parse(tears_session *session, const tears_schema *schema,
                               struct tears_str column, struct tears_str text,
                               struct tears_value *value_out)
{
    T3_TRY(t3_session_enter(session));
    const uint32_t index = t3_schema_find(schema, column);
    if (index == T3_NO_COLUMN)
        return t3_fail(&session->error, TEARS_INVALID, "schema",
                       "table '" T3_STR_FMT "' has no column '" T3_STR_FMT "'",
                       T3_STR_ARG(schema->name), T3_STR_ARG(column));
    struct tears_str copy; /* the value may point into its text */
    if (t3_arena_str(&session->arena, text, &copy) != TEARS_OK)
        return t3_session_no_memory(session);
    return t3_session_status(session, t3_value_from_text(schema, index, copy, &session->arena,
                                                         value_out, &session->error));
}

tears_status t3_value_put_json(const struct tears_value *value, uint8_t byte_codec,
                               struct t3_buf *out)
{
    if (value->kind != TEARS_KIND_DOUBLE || isfinite(value->as.number))
        return t3_value_encode(value, byte_codec, out);
    T3_TRY(t3_buf_put_char(out, '"'));
    T3_TRY(t3_json_put_double(out, value->as.number));
    return t3_buf_put_char(out, '"');
}

tears_status tears_value_json(tears_session *session, const struct tears_value *value,
                              struct tears_str *json_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    T3_TRY(t3_session_enter(session));
    if (t3_value_put_json(value, TEARS_BYTES_BASE64, &json) != TEARS_OK ||
        t3_arena_str(&session->arena, t3_buf_str(&json), json_out) != TEARS_OK)
        return t3_session_no_memory(session);
    return TEARS_OK;
}

tears_status tears_fields_from_json(tears_session *session, const tears_schema *schema,
                                    struct tears_str json, const struct tears_field **fields_out,
                                    size_t *count_out)
{
    T3_TRY(t3_session_enter(session));
    struct tears_str copy;
    if (t3_arena_str(&session->arena, json, &copy) != TEARS_OK)
        return t3_session_no_memory(session);
    struct tears_field *fields;
    T3_TRY(t3_session_status(session, t3_fields_decode(schema, copy, &session->arena, &fields,
                                                       count_out, &session->error)));
    *fields_out = fields;
    return TEARS_OK;
}
