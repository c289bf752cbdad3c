/*
 * fuzz_secret.c -- any bytes as a reference to a secret.
 *
 * What must hold: the parts make up the reference; what is parsed has a scheme of the allowed form; nothing is read
 * from outside the secrets directory, where a file with a mark stands; a message of a failure is
 * text, and does not repeat what is no reference.
 */
#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tears/secret.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void put_file(const char *folder, const char *name, const char *content)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    check(close(fd) == 0);
}

static char folder[] = "/tmp/tears-fuzz-XXXXXX";

static void remove_folder(void)
{
    static const char *const names[] = {"d/a", "d/l", "d", "o"};
    char path[128];
    for (size_t i = 0; i < T3_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    (void)rmdir(folder);
}

/* Below the folder: o (outside), d (the directory), d/a, and d/l, a link to o. */
static tears_secrets *open_secrets(void)
{
    char path[64];
    struct tears_secrets_options options = TEARS_SECRETS_OPTIONS_INIT;
    tears_secrets *secrets = NULL;
    check(mkdtemp(folder) != NULL);
    check(atexit(remove_folder) == 0);
    put_file(folder, "o", "OUTSIDE");
    snprintf(path, sizeof path, "%s/d", folder);
    check(mkdir(path, 0700) == 0);
    put_file(path, "a", "INSIDE");
    options.directory = tears_str_c(path);
    check(tears_secrets_new(&options, &secrets, NULL) == TEARS_OK);
    snprintf(path, sizeof path, "%s/d/l", folder);
    check(symlink("../o", path) == 0);
    return secrets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tears_secrets *secrets;
    if (secrets == NULL)
        secrets = open_secrets();
    const struct tears_str reference = tears_str_n((const char *)data, size);
    struct tears_error error = {0};
    struct tears_str scheme;
    struct tears_str locator;
    const bool parsed = tears_secret_parse(reference, &scheme, &locator, &error) == TEARS_OK;
    if (parsed) {
        check(scheme.len > 0 && scheme.ptr[0] >= 'a' && scheme.ptr[0] <= 'z');
        check(locator.len > 0 && locator.ptr == scheme.ptr + scheme.len + 3);
        check(memchr(locator.ptr, '\n', locator.len) == NULL);
    }
    struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
    const tears_status status = tears_secrets_resolve(secrets, reference, &value, &error);
    const bool checked = tears_secrets_check(secrets, reference, NULL) == TEARS_OK;
    check(status != TEARS_OK || (parsed && checked && value.secret));
    check(status == TEARS_OK || (value.ptr == NULL && error.message[0] != '\0'));
    check(status == TEARS_OK || t3_str_is_utf8(tears_str_c(error.message)));
    if (status == TEARS_OK && t3_str_is(scheme, "k8s"))
        check(t3_str_is(tears_owned_text_str(&value), "INSIDE"));
    tears_owned_text_free(&value);
    return 0;
}
