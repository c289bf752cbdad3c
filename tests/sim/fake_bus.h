/*
 * fake_bus.h -- a new world has no subscriptions.
 */
#ifndef TESTS_SIM_FAKE_BUS_H
#define TESTS_SIM_FAKE_BUS_H

void sim_bus_begin(void);

#endif
