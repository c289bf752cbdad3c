/*
 * js_answer.h -- what the answers of JetStream's API have in common, as jansson reads them.
 */
#ifndef T3_DRIVER_JS_ANSWER_H
#define T3_DRIVER_JS_ANSWER_H

#include "base/macros.h"

#include <jansson.h>

/* The error code of an answer: 0 none, -1 an error without a code. */
int64_t t3_js_error_of(const json_t *answer);

#endif
