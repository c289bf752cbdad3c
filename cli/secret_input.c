/*
 * secret_input.c -- reads the secrets of a command.
 *
 * Owns:     the memory a secret passes through; it is wiped.
 * Must not know: what a secret is for.
 * Threads:  the main thread.
 * Fails:    6 for a file that cannot be read, else by status; no message has any of the content.
 * Begin at: cli_input_read().
 */
#include "secret_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_fail_error(const struct cli_args *args, tears_status status,
                   const struct tears_error *error)
{
    return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                    error->message[0] != '\0' ? error->message : tears_status_text(status));
}

/* ---- files ---- */

struct growing {
    char *bytes;
    size_t len;
    size_t capacity;
};

static void growing_done(struct growing *growing)
{
    if (growing->bytes != NULL)
        explicit_bzero(growing->bytes, growing->capacity);
    free(growing->bytes);
}

/* Twice the room; what was there does not stay behind in freed memory, as it would with realloc. */
static void grow(struct growing *growing)
{
    const size_t capacity = growing->capacity == 0 ? 4096 : growing->capacity * 2;
    char *bytes = cli_alloc(capacity, 1);

    if (growing->len > 0)
        memcpy(bytes, growing->bytes, growing->len);
    growing_done(growing);
    growing->bytes = bytes;
    growing->capacity = capacity;
}

static int fail_read(const struct cli_args *args, const char *name, const char *why)
{
    return cli_fail(args, CLI_EXIT_BROKEN, "INPUT", "cannot read %s: %s", name, why);
}

static int read_all(const struct cli_args *args, int fd, const char *name,
                    struct tears_owned_text *text_out)
{
    CLI_AUTO(growing_done) struct growing all = {0};

    for (;;) {
        if (all.len == all.capacity)
            grow(&all);
        const ssize_t got = read(fd, all.bytes + all.len, all.capacity - all.len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_read(args, name, strerror(errno));
        if (got == 0)
            break;
        all.len += (size_t)got;
        if (all.len > CLI_INPUT_BYTES_MAX)
            return cli_fail(args, CLI_EXIT_INVALID, "LIMIT", "%s has more than 64 MiB", name);
    }
    if (tears_owned_text_copy(tears_str_n(all.bytes, all.len), text_out) != TEARS_OK)
        return cli_fail(args, CLI_EXIT_BROKEN, "NO_MEMORY", "out of memory");
    text_out->secret = true;
    return CLI_EXIT_OK;
}

static int read_file(const struct cli_args *args, const char *path,
                     struct tears_owned_text *text_out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && (errno == ENOENT || errno == ENAMETOOLONG))
        return cli_fail(args, CLI_EXIT_BROKEN, "INPUT",
                        "there is no such file (what was given is not repeated: it may be a secret "
                        "that was meant to be in one)");
    if (fd < 0)
        return fail_read(args, path, strerror(errno));
    const int result = read_all(args, fd, path, text_out);
    (void)close(fd);
    return result;
}

/* ---- references ---- */

tears_status cli_secrets_open(const struct cli_args *args, tears_secrets **secrets_out,
                              struct tears_error *error_out)
{
    struct tears_secrets_options options = TEARS_SECRETS_OPTIONS_INIT;

    options.directory = tears_str_c(cli_option(args, "directory"));
    return tears_secrets_new(&options, secrets_out, error_out);
}

int cli_reference_resolve(const struct cli_args *args, struct tears_str reference,
                          struct tears_owned_text *value_out)
{
    struct tears_error error = {.status = TEARS_OK};
    tears_secrets *secrets = NULL;
    tears_status status = cli_secrets_open(args, &secrets, &error);

    if (status == TEARS_OK)
        status = tears_secrets_resolve(secrets, reference, value_out, &error);
    tears_secrets_free(secrets);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

int cli_input_read(const struct cli_args *args, const char *source,
                   struct tears_owned_text *text_out)
{
    if (strcmp(source, "-") == 0)
        return read_all(args, STDIN_FILENO, "standard input", text_out);
    if (strstr(source, "://") != NULL)
        return cli_reference_resolve(args, tears_str_c(source), text_out);
    return read_file(args, source, text_out);
}

/* ---- what is around a text ---- */

struct tears_str cli_without_newline(const struct tears_owned_text *text)
{
    struct tears_str all = tears_owned_text_str(text);

    if (all.len > 0 && all.ptr[all.len - 1] == '\n')
        all.len--;
    return all;
}

struct tears_str cli_trimmed(const struct tears_owned_text *text)
{
    static const char blanks[] = " \t\r\n";
    struct tears_str all = tears_owned_text_str(text);

    while (all.len > 0 && memchr(blanks, all.ptr[0], sizeof blanks - 1) != NULL)
        all = tears_str_n(all.ptr + 1, all.len - 1);
    while (all.len > 0 && memchr(blanks, all.ptr[all.len - 1], sizeof blanks - 1) != NULL)
        all.len--;
    return all;
}
