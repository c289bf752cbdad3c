/*
 * dir_store.h -- a durable store that keeps every row as a JSON file in a directory.
 *
 * A complete example of struct tears_store: give dir_store_functions() to a client as its L3, or to
 * one collection.
 *
 *     DIRECTORY/users/019073b4-....json        {"id": "019073b4-...", "name": "Ada", "row_version":
 * 3}
 */
#ifndef EXAMPLES_DIR_STORE_H
#define EXAMPLES_DIR_STORE_H

#include <tears/tears.h>

struct dir_store;

/* Uses the directory, which must exist.  TEARS_OK, TEARS_UNAVAILABLE, TEARS_NO_MEMORY. */
tears_status dir_store_open(const char *directory, struct dir_store **store_out,
                            struct tears_error *error);
void dir_store_free(struct dir_store *store);

/* The functions for tears_client_options.store; they live as long as the store. */
const struct tears_store *dir_store_functions(const struct dir_store *store);

#endif
