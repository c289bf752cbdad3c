/*
 * drift_report.c -- differences in order, as lines and as JSON.
 *
 * Owns:     the words and headings of the report; the first five are those of the Python package.
 * Knows:    base/, codec/json.h.
 * Must not know: how differences are found.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; TEARS_INVALID for names that are no UTF-8.
 * Begin at: sections.
 */
#include "base/str.h"
#include "codec/json.h"
#include "data/drift_finding.h"

#include <stdlib.h>

/* ---- the list --------------------------------------------------------------------------------- */

tears_status t3_drift_add(struct t3_drift_list *list, const struct tears_drift_finding *finding)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
        struct tears_drift_finding *grown = t3_arena_array(list->arena, capacity, sizeof *grown);
        if (grown == NULL)
            return TEARS_NO_MEMORY;
        if (list->count > 0)
            memcpy(grown, list->findings, list->count * sizeof *grown);
        list->findings = grown;
        list->capacity = capacity;
    }
    list->findings[list->count++] = *finding;
    return TEARS_OK;
}

const char *t3_drift_difference_word(uint64_t difference)
{
    static const char *const words[] = {
        [TEARS_DRIFT_MISSING] = "missing",
        [TEARS_DRIFT_EXTRA] = "extra",
        [TEARS_DRIFT_TYPE] = "type",
        [TEARS_DRIFT_NULLABILITY] = "nullability",
        [TEARS_DRIFT_DEFAULT] = "default",
        [TEARS_DRIFT_GENERATION] = "generation",
        [TEARS_DRIFT_DEFINITION] = "definition",
        [TEARS_DRIFT_STATE] = "state",
        [TEARS_DRIFT_NAME] = "name",
    };

    return difference > 0 && difference < T3_COUNT(words) ? words[difference] : "";
}

const char *t3_drift_object_word(uint64_t object)
{
    static const char *const words[] = {
        [TEARS_DRIFT_OBJECT_TABLE] = "table",
        [TEARS_DRIFT_OBJECT_COLUMN] = "column",
        [TEARS_DRIFT_OBJECT_PRIMARY_KEY] = "primary key",
        [TEARS_DRIFT_OBJECT_UNIQUE] = "unique constraint",
        [TEARS_DRIFT_OBJECT_CHECK] = "check",
        [TEARS_DRIFT_OBJECT_FOREIGN_KEY] = "foreign key",
        [TEARS_DRIFT_OBJECT_EXCLUSION] = "exclusion constraint",
        [TEARS_DRIFT_OBJECT_INDEX] = "index",
        [TEARS_DRIFT_OBJECT_TRIGGER] = "trigger",
        [TEARS_DRIFT_OBJECT_POLICY] = "policy",
        [TEARS_DRIFT_OBJECT_ENUM] = "enum",
        [TEARS_DRIFT_OBJECT_FUNCTION] = "function",
        [TEARS_DRIFT_OBJECT_SEQUENCE] = "sequence",
    };

    return object > 0 && object < T3_COUNT(words) ? words[object] : "";
}

/* ---- sections --------------------------------------------------------------------------------- */

/*
 * What is reported together.  `object` 0: whatever has not been reported before it.  `key` is the
 * member of the JSON report, NULL for those that only `differences` has.
 */
struct section {
    const char *heading;
    const char *key;
    uint64_t object;
    uint64_t difference;
};

static const struct section sections[] = {
    {"missing tables (migration claimed but DB does not have):", "missing_tables",
     TEARS_DRIFT_OBJECT_TABLE, TEARS_DRIFT_MISSING},
    {"extra tables (in DB but no migration created them):", "extra_tables",
     TEARS_DRIFT_OBJECT_TABLE, TEARS_DRIFT_EXTRA},
    {"missing columns (expected but absent from live table):", "missing_columns",
     TEARS_DRIFT_OBJECT_COLUMN, TEARS_DRIFT_MISSING},
    {"extra columns (in DB but no migration declared them):", "extra_columns",
     TEARS_DRIFT_OBJECT_COLUMN, TEARS_DRIFT_EXTRA},
    {"column type mismatches (expected vs actual):", "type_mismatches", TEARS_DRIFT_OBJECT_COLUMN,
     TEARS_DRIFT_TYPE},
    {"missing (declared but not in the database):", NULL, 0, TEARS_DRIFT_MISSING},
    {"extra (in the database but not declared):", NULL, 0, TEARS_DRIFT_EXTRA},
    {"nullability mismatches (expected vs actual):", NULL, 0, TEARS_DRIFT_NULLABILITY},
    {"default mismatches (expected vs actual):", NULL, 0, TEARS_DRIFT_DEFAULT},
    {"generated and identity column mismatches (expected vs actual):", NULL, 0,
     TEARS_DRIFT_GENERATION},
    {"definition mismatches (expected vs actual):", NULL, 0, TEARS_DRIFT_DEFINITION},
    {"there but not in the declared state (expected vs actual):", NULL, 0, TEARS_DRIFT_STATE},
    {"name mismatches (expected vs actual):", NULL, 0, TEARS_DRIFT_NAME},
};

static size_t section_of(const struct tears_drift_finding *finding)
{
    size_t i = 0;

    while (i + 1 < T3_COUNT(sections) &&
           (sections[i].difference != finding->difference ||
            (sections[i].object != 0 && sections[i].object != finding->object)))
        i++;
    return i;
}

static int compare_findings(const void *a_void, const void *b_void)
{
    const struct tears_drift_finding *a = a_void;
    const struct tears_drift_finding *b = b_void;
    const size_t a_section = section_of(a);
    const size_t b_section = section_of(b);

    if (a_section != b_section)
        return a_section < b_section ? -1 : 1;
    const int table = t3_str_compare(a->table, b->table);
    if (table != 0)
        return table;
    if (a->object != b->object)
        return a->object < b->object ? -1 : 1;
    return t3_str_compare(a->name, b->name);
}

void t3_drift_sort(struct t3_drift_list *list)
{
    if (list->count > 1)
        qsort(list->findings, list->count, sizeof *list->findings, compare_findings);
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static tears_status put_member(struct t3_buf *out, const char *name, struct tears_str value)
{
    const char last = out->len > 0 ? out->ptr[out->len - 1] : '{';

    T3_TRY(t3_buf_printf(out, last == '{' ? "\"%s\": " : ", \"%s\": ", name));
    return t3_json_put_string_utf8(out, value);
}

/* A finding as the Python package writes those of its sections. */
static tears_status put_entry(struct t3_buf *out, const struct section *section,
                              const struct tears_drift_finding *finding)
{
    if (section->object == TEARS_DRIFT_OBJECT_TABLE)
        return t3_json_put_string_utf8(out, finding->name);
    T3_TRY(t3_buf_put_char(out, '{'));
    T3_TRY(put_member(out, "table", finding->table));
    T3_TRY(put_member(out, "column", finding->name));
    if (section->difference == TEARS_DRIFT_EXTRA)
        T3_TRY(put_member(out, "data_type", finding->actual));
    if (section->difference == TEARS_DRIFT_TYPE) {
        T3_TRY(put_member(out, "expected", finding->expected));
        T3_TRY(put_member(out, "actual", finding->actual));
    }
    return t3_buf_put_char(out, '}');
}

static tears_status put_section(struct t3_buf *out, const struct section *section,
                                const struct t3_drift_list *list)
{
    size_t put = 0;

    T3_TRY(t3_buf_printf(out, ", \"%s\": [", section->key));
    for (size_t i = 0; i < list->count; i++) {
        if (&sections[section_of(&list->findings[i])] != section)
            continue;
        T3_TRY(t3_buf_put(out, tears_str_c(put++ > 0 ? ", " : "")));
        T3_TRY(put_entry(out, section, &list->findings[i]));
    }
    return t3_buf_put_char(out, ']');
}

static tears_status put_finding(struct t3_buf *out, const struct tears_drift_finding *finding)
{
    T3_TRY(t3_buf_put_char(out, '{'));
    T3_TRY(
        put_member(out, "difference", tears_str_c(t3_drift_difference_word(finding->difference))));
    T3_TRY(put_member(out, "object", tears_str_c(t3_drift_object_word(finding->object))));
    T3_TRY(put_member(out, "table", finding->table));
    T3_TRY(put_member(out, "name", finding->name));
    T3_TRY(put_member(out, "expected", finding->expected));
    T3_TRY(put_member(out, "actual", finding->actual));
    return t3_buf_put_char(out, '}');
}

tears_status t3_drift_put_json(struct t3_buf *out, const struct t3_drift_list *list, bool complete)
{
    T3_TRY(t3_buf_printf(out, "\"clean\": %s", list->count == 0 ? "true" : "false"));
    for (size_t i = 0; i < T3_COUNT(sections); i++)
        if (sections[i].key != NULL)
            T3_TRY(put_section(out, &sections[i], list));
    if (!complete)
        return TEARS_OK;
    T3_TRY(t3_buf_put(out, TEARS_STR(", \"differences\": [")));
    for (size_t i = 0; i < list->count; i++) {
        T3_TRY(t3_buf_put(out, tears_str_c(i > 0 ? ", " : "")));
        T3_TRY(put_finding(out, &list->findings[i]));
    }
    return t3_buf_put_char(out, ']');
}

/* ---- lines ------------------------------------------------------------------------------------ */

/* Definitions with line breaks (functions, tables of SQLite) stay on their line. */
static tears_status put_line_text(struct t3_buf *out, struct tears_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        T3_TRY(t3_buf_put_char(out, c == '\n' || c == '\r' || c == '\t' ? ' ' : c));
    }
    return TEARS_OK;
}

static tears_status put_subject(struct t3_buf *out, const struct tears_drift_finding *finding)
{
    const bool plain =
        finding->object == TEARS_DRIFT_OBJECT_TABLE || finding->object == TEARS_DRIFT_OBJECT_COLUMN;

    T3_TRY(t3_buf_put(out, TEARS_STR("  - ")));
    if (finding->table.len > 0 && finding->object != TEARS_DRIFT_OBJECT_TABLE) {
        T3_TRY(put_line_text(out, finding->table));
        T3_TRY(t3_buf_put(out, tears_str_c(plain ? "." : ": ")));
    }
    if (!plain)
        T3_TRY(t3_buf_put(out, tears_str_c(t3_drift_object_word(finding->object))));
    if (!plain && finding->name.len > 0)
        T3_TRY(t3_buf_put_char(out, ' '));
    return put_line_text(out, finding->name);
}

static tears_status put_quoted(struct t3_buf *out, const char *before, struct tears_str text,
                               const char *after)
{
    T3_TRY(t3_buf_put(out, tears_str_c(before)));
    T3_TRY(put_line_text(out, text));
    return t3_buf_put(out, tears_str_c(after));
}

static tears_status put_finding_line(struct t3_buf *out, const struct tears_drift_finding *finding)
{
    const bool is_table = finding->object == TEARS_DRIFT_OBJECT_TABLE;
    const bool is_column = finding->object == TEARS_DRIFT_OBJECT_COLUMN;
    const bool is_missing = finding->difference == TEARS_DRIFT_MISSING;
    const bool is_extra = finding->difference == TEARS_DRIFT_EXTRA;

    T3_TRY(put_subject(out, finding));
    if (is_extra && !is_table)
        T3_TRY(put_quoted(out, " (", finding->actual, ")"));
    else if (is_missing && !is_table && !is_column)
        T3_TRY(put_quoted(out, " (", finding->expected, ")"));
    if (!is_missing && !is_extra) {
        T3_TRY(put_quoted(out, ": expected '", finding->expected, "'"));
        T3_TRY(put_quoted(out, ", actual '", finding->actual, "'"));
    }
    return t3_buf_put_char(out, '\n');
}

tears_status t3_drift_put_text(struct t3_buf *out, const struct t3_drift_list *list)
{
    size_t section = T3_COUNT(sections);

    if (list->count == 0)
        return t3_buf_put(out, TEARS_STR("schema matches expectations; no drift.\n"));
    for (size_t i = 0; i < list->count; i++) {
        const size_t own = section_of(&list->findings[i]);
        if (own != section)
            T3_TRY(t3_buf_printf(out, "%s\n", sections[own].heading));
        section = own;
        T3_TRY(put_finding_line(out, &list->findings[i]));
    }
    return TEARS_OK;
}
