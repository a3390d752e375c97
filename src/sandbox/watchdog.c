/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One POSIX timer a cell, bound to the thread that runs it.
 */
#include "src/sandbox/watchdog.h"

#include <sys/syscall.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static __thread uint8_t *volatile watched;
static __thread int thread_id;

static int watchdog_signal(void)
{
    return SIGRTMIN + 3;
}

static void on_signal(int number)
{
    (void)number;
    uint8_t *flag = watched;
    if (flag)
        *(volatile uint8_t *)flag = 1;
}

static void install_handler(void)
{
    static gsize done;
    if (g_once_init_enter(&done)) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        sigaction(watchdog_signal(), &action, NULL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, watchdog_signal());
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        g_once_init_leave(&done, 1);
    }
}

gboolean watchdog_ensure(struct watchdog *dog, unsigned period_seconds)
{
    if (!thread_id)
        thread_id = (int)syscall(SYS_gettid);
    if (dog->armed && dog->thread == thread_id)
        return TRUE;
    watchdog_clear(dog);
    install_handler();
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = watchdog_signal()};
    event.sigev_notify_thread_id = thread_id;
    if (timer_create(CLOCK_MONOTONIC, &event, &dog->timer) != 0)
        return FALSE;
    dog->armed = TRUE;
    dog->thread = thread_id;
    struct itimerspec when = {.it_interval.tv_sec = period_seconds,
                              .it_value.tv_sec = period_seconds};
    return timer_settime(dog->timer, 0, &when, NULL) == 0;
}

void watchdog_clear(struct watchdog *dog)
{
    if (dog->armed)
        timer_delete(dog->timer);
    dog->armed = FALSE;
}

void watchdog_watch(uint8_t *flag)
{
    watched = flag;
}
