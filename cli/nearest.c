/*
 * nearest.c -- what somebody probably meant.
 *
 * Owns:     nothing.
 * Must not know: what the words name.
 * Threads:  any.
 * Fails:    never; a word too long to compare is like no other.
 * Begin at: cli_nearest().
 *
 * The distance counts insertions, deletions, replacements and swaps of neighbours (optimal string
 * alignment).  A candidate is near when fewer than half of the word's letters are wrong, and at
 * most three.
 */
#include "command.h"

enum { WORD_BYTES_MAX = 63 };

static size_t min3(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3]
               [WORD_BYTES_MAX + 1]; /* the last two rows of the table, and the one being filled */

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3];
        const size_t *before = rows[(i + 2) % 3];
        const size_t *two_before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            const size_t replace = before[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = min3(before[j] + 1, now[j - 1] + 1, replace);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two_before[j - 2] + 1 < now[j])
                now[j] = two_before[j - 2] + 1;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *cli_nearest(const char *word, const char *const *candidates, size_t count)
{
    const size_t len = strlen(word);
    const char *best = NULL;
    size_t best_distance = 4;

    if (len == 0 || len > WORD_BYTES_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t candidate_len = strlen(candidates[i]);
        if (candidate_len > WORD_BYTES_MAX)
            continue;
        const size_t wrong = distance(word, len, candidates[i], candidate_len);
        if (wrong < best_distance && wrong * 2 <= len) {
            best = candidates[i];
            best_distance = wrong;
        }
    }
    return best;
}
