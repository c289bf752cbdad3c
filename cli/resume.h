/*
 * resume.h -- the small file beside an import or export that says how far it got.
 */
#ifndef CLI_RESUME_H
#define CLI_RESUME_H

#include "text.h"

/* How far a run got.  An import uses line and offset, an export offset and cursor. */
struct cli_resume {
    char *path; /* FILE.tears-resume */
    char *table;
    uint64_t size;   /* of the source file, when it was left */
    int64_t changed; /* when the source file was last changed */
    uint64_t line;   /* of the next record */
    uint64_t offset; /* of the next record, or of the end of the output */
    uint64_t rows;   /* written so far */
    uint64_t skipped;
    char *cursor;
};

/* Knows nothing yet but where its file is. */
void cli_resume_init(struct cli_resume *resume, const char *file, struct tears_str table);
void cli_resume_done(struct cli_resume *resume);

/* Reads an earlier run's file.  False when there is none, it is of another table, or it is damaged.
 */
bool cli_resume_load(struct cli_resume *resume);

/* Writes the file anew, all or nothing.  False when it cannot be written. */
bool cli_resume_save(const struct cli_resume *resume);

/* Removes the file. */
void cli_resume_forget(const struct cli_resume *resume);

#endif
