/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways in which the guest ends because of a bug of ours: panic, assert, a smashed stack.
 * The host reports the text with file and line.
 */
#include "guest/lib/panic.h"

#include <stdint.h>
#include <string.h>

#include "guest/arch/doorbell.h"

_Noreturn void __assert_fail(const char *condition, const char *file, unsigned line,
                             const char *function);
_Noreturn void __stack_chk_fail(void);
_Noreturn void abort(void);

static uint32_t append(char *out, uint32_t at, const char *text)
{
    size_t len = strnlen(text, 512);
    memcpy(out + at, text, len);
    return at + (uint32_t)len;
}

_Noreturn void panic_at(const char *file, int line, const char *text)
{
    char digits[12];
    unsigned n = sizeof(digits);
    digits[--n] = 0;
    do {
        digits[--n] = (char)('0' + line % 10);
        line /= 10;
    } while (line > 0 && n > 0);

    char *out = (char *)doorbell_records();
    uint32_t len = append(out, 0, file);
    len = append(out, len, ":");
    len = append(out, len, digits + n);
    len = append(out, len, ": ");
    len = append(out, len, text);
    doorbell_page()->count = len;
    for (;;)
        doorbell_ring(CELL_RING_PANIC);
}

_Noreturn void __assert_fail(const char *condition, const char *file, unsigned line,
                             const char *function)
{
    (void)function;
    panic_at(file, (int)line, condition);
}

_Noreturn void __stack_chk_fail(void)
{
    panic_at("guest", 0, "stack smashed");
}

_Noreturn void abort(void)
{
    panic_at("guest", 0, "abort");
}
