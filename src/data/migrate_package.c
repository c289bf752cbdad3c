/*
 * migrate_package.c -- packages as they are registered: checked, copied, sorted, summed up.
 *
 * Owns:     the copies, in the migrator's arena.
 * Must not know: the database.
 * Threads:  the migrator's.
 * Fails:    as tears_migrator_add says; the migrator is as it was then.
 * Begin at: t3_migrate_add().
 */
#include "data/migrate_impl.h"

#include "base/sized.h"
#include "base/str.h"

enum { NAME_BYTES_MAX = 255, VERSION_MAX = INT32_MAX };

/* What is being added. */
struct adding {
    struct tears_migrator *migrator;
    const struct tears_package_def *def;
    const struct t3_migrate_files *files;
    struct t3_migrate_package *package;
};

struct t3_migrate_package *t3_migrate_find_package(const struct tears_migrator *migrator,
                                                   struct tears_str name)
{
    /* Packages of both scopes may have one name: the migrator's own counts before the other's. */
    struct t3_migrate_package *found = NULL;
    for (struct t3_migrate_package *package = migrator->packages; package != NULL;
         package = package->next)
        if (t3_str_equal(package->name, name) &&
            (found == NULL || package->scope == migrator->options.scope))
            found = package;
    return found;
}

struct t3_migrate_version *t3_migrate_find_version(const struct t3_migrate_package *package,
                                                   int64_t number)
{
    size_t low = 0;
    size_t high = package->version_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (package->versions[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < package->version_count && package->versions[low].number == number
               ? &package->versions[low]
               : NULL;
}

/* ---- checks ---- */

static tears_status refuse(const struct adding *adding, const char *what)
{
    return t3_fail(&adding->migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                   "package '" T3_STR_FMT "': %s", T3_STR_ARG(adding->def->name), what);
}

static tears_status refuse_version(const struct adding *adding, int64_t number, const char *what)
{
    return t3_fail(&adding->migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                   "package '" T3_STR_FMT "', version %lld: %s", T3_STR_ARG(adding->def->name),
                   (long long)number, what);
}

static tears_status check_package(const struct adding *adding)
{
    const struct tears_package_def *def = adding->def;
    if (def->name.len == 0 || def->name.len > NAME_BYTES_MAX || !t3_str_is_utf8(def->name) ||
        memchr(def->name.ptr, '\0', def->name.len) != NULL)
        return refuse(adding, "a name has 1 to 255 bytes of UTF-8 without NUL");
    if (def->scope != TEARS_SCOPE_PLATFORM && def->scope != TEARS_SCOPE_AGENT)
        return refuse(adding, "the scope is neither platform nor agent");
    for (const struct t3_migrate_package *other = adding->migrator->packages; other != NULL;
         other = other->next)
        if (other->scope == def->scope && t3_str_equal(other->name, def->name))
            return t3_fail(&adding->migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN,
                           "package '" T3_STR_FMT "' was added already", T3_STR_ARG(def->name));
    return TEARS_OK;
}

static tears_status check_version(const struct adding *adding,
                                  const struct tears_migration_def *def)
{
    if (def->version < 1 || def->version > VERSION_MAX)
        return refuse_version(adding, def->version, "versions are numbers from 1 to 2147483647");
    if ((def->up != NULL) == (def->up_sql.len > 0))
        return refuse_version(adding, def->version,
                              def->up != NULL ? "both a function and SQL are given for up"
                                              : "there is nothing to run");
    if (def->down != NULL && def->down_sql.len > 0)
        return refuse_version(adding, def->version, "both a function and SQL are given for down");
    if (!t3_str_is_utf8(def->description))
        return refuse_version(adding, def->version, "the description is not UTF-8");
    return TEARS_OK;
}

/* ---- bodies ---- */

static tears_status copy(struct adding *adding, struct tears_str text, struct tears_str *copy_out)
{
    if (t3_arena_str(&adding->migrator->arena, text, copy_out) == TEARS_OK)
        return TEARS_OK;
    return t3_fail_memory(&adding->migrator->error, T3_MIGRATE_ORIGIN);
}

/* Facts that are enough to look at text before there is a connection: whatever no server allows stays so. */
static struct t3_admin_facts facts_of(const struct tears_migrator *migrator)
{
    return (struct t3_admin_facts){
        .dialect = migrator->dialect == T3_SQL_SQLITE ? T3_DIALECT_SQLITE : T3_DIALECT_POSTGRESQL,
        .version = UINT32_MAX};
}

static tears_status read_statements(struct adding *adding, struct t3_arena *arena,
                                    const struct t3_migrate_version *version,
                                    struct t3_migrate_body *body)
{
    struct tears_migrator *migrator = adding->migrator;
    const struct t3_admin_facts facts = facts_of(migrator);
    struct t3_sql_tokens tokens;
    struct t3_sql_range range;
    size_t count = 0;
    if (t3_sql_scan(arena, body->sql, migrator->dialect, &tokens) != TEARS_OK)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    if (tokens.unended != NULL)
        return t3_fail(&migrator->error, TEARS_INVALID, T3_MIGRATE_ORIGIN,
                       "package '" T3_STR_FMT "', version %lld: a %s begins in line %u%s%s and "
                       "does not end",
                       T3_STR_ARG(adding->def->name), (long long)version->number, tokens.unended,
                       tokens.unended_line + 1, body->file.len > 0 ? " of " : "",
                       body->file.len > 0 ? body->file.ptr : "");
    for (size_t at = 0; t3_sql_next(&tokens, &at, &range); count++) {
        struct t3_step_text text;
        if (t3_step_classify(arena, &tokens, range, &facts, &text) != TEARS_OK)
            return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
        const bool pragma = text.class == T3_STEP_SETTING && migrator->dialect == T3_SQL_SQLITE;
        if (text.class == T3_STEP_ALONE || pragma)
            body->needs_no_transaction = true;
    }
    return count > 0 ? TEARS_OK
                     : refuse_version(adding, version->number, "its SQL has no statement");
}

static bool says_no_transaction(const struct t3_sql_tokens *tokens)
{
    for (size_t i = 0; i < tokens->comment_count; i++)
        if (t3_str_is(t3_str_trim(tokens->comments[i].text, T3_BLANKS), "tears: no-transaction"))
            return true;
    return false;
}

static tears_status read_flags(struct adding *adding, struct t3_arena *arena,
                               struct t3_migrate_version *version)
{
    struct t3_sql_tokens tokens;
    const struct tears_str texts[] = {version->up.sql, version->down.sql};
    for (size_t i = 0; i < T3_COUNT(texts); i++) {
        if (t3_sql_scan(arena, texts[i], adding->migrator->dialect, &tokens) != TEARS_OK)
            return t3_fail_memory(&adding->migrator->error, T3_MIGRATE_ORIGIN);
        if (says_no_transaction(&tokens))
            version->flags |= TEARS_MIGRATION_NO_TRANSACTION;
    }
    return TEARS_OK;
}

static tears_status sum_up(struct adding *adding, const struct tears_migration_def *def,
                           struct t3_migrate_version *version)
{
    char digest[T3_MIGRATE_DIGEST_BYTES] = "";
    tears_status status = TEARS_OK;
    if (def->up_sql.len > 0)
        status = t3_migrate_digest(def->up_sql, adding->migrator->dialect, digest);
    else if (def->revision.len > 0)
        status = t3_migrate_digest(def->revision, adding->migrator->dialect, digest);
    if (status != TEARS_OK)
        return t3_fail_memory(&adding->migrator->error, T3_MIGRATE_ORIGIN);
    return copy(adding, tears_str_c(digest), &version->checksum);
}

static tears_status add_version(struct adding *adding, size_t index,
                                struct t3_migrate_version *version)
{
    T3_AUTO(t3_arena_done) struct t3_arena scratch = {0};
    const struct tears_migration_def *def = &adding->def->migrations[index];
    T3_TRY(check_version(adding, def));
    version->package = adding->package;
    version->number = def->version;
    version->flags = def->flags;
    version->up.run = def->up;
    version->down.run = def->down;
    T3_TRY(copy(adding, def->description, &version->description));
    T3_TRY(copy(adding, def->up_sql, &version->up.sql));
    T3_TRY(copy(adding, def->down_sql, &version->down.sql));
    static const struct t3_migrate_files no_files;
    const struct t3_migrate_files *files =
        adding->files != NULL ? &adding->files[index] : &no_files;
    T3_TRY(copy(adding, files->up, &version->up.file));
    T3_TRY(copy(adding, files->down, &version->down.file));
    if (version->up.sql.len > 0)
        T3_TRY(read_statements(adding, &scratch, version, &version->up));
    if (version->down.sql.len > 0)
        T3_TRY(read_statements(adding, &scratch, version, &version->down));
    T3_TRY(read_flags(adding, &scratch, version));
    return sum_up(adding, def, version);
}

/* Keeps the versions sorted; a few hundred of them come almost in order. */
static tears_status insert_version(struct adding *adding, const struct t3_migrate_version *version)
{
    struct t3_migrate_package *package = adding->package;
    size_t at = package->version_count;
    while (at > 0 && package->versions[at - 1].number > version->number)
        at--;
    if (at > 0 && package->versions[at - 1].number == version->number)
        return t3_fail(&adding->migrator->error, TEARS_CONFLICT, T3_MIGRATE_ORIGIN,
                       "package '" T3_STR_FMT "' has version %lld twice", T3_STR_ARG(package->name),
                       (long long)version->number);
    memmove(&package->versions[at + 1], &package->versions[at],
            (package->version_count - at) * sizeof *version);
    package->versions[at] = *version;
    package->version_count++;
    return TEARS_OK;
}

static tears_status copy_dependencies(struct adding *adding)
{
    const struct tears_package_def *def = adding->def;
    struct tears_str *names =
        t3_arena_array(&adding->migrator->arena, def->depends_on_count, sizeof *names);
    if (names == NULL)
        return t3_fail_memory(&adding->migrator->error, T3_MIGRATE_ORIGIN);
    for (size_t i = 0; i < def->depends_on_count; i++)
        T3_TRY(copy(adding, def->depends_on[i], &names[i]));
    adding->package->depends_on = names;
    adding->package->depends_on_count = def->depends_on_count;
    return TEARS_OK;
}

static void append(struct tears_migrator *migrator, struct t3_migrate_package *package)
{
    struct t3_migrate_package **end = &migrator->packages;
    while (*end != NULL)
        end = &(*end)->next;
    *end = package;
}

tears_status t3_migrate_add(struct tears_migrator *migrator, const struct tears_package_def *given,
                            const struct t3_migrate_files *files)
{
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    T3_TRY(t3_sized_copy(&def, sizeof def, given, T3_MIGRATE_ORIGIN, &migrator->error));
    struct adding adding = {.migrator = migrator, .def = &def, .files = files};
    T3_TRY(check_package(&adding));
    adding.package = t3_arena_array(&migrator->arena, 1, sizeof *adding.package);
    struct t3_migrate_version *versions =
        t3_arena_array(&migrator->arena, def.migration_count, sizeof *versions);
    if (adding.package == NULL || versions == NULL)
        return t3_fail_memory(&migrator->error, T3_MIGRATE_ORIGIN);
    adding.package->versions = versions;
    adding.package->scope = def.scope;
    adding.package->owner = def.owner;
    T3_TRY(copy(&adding, def.name, &adding.package->name));
    T3_TRY(copy_dependencies(&adding));
    for (size_t i = 0; i < def.migration_count; i++) {
        struct t3_migrate_version version = {0};
        T3_TRY(add_version(&adding, i, &version));
        T3_TRY(insert_version(&adding, &version));
    }
    append(migrator, adding.package);
    return TEARS_OK;
}
