/*
 * only.c -- TEARS_TEST_ONLY=PATTERN runs the test cases whose names match (with * and ?); part of every test program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void choose(void)
{
    const char *pattern = getenv("TEARS_TEST_ONLY");
    if (pattern != NULL)
        cmocka_set_test_filter(pattern);
}
