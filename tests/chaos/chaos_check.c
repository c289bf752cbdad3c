/*
 * chaos_check.c -- judges the folder that a run left behind.
 *
 * usage: chaos_check FOLDER       exit status 1: something in it is wrong
 */
#include "evidence.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    struct chaos_folder folder;
    struct chaos_verdict verdict;
    if (argc != 2) {
        fprintf(stderr, "usage: chaos_check FOLDER\n");
        return 2;
    }
    if (!chaos_folder_open(argv[1], &folder))
        return 2;
    struct chaos_history *history = chaos_judge(&folder.evidence, &verdict);
    chaos_print_violations(stdout, &folder, history, &verdict, CHAOS_VIOLATIONS_KEPT);
    chaos_print_figures(stdout, &verdict);
    chaos_history_free(history);
    chaos_folder_close(&folder);
    return verdict.total > 0;
}
