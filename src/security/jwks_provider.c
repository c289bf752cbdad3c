/*
 * jwks_provider.c -- keeps a key set fresh: fetches it again and again, gives out the last good one.
 *
 * Owns:     the set held, its age, the thread that refreshes.
 * Must not know: how the document travels (the fetch function does), what tokens say.
 * Threads:  any.  One fetch at a time; whoever comes meanwhile waits for it.  No lock is held during
 * a fetch.
 * Fails:    by keeping the set it has; by giving out none once that one is too old.
 * Begin at: tears_jwks_provider_refresh().
 */
#include "security/jwks_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/lock.h"
#include "base/owned_text.h"
#include "base/sized.h"

#include <pthread.h>

static const char origin[] = "jwks";

enum {
    REFRESH_MS = 300000,
    RETRY_MS = 2000,
    REACTIVE_MS_MIN = 5000,
    AGE_MS_MAX = 86400000,
    LOOK_AGAIN_MS = 60000 /* a wait without an end of its own still looks around */
};

struct tears_jwks_provider {
    struct tears_jwks_provider_options options; /* never changed */
    struct t3_mutex mutex;
    struct t3_cond changed; /* a fetch has ended, or the provider is ending */
    tears_jwks *jwks;       /* NULL until warm */
    uint64_t fetched_ms;    /* on the coarse clock */
    uint64_t reacted_ms;    /* when the last reactive refresh ended */
    bool has_reacted;
    bool is_fetching;
    bool is_ending;
    bool has_thread;
    pthread_t thread;
    uint64_t refreshes;
    uint64_t failures;
};

static uint64_t or_default(uint64_t given, uint64_t otherwise)
{
    return given != 0 ? given : otherwise;
}

tears_status tears_jwks_provider_new(const struct tears_jwks_provider_options *options,
                                     tears_jwks_provider **provider_out,
                                     struct tears_error *error_out)
{
    struct tears_jwks_provider_options own = {.size = sizeof own};
    T3_TRY(t3_sized_copy(&own, sizeof own, options, origin, error_out));
    if (own.fetch == NULL)
        return t3_fail(error_out, TEARS_INVALID, origin, "a provider needs a fetch function");
    tears_jwks_provider *provider = t3_alloc_zero(1, sizeof *provider);
    if (provider == NULL)
        return t3_fail_memory(error_out, origin);
    own.refresh_ms = or_default(own.refresh_ms, REFRESH_MS);
    own.retry_ms = or_default(own.retry_ms, RETRY_MS);
    own.reactive_ms_min = or_default(own.reactive_ms_min, REACTIVE_MS_MIN);
    own.age_ms_max = or_default(own.age_ms_max, AGE_MS_MAX);
    provider->options = own;
    t3_mutex_init(&provider->mutex);
    t3_cond_init(&provider->changed);
    *provider_out = provider;
    return TEARS_OK;
}

/* ---- fetching -----------------------------------------------------------------------------------
 */

/* Fetches and reads a set that has keys.  No lock is held. */
static tears_status fetch(const tears_jwks_provider *provider, tears_jwks **jwks_out,
                          struct tears_error *error_out)
{
    T3_AUTO(tears_owned_text_free) struct tears_owned_text document = {0};
    tears_jwks *jwks = NULL;
    if (provider->options.fetch(provider->options.fetch_owner, &document) != TEARS_OK)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin, "the key set could not be fetched");
    T3_TRY(tears_jwks_parse(tears_owned_text_str(&document), provider->options.reading, &jwks,
                            error_out));
    if (tears_jwks_count(jwks) == 0) {
        tears_jwks_free(jwks);
        return t3_fail(error_out, TEARS_NOT_FOUND, origin, "the published key set has no keys");
    }
    *jwks_out = jwks;
    return TEARS_OK;
}

static void wait_for_fetch_locked(tears_jwks_provider *provider) T3_REQUIRES(provider->mutex)
{
    while (provider->is_fetching)
        (void)t3_cond_wait(&provider->changed, &provider->mutex, t3_deadline_in_ms(LOOK_AGAIN_MS));
}

/* Puts in the set that was fetched (NULL: none); gives the one to free. */
static tears_jwks *settle_locked(tears_jwks_provider *provider, tears_jwks *fetched)
    T3_REQUIRES(provider->mutex)
{
    tears_jwks *old = NULL;
    provider->is_fetching = false;
    provider->refreshes++;
    if (fetched != NULL) {
        old = provider->jwks;
        provider->jwks = fetched;
        provider->fetched_ms = t3_now_coarse_ms();
    } else {
        provider->failures++;
    }
    t3_cond_broadcast(&provider->changed);
    return old;
}

/* What follows after is_fetching was set. */
static tears_status fetch_and_settle(tears_jwks_provider *provider, bool reactive,
                                     struct tears_error *error_out)
{
    tears_jwks *fetched = NULL;
    const tears_status status = fetch(provider, &fetched, error_out);
    t3_lock(&provider->mutex);
    if (reactive) {
        provider->has_reacted = true;
        provider->reacted_ms = t3_now_coarse_ms();
    }
    tears_jwks *old = settle_locked(provider, fetched);
    t3_unlock(&provider->mutex);
    tears_jwks_free(old);
    return status;
}

tears_status tears_jwks_provider_refresh(tears_jwks_provider *provider,
                                         struct tears_error *error_out)
{
    t3_lock(&provider->mutex);
    wait_for_fetch_locked(provider);
    provider->is_fetching = true;
    t3_unlock(&provider->mutex);
    return fetch_and_settle(provider, false, error_out);
}

static bool reacted_lately_locked(const tears_jwks_provider *provider) T3_REQUIRES(provider->mutex)
{
    return provider->has_reacted &&
           t3_now_coarse_ms() - provider->reacted_ms < provider->options.reactive_ms_min;
}

bool tears_jwks_provider_refresh_reactively(tears_jwks_provider *provider)
{
    t3_lock(&provider->mutex);
    while (provider->is_fetching && !reacted_lately_locked(provider))
        wait_for_fetch_locked(provider); /* it may be another's answer to the same question */
    const bool mine = !provider->is_fetching && !reacted_lately_locked(provider);
    if (mine)
        provider->is_fetching = true;
    t3_unlock(&provider->mutex);
    /* How it went shows in the set and in the counters. */
    if (mine)
        (void)fetch_and_settle(provider, true, NULL);
    return mine;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static uint64_t age_ms_locked(const tears_jwks_provider *provider) T3_REQUIRES(provider->mutex)
{
    return provider->jwks != NULL ? t3_now_coarse_ms() - provider->fetched_ms : 0;
}

tears_status tears_jwks_provider_take(tears_jwks_provider *provider, tears_jwks **jwks_out,
                                      struct tears_error *error_out)
{
    tears_jwks *jwks = NULL;
    t3_lock(&provider->mutex);
    const bool is_warm = provider->jwks != NULL;
    if (is_warm && age_ms_locked(provider) <= provider->options.age_ms_max)
        jwks = t3_jwks_share(provider->jwks);
    t3_unlock(&provider->mutex);
    if (jwks == NULL)
        return t3_fail(error_out, TEARS_UNAVAILABLE, origin,
                       is_warm ? "the key set is too old and could not be refreshed"
                               : "no key set has been fetched yet");
    *jwks_out = jwks;
    return TEARS_OK;
}

void tears_jwks_provider_stats(tears_jwks_provider *provider,
                               struct tears_jwks_provider_stats *stats_out)
{
    struct tears_jwks_provider_stats stats = {.size = sizeof stats};
    t3_lock(&provider->mutex);
    stats.refreshes = provider->refreshes;
    stats.failures = provider->failures;
    stats.is_warm = provider->jwks != NULL;
    stats.keys = stats.is_warm ? tears_jwks_count(provider->jwks) : 0;
    stats.skipped = stats.is_warm ? tears_jwks_skipped(provider->jwks) : 0;
    stats.age_ms = age_ms_locked(provider);
    t3_unlock(&provider->mutex);
    t3_sized_give(stats_out, &stats, sizeof stats);
}

/* ---- the thread ---------------------------------------------------------------------------------
 */

/* Waits for the next refresh; false when the provider is ending. */
static bool sleep_until_due(tears_jwks_provider *provider)
{
    t3_lock(&provider->mutex);
    const struct t3_deadline due = t3_deadline_in_ms(
        provider->jwks != NULL ? provider->options.refresh_ms : provider->options.retry_ms);
    while (!provider->is_ending && !t3_deadline_passed(due))
        (void)t3_cond_wait(&provider->changed, &provider->mutex, due);
    const bool goes_on = !provider->is_ending;
    t3_unlock(&provider->mutex);
    return goes_on;
}

static void *run(void *argument)
{
    tears_jwks_provider *provider = argument;
    do {
        const tears_status status = tears_jwks_provider_refresh(provider, NULL);
        (void)status; /* a failure is counted, and the set that is held stays */
    } while (sleep_until_due(provider));
    return NULL;
}

tears_status tears_jwks_provider_start(tears_jwks_provider *provider, struct tears_error *error_out)
{
    int failed = 0;
    t3_lock(&provider->mutex);
    if (!provider->has_thread) {
        failed = pthread_create(&provider->thread, NULL, run, provider);
        provider->has_thread = failed == 0;
    }
    t3_unlock(&provider->mutex);
    if (failed != 0)
        return t3_fail_detail(error_out, TEARS_UNAVAILABLE, origin, failed, "",
                              "no thread can be started");
    return TEARS_OK;
}

void tears_jwks_provider_free(tears_jwks_provider *provider)
{
    if (provider == NULL)
        return;
    t3_lock(&provider->mutex);
    provider->is_ending = true;
    const bool has_thread = provider->has_thread;
    t3_cond_broadcast(&provider->changed);
    t3_unlock(&provider->mutex);
    if (has_thread)
        pthread_join(provider->thread, NULL);
    tears_jwks_free(provider->jwks);
    t3_cond_done(&provider->changed);
    t3_mutex_done(&provider->mutex);
    t3_free(provider);
}
