/*
 * secret_file.c -- reads a secret's file without leaving its directory.
 *
 * Owns:     nothing; the value is the caller's.
 * Must not know: references and schemes.
 * Threads:  any.
 * Fails:    with an errno; what was read until then is wiped.
 * Begin at: t3_secret_file_read().
 *
 * The directory is opened anew for each read, because Kubernetes may mount another one in its place.
 * Inside it, `name` is a link to `..data/name`, and `..data` a link to the folder of the moment: links are followed, and
 * openat2(2) or our walk sees to it that they stay inside.
 */
#include "security/secret_file.h"

#include "base/alloc.h"
#include "security/sandbox_beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

/* All that is in the file, into memory with room for `room` bytes.  EFBIG: there is more. */
static int read_all(int fd, char *to, size_t room, size_t *len_out)
{
    size_t len = 0;
    for (;;) {
        /* one byte more than expected tells the end from a file that has grown */
        char more;
        const ssize_t got = len < room ? read(fd, to + len, room - len) : read(fd, &more, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        if (len == room) {
            OPENSSL_cleanse(&more, sizeof more);
            return EFBIG;
        }
        len += (size_t)got;
    }
    *len_out = len;
    return 0;
}

static int read_value(int fd, struct tears_owned_text *value_out)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return errno;
    if (status.st_size > TEARS_SECRET_BYTES_MAX)
        return EFBIG;
    const size_t room = (size_t)status.st_size;
    struct tears_owned_text value = {
        .ptr = t3_alloc_zero(1, room + 1), .len = room, .secret = true};
    if (value.ptr == NULL)
        return ENOMEM;
    const int rc = read_all(fd, value.ptr, room, &value.len);
    if (rc != 0) {
        tears_owned_text_free(&value); /* wipes all of it: len is room */
        return rc;
    }
    *value_out = value;
    return 0;
}

int t3_secret_file_read(const char *directory, struct tears_str path,
                        struct tears_owned_text *value_out)
{
    const struct t3_beneath_how how = {.flags = O_RDONLY, .follow = true};
    const int root = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return errno;
    int fd = -1;
    int rc = t3_beneath_open(root, path, &how, &fd);
    (void)close(root);
    if (rc != 0)
        return rc;
    rc = read_value(fd, value_out);
    (void)close(fd); /* only read from */
    return rc;
}
