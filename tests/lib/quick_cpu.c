/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into stock tools: processor time passes by a second each time it is asked for.
 *
 * Stock chooses the iterations of a LUKS key by trying ever more of them until half a second of
 * processor time went by, which takes it two seconds a key; 7.2 moreover gives up now and then,
 * where the kernel's account of a thread's time is coarse ("accurate CPU usage"). With this it is
 * content with its first try. Nothing but how many iterations there are depends on it.
 */
#include <sys/resource.h>

int getrusage(int who, struct rusage *usage)
{
    static long seconds;

    (void)who;
    *usage = (struct rusage){0};
    usage->ru_utime.tv_sec = __atomic_add_fetch(&seconds, 1, __ATOMIC_RELAXED);
    return 0;
}
