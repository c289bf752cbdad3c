/*
 * demo_packages.c -- Debian's package list as rows of a table `packages`.
 *
 * Owns:     the table's definition, the reading of /var/lib/dpkg/status.
 * Must not know: the load.
 * Threads:  the main thread.
 * Fails:    6 when the list cannot be read; by status when the table cannot be made.
 * Begin at: cli_packages_read().
 *
 * The list is paragraphs of `Name: value`; a line that starts with a blank continues the value
 * before it.
 */
#include "demo.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH_ROWS = 500, LIST_BYTES_MAX = 256 * 1024 * 1024 };

/* ---- reading ---- */

static int fail_list(const struct cli_args *args, const char *path)
{
    return cli_fail(
        args, CLI_EXIT_BROKEN, "FILE",
        "cannot read '%s': %s (the demo needs Debian's package list; --packages names another)",
        path, strerror(errno));
}

static int read_file(const struct cli_args *args, const char *path, struct cli_packages *out)
{
    FILE *file = fopen(path, "re");
    size_t capacity = (size_t)1 << 20;

    if (file == NULL)
        return fail_list(args, path);
    out->text = cli_resize(NULL, capacity, 1);
    for (;;) {
        const size_t got = fread(out->text + out->len, 1, capacity - out->len, file);
        out->len += got;
        if (got == 0 || out->len >= LIST_BYTES_MAX)
            break;
        if (out->len == capacity) {
            capacity *= 2;
            out->text = cli_resize(out->text, capacity, 1);
        }
    }
    const bool failed = ferror(file) != 0;
    (void)fclose(file); /* only read */
    return failed ? fail_list(args, path) : CLI_EXIT_OK;
}

static struct tears_str trim(struct tears_str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\n')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\n'))
        text.len--;
    return text;
}

/* Takes the next line off `rest`, together with the lines that continue it. */
static struct tears_str take_entry(struct tears_str *rest)
{
    size_t at = 0;

    do {
        const char *newline = memchr(rest->ptr + at, '\n', rest->len - at);
        at = newline != NULL ? (size_t)(newline - rest->ptr) + 1 : rest->len;
    } while (at < rest->len && rest->ptr[at] == ' ');
    const struct tears_str entry = tears_str_n(rest->ptr, at);
    *rest = tears_str_n(rest->ptr + at, rest->len - at);
    return entry;
}

static void set_member(struct cli_package *package, struct tears_str name, struct tears_str value)
{
    const struct {
        const char *name;
        struct tears_str *member;
    } members[] = {
        {"Version", &package->version},       {"Architecture", &package->architecture},
        {"Section", &package->section},       {"Priority", &package->priority},
        {"Maintainer", &package->maintainer}, {"Installed-Size", &package->installed_size},
        {"Depends", &package->depends},       {"Description", &package->description},
    };
    for (size_t i = 0; i < CLI_COUNT(members); i++) {
        if (cli_str_is(name, members[i].name))
            *members[i].member = value;
    }
    if (cli_str_is(name, "Package"))
        package->name = cli_copy(value);
}

/* The first line of a description is its summary. */
static void split_description(struct cli_package *package)
{
    const struct tears_str all = package->description;
    const char *newline = all.len > 0 ? memchr(all.ptr, '\n', all.len) : NULL;
    const size_t first = newline != NULL ? (size_t)(newline - all.ptr) : all.len;

    package->summary = tears_str_n(all.ptr, first);
    package->description = trim(tears_str_n(all.ptr + first, all.len - first));
}

/* Reads the paragraph at the start of `rest`; false when it describes no package. */
static bool take_package(struct tears_str *rest, struct cli_package *package_out)
{
    struct cli_package package = {.name = NULL};

    while (rest->len > 0 && rest->ptr[0] != '\n') {
        const struct tears_str entry = take_entry(rest);
        const char *colon = memchr(entry.ptr, ':', entry.len);
        if (colon == NULL)
            continue;
        const size_t name_len = (size_t)(colon - entry.ptr);
        set_member(&package, tears_str_n(entry.ptr, name_len),
                   trim(tears_str_n(colon + 1, entry.len - name_len - 1)));
    }
    while (rest->len > 0 && rest->ptr[0] == '\n')
        *rest = tears_str_n(rest->ptr + 1, rest->len - 1);
    split_description(&package);
    const bool good = package.name != NULL && package.version.len > 0;
    if (!good)
        free(package.name);
    else
        *package_out = package;
    return good;
}

static size_t package_bytes(const struct cli_package *package)
{
    return strlen(package->name) + package->version.len + package->architecture.len +
           package->section.len + package->priority.len + package->maintainer.len +
           package->depends.len + package->summary.len + package->description.len + 32;
}

static int by_name(const void *a, const void *b)
{
    const struct cli_package *left = a;
    const struct cli_package *right = b;
    const int order = strcmp(left->name, right->name);
    if (order != 0)
        return order;
    return left->version.ptr < right->version.ptr ? -1 : 1; /* the order of the file */
}

/* The same package of two architectures: the second is called name:architecture, as dpkg itself
 * does. */
static void make_names_unique(struct cli_packages *packages)
{
    qsort(packages->packages, packages->count, sizeof *packages->packages, by_name);
    for (size_t i = packages->count; i > 1; i--) {
        struct cli_package *package = &packages->packages[i - 1];
        struct cli_text name = {0};
        if (strcmp(package->name, packages->packages[i - 2].name) != 0)
            continue;
        cli_text_printf(&name, "%s:" CLI_STR_FMT, package->name,
                        CLI_STR_ARG(package->architecture));
        free(package->name);
        package->name = name.ptr;
    }
}

int cli_packages_read(const struct cli_args *args, const char *path, struct cli_packages *out)
{
    size_t capacity = 1024;

    *out = (struct cli_packages){0};
    CLI_TRY(read_file(args, path, out));
    out->packages = cli_alloc(capacity, sizeof *out->packages);
    struct tears_str rest = tears_str_n(out->text, out->len);
    while (rest.len > 0) {
        if (out->count == capacity) {
            capacity *= 2;
            out->packages = cli_resize(out->packages, capacity, sizeof *out->packages);
        }
        if (!take_package(&rest, &out->packages[out->count]))
            continue;
        out->bytes += package_bytes(&out->packages[out->count]);
        out->count++;
    }
    if (out->count == 0)
        return cli_fail(args, CLI_EXIT_INVALID, "INVALID", "'%s' lists no packages", path);
    make_names_unique(out);
    return CLI_EXIT_OK;
}

void cli_packages_done(struct cli_packages *packages)
{
    for (size_t i = 0; i < packages->count; i++)
        free(packages->packages[i].name);
    free(packages->packages);
    free(packages->text);
    *packages = (struct cli_packages){0};
}

/* ---- the table ---- */

static bool is_sqlite(const struct cli_args *args)
{
    const char *url = cli_option(args, "l3");
    if (url == NULL || url[0] == '\0')
        url = getenv("TEARS_L3_URL");
    return url == NULL || url[0] == '\0' || strncmp(url, "sqlite:", 7) == 0;
}

/* An existing table is used as it is: nothing of somebody else's is dropped. */
static int create_table(struct cli_context *context)
{
    CLI_AUTO(cli_text_done) struct cli_text sql = {0};
    const bool sqlite = is_sqlite(context->args);

    cli_text_printf(
        &sql,
        "CREATE TABLE IF NOT EXISTS packages ("
        "name TEXT NOT NULL PRIMARY KEY, version TEXT NOT NULL, architecture TEXT NOT NULL, "
        "section TEXT, priority TEXT, installed_size BIGINT, maintainer TEXT, "
        "depends %s NOT NULL, summary TEXT NOT NULL, description TEXT NOT NULL, "
        "imported_at %s NOT NULL, votes BIGINT NOT NULL DEFAULT 0, "
        "row_version BIGINT NOT NULL DEFAULT 1)",
        sqlite ? "TEXT_JSON" : "JSONB", sqlite ? "TEXT_DATETIME" : "TIMESTAMPTZ");
    const tears_status status = tears_execute(context->session, cli_text_str(&sql), NULL, 0, NULL);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_session(context, status);
}

/* ---- rows ---- */

enum { FIELD_COUNT = 11 };

static struct tears_value text_or_null(struct tears_str text)
{
    return text.len > 0 ? tears_text(text) : tears_null();
}

/* "a (>= 1), b | c" as a JSON array of strings, in session memory; ptr NULL without memory. */
static struct tears_str depends_json(tears_session *session, struct tears_str depends)
{
    CLI_AUTO(cli_text_done) struct cli_text json = {0};
    const char *comma = "";

    cli_text_put_char(&json, '[');
    for (size_t at = 0; at < depends.len;) {
        const char *end = memchr(depends.ptr + at, ',', depends.len - at);
        const size_t stop = end != NULL ? (size_t)(end - depends.ptr) : depends.len;
        cli_text_put_c(&json, comma);
        cli_text_put_json(&json, trim(tears_str_n(depends.ptr + at, stop - at)));
        comma = ",";
        at = stop + 1;
    }
    cli_text_put_char(&json, ']');
    char *copy = tears_session_alloc(session, json.len + 1);
    if (copy == NULL)
        return tears_str_n(NULL, 0);
    memcpy(copy, json.ptr, json.len + 1);
    return tears_str_n(copy, json.len);
}

static tears_status make_row(tears_session *session, const struct cli_package *package,
                             int64_t imported_us, struct tears_row_input *row_out)
{
    struct tears_field *fields = tears_session_alloc(session, FIELD_COUNT * sizeof *fields);
    const struct tears_str depends = depends_json(session, package->depends);
    uint64_t size = 0;

    if (fields == NULL || depends.ptr == NULL)
        return TEARS_NO_MEMORY;
    const bool sized = cli_number(package->installed_size, INT64_MAX, &size);
    const struct tears_field values[FIELD_COUNT] = {
        {TEARS_STR("name"), tears_text(tears_str_c(package->name))},
        {TEARS_STR("version"), tears_text(package->version)},
        {TEARS_STR("architecture"), tears_text(package->architecture)},
        {TEARS_STR("section"), text_or_null(package->section)},
        {TEARS_STR("priority"), text_or_null(package->priority)},
        {TEARS_STR("installed_size"), sized ? tears_int((int64_t)size) : tears_null()},
        {TEARS_STR("maintainer"), text_or_null(package->maintainer)},
        {TEARS_STR("depends"), tears_json(depends)},
        {TEARS_STR("summary"), tears_text(package->summary)},
        {TEARS_STR("description"), tears_text(package->description)},
        {TEARS_STR("imported_at"), tears_timestamp_us(imported_us)},
    };
    memcpy(fields, values, sizeof values);
    *row_out = (struct tears_row_input){.fields = fields, .field_count = FIELD_COUNT};
    return TEARS_OK;
}

static tears_status write_rows(struct cli_context *context, tears_collection *table,
                               const struct cli_package *packages, size_t count)
{
    struct tears_row_input rows[BATCH_ROWS];
    struct timespec now;
    tears_status status = TEARS_OK;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    const int64_t now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    for (size_t i = 0; status == TEARS_OK && i < count; i++)
        status = make_row(context->session, &packages[i], now_us, &rows[i]);
    if (status == TEARS_OK)
        status = tears_upsert_many(context->session, table, rows, count, NULL);
    return status;
}

int cli_packages_import(struct cli_context *context, const struct cli_packages *packages)
{
    struct cli_progress progress;
    tears_collection *table = NULL;

    CLI_TRY(create_table(context));
    CLI_TRY(cli_table(context, TEARS_STR("packages"), &table));
    tears_session_set_timeout(context->session, 60000);
    cli_progress_begin(&progress, "importing");
    for (size_t at = 0; at < packages->count; at += BATCH_ROWS) {
        const size_t left = packages->count - at;
        const size_t count = left < BATCH_ROWS ? left : BATCH_ROWS;
        const tears_status status = write_rows(context, table, packages->packages + at, count);
        if (status != TEARS_OK)
            return cli_fail_session(context, status);
        tears_session_reset(context->session);
        cli_progress_show(&progress, at + count, packages->count, at + count);
    }
    cli_progress_end(&progress);
    tears_session_set_timeout(context->session, 0);
    return CLI_EXIT_OK;
}
