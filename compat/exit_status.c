/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From results to exit codes.
 */
#include "compat/exit_status.h"

int exit_status_check(const struct check_result *result)
{
    if (result->check_errors > 0) {
        return EXIT_STATUS_ERROR;
    }
    if (result->corruptions > 0) {
        return EXIT_STATUS_CHECK_CORRUPT;
    }
    return result->leaks > 0 ? EXIT_STATUS_CHECK_LEAKS : EXIT_STATUS_OK;
}

int exit_status_compare(const struct compare_result *result)
{
    return result->verdict == COMPARE_IDENTICAL ? EXIT_STATUS_OK : EXIT_STATUS_COMPARE_DIFFERENT;
}
