/*
 * analyze.h -- told to static analysers only: what the functions that fill an error return.
 *
 * They live in another source, so an analyser would take TEARS_OK for possible, and follow paths on which a call
 * "succeeds" without a result.  ./dev check includes this before every source but those that define the functions.
 */
#ifndef T3_TOOLS_ANALYZE_H
#define T3_TOOLS_ANALYZE_H

#include "base/fail.h"
#include "core/core.h"

#define t3_fail(error_out, status, ...) ((void)t3_fail(error_out, status, __VA_ARGS__), (status))
#define t3_fail_detail(error_out, status, ...) \
    ((void)t3_fail_detail(error_out, status, __VA_ARGS__), (status))
#define t3_fail_memory(error_out, origin) ((void)t3_fail_memory(error_out, origin), TEARS_NO_MEMORY)
#define t3_session_no_memory(session)     ((void)t3_session_no_memory(session), TEARS_NO_MEMORY)

#endif
