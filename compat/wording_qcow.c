/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of qcow version 1, as stock qemu-img 7.2 to 11.1 print them.
 */
#include "compat/wording_qcow.h"

#include "compat/wording.h"
#include "guest/abi/error_qcow.h"

static const struct wording_row rows[] = {
    {QCOW_ERR_NOT_QCOW, "Image not in qcow format"},
    {QCOW_ERR_VERSION, "qcow (v1) does not support qcow version {0}"},
    {QCOW_ERR_VERSION_QCOW2,
     "qcow (v1) does not support qcow version {0}\nTry the 'qcow2' driver instead."},
    {QCOW_ERR_SIZE_SMALL, "Image size is too small (must be at least 2 bytes)"},
    {QCOW_ERR_CLUSTER_BITS, "Cluster size must be between 512 and 64k"},
    {QCOW_ERR_L2_BITS, "L2 table size must be between 512 and 64k"},
    {QCOW_ERR_CRYPT_METHOD, "invalid encryption method in qcow header"},
    {QCOW_ERR_SIZE_LARGE, "Image too large"},
    {QCOW_ERR_OUTSIDE, "Could not open '{name}': Input/output error"},
    {QCOW_ERR_BACKING_NAME, "Backing file name too long"},
    {QCOW_ERR_ENCRYPTED, "The image is encrypted and no key was given"},

    {QCOW_ERR_CREATE_EMPTY, "Image size is too small, cannot be zero length"},
    {QCOW_ERR_CREATE_ENCRYPT_FORMAT, "Unsupported encryption format"},
};

void wording_register_qcow(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
