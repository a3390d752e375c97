/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line: `    (12.34/100%)` and a carriage return on stdout with -p; one such line on
 * stderr at each SIGUSR1 without it.
 */
#ifndef COMPAT_PROGRESS_H
#define COMPAT_PROGRESS_H

#include <glib.h>
#include <stdint.h>

#define PROGRESS_STEP_CONVERT 1.0
#define PROGRESS_STEP_COMMIT  1.0
#define PROGRESS_STEP_AMEND   1.0
#define PROGRESS_STEP_COMPARE 2.0
#define PROGRESS_STEP_REBASE  2.0

/*
 * Starts progress for the process; there is one at a time.
 *
 * in:      enabled -p was given (and not cancelled); min_step_percent how far a value must move
 *          before it is printed again
 */
void progress_begin(gboolean enabled, double min_step_percent);

/* Prints 0.00: the work begins. */
void progress_start(void);

/*
 * Reports that done of total is done; done == total prints 100.00. Any thread may call it; calls
 * are cheap enough for each buffer. The value printed never goes back.
 */
void progress_update(uint64_t done, uint64_t total);

/* Prints 100.00 once more, as convert does when all is written and closed. */
void progress_complete(void);

/* Ends the line. */
void progress_end(void);

#endif
