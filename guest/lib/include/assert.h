/* SPDX-License-Identifier: Apache-2.0 */
/* assert ends the cell as a bug of ours. */
#undef assert
_Noreturn void __assert_fail(const char *condition, const char *file, unsigned line,
                             const char *function);
#ifdef NDEBUG
#define assert(cond) ((void)0)
#else
#define assert(cond) ((cond) ? (void)0 : __assert_fail(#cond, __FILE__, __LINE__, __func__))
#endif
#ifndef static_assert
#define static_assert _Static_assert
#endif
