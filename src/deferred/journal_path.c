/*
 * journal_path.c -- where a journal is when nobody says.
 *
 * Owns: nothing.  Must not know: what is in it.  Threads: any.  Begin at: t3_journal_default_path().
 */
#include "deferred/journal.h"

#include "base/str.h"

tears_status t3_journal_default_path(struct tears_str l3_url, struct t3_buf *path_out)
{
    const struct tears_str scheme = TEARS_STR("sqlite:");
    if (!t3_str_starts(l3_url, "sqlite:") || l3_url.len == scheme.len)
        return t3_buf_put(path_out, TEARS_STR("tears-pending.db"));
    struct tears_str path = t3_str_from(l3_url, scheme.len);
    if (t3_str_starts(path, "///")) /* as other tools write an absolute path */
        path = t3_str_from(path, 2);
    T3_TRY(t3_buf_put(path_out, path));
    return t3_buf_put(path_out, TEARS_STR("-pending"));
}
