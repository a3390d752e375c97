/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can go wrong with any image. Where stock knows only an errno, its text is given.
 */
#include "compat/wording_common.h"

#include "compat/wording.h"
#include "guest/abi/error.h"

static const struct wording_row rows[] = {
    {GUEST_ERR_IO, "{0e}"},
    {GUEST_ERR_RANGE, "The image names bytes outside its file"},
    {GUEST_ERR_NO_MEMORY, "Cannot allocate memory\n"
                          "The image needs more memory than INSTAR_CELL_MEMORY gives the cell."},
    {GUEST_ERR_BAD_REQUEST, "The cell was asked for something that makes no sense"},
    {GUEST_ERR_NO_NODE, "The cell was asked for an image that it does not have"},
    {GUEST_ERR_UNKNOWN_FORMAT, "Unknown driver '{span}'"},
    {GUEST_ERR_FORMAT_NOT_BUILT, "The '{span}' driver is not built yet in instar"},
    {GUEST_ERR_NOT_SUPPORTED, "Operation not supported"},
    {GUEST_ERR_BACKING_NAME, "The image names a file in a way that cannot be understood: '{span}'"},
    {GUEST_ERR_SNAPSHOT_NOT_FOUND, "Can't find snapshot"},
    {GUEST_ERR_DECODE, "Input/output error"},
    {GUEST_ERR_TOO_MUCH_WORK, "The image takes more work or depth than the cell allows"},
    {GUEST_ERR_INVALID, "Invalid argument"},
    {GUEST_ERR_FILE_TOO_LARGE, "File too large"},
    {GUEST_ERR_CHECKS_NOT_SUPPORTED, "This image format does not support checks"},
};

void wording_register_common(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
