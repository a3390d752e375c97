/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QED's sentences, as stock qemu-img 7.2 to 11.1 print them.
 */
#include "compat/wording_qed.h"

#include "compat/wording.h"
#include "guest/abi/error_qed.h"

static const struct wording_row rows[] = {
    {QED_ERR_NOT_QED, "Image not in QED format"},
    {QED_ERR_FEATURES, "Unsupported QED features: {0x}"},
    {QED_ERR_CLUSTER_SIZE, "QED cluster size is invalid"},
    {QED_ERR_TABLE_SIZE, "QED table size is invalid"},
    {QED_ERR_IMAGE_SIZE, "QED image size is invalid"},
    {QED_ERR_TABLE_OFFSET, "QED table offset is invalid"},
    {QED_ERR_HEADER_LARGE, "QED header size is too large"},
    {QED_ERR_BACKING_OFFSET, "QED backing filename offset is invalid"},
    {QED_ERR_BACKING_NAME, "Failed to read backing filename"},

    {QED_ERR_CREATE_CLUSTER_SIZE,
     "QED cluster size must be within range [4096, 67108864] and power of 2"},
    {QED_ERR_CREATE_TABLE_SIZE, "QED table size must be within range [1, 16] and power of 2"},
    {QED_ERR_CREATE_TABLE_SIZE_INTEGER, "Parameter 'table-size' expects integer"},
    {QED_ERR_CREATE_IMAGE_SIZE, "QED image size must be a non-zero multiple of cluster size and "
                                "less than {0} bytes"},
    {QED_ERR_CREATE_BACKING_NAME, "The backing file's name does not fit into the QED header"},

    {QED_ERR_RESIZE_BACKING, "Block driver does not support requested flags"},
    {QED_ERR_RESIZE_PREALLOC, "Unsupported preallocation mode '{span}'"},
    {QED_ERR_RESIZE_SIZE, "Invalid image size specified"},
};

void wording_register_qed(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
