/*
 * consumer.cc -- the same stranger, writing C++: the headers, their initialisers and their inline
 * functions.
 *
 * Fails: exit status 1 with the message of the failure.
 */
#include <cstdio>
#include <memory>
#include <string>
#include <tears/tears.h>

namespace
{

using client_pointer = std::unique_ptr<tears_client, decltype(&tears_client_free)>;
using session_pointer = std::unique_ptr<tears_session, decltype(&tears_session_free)>;

bool use(tears_client *client, tears_session *session)
{
    tears_collection *users = nullptr;
    tears_entity *ada = nullptr;
    const tears_value key = tears_int(7);
    const tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int(7)),
        tears_field_of(TEARS_STR("name"), tears_text(TEARS_STR("Ada"))),
    };
    tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    tears_page page;
    tears_value name;
    options.row_max = 10;
    if (tears_execute(session, TEARS_STR("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)"),
                      nullptr, 0, nullptr) != TEARS_OK ||
        tears_collection_find(client, TEARS_STR("users"), &users) != TEARS_OK ||
        tears_insert(session, users, fields, 2, nullptr) != TEARS_OK ||
        tears_get(session, users, &key, 1, &ada) != TEARS_OK ||
        tears_entity_get(ada, TEARS_STR("name"), &name) != TEARS_OK ||
        tears_page_read(session, users, &options, &page) != TEARS_OK)
        return false;
    return std::string(name.as.bytes.ptr, name.as.bytes.len) == "Ada" && page.count == 1;
}

} // namespace

int main()
{
    tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_error error;
    tears_client *opened = nullptr;
    if (tears_client_open(&options, &opened, &error) != TEARS_OK) {
        std::fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    const client_pointer client(opened, tears_client_free);
    tears_session *started = nullptr;
    if (tears_session_new(client.get(), nullptr, &started) != TEARS_OK)
        return 1;
    const session_pointer session(started, tears_session_free);
    if (!use(client.get(), session.get())) {
        std::fprintf(stderr, "%s\n", tears_session_error(session.get())->message);
        return 1;
    }
    tears_client_stats(client.get(), &stats);
    return stats.l3_writes == 0;
}
