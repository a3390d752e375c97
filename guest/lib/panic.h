/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failure that only our own bug can cause. What an image can cause is an error instead.
 */
#ifndef INSTAR_GUEST_LIB_PANIC_H
#define INSTAR_GUEST_LIB_PANIC_H

/*
 * Ends the cell; the host reports file, line and text as a bug of ours. Does not return.
 */
_Noreturn void panic_at(const char *file, int line, const char *text);

#define PANIC(text)        panic_at(__FILE__, __LINE__, (text))
#define PANIC_UNLESS(cond) ((cond) ? (void)0 : panic_at(__FILE__, __LINE__, #cond))

#endif
