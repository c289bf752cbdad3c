/*
 * fake_kv.h -- what the other fakes share with the driver of the bucket.
 */
#ifndef TESTS_SIM_FAKE_KV_H
#define TESTS_SIM_FAKE_KV_H

#include "server.h"

void sim_kv_begin(void);

/* Makes the order that a request is. */
struct sim_put *sim_put_of(const struct t3_kv_request *request, const char *origin,
                           const char *epoch);

/* fake_bus.c: the answer to a put that nobody waits for. */
void sim_bus_answer(struct sim_process *process, const char *reply_to, const struct sim_put *put);

#endif
