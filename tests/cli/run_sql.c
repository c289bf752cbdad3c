/*
 * run_sql.c -- runs SQL statements on an L3: how the tests make their tables.
 *
 * usage: run_sql URL STATEMENT...
 */
#include <stdio.h>
#include <tears/tears.h>

static int run(tears_session *session, int count, char **statements)
{
    for (int i = 0; i < count; i++) {
        if (tears_execute(session, tears_str_c(statements[i]), NULL, 0, NULL) != TEARS_OK) {
            (void)fprintf(stderr, "run_sql: %s\n", tears_session_error(session)->message);
            return 1;
        }
    }
    return 0;
}

int main(int count, char **words)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    tears_client *client = NULL;
    tears_session *session = NULL;
    int result = 1;

    if (count < 3)
        return 2;
    options.l3_url = tears_str_c(words[1]);
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &client, &error) != TEARS_OK)
        (void)fprintf(stderr, "run_sql: %s\n", error.message);
    else if (tears_session_new(client, NULL, &session) == TEARS_OK)
        result = run(session, count - 2, words + 2);
    tears_session_free(session);
    tears_client_free(client);
    return result;
}
