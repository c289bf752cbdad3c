/*
 * schema_impl.h -- what the sources that make schemas share; private to src/schema.
 */
#ifndef T3_SCHEMA_SCHEMA_IMPL_H
#define T3_SCHEMA_SCHEMA_IMPL_H

#include "base/buf.h"
#include "schema/schema.h"

/* A declaration, whichever way it came.  `catalogue` NULL: the columns are those of `def`. */
struct t3_declaration {
    const struct tears_schema_def *def;
    const struct t3_catalogue_column *catalogue; /* def->column_count of them */
    bool dynamic; /* a JSON table definition: numeric columns need no precision */
};

static inline const struct tears_column_def *t3_declared(const struct t3_declaration *declaration,
                                                         size_t index)
{
    return declaration->catalogue != NULL ? &declaration->catalogue[index].def
                                          : &declaration->def->columns[index];
}

/* The declared column of that name, or SIZE_MAX. */
size_t t3_declared_find(const struct t3_declaration *declaration, struct tears_str name);

/*
 * The rules of spec core.md 25.1 and data.md 3.  TEARS_INVALID with a message that names table,
 * column and rule; TEARS_LIMIT for too many columns.
 */
tears_status t3_schema_check(const struct t3_declaration *declaration,
                             struct tears_error *error_out);

/* Makes the schema of a declaration after checking it. */
tears_status t3_schema_build(const struct t3_declaration *declaration,
                             struct tears_schema **schema_out, struct tears_error *error_out);

/* The kind of a column type's values. */
uint8_t t3_kind_of_type(uint64_t type);

#endif
