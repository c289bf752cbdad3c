/*
 * interrupt.h -- Ctrl-C as a question long commands ask between batches.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on the first SIGINT, SIGTERM or SIGHUP is only noted; the second one ends the program as
 * usual. */
void cli_interrupt_catch(void);

/* Whether one has arrived. */
bool cli_interrupted(void);

#endif
