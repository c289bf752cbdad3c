/*
 * facts.h -- what a declaration says of a table and no catalogue has a place for.
 *
 * Whoever makes a table from a declaration leaves these facts with the table itself: in PostgreSQL as the table's comment,
 * in SQLite as a comment within its CREATE TABLE, which SQLite keeps as it was written.  So every process that finds the
 * table knows its partition column, its version column and how its bytes are written in L2, without the declaration.
 *
 *     tears: {"version_column":"rev","partition":"agent_id","immutable":["a"],"on_conflict":1,"byte_codec":1}
 */
#ifndef T3_SCHEMA_FACTS_H
#define T3_SCHEMA_FACTS_H

#include "base/buf.h"
#include "schema/schema.h"

struct t3_facts {
    bool found;
    struct tears_str version_column; /* "" none was noted; "none": the table has none */
    struct tears_str partition;      /* "" none */
    const struct tears_str *immutable;
    size_t immutable_count;
    uint64_t on_conflict;
    uint64_t byte_codec;
};

/* Whether the catalogue alone would give another schema. */
bool t3_facts_are_needed(const struct tears_schema *schema);

/* Appends the facts of a schema.  There is no `*` before a `/` in the text, whatever the columns are called. */
tears_status t3_facts_put(const struct tears_schema *schema, struct t3_buf *out);

/*
 * Finds facts at the start of a comment, or at the first place in a statement's text where they stand as a comment.  What
 * is no facts, or damaged, is not `found`.  Texts are in the arena.  TEARS_NO_MEMORY.
 */
tears_status t3_facts_of_comment(struct tears_str comment, struct t3_arena *arena,
                                 struct t3_facts *facts_out);
tears_status t3_facts_of_sql(struct tears_str sql, struct t3_arena *arena,
                             struct t3_facts *facts_out);

/*
 * Completes what a catalogue gave: `columns` has def->column_count entries.  Columns that are not there any more are passed
 * over.  `version_column` is what the caller asked for; what was noted stands only where that is "".
 */
void t3_facts_apply(const struct t3_facts *facts, struct tears_schema_def *def,
                    struct t3_catalogue_column *columns, struct tears_str *version_column);

#endif
