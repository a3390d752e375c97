/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VDI's sentences, as stock qemu-img 7.2 to 11.1 print them.
 */
#include "compat/wording_vdi.h"

#include <glib.h>

#include "compat/wording.h"
#include "guest/abi/error_vdi.h"

static const struct wording_row rows[] = {
    {VDI_ERR_DISK_SIZE, "Unsupported VDI image size (size is 0x{0x}, max supported is 0x{1x})"},
    {VDI_ERR_SIGNATURE, "Image not in VDI format (bad signature {0x8})"},
    {VDI_ERR_VERSION, "unsupported VDI image (version {0}.{1})"},
    {VDI_ERR_BMAP_OFFSET, "unsupported VDI image (unaligned block map offset 0x{0x})"},
    {VDI_ERR_DATA_OFFSET, "unsupported VDI image (unaligned data offset 0x{0x})"},
    {VDI_ERR_SECTOR_SIZE, "unsupported VDI image (sector size {0} is not 512)"},
    {VDI_ERR_BLOCK_SIZE, "unsupported VDI image (block size {0} is not 1048576)"},
    {VDI_ERR_BMAP_SMALL, "unsupported VDI image (disk size {0}, image bitmap has room for {1})"},
    {VDI_ERR_LINK_UUID, "unsupported VDI image (non-NULL link UUID)"},
    {VDI_ERR_PARENT_UUID, "unsupported VDI image (non-NULL parent UUID)"},
    {VDI_ERR_BLOCKS, "unsupported VDI image (too many blocks {0}, max is {1})"},

    {VDI_ERR_MAP_WRONG, "The image's block map is wrong (see qemu-img check): it is not changed"},
    {VDI_ERR_OVERLAP, "The image's header, block map and blocks overlap: it is not changed"},

    {VDI_FOUND_SHARED, "ERROR: block index {0} also used by {0}"},
    {VDI_FOUND_TOO_LARGE, "ERROR: block index {0} too large, is {1}"},
    {VDI_FOUND_ALLOCATED, "ERROR: allocated blocks mismatch, is {0}, should be {1}"},
};

void wording_register_vdi(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
