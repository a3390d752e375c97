/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `-T SPEC`: trace options of qemu's. instar has no such events, so every one named is unknown, as
 * stock says of names it does not have. (Tracing of the cell is INSTAR_TRACE.)
 */
#ifndef COMPAT_TRACE_H
#define COMPAT_TRACE_H

#include <glib.h>

/*
 * Reads [[enable=]PATTERN][,events=FILE][,file=FILE] and says what stock says about it.
 *
 * returns: FALSE when the process should end, with *exit_status set
 */
gboolean trace_parse(const char *spec, int *exit_status);

#endif
