/*
 * consistency.c -- how fresh a session's reads must be, and tokens of what it has seen.
 *
 * Owns: nothing.  Must not know: the tiers.  Threads: the session's.  Begin at: tears_session_set_consistency().
 */
#include "core/core.h"

#include "base/fail.h"
#include "core/floors.h"

tears_status t3_session_set_level(struct tears_session *session, uint64_t level, uint64_t bound_ms)
{
    if (level > TEARS_READ_STRONG)
        return t3_fail(&session->error, TEARS_INVALID, "core",
                       "%llu is no level of consistency; see TEARS_READ_ANY and the others",
                       (unsigned long long)level);
    if (bound_ms != 0 && level != TEARS_READ_BOUNDED)
        return t3_fail(&session->error, TEARS_INVALID, "core",
                       "a bound of %llu ms is given with a level other than BOUNDED",
                       (unsigned long long)bound_ms);
    session->level = level;
    session->bound_ms = bound_ms;
    return TEARS_OK;
}

tears_status tears_session_set_consistency(tears_session *session, uint32_t level,
                                           uint64_t bound_ms)
{
    T3_TRY(t3_session_enter(session));
    return t3_session_set_level(session, level, bound_ms);
}

tears_status tears_session_token(tears_session *session, struct tears_str *token_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    T3_TRY(t3_session_enter(session));
    if (t3_floors_put_token(session, &token) != TEARS_OK ||
        t3_arena_str(&session->arena, t3_buf_str(&token), token_out) != TEARS_OK)
        return t3_session_no_memory(session);
    return TEARS_OK;
}

tears_status tears_session_follow(tears_session *session, struct tears_str token)
{
    T3_TRY(t3_session_enter(session));
    const tears_status status = t3_floors_take_token(session, token);
    if (status == TEARS_NO_MEMORY)
        return t3_session_no_memory(session);
    if (status != TEARS_OK)
        return t3_fail(&session->error, TEARS_INVALID, "core",
                       "the text of %zu bytes is no token of a session", token.len);
    return t3_session_set_level(session, TEARS_READ_SESSION, 0);
}
