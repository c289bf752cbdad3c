/*
 * secret_file.h -- the value of a secret that is a file below a directory.
 */
#ifndef T3_SECURITY_SECRET_FILE_H
#define T3_SECURITY_SECRET_FILE_H

#include "base/macros.h"

#include <tears/secret.h>

/*
 * Reads the whole file `path` below `directory`.  0, or an errno; those of t3_beneath_open (EXDEV: it leaves the
 * directory), EFBIG (more than TEARS_SECRET_BYTES_MAX), ENOMEM.
 */
int t3_secret_file_read(const char *directory, struct tears_str path,
                        struct tears_owned_text *value_out);

#endif
