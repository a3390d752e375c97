/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest library needs from its surroundings when it is built hosted: unit tests and
 * fuzzing run it as an ordinary library, with the C library's malloc.
 */
#include <stdio.h>
#include <stdlib.h>

#include "guest/lib/arena.h"
#include "guest/lib/panic.h"

_Noreturn void panic_at(const char *file, int line, const char *text)
{
    fprintf(stderr, "guest panic: %s:%d: %s\n", file, line, text);
    abort();
}

uint64_t arena_left_bytes(void)
{
    return 256ull << 20;
}
