/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a qcow image of version 1. The sentences are in compat/wording_qcow.c.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_QCOW_H
#define INSTAR_GUEST_ABI_ERROR_QCOW_H

#include "guest/abi/error.h"

enum qcow_err {
    QCOW_ERR_NOT_QCOW = GUEST_ERR_QCOW, /* no magic */
    QCOW_ERR_VERSION,                   /* n0: the version */
    QCOW_ERR_VERSION_QCOW2,             /* n0: the version, one of qcow2's */
    QCOW_ERR_SIZE_SMALL,
    QCOW_ERR_CLUSTER_BITS,
    QCOW_ERR_L2_BITS,
    QCOW_ERR_CRYPT_METHOD,
    QCOW_ERR_SIZE_LARGE,
    QCOW_ERR_OUTSIDE, /* a table or a name so far out that no file reaches there */
    QCOW_ERR_BACKING_NAME,
    QCOW_ERR_ENCRYPTED, /* data is looked at without a key */

    /* create */
    QCOW_ERR_CREATE_EMPTY = GUEST_ERR_QCOW + 32,
    QCOW_ERR_CREATE_ENCRYPT_FORMAT,
};

#endif
