/*
 * sandbox_impl.h -- what the sources of the sandbox share.
 */
#ifndef T3_SECURITY_SANDBOX_IMPL_H
#define T3_SECURITY_SANDBOX_IMPL_H

#include "base/arena.h"

#include <tears/sandbox.h>

struct t3_sandbox_root {
    struct tears_str name;
    struct tears_str path; /* absolute, without links */
    int fd;                /* O_PATH */
};

struct t3_patterns {
    struct tears_str *items;
    size_t count;
};

struct tears_sandbox {
    struct t3_arena arena; /* everything below, and nothing is added later */
    struct t3_sandbox_root *roots;
    size_t root_count;
    struct t3_patterns reads;
    struct t3_patterns writes;
};

/*
 * Text for a message: in single quotes, with control characters and bytes that are no UTF-8
 * escaped, shortened when it is long.
 */
struct t3_shown {
    char text[176];
};

struct t3_shown t3_shown(struct tears_str text);

/* The denial as tears_policy_enforce words it. */
tears_status t3_policy_deny(struct tears_error *error_out, struct tears_str action,
                            struct tears_str target, int32_t detail, const char *reason);

/* TEARS_OK, or TEARS_DENIED with the reason alone in error_out, which is not NULL. */
tears_status t3_sandbox_decide(const tears_sandbox *sandbox, struct tears_str action,
                               struct tears_str key, struct tears_error *error_out);

bool t3_patterns_match(const struct t3_patterns *patterns, struct tears_str key);

/* NULL: there is none of this name. */
const struct t3_sandbox_root *t3_sandbox_root(const tears_sandbox *sandbox, struct tears_str name);

#endif
