/*
 * macros.h -- the few macros of the house: errors, clean-up, assertions.
 */
#ifndef T3_BASE_MACROS_H
#define T3_BASE_MACROS_H

#include <tears/base.h>

#define T3_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define T3_LIKELY(condition)           __builtin_expect(!!(condition), 1)
#define T3_UNLIKELY(condition)         __builtin_expect(!!(condition), 0)
#define T3_COUNT(array)                (sizeof(array) / sizeof((array)[0]))

/* Returns the status of `expr` if it is not TEARS_OK.  The only macro with control flow. */
#define T3_TRY(expr)                                \
    do {                                            \
        const tears_status t3_try_status = (expr);  \
        if (T3_UNLIKELY(t3_try_status != TEARS_OK)) \
            return t3_try_status;                   \
    } while (0)

/* Runs `done(&variable)` when the variable goes out of scope. */
#define T3_AUTO(done) __attribute__((cleanup(done)))

/* Moves a pointer out of a variable, which becomes NULL. */
#define T3_TAKE(pointer)                          \
    __extension__({                               \
        __typeof__(pointer) t3_taken = (pointer); \
        (pointer) = NULL;                         \
        t3_taken;                                 \
    })

_Noreturn void t3_assert_failed(const char *condition, const char *file, int line);

/* Constant-time checks of our own invariants; stay in release builds. */
#define T3_ASSERT(condition) \
    (T3_LIKELY(condition) ? (void)0 : t3_assert_failed(#condition, __FILE__, __LINE__))

/* May walk structures; only in debug builds. */
#ifdef T3_DEBUG
#define T3_DEBUG_ASSERT(condition) T3_ASSERT(condition)
#else
#define T3_DEBUG_ASSERT(condition) \
    ((void)sizeof(condition)) /* what only debug builds call is in use all the same */
#endif

/* For printf("%.*s"). */
#define T3_STR_FMT      "%.*s"
#define T3_STR_ARG(str) ((int)((str).len > 200 ? 200 : (str).len)), (str).len > 0 ? (str).ptr : ""

#endif
