/*
 * drift_type.c -- the reference's names of types, and which changes of a type lose nothing.
 *
 * Owns:     nothing.
 * Knows:    base/.
 * Must not know: connections, catalogues.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_drift_put_type(), t3_drift_type_widens().
 */
#include "data/drift_type.h"

#include "base/str.h"

/* ---- the reference's names -------------------------------------------------------------------- */

static const struct {
    const char *alias;
    const char *name;
} aliases[] = {
    {"varchar", "character varying"},
    {"int", "integer"},
    {"int4", "integer"},
    {"int8", "bigint"},
    {"bool", "boolean"},
    {"timestamptz", "timestamp with time zone"},
    {"timestamp", "timestamp without time zone"},
    {"decimal", "numeric"},
    {"float8", "double precision"},
    {"float4", "real"},
};

static struct tears_str up_to_parenthesis(struct tears_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '(')
            return tears_str_n(text.ptr, i);
    return text;
}

tears_status t3_drift_put_type(struct t3_buf *out, struct tears_str type)
{
    const struct tears_str base = t3_str_trim(up_to_parenthesis(type), T3_BLANKS);

    for (size_t i = 0; i < T3_COUNT(aliases); i++)
        if (t3_str_equal_nocase(base, tears_str_c(aliases[i].alias)))
            return t3_buf_put(out, tears_str_c(aliases[i].name));
    for (size_t i = 0; i < base.len; i++) {
        const char c = base.ptr[i];
        T3_TRY(t3_buf_put_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c));
    }
    return TEARS_OK;
}

/* ---- changes that lose nothing ---------------------------------------------------------------- */

/* A type's name in its parts: `numeric(10,2)` is "numeric", 10, 2. */
struct type {
    struct tears_str base;
    unsigned limits[2];
    unsigned limit_count; /* 3: written in a way that is not understood */
};

static void read_limits(struct type *type, struct tears_str text)
{
    unsigned number = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c >= '0' && c <= '9' && number < 100000000)
            number = number * 10 + (unsigned)(c - '0');
        else if ((c == ',' || c == ')') && type->limit_count < 2) {
            type->limits[type->limit_count++] = number;
            number = 0;
        } else {
            type->limit_count = 3;
            return;
        }
        if (c == ')') {
            type->limit_count = i + 1 == text.len ? type->limit_count : 3;
            return;
        }
    }
    type->limit_count = 3;
}

static struct type read_type(struct tears_str text)
{
    struct type type = {.base = up_to_parenthesis(text)};

    if (type.base.len < text.len)
        read_limits(&type, t3_str_from(text, type.base.len + 1));
    return type;
}

static const struct {
    const char *from;
    const char *to;
} widenings[] = {
    {"smallint", "integer"},
    {"smallint", "bigint"},
    {"smallint", "numeric"},
    {"smallint", "real"},
    {"smallint", "double precision"},
    {"integer", "bigint"},
    {"integer", "numeric"},
    {"integer", "double precision"},
    {"bigint", "numeric"},
    {"real", "double precision"},
    {"character varying", "text"},
    {"uuid", "text"},
    {"boolean", "text"},
    {"smallint", "text"},
    {"integer", "text"},
    {"bigint", "text"},
    {"json", "text"},
    {"date", "timestamp without time zone"},
};

/* Limits of the same type that only grow: digits before the point must not become fewer either. */
static bool limits_grow(const struct type *from, const struct type *to)
{
    if (to->limit_count == 0)
        return true;
    if (from->limit_count != to->limit_count)
        return false;
    if (to->limit_count == 1) /* a number of dimensions, say, is no limit */
        return to->limits[0] >= from->limits[0] &&
               (t3_str_is(to->base, "character varying") || t3_str_is(to->base, "bit varying"));
    return to->limits[1] >= from->limits[1] &&
           (uint64_t)to->limits[0] + from->limits[1] >= (uint64_t)from->limits[0] + to->limits[1];
}

bool t3_drift_type_widens(struct tears_str from_text, struct tears_str to_text)
{
    const struct type from = read_type(from_text);
    const struct type to = read_type(to_text);

    if (from.limit_count > 2 || to.limit_count > 2)
        return false;
    if (t3_str_equal(from.base, to.base))
        return limits_grow(&from, &to);
    for (size_t i = 0; i < T3_COUNT(widenings); i++)
        if (t3_str_is(from.base, widenings[i].from) && t3_str_is(to.base, widenings[i].to))
            return to.limit_count == 0;
    return false;
}

/* ---- casts ------------------------------------------------------------------------------------ */

/* Types of one family can be cast to each other; those of strings to and from everything. */
static const struct {
    const char *name;
    char family;
} families[] = {
    {"text", 's'},
    {"character varying", 's'},
    {"character", 's'},
    {"smallint", 'n'},
    {"integer", 'n'},
    {"bigint", 'n'},
    {"numeric", 'n'},
    {"real", 'n'},
    {"double precision", 'n'},
    {"date", 't'},
    {"timestamp without time zone", 't'},
    {"timestamp with time zone", 't'},
    {"json", 'j'},
    {"jsonb", 'j'},
};

static char family_of(struct tears_str base)
{
    for (size_t i = 0; i < T3_COUNT(families); i++)
        if (t3_str_is(base, families[i].name))
            return families[i].family;
    return '\0';
}

bool t3_drift_type_casts(struct tears_str from, struct tears_str to)
{
    const struct tears_str from_base = up_to_parenthesis(from);
    const struct tears_str to_base = up_to_parenthesis(to);
    const char from_family = family_of(from_base);
    const char to_family = family_of(to_base);

    if (t3_str_equal(from_base, to_base) || from_family == 's' || to_family == 's')
        return true;
    if ((t3_str_is(from_base, "boolean") && t3_str_is(to_base, "integer")) ||
        (t3_str_is(from_base, "integer") && t3_str_is(to_base, "boolean")))
        return true;
    return from_family != '\0' && from_family == to_family;
}
