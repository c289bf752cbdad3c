/*
 * raw_kv.c -- nats.c as its documentation has it, and its fastest way of many gets.
 */
#include "raw_kv.h"

#include <stdio.h>
#include <stdlib.h>

static void check(natsStatus status, const char *what)
{
    if (status == NATS_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, natsStatus_GetText(status));
    exit(2);
}

void raw_kv_open(struct raw_kv *raw, const char *url)
{
    natsInbox *inbox = NULL;
    memset(raw, 0, sizeof *raw);
    check(natsConnection_ConnectTo(&raw->conn, url), "connect");
    check(natsConnection_JetStream(&raw->js, raw->conn, NULL), "JetStream");
    check(js_KeyValue(&raw->kv, raw->js, "bench-collections"), "bucket");
    check(natsInbox_Create(&inbox), "inbox");
    snprintf(raw->inbox, sizeof raw->inbox, "%s", inbox);
    natsInbox_Destroy(inbox);
    char pattern[80];
    snprintf(pattern, sizeof pattern, "%s.*", raw->inbox);
    check(natsConnection_SubscribeSync(&raw->replies, raw->conn, pattern), "subscribe");
    check(natsSubscription_SetPendingLimits(raw->replies, -1, -1), "limits");
}

void raw_kv_close(struct raw_kv *raw)
{
    natsSubscription_Destroy(raw->replies);
    kvStore_Destroy(raw->kv);
    jsCtx_Destroy(raw->js);
    natsConnection_Destroy(raw->conn);
}

void raw_kv_key(uint64_t number, char *out, size_t size)
{
    uint8_t id[16];
    char text[37];
    bench_uuid(number, id);
    tears_uuid_text(id, text);
    snprintf(out, size, "bench.%s", text);
}

static volatile int sink;

void raw_kv_get(struct raw_kv *raw, uint64_t number)
{
    char key[64];
    kvEntry *entry = NULL;
    raw_kv_key(number, key, sizeof key);
    check(kvStore_Get(&entry, raw->kv, key), "get");
    sink += kvEntry_ValueLen(entry);
    kvEntry_Destroy(entry);
}

void raw_kv_put(struct raw_kv *raw, uint64_t number, const char *value, int len)
{
    char key[64];
    raw_kv_key(number, key, sizeof key);
    check(kvStore_Put(NULL, raw->kv, key, value, len), "put");
}

static void ask(struct raw_kv *raw, uint64_t number, int slot)
{
    char key[64];
    char subject[160];
    char reply[96];
    raw_kv_key(number, key, sizeof key);
    snprintf(subject, sizeof subject,
             "$JS.API.DIRECT.GET.KV_bench-collections.$KV.bench-collections.%s", key);
    snprintf(reply, sizeof reply, "%s.%d", raw->inbox, slot);
    check(natsConnection_PublishRequest(raw->conn, subject, reply, NULL, 0), "request");
}

void raw_kv_get_many(struct raw_kv *raw, const uint64_t *numbers, int count, int window)
{
    int sent = 0;
    while (sent < count && sent < window)
        ask(raw, numbers[sent], sent), sent++;
    for (int received = 0; received < count; received++) {
        natsMsg *msg = NULL;
        check(natsSubscription_NextMsg(&msg, raw->replies, 5000), "reply");
        sink += natsMsg_GetDataLength(msg);
        natsMsg_Destroy(msg);
        if (sent < count)
            ask(raw, numbers[sent], sent), sent++;
    }
}
