/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line.
 *
 * The signal handler only sets a flag; the next update prints. Updates come from several threads,
 * so the printed state is behind a lock; the common case (nothing to print) takes it only when the
 * value has moved.
 */
#include "compat/progress.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static struct {
    GMutex lock;
    gboolean enabled;
    double min_step;
    double current;
    double last_printed;
} state;

static atomic_int print_asked;

static void ask(int signal_number)
{
    atomic_store(&print_asked, 1);
}

static void print_to(FILE *out, const char *end)
{
    fprintf(out, "    (%3.2f/100%%)%s", state.current, end);
    fflush(out);
}

void progress_begin(gboolean enabled, double min_step_percent)
{
    struct sigaction action = {.sa_handler = ask, .sa_flags = SA_RESTART};

    g_mutex_lock(&state.lock);
    state.enabled = enabled;
    state.min_step = min_step_percent;
    state.current = 0.0;
    state.last_printed = 0.0;
    g_mutex_unlock(&state.lock);
    if (!enabled) {
        sigemptyset(&action.sa_mask);
        sigaction(SIGUSR1, &action, NULL);
    }
}

void progress_start(void)
{
    g_mutex_lock(&state.lock);
    if (state.enabled) {
        print_to(stdout, "\r");
    }
    g_mutex_unlock(&state.lock);
}

/* A value is worth printing when it moved by more than the step, or is the end. */
static gboolean worth_printing(double percent)
{
    return percent > state.last_printed + state.min_step || percent >= 100.0;
}

void progress_update(uint64_t done, uint64_t total)
{
    double percent = total > 0 && done < total ? 100.0 * (double)done / (double)total : 100.0;

    g_mutex_lock(&state.lock);
    if (percent > state.current) {
        state.current = percent;
        if (state.enabled && worth_printing(percent)) {
            state.last_printed = percent;
            print_to(stdout, "\r");
        }
    }
    if (atomic_exchange(&print_asked, 0) && !state.enabled) {
        print_to(stderr, "\n");
    }
    g_mutex_unlock(&state.lock);
}

void progress_complete(void)
{
    g_mutex_lock(&state.lock);
    state.current = 100.0;
    if (state.enabled) {
        print_to(stdout, "\r");
    }
    g_mutex_unlock(&state.lock);
}

void progress_end(void)
{
    g_mutex_lock(&state.lock);
    if (state.enabled) {
        putchar('\n');
        fflush(stdout);
        state.enabled = FALSE;
    }
    g_mutex_unlock(&state.lock);
}
