/*
 * fake_follow.h -- a new world has no followers.
 */
#ifndef TESTS_SIM_FAKE_FOLLOW_H
#define TESTS_SIM_FAKE_FOLLOW_H

void sim_follow_begin(void);

#endif
