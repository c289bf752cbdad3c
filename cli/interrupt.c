/*
 * interrupt.c -- notes a request to stop, so that a long command ends between two batches.
 *
 * Owns:     the handlers of SIGINT, SIGTERM and SIGHUP, once asked to.
 * Must not know: what is interrupted.
 * Threads:  any may ask; the flag is only ever set.
 * Fails:    never.
 * Begin at: cli_interrupt_catch().
 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t interrupted;

static void note(int number)
{
    (void)number;
    interrupted = 1;
}

void cli_interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

bool cli_interrupted(void)
{
    return interrupted != 0;
}
