/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option tables of the drivers: rows end with a NULL name, in the order in which the Formatting
 * line prints them.
 */
#ifndef COMPAT_DRIVER_OPTIONS_H
#define COMPAT_DRIVER_OPTIONS_H

#include "compat/keyval.h"

extern const struct keyval_def size_create_options[]; /* raw: a size and nothing else */
extern const struct keyval_def file_create_options[]; /* the protocol of plain files */
extern const struct keyval_def
    existing_create_options[]; /* what must exist already: devices, nbd */
extern const struct keyval_def luks_create_options[];
extern const struct keyval_def parallels_create_options[];
extern const struct keyval_def qcow_create_options[];
extern const struct keyval_def qcow2_create_options[];
extern const struct keyval_def qed_create_options[];
extern const struct keyval_def vdi_create_options[];
extern const struct keyval_def vhdx_create_options[];
extern const struct keyval_def vmdk_create_options[];
extern const struct keyval_def vpc_create_options[];

extern const struct keyval_def luks_amend_options[];
extern const struct keyval_def qcow2_amend_options[];

#endif
