/*
 * journal_path.c -- where a journal is when nobody says.
 *
 * Owns: nothing.  Must not know: what is in it.  Threads: any.  Begin at: t3_journal_default_path().
 */
#include "deferred/journal.h"

#include "base/str.h"
#include "driver/lite.h"

tears_status t3_journal_default_path(struct tears_str l3_url, struct t3_buf *path_out)
{
    struct tears_str path = {0};
    if (!t3_lite_url(l3_url, &path) || path.len == 0 || t3_str_is(path, ":memory:"))
        return t3_buf_put(path_out, TEARS_STR("tears-pending.db"));
    T3_TRY(t3_buf_put(path_out, path));
    return t3_buf_put(path_out, TEARS_STR("-pending"));
}
