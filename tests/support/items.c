/*
 * items.c -- the short words of tests that play several processes.
 */
#include "support/items.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void items_open(struct items *items, struct hook_store *hook, const tears_schema *schema,
                const struct tears_client_options *client_options,
                const struct tears_collection_options *options)
{
    struct tears_client_options client = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_collection_options collection = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    if (client_options != NULL)
        client = *client_options;
    if (client.l2_url.len == 0)
        client.l2_url = TEARS_STR("none");
    client.store = &hook->store;
    if (options != NULL)
        collection = *options;
    collection.schema = schema;
    if (tears_client_open(&client, &items->client, &error) != TEARS_OK)
        fail_msg("client: %s", error.message);
    if (tears_collection_open(items->client, TEARS_STR("items"), &collection, &items->rows,
                              &error) != TEARS_OK)
        fail_msg("items: %s", error.message);
    items->session = items_session(items);
}

void items_close(struct items *items)
{
    tears_session_free(items->session);
    tears_client_free(items->client);
    memset(items, 0, sizeof *items);
}

tears_session *items_session(const struct items *items)
{
    tears_session *session = NULL;
    assert_int_equal(tears_session_new(items->client, NULL, &session), TEARS_OK);
    return session;
}

tears_status items_get(tears_session *session, const struct items *items, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    return tears_get(session, items->rows, &key, 1, &entity);
}

const char *items_name(tears_session *session, const struct items *items, int64_t id)
{
    static _Thread_local char name[64];
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    struct tears_value value;
    const tears_status status = tears_get(session, items->rows, &key, 1, &entity);
    if (status == TEARS_NOT_FOUND)
        return "";
    if (status != TEARS_OK)
        fail_msg("get: %s", tears_session_error(session)->message);
    assert_int_equal(tears_entity_get(entity, TEARS_STR("name"), &value), TEARS_OK);
    snprintf(name, sizeof name, "%.*s", (int)value.as.bytes.len, value.as.bytes.ptr);
    return name;
}

void items_put(tears_session *session, const struct items *items, int64_t id, const char *name)
{
    const struct tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int(id)),
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_c(name)))};
    if (tears_upsert(session, items->rows, fields, 2, NULL) != TEARS_OK)
        fail_msg("put: %s", tears_session_error(session)->message);
}

void items_delete(tears_session *session, const struct items *items, int64_t id)
{
    const struct tears_value key = tears_int(id);
    assert_int_equal(tears_delete(session, items->rows, &key, 1), TEARS_OK);
}

bool items_in_l1(const struct items *items, int64_t id)
{
    const struct tears_value key = tears_int(id);
    return tears_exists_in_l1(items->session, items->rows, &key, 1);
}

struct tears_client_stats items_stats(const struct items *items)
{
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(items->client, &stats);
    return stats;
}
