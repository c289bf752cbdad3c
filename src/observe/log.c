/*
 * log.c -- formats a message and hands it to the application.
 *
 * Owns: nothing.  Must not know: stdout, stderr, syslog.  Threads: any.  Fails: never; a message may be cut.
 */
#include "observe/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void t3_log(const struct t3_log *log, uint64_t level, const char *origin, const char *format, ...)
{
    if (log == NULL || log->put == NULL || level > log->level_max)
        return;
    const int saved = errno;
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    for (char *p = message; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    log->put(log->owner, level, origin, message);
    errno = saved;
}
