/*
 * vector_tree.c -- the temporary folder of a vector, and the trees in it (README.md 1.3, 1.5).
 *
 * Owns:     the folder, from tree_make to tree_remove.
 * Threads:  one.
 * Fails:    ends the program.
 * Begin at: tree_make().
 */
#include "vectors/vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(bool holds, const char *what)
{
    if (!holds)
        give_up(what);
}

struct tears_str expand_base(const struct vector_tree *tree, struct tears_str text)
{
    static const char mark[] = "$BASE";
    const size_t len = sizeof mark - 1;
    if (text.len < len || memcmp(text.ptr, mark, len) != 0)
        return text;
    char *expanded = t3_arena_alloc(tree->arena, sizeof tree->base + text.len);
    check(expanded != NULL, "out of memory");
    const int written = snprintf(expanded, sizeof tree->base + text.len, "%s%.*s", tree->base,
                                 (int)(text.len - len), text.ptr + len);
    return tears_str_n(expanded, (size_t)written);
}

static void make_parents(char *path, size_t base_len)
{
    for (char *at = path + base_len + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        check(mkdir(path, 0700) == 0 || errno == EEXIST, "mkdir");
        *at = '/';
    }
}

static void make_file(struct vector_tree *tree, const char *path, const json_t *entry)
{
    struct vector reader = {.in = entry, .arena = tree->arena};
    struct tears_str content = {"", 0};
    if (json_object_get(entry, "data_b64") != NULL)
        content = in_base64(&reader, "data_b64");
    FILE *file = fopen(path, "wb");
    check(file != NULL, "fopen");
    check(fwrite(content.ptr, 1, content.len, file) == content.len, "fwrite");
    check(fclose(file) == 0, "fclose");
}

static void make_entry(struct vector_tree *tree, const json_t *entry)
{
    char path[4096];
    const char *type = json_string_value(json_object_get(entry, "type"));
    check(type != NULL, "an entry of a tree without a type");
    const int len = snprintf(path, sizeof path, "%s/%s", tree->base,
                             json_string_value(json_object_get(entry, "path")));
    check(len > 0 && (size_t)len < sizeof path, "a long path");
    make_parents(path, strlen(tree->base));
    if (strcmp(type, "dir") == 0) {
        check(mkdir(path, 0700) == 0 || errno == EEXIST, "mkdir");
    } else if (strcmp(type, "file") == 0) {
        make_file(tree, path, entry);
    } else {
        const struct tears_str target =
            expand_base(tree, text_of(json_object_get(entry, "target")));
        check(symlink(target.ptr, path) == 0, "symlink");
    }
}

void tree_make(struct vector_tree *tree, struct vector *vector)
{
    const json_t *entries = json_object_get(vector->in, "tree");
    tree->arena = vector->arena;
    snprintf(tree->base, sizeof tree->base, "/tmp/tears-vector-XXXXXX");
    check(mkdtemp(tree->base) != NULL, "mkdtemp");
    for (size_t i = 0; i < json_array_size(entries); i++)
        make_entry(tree, json_array_get(entries, i));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void tree_remove(struct vector_tree *tree)
{
    check(nftw(tree->base, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, "nftw");
}
