/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallels' sentences, as stock qemu-img 11.1 prints them.
 */
#include "compat/wording_parallels.h"

#include "compat/wording.h"
#include "guest/abi/error_parallels.h"

static const struct wording_row rows[] = {
    {PARALLELS_ERR_NOT_PARALLELS, "Image not in Parallels format"},
    {PARALLELS_ERR_NO_TRACKS, "Invalid image: Zero sectors per track"},
    {PARALLELS_ERR_CLUSTER_LARGE, "Invalid image: Too big cluster"},
    {PARALLELS_ERR_BAT_LARGE, "Catalog too large"},
    {PARALLELS_ERR_BAT_SMALL, "Invalid image: Catalog size too small for advertised disk size"},
    {PARALLELS_ERR_EXT_MAGIC,
     "Wrong parallels Format Extension magic: 0x{0x}, expected: 0xab234cef23dcea87"},
    {PARALLELS_ERR_EXT_OFFSET, "Invalid image: Too big offset"},
    {PARALLELS_ERR_SECTOR_COUNT, "Could not refresh total sector count: File too large"},

    {PARALLELS_ERR_CREATE_SIZE, "The image size is too large for file format 'parallels' (try "
                                "using a larger cluster size)"},
    {PARALLELS_ERR_CREATE_CLUSTER, "Cluster size is out of range for a Parallels image"},
    {PARALLELS_ERR_RESIZE_PREALLOC, "Unsupported preallocation mode"},
    {PARALLELS_ERR_RESIZE_SIZE, "Invalid image size specified"},

    {PARALLELS_FOUND_UNCLEAN, "ERROR image was not closed correctly"},
    {PARALLELS_FIXED_UNCLEAN, "Repairing image was not closed correctly"},
    {PARALLELS_FOUND_DATA_OFF, "ERROR data_off field has incorrect value"},
    {PARALLELS_FIXED_DATA_OFF, "Repairing data_off field has incorrect value"},
    {PARALLELS_FOUND_OUTSIDE, "ERROR cluster {0} is outside image"},
    {PARALLELS_FIXED_OUTSIDE, "Repairing cluster {0} is outside image"},
    {PARALLELS_FOUND_LEAK, "ERROR space leaked at the end of the image {0}"},
    {PARALLELS_FIXED_LEAK, "Repairing space leaked at the end of the image {0}"},
    {PARALLELS_FOUND_DUPLICATE, "ERROR duplicate offset in BAT entry {0}"},
    {PARALLELS_FIXED_DUPLICATE, "Repairing duplicate offset in BAT entry {0}"},
};

void wording_register_parallels(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
