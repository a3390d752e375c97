/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process returns.
 */
#ifndef COMPAT_EXIT_STATUS_H
#define COMPAT_EXIT_STATUS_H

#include "compat/result.h"

enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_ERROR = 1,

    EXIT_STATUS_CHECK_CORRUPT = 2,
    EXIT_STATUS_CHECK_LEAKS = 3,
    EXIT_STATUS_CHECK_UNSUPPORTED = 63,

    EXIT_STATUS_COMPARE_DIFFERENT = 1,
    EXIT_STATUS_COMPARE_OPEN = 2,   /* an image did not open, or a bad cache word */
    EXIT_STATUS_COMPARE_STATUS = 3, /* allocation status could not be read */
    EXIT_STATUS_COMPARE_READ = 4,   /* data could not be read, or a size is unknown */
};

/* The status of a check that ran: check_errors give 1, then corruptions 2, then leaks 3. */
int exit_status_check(const struct check_result *result);

int exit_status_compare(const struct compare_result *result);

#endif
