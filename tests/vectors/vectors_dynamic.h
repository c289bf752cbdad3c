/*
 * vectors_dynamic.h -- the operations of sql.jsonl on tables defined at run time.
 */
#ifndef VECTORS_DYNAMIC_H
#define VECTORS_DYNAMIC_H

#include "vectors/vectors.h"

json_t *dynamic_create_table(struct vector *vector);
json_t *dynamic_delete(struct vector *vector);
json_t *repoint_rows(struct vector *vector);

#endif
