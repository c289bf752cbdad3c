/**
 * @file dsn.h
 * Connection strings without their secrets, and what the environment says of connection pools.
 * Source: spec core.md section 29.
 */
#ifndef TEARS_DSN_H
#define TEARS_DSN_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TEARS_DSN_SHOWN_BYTES = 512 /**< room for what is shown, and a NUL */ };

/** The variable that names the longest idle time of a pooled connection, in seconds. */
#define TEARS_POOL_IDLE_ENV "THREETEARS_PG_POOL_MAX_INACTIVE_LIFETIME_SECONDS"

/**
 * What may be shown of a connection URL: `user@host:port/db` without the parts that are missing,
 * several hosts and IPv6 brackets as they are.  `<unparseable>` when there is no host, when it would
 * not fit, and whenever there is any doubt about what is the password: key=value strings, blanks,
 * control characters, anything beyond ASCII, an `@` or `=` where none belongs.  Parameters behind `?`
 * are never shown.  Never fails, whatever the text.
 * @param shown_out  one printable line, NUL-terminated.
 * @thread any  @since 0.1
 */
TEARS_API void tears_dsn_redact(struct tears_str dsn, char shown_out[TEARS_DSN_SHOWN_BYTES]);

/**
 * The longest idle time of a pooled connection in milliseconds, from text in seconds such as "300" or
 * "1e3" (what TEARS_POOL_IDLE_ENV holds).  Anything but a positive finite number up to a year gives the
 * default, 300,000: without a limit, sessions that the server has forgotten would look healthy.
 * @param usable_out  false: the text was not such a number (empty text counts as one); NULL is accepted.
 * @thread any  @since 0.1
 */
TEARS_API uint64_t tears_pool_idle_ms(struct tears_str seconds, bool *usable_out);

#ifdef __cplusplus
}
#endif
#endif
