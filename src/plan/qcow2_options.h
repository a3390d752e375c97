/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 creation options, from the command line's struct to the cell's message.
 */
#ifndef INSTAR_SRC_PLAN_QCOW2_OPTIONS_H
#define INSTAR_SRC_PLAN_QCOW2_OPTIONS_H

#include "compat/create_opts.h"
#include "guest/abi/plan.pb-c.h"

/* Fills a message that borrows the strings of `from`. */
void qcow2_options_fill(const struct create_qcow2 *from, Abi__Qcow2CreateOptions *to);

#endif
