/*
 * migrate_new.c -- `tears migrate new`: the next pair of files.
 *
 * Owns:     the files until they are written.
 * Must not know: the database.
 * Threads:  the main thread.
 * Fails:    2 for words that make no name, 6 for files that cannot be written.
 * Begin at: cli_migrate_new().
 */
#include "migrate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_file(const struct cli_args *args, const char *path)
{
    return cli_fail(args, errno == EACCES ? CLI_EXIT_DENIED : CLI_EXIT_BROKEN, "FILE", "%s: %s",
                    path, strerror(errno));
}

/* Writes a file that must not be there. */
static int write_new(const struct cli_args *args, const char *path, struct tears_str content)
{
    FILE *file = fopen(path, "wx");
    if (file == NULL)
        return fail_file(args, path);
    const bool written = fwrite(content.ptr, 1, content.len, file) == content.len;
    if (fclose(file) != 0 || !written)
        return fail_file(args, path);
    return CLI_EXIT_OK;
}

/* ---- names ---- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* "Add e-mail" becomes "add_e_mail". */
static int put_words(const struct cli_args *args, struct cli_text *out)
{
    for (size_t i = 1; i < args->word_count; i++) {
        for (const char *at = args->words[i]; *at != '\0'; at++) {
            const char c = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
            const bool gap = out->len > 0 && out->ptr[out->len - 1] != '_';
            if (is_plain(c))
                cli_text_put_char(out, c);
            else if (gap)
                cli_text_put_char(out, '_');
        }
        if (out->len > 0 && out->ptr[out->len - 1] != '_' && i + 1 < args->word_count)
            cli_text_put_char(out, '_');
    }
    while (out->len > 0 && out->ptr[out->len - 1] == '_')
        out->ptr[--out->len] = '\0';
    if (out->len == 0)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "what is it about?  tears migrate new add email to users");
    return CLI_EXIT_OK;
}

/* The number after the highest that is there. */
static int next_number(const struct cli_args *args, const char *dir, uint64_t *number_out)
{
    uint64_t highest = 0;
    DIR *directory = opendir(dir);
    if (directory == NULL)
        return fail_file(args, dir);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        uint64_t number = 0;
        const size_t digits = strspn(entry->d_name, "0123456789");
        if (digits > 0 && entry->d_name[digits] == '_' &&
            cli_number(tears_str_n(entry->d_name, digits), INT32_MAX, &number) && number > highest)
            highest = number;
    }
    (void)closedir(directory); /* only read from */
    *number_out = highest + 1;
    return CLI_EXIT_OK;
}

/* ---- the package ---- */

/* The name of the directory, when no package was named. */
static struct tears_str last_name(const char *dir)
{
    struct tears_str name = tears_str_c(dir);
    while (name.len > 1 && name.ptr[name.len - 1] == '/')
        name.len--;
    size_t at = name.len;
    while (at > 0 && name.ptr[at - 1] != '/')
        at--;
    return tears_str_n(name.ptr + at, name.len - at);
}

/* Where the files go: a package named below a directory of packages has a directory of its own. */
static void choose_dir(const struct cli_args *args, struct cli_text *out)
{
    CLI_AUTO(cli_text_done) struct cli_text header = {0};
    const char *dir = cli_migrate_dir(args);
    const char *package = cli_option(args, "package");
    cli_text_put_c(out, dir);
    cli_text_printf(&header, "%s/package.json", dir);
    if (package != NULL && access(header.ptr, F_OK) != 0)
        cli_text_printf(out, "/%s", package);
}

static int make_dirs(const struct cli_args *args, const char *path)
{
    CLI_AUTO(cli_text_done) struct cli_text part = {0};
    for (const char *at = path; *at != '\0'; at++) {
        cli_text_put_char(&part, *at);
        if ((at[1] == '/' || at[1] == '\0') && mkdir(part.ptr, 0777) != 0 && errno != EEXIST)
            return fail_file(args, part.ptr);
    }
    return CLI_EXIT_OK;
}

static int make_package(const struct cli_args *args, const char *dir)
{
    CLI_AUTO(cli_text_done) struct cli_text path = {0};
    CLI_AUTO(cli_text_done) struct cli_text content = {0};
    const char *named = cli_option(args, "package");
    uint64_t scope = 0;
    CLI_TRY(cli_migrate_scope(args, &scope));
    cli_text_printf(&path, "%s/package.json", dir);
    if (access(path.ptr, F_OK) == 0)
        return CLI_EXIT_OK;
    cli_text_put_c(&content, "{\"name\": ");
    cli_text_put_json(&content, named != NULL ? tears_str_c(named) : last_name(dir));
    cli_text_printf(&content, ", \"scope\": \"%s\", \"depends_on\": []}\n",
                    scope == TEARS_SCOPE_AGENT ? "agent" : "platform");
    return write_new(args, path.ptr, cli_text_str(&content));
}

/* ---- the files ---- */

static const char *const up_text =
    "-- Statements with semicolons between them; all of them are one transaction.\n"
    "-- A statement that no transaction may hold (CREATE INDEX CONCURRENTLY, VACUUM) gives each a\n"
    "-- checkpoint instead.  A version that was applied is never changed: what comes is a new "
    "one.\n";
static const char *const down_text = "-- Takes back what the file beside it does.  Without this "
                                     "file the version cannot be undone.\n";

static int write_pair(const struct cli_args *args, const char *stem)
{
    CLI_AUTO(cli_text_done) struct cli_text up = {0};
    CLI_AUTO(cli_text_done) struct cli_text down = {0};
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    cli_text_printf(&up, "%s.up.sql", stem);
    cli_text_printf(&down, "%s.down.sql", stem);
    CLI_TRY(write_new(args, up.ptr, tears_str_c(up_text)));
    CLI_TRY(write_new(args, down.ptr, tears_str_c(down_text)));
    if (args->json) {
        cli_text_put_c(&line, "{\"up\":");
        cli_text_put_json(&line, cli_text_str(&up));
        cli_text_put_c(&line, ",\"down\":");
        cli_text_put_json(&line, cli_text_str(&down));
        cli_text_put_char(&line, '}');
    } else {
        cli_text_printf(&line, "%s\n%s", up.ptr, down.ptr);
    }
    return cli_print_line(args, cli_text_str(&line));
}

int cli_migrate_new(const struct cli_args *args)
{
    CLI_AUTO(cli_text_done) struct cli_text words = {0};
    CLI_AUTO(cli_text_done) struct cli_text dir = {0};
    CLI_AUTO(cli_text_done) struct cli_text stem = {0};
    uint64_t number = 0;
    CLI_TRY(put_words(args, &words));
    choose_dir(args, &dir);
    CLI_TRY(make_dirs(args, dir.ptr));
    CLI_TRY(make_package(args, dir.ptr));
    CLI_TRY(next_number(args, dir.ptr, &number));
    cli_text_printf(&stem, "%s/%04llu_%s", dir.ptr, (unsigned long long)number, words.ptr);
    return write_pair(args, stem.ptr);
}
