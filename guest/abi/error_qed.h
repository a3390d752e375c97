/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a QED image. The sentences are in compat/wording_qed.c.
 *
 * A check of a QED image has no lines for single findings, only totals, as in stock.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_QED_H
#define INSTAR_GUEST_ABI_ERROR_QED_H

#include "guest/abi/error.h"

enum qed_err {
    QED_ERR_NOT_QED = GUEST_ERR_QED, /* no magic */
    QED_ERR_FEATURES,                /* n0: the unknown ones */
    QED_ERR_CLUSTER_SIZE,
    QED_ERR_TABLE_SIZE,
    QED_ERR_IMAGE_SIZE,
    QED_ERR_TABLE_OFFSET,   /* of the L1 table */
    QED_ERR_HEADER_LARGE,   /* 4 GiB and more */
    QED_ERR_BACKING_OFFSET, /* the name lies outside the header */
    QED_ERR_BACKING_NAME,   /* too long */

    /* create */
    QED_ERR_CREATE_CLUSTER_SIZE = GUEST_ERR_QED + 32,
    QED_ERR_CREATE_TABLE_SIZE,
    QED_ERR_CREATE_TABLE_SIZE_INTEGER, /* a size, but no plain number */
    QED_ERR_CREATE_IMAGE_SIZE,         /* n0: the largest one, bytes */
    QED_ERR_CREATE_BACKING_NAME,       /* does not fit the header */

    /* resize */
    QED_ERR_RESIZE_BACKING = GUEST_ERR_QED + 48, /* a longer backing file would show */
    QED_ERR_RESIZE_PREALLOC,                     /* text: the mode */
    QED_ERR_RESIZE_SIZE,
};

#endif
