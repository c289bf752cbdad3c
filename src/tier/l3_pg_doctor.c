/*
 * l3_pg_doctor.c -- examines a PostgreSQL server: what it is, how far away, and which settings
 * matter.
 *
 * Owns:     nothing.
 * Must not know: how findings are shown.
 * Threads:  any.
 * Fails:    only with TEARS_NO_MEMORY; a server that does not answer is a finding.
 * Begin at: t3_l3_pg_doctor().
 */
#include "tier/l3_pg_impl.h"

#include "base/str.h"

enum { FINE = 0, WORTH_CHANGING = 1, BROKEN = 2 };
enum { LATENCY_WARN_US = 5000, OLDEST_VERSION = 120000 };

static const char settings_sql[] =
    "SELECT pg_catalog.current_setting('server_version'),"
    " pg_catalog.current_setting('server_version_num')::int8,"
    " pg_catalog.current_setting('server_encoding'),"
    " pg_catalog.current_setting('max_connections')::int8,"
    " pg_catalog.current_setting('synchronous_commit'),"
    " pg_catalog.pg_is_in_recovery(),"
    " pg_catalog.current_setting('default_transaction_read_only') = 'on',"
    " pg_catalog.current_database()::text, current_user::text";

enum {
    VERSION,
    VERSION_NUMBER,
    ENCODING,
    CONNECTIONS_MAX,
    SYNCHRONOUS,
    IN_RECOVERY,
    READ_ONLY,
    DATABASE,
    USER
};

struct finding {
    uint64_t severity;
    const char *subject;
    const char *advice; /* "" none */
};

static tears_status add(struct t3_findings *findings, const struct finding *finding,
                        struct tears_str value)
{
    const struct tears_str advice = tears_str_c(finding->severity != FINE ? finding->advice : "");
    return t3_finding_add(findings, "l3", finding->severity, finding->subject, value, advice);
}

static tears_status add_latency(struct t3_findings *findings, uint64_t us)
{
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    const struct finding finding = {
        us > LATENCY_WARN_US ? WORTH_CHANGING : FINE, "latency",
        "the database is far away or busy; every cache miss waits this long"};
    T3_TRY(t3_buf_printf(&value, "%llu us", (unsigned long long)us));
    return add(findings, &finding, t3_buf_str(&value));
}

static tears_status add_connections(struct t3_findings *findings, uint64_t pool_max,
                                    uint64_t server_max)
{
    T3_AUTO(t3_buf_done) struct t3_buf value = {0};
    const struct finding finding = {
        pool_max > server_max / 2 ? WORTH_CHANGING : FINE, "connections",
        "this pool alone may take more than half of the server's connections; lower l3_pool_max "
        "or raise max_connections"};
    T3_TRY(t3_buf_printf(&value, "pool %llu of max_connections %llu", (unsigned long long)pool_max,
                         (unsigned long long)server_max));
    return add(findings, &finding, t3_buf_str(&value));
}

static tears_status add_settings(struct t3_findings *findings, const struct tears_value *row,
                                 uint32_t pool_max)
{
    const struct tears_str encoding = row[ENCODING].as.bytes;
    const struct tears_str synchronous = row[SYNCHRONOUS].as.bytes;
    const bool read_only = row[IN_RECOVERY].as.boolean || row[READ_ONLY].as.boolean;
    const struct finding version = {
        row[VERSION_NUMBER].as.integer < OLDEST_VERSION ? WORTH_CHANGING : FINE, "version",
        "this release is older than any the library is tested with; upgrade the server"};
    const struct finding encoded = {
        t3_str_is(encoding, "UTF8") ? FINE : BROKEN, "server_encoding",
        "text cannot be kept exactly; create the database with ENCODING 'UTF8'"};
    const struct finding committed = {
        t3_str_is(synchronous, "off") ? WORTH_CHANGING : FINE, "synchronous_commit",
        "a crash of the server may lose writes that caches still show; turn it on"};
    const struct finding writable = {
        read_only ? BROKEN : FINE, "writable",
        "the server only reads (a standby, or default_transaction_read_only); connect to the "
        "primary, or add target_session_attrs=read-write to the URL"};
    T3_TRY(add(findings, &version, row[VERSION].as.bytes));
    T3_TRY(add(findings, &encoded, encoding));
    T3_TRY(add(findings, &committed, synchronous));
    T3_TRY(add(findings, &writable, read_only ? TEARS_STR("no") : TEARS_STR("yes")));
    const struct finding database = {FINE, "database", ""};
    const struct finding user = {FINE, "user", ""};
    T3_TRY(add(findings, &database, row[DATABASE].as.bytes));
    T3_TRY(add(findings, &user, row[USER].as.bytes));
    return add_connections(findings, pool_max, (uint64_t)row[CONNECTIONS_MAX].as.integer);
}

static tears_status measure(struct t3_pg_work *work, uint64_t *best_us_out)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        struct t3_pg_result *result = NULL;
        const uint64_t start = t3_now_us();
        T3_TRY(t3_pg_query(work->conn, &work->pg, "SELECT 1", NULL, &result));
        const uint64_t took = t3_now_us() - start;
        t3_pg_result_free(result);
        best = took < best ? took : best;
    }
    *best_us_out = best;
    return TEARS_OK;
}

/* What is asked of one connection: how long it takes, and whether it is encrypted. */
static tears_status probe(struct t3_l3 *l3, struct t3_l3_call *call, uint64_t *latency_us_out,
                          bool *ssl_out)
{
    struct t3_pg_work work;
    tears_status status = t3_pg_work_begin(l3, call, NULL, &work);
    if (status == TEARS_OK) {
        *ssl_out = t3_pg_conn_has_ssl(work.conn);
        status = measure(&work, latency_us_out);
    }
    t3_pg_work_end(&work, status, false);
    return status;
}

static tears_status unreachable(struct t3_findings *findings, const struct t3_l3_call *call,
                                tears_status status)
{
    if (status == TEARS_NO_MEMORY)
        return status;
    const struct finding finding = {BROKEN, "reachable",
                                    "check that the server runs, the URL, and the password"};
    return add(findings, &finding,
               call->error != NULL ? tears_str_c(call->error->message) : TEARS_STR("no"));
}

tears_status t3_l3_pg_doctor(struct t3_l3 *l3, struct t3_l3_call *call,
                             struct t3_findings *findings)
{
    uint64_t latency_us = 0;
    bool ssl = false;
    struct t3_result result = {0};
    tears_status status = probe(l3, call, &latency_us, &ssl);
    if (status == TEARS_OK)
        status = l3->ops->query(l3, call, tears_str_c(settings_sql), NULL, 0, &result);
    if (status != TEARS_OK)
        return unreachable(findings, call, status);
    const struct finding reachable = {FINE, "reachable", ""};
    const struct finding encrypted = {FINE, "tls", ""};
    T3_TRY(add(findings, &reachable, TEARS_STR("yes")));
    T3_TRY(add_latency(findings, latency_us));
    T3_TRY(add(findings, &encrypted, ssl ? TEARS_STR("on") : TEARS_STR("off")));
    return add_settings(findings, result.values, l3->parallel);
}
