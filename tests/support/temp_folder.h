/*
 * temp_folder.h -- a folder for the files of a test.
 */
#ifndef TESTS_SUPPORT_TEMP_FOLDER_H
#define TESTS_SUPPORT_TEMP_FOLDER_H

#include <tears/base.h>

struct temp_folder {
    char path[64]; /* without links in it */
};

/* All of them fail the test when they cannot.  Names are relative to the folder. */

void temp_folder_make(struct temp_folder *folder);
/* The same where files cost no disk, if there is such a place: for tests that do not lose power. */
void temp_folder_make_in_memory(struct temp_folder *folder);
/* The folder and all that is in it; links are not followed. */
void temp_folder_remove(const struct temp_folder *folder);

void temp_folder_dir(const struct temp_folder *folder, const char *name);
void temp_folder_file(const struct temp_folder *folder, const char *name, const char *content);
void temp_folder_link(const struct temp_folder *folder, const char *target, const char *name);

/* Whether the file's content is exactly this. */
bool temp_folder_holds(const struct temp_folder *folder, const char *name, const char *content);

/* The number of entries of a folder below it; "." itself. */
unsigned temp_folder_count(const struct temp_folder *folder, const char *name);

/* The path of something in the folder, in a buffer of the function that holds the last one. */
const char *temp_folder_path(const struct temp_folder *folder, const char *name);

#endif
