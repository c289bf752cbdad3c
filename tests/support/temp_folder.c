/*
 * temp_folder.c -- makes a folder with files and links, and removes it.
 *
 * Owns:     the folder, from temp_folder_make to temp_folder_remove.
 * Threads:  one.
 * Fails:    the test.
 */
#include "support/temp_folder.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void temp_folder_make_in_memory(struct temp_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "/dev/shm/tears-folder-XXXXXX");
    if (mkdtemp(folder->path) == NULL)
        temp_folder_make(folder);
}

void temp_folder_make(struct temp_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "/tmp/tears-folder-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void temp_folder_remove(const struct temp_folder *folder)
{
    assert_int_equal(nftw(folder->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *temp_folder_path(const struct temp_folder *folder, const char *name)
{
    static char path[4096];
    const int len = snprintf(path, sizeof path, "%s/%s", folder->path, name);
    assert_true(len > 0 && (size_t)len < sizeof path);
    return path;
}

void temp_folder_dir(const struct temp_folder *folder, const char *name)
{
    assert_int_equal(mkdir(temp_folder_path(folder, name), 0700), 0);
}

void temp_folder_file(const struct temp_folder *folder, const char *name, const char *content)
{
    FILE *file = fopen(temp_folder_path(folder, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
    assert_int_equal(fclose(file), 0);
}

void temp_folder_link(const struct temp_folder *folder, const char *target, const char *name)
{
    assert_int_equal(symlink(target, temp_folder_path(folder, name)), 0);
}

bool temp_folder_holds(const struct temp_folder *folder, const char *name, const char *content)
{
    char found[8192];
    FILE *file = fopen(temp_folder_path(folder, name), "rb");
    if (file == NULL)
        return false;
    const size_t len = fread(found, 1, sizeof found, file);
    assert_int_equal(fclose(file), 0);
    return len == strlen(content) && memcmp(found, content, len) == 0;
}

unsigned temp_folder_count(const struct temp_folder *folder, const char *name)
{
    unsigned count = 0;
    DIR *open = opendir(temp_folder_path(folder, name));
    assert_non_null(open);
    for (const struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    assert_int_equal(closedir(open), 0);
    return count;
}
