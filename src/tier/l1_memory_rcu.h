/*
 * l1_memory_rcu.h -- read sections and grace periods of liburcu, visible to ThreadSanitizer.
 *
 * A reader between t3_rcu_enter and t3_rcu_leave may follow any pointer it found published; whoever
 * unpublished something calls t3_rcu_wait before freeing it.  A reader takes no lock and writes no
 * line that others share.
 *
 * The "bulletproof" flavour needs no registration of threads.  No helper thread is started:
 * call_rcu would start one, which a forked child loses and an unloaded library cannot stop.
 * Writers free in batches instead, after one wait.
 *
 * liburcu is not instrumented, so under ThreadSanitizer the edge it makes from a reader that left
 * to the writer that waited is stated here.
 */
#ifndef T3_TIER_L1_MEMORY_RCU_H
#define T3_TIER_L1_MEMORY_RCU_H

#include <urcu-bp.h>

#ifdef __SANITIZE_THREAD__
#define T3_RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define T3_RCU_TSAN 1
#endif
#endif

#ifdef T3_RCU_TSAN
#include <sanitizer/tsan_interface.h>
#endif

static inline void t3_rcu_enter(void)
{
    urcu_bp_read_lock();
}

/* `domain` is any address that readers and writers of one structure share; it is not accessed. */
static inline void t3_rcu_leave(void *domain)
{
#ifdef T3_RCU_TSAN
    __tsan_release(domain);
#else
    (void)domain;
#endif
    urcu_bp_read_unlock();
}

/* Returns when every reader that was inside has left.  Not from inside a read section. */
static inline void t3_rcu_wait(void *domain)
{
    urcu_bp_synchronize_rcu();
#ifdef T3_RCU_TSAN
    __tsan_acquire(domain);
#else
    (void)domain;
#endif
}

#endif
