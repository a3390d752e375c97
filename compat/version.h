/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--version` and `--help`.
 */
#ifndef COMPAT_VERSION_H
#define COMPAT_VERSION_H

/* Prints the two lines of --version: the profile's version in qemu's form, ours in parentheses. */
void version_print(void);

/* Prints the global help. */
void help_print(void);

#endif
