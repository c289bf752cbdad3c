/*
 * kv_solo_inbox.c -- where the answer to one question comes in.
 *
 * Owns:     the inboxes, each with a subscription; idle ones are kept for the next question.
 * Must not know: what is asked.
 * Threads:  any; an inbox is one thread's at a time.
 * Fails:    with the status of the NATS library.
 * Begin at: t3_solo_inbox_wait().
 *
 * The one who asks takes the answer from the library's reader itself.  With natsConnection_RequestMsg a third thread stands between
 * them, which has to be woken and to wake: a tenth of the time that a lease takes.
 *
 * An inbox whose question was not answered is given up, so that a late answer, or a late word that nobody listens, which comes without
 * a subject, goes nowhere.  Each question has a number at the end of its reply subject: an answer that comes twice is nobody else's.
 */
#include "base/alloc.h"
#include "driver/kv_solo_impl.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SLICE_MS = 20, /* how long a lost connection goes unnoticed by one who waits */
    IDLE_MAX = 64  /* inboxes kept; as many threads ask at once without making any */
};

static natsStatus subscribe(struct t3_solo_inbox *inbox, struct t3_nats *nats)
{
    natsInbox *name = NULL;
    char subject[T3_SOLO_INBOX_BYTES + 2];
    natsStatus status = natsInbox_Create(&name);
    if (status != NATS_OK)
        return status;
    const int len = snprintf(inbox->reply_to, sizeof inbox->reply_to, "%s.", name);
    natsInbox_Destroy(name);
    if (len < 0 || (size_t)len + 24 > sizeof inbox->reply_to) /* no room for a number */
        return NATS_ERR;
    inbox->prefix_len = (size_t)len;
    snprintf(subject, sizeof subject, "%s*", inbox->reply_to);
    return natsConnection_SubscribeSync(&inbox->answers, nats->connection, subject);
}

static natsStatus make(struct t3_solo *solo, struct t3_solo_inbox **inbox_out)
{
    struct t3_solo_inbox *inbox = t3_alloc_zero(1, sizeof *inbox);
    if (inbox == NULL)
        return NATS_NO_MEMORY;
    const natsStatus status = subscribe(inbox, solo->options.nats);
    if (status != NATS_OK) {
        t3_free(inbox);
        return status;
    }
    *inbox_out = inbox;
    return NATS_OK;
}

natsStatus t3_solo_inbox_take(struct t3_solo *solo, struct t3_solo_inbox **inbox_out)
{
    t3_lock(&solo->mutex);
    struct t3_solo_inbox *inbox = solo->idle;
    if (inbox != NULL) {
        solo->idle = inbox->next;
        solo->idle_count--;
    }
    t3_unlock(&solo->mutex);
    if (inbox == NULL) {
        const natsStatus status = make(solo, &inbox);
        if (status != NATS_OK)
            return status;
    }
    snprintf(inbox->reply_to + inbox->prefix_len, sizeof inbox->reply_to - inbox->prefix_len,
             "%" PRIx64, ++inbox->number);
    *inbox_out = inbox;
    return NATS_OK;
}

static void end(struct t3_solo *solo, struct t3_solo_inbox *inbox)
{
    t3_nats_unsubscribe_later(solo->options.nats, &inbox->answers);
    t3_free(inbox);
}

void t3_solo_inbox_give(struct t3_solo *solo, struct t3_solo_inbox *inbox)
{
    t3_lock(&solo->mutex);
    const bool is_kept = !inbox->is_asked && solo->idle_count < IDLE_MAX;
    if (is_kept) {
        inbox->next = solo->idle;
        solo->idle = inbox;
        solo->idle_count++;
    }
    t3_unlock(&solo->mutex);
    if (!is_kept)
        end(solo, inbox);
}

/* Whether the connection was there all the time: else the answer is not to come any more. */
static bool is_lost(const struct t3_solo *solo, uint64_t losses)
{
    return t3_nats_losses(solo->options.nats) != losses ||
           !t3_nats_is_connected(solo->options.nats);
}

static bool is_answer(const struct t3_solo_inbox *inbox, natsMsg *message)
{
    return strcmp(natsMsg_GetSubject(message), inbox->reply_to) == 0;
}

natsStatus t3_solo_inbox_wait(struct t3_solo *solo, struct t3_solo_inbox *inbox, uint64_t losses,
                              struct t3_deadline deadline, natsMsg **answer_out)
{
    for (;;) {
        natsMsg *message = NULL;
        const uint64_t left_ms = t3_deadline_left_ms(deadline);
        const natsStatus status = natsSubscription_NextMsg(
            &message, inbox->answers, left_ms < SLICE_MS ? (int64_t)left_ms : SLICE_MS);
        if (status == NATS_OK && is_answer(inbox, message)) {
            inbox->is_asked = false;
            *answer_out = message;
            return NATS_OK;
        }
        natsMsg_Destroy(message);
        if (status != NATS_OK && status != NATS_TIMEOUT)
            return status;
        if (is_lost(solo, losses))
            return NATS_CONNECTION_DISCONNECTED;
        if (left_ms == 0)
            return NATS_TIMEOUT;
    }
}

void t3_solo_inboxes_end(struct t3_solo *solo)
{
    while (solo->idle != NULL) {
        struct t3_solo_inbox *inbox = solo->idle;
        solo->idle = inbox->next;
        end(solo, inbox);
    }
    solo->idle_count = 0;
}
