/*
 * log.h -- delivers log messages to the application's hook; never prints.
 */
#ifndef T3_OBSERVE_LOG_H
#define T3_OBSERVE_LOG_H

#include "base/macros.h"

struct t3_log {
    void (*put)(void *owner, uint64_t level, const char *origin, const char *message);
    void *owner;
    uint64_t level_max; /* TEARS_LOG_* */
};

/* One line; control characters become blanks.  A NULL log or hook drops it.  Keeps errno. */
void t3_log(const struct t3_log *log, uint64_t level, const char *origin, const char *format, ...)
    T3_PRINTF(4, 5);

#endif
