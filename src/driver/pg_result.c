/*
 * pg_result.c -- reading a result, without libpq's types.
 *
 * Owns:     nothing.  Must not know: connections.  Threads:  one at a time per result.  Fails:
 * never. Begin at: t3_pg_result_cell().
 */
#include "driver/pg_impl.h"

static const PGresult *of(const struct t3_pg_result *result)
{
    return (const PGresult *)result;
}

size_t t3_pg_result_rows(const struct t3_pg_result *result)
{
    return (size_t)PQntuples(of(result));
}

uint32_t t3_pg_result_columns(const struct t3_pg_result *result)
{
    return (uint32_t)PQnfields(of(result));
}

const char *t3_pg_result_name(const struct t3_pg_result *result, uint32_t column)
{
    const char *name = PQfname(of(result), (int)column);
    return name != NULL ? name : "";
}

uint32_t t3_pg_result_type(const struct t3_pg_result *result, uint32_t column)
{
    return PQftype(of(result), (int)column);
}

struct tears_str t3_pg_result_cell(const struct t3_pg_result *result, size_t row, uint32_t column)
{
    const int length = PQgetlength(of(result), (int)row, (int)column);
    if (length == 0 && PQgetisnull(of(result), (int)row, (int)column) != 0)
        return tears_str_n(NULL, 0);
    return tears_str_n(PQgetvalue(of(result), (int)row, (int)column), (size_t)length);
}

uint64_t t3_pg_result_affected(const struct t3_pg_result *result)
{
    PGresult *unqualified = (PGresult *)(uintptr_t)result; /* libpq forgot a const; it only reads */
    uint64_t rows = 0;
    for (const char *at = PQcmdTuples(unqualified); *at >= '0' && *at <= '9'; at++)
        rows = rows * 10 + (uint64_t)(*at - '0');
    return rows;
}

const char *t3_pg_result_tag(const struct t3_pg_result *result)
{
    return PQcmdStatus((PGresult *)(uintptr_t)result);
}

void t3_pg_result_free(struct t3_pg_result *result)
{
    PQclear((PGresult *)result);
}

void t3_pg_result_free_auto(struct t3_pg_result **result)
{
    t3_pg_result_free(*result);
    *result = NULL;
}
