/*
 * consumer.c -- a stranger's program: writes a row into the embedded default and reads it back.
 *
 * Fails: exit status 1 with the message of the failure.
 */
#include <stdio.h>
#include <tears/tears.h>

static int use(tears_client *client, tears_session *session)
{
    tears_collection *users = NULL;
    tears_entity *ada = NULL;
    const struct tears_value key = tears_int(7);
    const struct tears_field fields[] = {
        {TEARS_STR("id"), tears_int(7)},
        {TEARS_STR("name"), tears_text(TEARS_STR("Ada"))},
    };
    struct tears_value name;
    if (tears_execute(session, TEARS_STR("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)"),
                      NULL, 0, NULL) != TEARS_OK ||
        tears_collection_find(client, TEARS_STR("users"), &users) != TEARS_OK ||
        tears_insert(session, users, fields, 2, NULL) != TEARS_OK ||
        tears_get(session, users, &key, 1, &ada) != TEARS_OK ||
        tears_entity_get(ada, TEARS_STR("name"), &name) != TEARS_OK)
        return 1;
    return name.as.bytes.len == 3 && memcmp(name.as.bytes.ptr, "Ada", 3) == 0 ? 0 : 1;
}

int main(void)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    tears_client *client = NULL;
    tears_session *session = NULL;
    if (tears_version_number() != TEARS_VERSION_NUMBER)
        return 1;
    if (tears_client_open(&options, &client, &error) != TEARS_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    int rc = tears_session_new(client, NULL, &session) != TEARS_OK;
    if (rc == 0)
        rc = use(client, session);
    if (rc != 0 && session != NULL)
        fprintf(stderr, "%s\n", tears_session_error(session)->message);
    tears_session_free(session);
    tears_client_free(client);
    return rc;
}
