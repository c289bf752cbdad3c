/*
 * concept_name.h -- when two names are the same.
 */
#ifndef T3_KNOWLEDGE_CONCEPT_NAME_H
#define T3_KNOWLEDGE_CONCEPT_NAME_H

#include "base/arena.h"

#include <tears/knowledge.h>

/*
 * The key of a name: names are the same by the rule (TEARS_NAMES_*) exactly when their keys are
 * equal bytes.  Empty for a name of nothing but blanks.  TEARS_INVALID when the name is not UTF-8,
 * TEARS_NO_MEMORY.
 */
tears_status t3_name_key(struct tears_str name, uint64_t rule, struct t3_arena *arena,
                         struct tears_str *key_out);

#endif
