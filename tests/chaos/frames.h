/*
 * frames.h -- where a message of the NATS protocol ends, and what it is about.
 */
#ifndef CHAOS_FRAMES_H
#define CHAOS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Longest control line, and longest message: nats-server's own limits. */
enum { CHAOS_LINE_MAX = 64 * 1024, CHAOS_MESSAGE_MAX = 8 * 1024 * 1024 };

enum chaos_frame_kind {
    CHAOS_FRAME_CONTROL, /* INFO, PING, PONG, +OK, -ERR */
    CHAOS_FRAME_NOTICE,  /* an invalidation message */
    CHAOS_FRAME_STREAM,  /* a delivery of the bucket's stream */
    CHAOS_FRAME_REPLY,   /* any other message: answers to requests, heartbeats */
    CHAOS_FRAME_KINDS
};

struct chaos_frame {
    enum chaos_frame_kind kind;
    size_t length; /* in bytes, its line ends included */
};

/*
 * Looks at what a server sent: 1: a whole frame is at the beginning; 0: more bytes are needed; -1: this is not
 * the NATS protocol.
 */
int chaos_frame_read(const char *bytes, size_t count, struct chaos_frame *frame_out);

#endif
