/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs. Each takes a parsed command line and returns the exit code; what it has to say it has
 * said by then.
 */
#ifndef INSTAR_SRC_CMD_CMD_H
#define INSTAR_SRC_CMD_CMD_H

#include "compat/argv.h"

int cmd_amend(const struct invocation *inv);
int cmd_bench(const struct invocation *inv);
int cmd_bitmap(const struct invocation *inv);
int cmd_check(const struct invocation *inv);
int cmd_commit(const struct invocation *inv);
int cmd_compare(const struct invocation *inv);
int cmd_convert(const struct invocation *inv);
int cmd_create(const struct invocation *inv);
int cmd_dd(const struct invocation *inv);
int cmd_info(const struct invocation *inv);
int cmd_map(const struct invocation *inv);
int cmd_measure(const struct invocation *inv);
int cmd_rebase(const struct invocation *inv);
int cmd_resize(const struct invocation *inv);
int cmd_snapshot(const struct invocation *inv);

#endif
