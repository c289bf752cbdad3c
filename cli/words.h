/*
 * words.h -- splits a line of the shell into words.
 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include "text.h"

/* The words of one line; reused from line to line.  All zero is empty. */
struct cli_words {
    struct tears_str *words;
    size_t count;
    size_t capacity;
    char *bytes; /* what the words point into */
    size_t bytes_capacity;
};

/* NULL, or what is wrong with the line. */
const char *cli_words_split(struct tears_str line, struct cli_words *words);
void cli_words_done(struct cli_words *words);

#endif
