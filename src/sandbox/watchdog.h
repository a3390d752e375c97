/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gets a thread out of KVM_RUN when a guest does not come back by itself.
 *
 * A periodic timer sends a signal to the running thread; its handler raises the flag that makes
 * KVM_RUN return (also when the signal arrives just before the call). The runner then looks at its
 * deadline. Nothing happens in a process that uses no kvm cell.
 */
#ifndef INSTAR_SRC_SANDBOX_WATCHDOG_H
#define INSTAR_SRC_SANDBOX_WATCHDOG_H

#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

struct watchdog {
    timer_t timer;
    gboolean armed;
    int thread; /* id of the thread that the timer signals */
};

/*
 * Makes sure that the calling thread is interrupted at least every period while it runs a guest.
 *
 * returns: FALSE with errno set
 */
gboolean watchdog_ensure(struct watchdog *dog, unsigned period_seconds);
void watchdog_clear(struct watchdog *dog);

/*
 * Names the flag to raise in this thread; NULL when it does not run a guest.
 */
void watchdog_watch(uint8_t *flag);

#endif
