/*
 * format_yaml.h -- the built-in YAML format.
 */
#ifndef T3_CODEC_FORMAT_YAML_H
#define T3_CODEC_FORMAT_YAML_H

#include <tears/format.h>

const struct tears_format *t3_format_yaml(void);

#endif
