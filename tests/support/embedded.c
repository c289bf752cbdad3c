/*
 * embedded.c -- clients on temporary SQLite files.
 */
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void open_file(struct embedded *world, struct tears_client_options *options)
{
    struct tears_error error;
    memset(world, 0, sizeof *world);
    snprintf(world->path, sizeof world->path, "/tmp/tears-test-XXXXXX");
    const int fd = mkstemp(world->path);
    assert_true(fd >= 0);
    close(fd);
    char url[160];
    snprintf(url, sizeof url, "sqlite:%s", world->path);
    options->l3_url = tears_str_c(url);
    if (tears_client_open(options, &world->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(world->client, NULL, &world->session), TEARS_OK);
}

void embedded_open(struct embedded *world, const char *l1)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    options.l2_url = TEARS_STR("none");
    options.l1 = tears_str_c(l1);
    open_file(world, &options);
}

void embedded_open_shared(struct embedded *world, const char *l2_url, const char *namespace_name)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    options.l2_url = tears_str_c(l2_url);
    options.namespace_name = tears_str_c(namespace_name);
    open_file(world, &options);
}

void embedded_close(struct embedded *world)
{
    tears_session_free(world->session);
    tears_client_free(world->client);
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", world->path, endings[i]);
        (void)unlink(path); /* some of them may not exist */
    }
}

void embedded_sql(struct embedded *world, const char *sql)
{
    if (tears_execute(world->session, tears_str_c(sql), NULL, 0, NULL) != TEARS_OK)
        fail_msg("%s: %s", sql, tears_session_error(world->session)->message);
}

tears_collection *embedded_collection(struct embedded *world, const char *table)
{
    tears_collection *collection = NULL;
    struct tears_error error;
    if (tears_collection_open(world->client, tears_str_c(table), NULL, &collection, &error) !=
        TEARS_OK)
        fail_msg("%s: %s", table, error.message);
    return collection;
}

static struct tears_value value_of(const tears_entity *entity, const char *column)
{
    struct tears_value value;
    assert_non_null(entity);
    assert_int_equal(tears_entity_get(entity, tears_str_c(column), &value), TEARS_OK);
    return value;
}

const char *embedded_text(const tears_entity *entity, const char *column)
{
    const struct tears_value value = value_of(entity, column);
    return value.kind == TEARS_KIND_NULL ? "NULL" : value.as.bytes.ptr;
}

int64_t embedded_int(const tears_entity *entity, const char *column)
{
    const struct tears_value value = value_of(entity, column);
    assert_int_equal(value.kind, TEARS_KIND_INT);
    return value.as.integer;
}

struct tears_field field_text(const char *name, const char *text)
{
    return tears_field_of(tears_str_c(name), tears_text(tears_str_c(text)));
}

struct tears_field field_int(const char *name, int64_t number)
{
    return tears_field_of(tears_str_c(name), tears_int(number));
}
