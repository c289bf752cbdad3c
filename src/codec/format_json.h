/*
 * format_json.h -- the built-in document format.
 */
#ifndef T3_CODEC_FORMAT_JSON_H
#define T3_CODEC_FORMAT_JSON_H

#include "base/macros.h"

#include <tears/format.h>

/* JSON, with static texts: for t3_formats' first entry. */
const struct tears_format *t3_format_json(void);

#endif
