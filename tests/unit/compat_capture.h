/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catches what a piece of code prints.
 */
#ifndef TESTS_UNIT_COMPAT_CAPTURE_H
#define TESTS_UNIT_COMPAT_CAPTURE_H

#include <glib.h>

/* Sends stdout and stderr to files in memory until capture_end. */
void capture_begin(void);

/* Puts stdout and stderr back and gives what went there; free with g_free. */
void capture_end(char **out_stdout, char **out_stderr);

#endif
