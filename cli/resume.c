/*
 * resume.c -- remembers in FILE.tears-resume how far an import or export got.
 *
 * Owns:     that file.
 * Must not know: tables, records.
 * Threads:  one.
 * Fails:    softly: without the file a run cannot be resumed by itself, but nothing else is lost.
 * Begin at: cli_resume_save().
 */
#include "resume.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void cli_resume_init(struct cli_resume *resume, const char *file, struct tears_str table)
{
    struct cli_text path = {0};
    *resume = (struct cli_resume){.table = cli_copy(table), .line = 1};
    cli_text_printf(&path, "%s.tears-resume", file);
    resume->path = path.ptr;
}

void cli_resume_done(struct cli_resume *resume)
{
    free(resume->path);
    free(resume->table);
    free(resume->cursor);
    *resume = (struct cli_resume){0};
}

bool cli_resume_load(struct cli_resume *resume)
{
    json_t *state = json_load_file(resume->path, 0, NULL);
    const char *table = NULL;
    const char *cursor = NULL;
    json_int_t size = 0;
    json_int_t changed = 0;
    json_int_t line = 0;
    json_int_t offset = 0;
    json_int_t rows = 0;
    json_int_t skipped = 0;

    const bool good =
        state != NULL &&
        json_unpack(state, "{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "table", &table, "size", &size,
                    "changed", &changed, "line", &line, "offset", &offset, "rows", &rows, "skipped",
                    &skipped, "cursor", &cursor) == 0 &&
        strcmp(table, resume->table) == 0 && size >= 0 && line > 0 && offset >= 0 && rows >= 0 &&
        skipped >= 0;
    if (good) {
        resume->size = (uint64_t)size;
        resume->changed = (int64_t)changed;
        resume->line = (uint64_t)line;
        resume->offset = (uint64_t)offset;
        resume->rows = (uint64_t)rows;
        resume->skipped = (uint64_t)skipped;
        free(resume->cursor);
        resume->cursor = cli_copy(tears_str_c(cursor));
    }
    json_decref(state);
    return good;
}

bool cli_resume_save(const struct cli_resume *resume)
{
    struct cli_text next = {0};
    json_t *state =
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "table", resume->table, "size",
                  (json_int_t)resume->size, "changed", (json_int_t)resume->changed, "line",
                  (json_int_t)resume->line, "offset", (json_int_t)resume->offset, "rows",
                  (json_int_t)resume->rows, "skipped", (json_int_t)resume->skipped, "cursor",
                  resume->cursor != NULL ? resume->cursor : "");

    /* Written beside and renamed, so that a crash leaves the old state or the new one. */
    cli_text_printf(&next, "%s.new", resume->path);
    const bool good = state != NULL && json_dump_file(state, next.ptr, 0) == 0 &&
                      rename(next.ptr, resume->path) == 0;
    if (!good)
        (void)unlink(next.ptr);
    json_decref(state);
    cli_text_done(&next);
    return good;
}

void cli_resume_forget(const struct cli_resume *resume)
{
    (void)unlink(resume->path); /* absent is as good */
}
