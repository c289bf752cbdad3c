/*
 * scope.c -- whose a row is, and the text that names a concept's table.
 *
 * Owns:     nothing.
 * Must not know: rows, chains.
 * Threads:  any.
 * Fails:    TEARS_INVALID on owners or names that make no scope; TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: tears_scope_derive().
 */
#include <tears/knowledge.h>

#include "base/fail.h"
#include "base/owned_text.h"
#include "base/str.h"

static const char origin[] = "knowledge";

static const char *const scope_names[] = {"platform", "customer", "user"};

tears_status tears_scope_derive(const uint8_t *customer_id, const uint8_t *user_id,
                                uint32_t *scope_out, struct tears_error *error_out)
{
    if (scope_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, origin, "tears_scope_derive: scope_out is NULL");
    if (user_id != NULL && customer_id == NULL)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "a row with a user must have a customer too");
    *scope_out = user_id != NULL       ? TEARS_SCOPE_USER
                 : customer_id != NULL ? TEARS_SCOPE_CUSTOMER
                                       : TEARS_SCOPE_PLATFORM;
    return TEARS_OK;
}

const char *tears_scope_name(uint32_t scope)
{
    return scope < T3_COUNT(scope_names) ? scope_names[scope] : "none";
}

tears_status tears_scope_parse(struct tears_str name, uint32_t *scope_out,
                               struct tears_error *error_out)
{
    if (scope_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, origin, "tears_scope_parse: scope_out is NULL");
    for (uint32_t scope = 0; scope < T3_COUNT(scope_names); scope++)
        if (t3_str_is(name, scope_names[scope])) {
            *scope_out = scope;
            return TEARS_OK;
        }
    return t3_fail(error_out, TEARS_INVALID, origin, "there is no scope \"" T3_STR_FMT "\"",
                   T3_STR_ARG(name));
}

static tears_status put_table_ref(struct t3_buf *out, struct tears_str schema,
                                  struct tears_str table)
{
    T3_TRY(t3_buf_put(out, schema));
    T3_TRY(t3_buf_put_char(out, '.'));
    return t3_buf_put(out, table);
}

tears_status tears_table_ref(struct tears_str schema, struct tears_str table,
                             struct tears_owned_text *ref_out, struct tears_error *error_out)
{
    static const struct tears_owned_text none;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (ref_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, origin, "tears_table_ref: ref_out is NULL");
    if (schema.len == 0 || table.len == 0) {
        *ref_out = none;
        return TEARS_OK;
    }
    tears_status status = put_table_ref(&text, schema, table);
    if (status == TEARS_OK)
        status = t3_owned_text_take(&text, false, ref_out);
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, TEARS_LIMIT, origin,
                       "a schema and a table of %zu and %zu bytes are too long for a reference",
                       schema.len, table.len);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, origin);
}
