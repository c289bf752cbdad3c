/*
 * test_l1_memory.c -- the tier in memory: the suite of all tiers, and what only this one promises.
 */
#include "unit/tier/l1_conformance.h"

int main(void)
{
    return l1_conformance_run("l1_memory", t3_l1_memory_new);
}
