/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a VHDX. Stock has sentences for little of it.
 */
#include "compat/wording_vhdx.h"

#include "compat/wording.h"
#include "guest/abi/error_vhdx.h"

#define NOT_OPENED "Could not open '{name}': "
#define TRUNCATED  " points after end of file ({2}). Image has probably been truncated."

static const struct wording_row rows[] = {
    {VHDX_ERR_INVALID, NOT_OPENED "Invalid argument"},
    {VHDX_ERR_NOT_SUPPORTED, NOT_OPENED "Operation not supported"},
    {VHDX_ERR_IO, NOT_OPENED "Input/output error"},
    {VHDX_ERR_NO_HEADER, "No valid VHDX header found"},
    {VHDX_ERR_LOG_DIRTY, "VHDX image file '{name}' opened read-only, but contains a log that needs "
                         "to be replayed\nTo replay the log, run:\nqemu-img check -r all '{name}'"},

    {VHDX_ERR_SUBFORMAT, "Parameter 'subformat' does not accept value '{span}'"},
    {VHDX_ERR_LOG_ZERO, "Log size must be a multiple of 1 MB"},
    {VHDX_ERR_LOG_LARGE, "Log size must be smaller than 4 GB"},
    {VHDX_ERR_BLOCK_SIZE, "Block size must be a power of two"},
    {VHDX_ERR_SIZE_TOO_LARGE, "Image size too large; max of 64TB"},
    {VHDX_ERR_RESIZE_KIND, "A differencing VHDX of this kind keeps its size"},
    {VHDX_ERR_RESIZE_PREALLOC, "Preallocation is not supported for a VHDX"},
    {VHDX_ERR_RESIZE_ZERO, "A VHDX cannot become empty"},
    {VHDX_ERR_RESIZE_BAT,
     "The block table of this VHDX is too small for that, and its region table "
     "names it too far back to be moved"},
    {VHDX_ERR_PARENT_OTHER, "The backing file has changed since the differencing disk was made, or "
                            "is another one"},
    {VHDX_ERR_PARENT_NAME_KIND, "The name of the backing file cannot be stored in a VHDX"},
    {VHDX_ERR_PARENT_FIXED, "A fixed VHDX has no backing file"},
    {VHDX_ERR_PARENT_FORMAT, "backing_file must be a vhdx image"},
    {VHDX_ERR_PARENT_NONE, "A differencing VHDX always has a backing file"},
    {VHDX_ERR_PARENT_FULL, "The metadata of this VHDX has no room for another backing file"},

    {VHDX_ERR_TOO_LARGE, NOT_OPENED "File too large"},

    {VHDX_LINE_REGION, "VHDX region {0}-{1} overlaps with region {2}-{3}"},
    {VHDX_LINE_OVERFLOW, "VHDX BAT entry {0} offset overflow."},
    {VHDX_LINE_START, "VHDX BAT entry {0} start offset {1}" TRUNCATED},
    {VHDX_FOUND_HEADER, "ERROR header {0} is broken"},
    {VHDX_FOUND_REGIONS, "ERROR region table {0} is broken"},
    {VHDX_FOUND_OVERLAP, "ERROR BAT entry {0} at offset {2#x} lies over that of entry {1}"},
    {VHDX_FOUND_NO_BITMAP, "ERROR BAT entry {0} is partially present and has no sector bitmap"},
    {VHDX_FOUND_BITMAP, "ERROR BAT entry {0}: no sector bitmap can be at offset {1#x}"},
    {VHDX_LINE_END, "VHDX BAT entry {0} end offset {1}" TRUNCATED},
};

void wording_register_vhdx(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
