/*
 * run_vectors.c -- runs recorded inputs through the library and compares what comes out.
 *
 *     run_vectors DIR
 *
 * Every *.jsonl in DIR is read; a line whose operation has a handler passes or fails, all others
 * are skipped and named, with counts; one where the library does something else on purpose is printed with the
 * reason.  The last line is `N passed, N failed, N skipped, N differ on purpose`.
 *
 * Owns:     the counts.
 * Threads:  one.
 * Fails:    exit status 1 when a vector failed, 2 when something cannot be read, 77 when there is
 * no DIR. Begin at: main().
 */
#include "base/str.h"
#include "vectors/vectors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 8 << 20, SKIPPED_MAX = 512, PATH_BYTES_MAX = 4096 };

struct skipped {
    char name[128]; /* file.op */
    unsigned count;
};

struct run {
    unsigned passed;
    unsigned failed;
    unsigned skipped;
    unsigned differing;
    struct skipped skips[SKIPPED_MAX];
    size_t skip_count;
};

/* ---- one vector -------------------------------------------------------------------------------
 */

static const struct vector_op *find_op(const char *file, const char *op)
{
    static const struct vector_op *const tables[] = {
        keys_ops,    rows_ops,    invalidation_ops, sql_ops,      pagination_ops, namespaces_ops,
        secrets_ops, sandbox_ops, formats_ops,      security_ops, knowledge_ops,  drift_ops,
        replay_ops,  lease_ops,   lint_ops,         migrate_ops,  helper_ops,     flush_ops};
    for (size_t i = 0; i < T3_COUNT(tables); i++)
        for (const struct vector_op *entry = tables[i]; entry->op != NULL; entry++)
            if (strcmp(entry->file, file) == 0 && strcmp(entry->op, op) == 0)
                return entry;
    return NULL;
}

static bool error_is_accepted(const json_t *vector, const char *kind)
{
    const json_t *any = json_object_get(vector, "error_any");
    const json_t *error = json_object_get(vector, "error");
    if (kind == NULL)
        return false;
    for (size_t i = 0; i < json_array_size(any); i++)
        if (t3_str_is(text_of(json_array_get(any, i)), kind))
            return true;
    return json_is_string(error) && strcmp(json_string_value(error), kind) == 0;
}

static void show(const char *label, const json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    printf("    %s %s\n", label, text != NULL ? text : "-");
    free(text);
}

static void report(const json_t *line, const json_t *actual, const char *kind)
{
    printf("FAILED %s\n", json_string_value(json_object_get(line, "id")));
    show("in      ", json_object_get(line, "in"));
    if (json_object_get(line, "out") != NULL)
        show("expected", json_object_get(line, "out"));
    else
        show("expected error", json_object_get(line, "error"));
    if (kind != NULL)
        printf("    actual error \"%s\"\n", kind);
    else
        show("actual  ", actual);
}

static void skip(struct run *run, const char *file, const char *op)
{
    char name[sizeof run->skips[0].name];
    if ((size_t)snprintf(name, sizeof name, "%.60s.%.60s", file, op) >= sizeof name)
        give_up("an operation with a long name");
    run->skipped++;
    for (size_t i = 0; i < run->skip_count; i++) {
        if (strcmp(run->skips[i].name, name) == 0) {
            run->skips[i].count++;
            return;
        }
    }
    if (run->skip_count == SKIPPED_MAX)
        give_up("too many operations");
    struct skipped *entry = &run->skips[run->skip_count++];
    memcpy(entry->name, name, sizeof entry->name);
    entry->count = 1;
}

/* Another output than the recorded one, on purpose. */
static void tell_difference(struct run *run, const json_t *line, const json_t *actual,
                            const char *reason)
{
    printf("differs %s: %s\n", json_string_value(json_object_get(line, "id")), reason);
    show("recorded", json_object_get(line, "out"));
    show("actual  ", actual);
    run->differing++;
}

static void run_vector(struct run *run, const char *file, const json_t *line)
{
    const char *op = json_string_value(json_object_get(line, "op"));
    if (op == NULL)
        give_up("a vector without an operation");
    const struct vector_op *entry = find_op(file, op);
    if (entry == NULL) {
        skip(run, file, op);
        return;
    }
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct vector vector = {.in = json_object_get(line, "in"), .line = line, .arena = &arena};
    json_t *actual = entry->run(&vector);
    const json_t *out = json_object_get(line, "out");
    const bool passed = out != NULL ? actual != NULL && vector.error == NULL &&
                                          output_equal(out, actual, entry->loose_sql)
                                    : error_is_accepted(line, vector.error);
    if (passed)
        run->passed++;
    else if (vector.differs != NULL)
        tell_difference(run, line, actual, vector.differs);
    else
        report(line, actual, vector.error);
    run->failed += !passed && vector.differs == NULL;
    json_decref(actual);
}

/* ---- files ------------------------------------------------------------------------------------
 */

static void run_line(struct run *run, const char *file, const char *line, unsigned number)
{
    json_error_t why;
    json_t *vector = json_loads(line, JSON_ALLOW_NUL, &why);
    if (vector == NULL) {
        printf("FAILED %s.jsonl line %u: %s\n", file, number, why.text);
        run->failed++;
        return;
    }
    run_vector(run, file, vector);
    json_decref(vector);
}

static void run_file(struct run *run, const char *folder, const char *name)
{
    static char line[LINE_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    char file[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(file, sizeof file, "%.*s", (int)(strlen(name) - strlen(".jsonl")), name);
    FILE *stream = fopen(path, "r");
    if (stream == NULL)
        give_up("a vector file cannot be opened");
    for (unsigned number = 1; fgets(line, sizeof line, stream) != NULL; number++)
        if (line[0] != '\n')
            run_line(run, file, line, number);
    fclose(stream);
}

static int is_vector_file(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);
    return len > strlen(".jsonl") && strcmp(entry->d_name + len - strlen(".jsonl"), ".jsonl") == 0;
}

int main(int argc, char **argv)
{
    static struct run run;
    if (argc != 2) {
        fprintf(stderr, "usage: run_vectors DIR\n");
        return 2;
    }
    struct dirent **entries = NULL;
    const int count = scandir(argv[1], &entries, is_vector_file, alphasort);
    if (count <= 0) {
        printf("skipped: there are no vectors (*.jsonl) in %s\n", argv[1]);
        return 77;
    }
    for (int i = 0; i < count; i++) {
        run_file(&run, argv[1], entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    for (size_t i = 0; i < run.skip_count; i++)
        printf("skipped %s: %u\n", run.skips[i].name, run.skips[i].count);
    printf("%u passed, %u failed, %u skipped, %u differ on purpose\n", run.passed, run.failed,
           run.skipped, run.differing);
    return run.failed > 0;
}
