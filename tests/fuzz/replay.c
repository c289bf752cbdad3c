/*
 * replay.c -- feeds the files of a folder to a fuzz target, so that every build checks the corpus.
 *
 * Owns:     nothing.
 * Threads:  one.
 * Fails:    exit status 1 when the folder or a file cannot be read, or when the folder is empty.
 * Begin at: main().
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every input gets a heap block of exactly its size, so that AddressSanitizer sees a read past the
 * end. */
static int replay_file(const char *path)
{
    static uint8_t buffer[INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    const size_t size = fread(buffer, 1, sizeof buffer, file);
    const int failed = ferror(file);
    fclose(file);
    uint8_t *input = malloc(size > 0 ? size : 1);
    if (failed || input == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(input);
        return 1;
    }
    memcpy(input, buffer, size);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 1;
    }
    int failed = 0;
    int replayed = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        const int len = snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (len < 0 || (size_t)len >= sizeof path) {
            fprintf(stderr, "%s: path too long\n", entry->d_name);
            failed = 1;
            continue;
        }
        failed |= replay_file(path);
        replayed++;
    }
    closedir(folder);
    printf("%d inputs replayed\n", replayed);
    return failed || replayed == 0;
}
