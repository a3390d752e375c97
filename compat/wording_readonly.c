/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bochs, cloop and dmg: sentences as stock qemu-img 7.2 to 11.1 print them.
 */
#include "compat/wording_readonly.h"

#include <glib.h>

#include "compat/wording.h"
#include "guest/abi/error_bochs.h"
#include "guest/abi/error_cloop.h"
#include "guest/abi/error_dmg.h"

static const struct wording_row rows[] = {
    {GUEST_ERR_READ_ONLY, "Image is read-only"},

    {BOCHS_ERR_MAGIC, "Image not in Bochs format"},
    {BOCHS_ERR_CATALOG_LARGE, "Catalog size is too large"},
    {BOCHS_ERR_EXTENT_SMALL, "Extent size must be at least 512"},
    {BOCHS_ERR_EXTENT_ODD, "Extent size {0} is not a power of two"},
    {BOCHS_ERR_EXTENT_LARGE, "Extent size {0} is too large"},
    {BOCHS_ERR_CATALOG_SMALL, "Catalog size is too small for this disk size"},

    {CLOOP_ERR_BLOCK_ODD, "block_size {0} must be a multiple of 512"},
    {CLOOP_ERR_BLOCK_ZERO, "block_size cannot be zero"},
    {CLOOP_ERR_BLOCK_LARGE, "block_size {0} must be 64 MB or less"},
    {CLOOP_ERR_BLOCKS, "n_blocks {0} must be {1} or less"},
    {CLOOP_ERR_NO_TABLE, "Could not allocate offsets table"},
    {CLOOP_ERR_OFFSETS, "image requires too many offsets, try increasing block size"},
    {CLOOP_ERR_ORDER, "offsets not monotonically increasing at index {0}, image file is corrupt"},
    {CLOOP_ERR_SIZE, "invalid compressed block size at index {0}, image file is corrupt"},

    {DMG_ERR_SHORT, "dmg file must be at least 512 bytes long"},
    {DMG_ERR_TRAILER, "Could not locate UDIF trailer in dmg file"},
    {DMG_ERR_INVALID, "Could not open '{name}': Invalid argument"},
    {DMG_ERR_SECTOR_COUNT, "Could not refresh total sector count: File too large"},
    {DMG_ERR_SECTORS, "sector count {0} for chunk {1} is larger than max ({2})"},
    {DMG_ERR_LENGTH, "length {0} for chunk {1} is larger than max ({2})"},
    {DMG_ERR_RAW_LENGTH, "length {0} for chunk {1} is inconsistent with sector count {2}"},
    {DMG_WARN_TYPE,
     "Image contains chunks of unknown type {0x}, accessing them will result in I/O errors"},
};

void wording_register_readonly(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
