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

    {PARALLELS_ERR_EXT_READ, "Failed to read Format Extension cluster: Input/output error"},
    {PARALLELS_ERR_EXT_SUM,
     "Wrong checksum in Format Extension header. Format extension is corrupted."},
    {PARALLELS_ERR_EXT_SHORT, "Can not read feature header, as remaining bytes ({0}) in Format "
                              "Extension is less than Feature header size (24)"},
    {PARALLELS_ERR_EXT_FLAGS, "Flags for extension feature are unsupported"},
    {PARALLELS_ERR_EXT_DATA_SIZE, "Feature data_size exceedes Format Extension cluster"},
    {PARALLELS_ERR_EXT_FEATURE, "Unknown feature: 0x{0x}"},
    {PARALLELS_ERR_BITMAP_SHORT, "Too small Bitmap Feature area in Parallels Format Extension: "
                                 "{0} bytes, expected at least 32 bytes"},
    {PARALLELS_ERR_BITMAP_SIZE,
     "Bitmap size (in sectors) {0d} differs from disk size in sectors {1d}"},
    {PARALLELS_ERR_BITMAP_TABLE, "Bitmaps feature corrupted: l1 table exceeds extension data_size"},
    {PARALLELS_ERR_BITMAP_GRANULARITY, "Bitmap granularity of {0} sectors is not supported"},
    {PARALLELS_ERR_BITMAP_TWICE, "Bitmap already exists: {span}"},
    {PARALLELS_ERR_BITMAP_TABLE_SIZE, "Bitmap table size {0} does not correspond to bitmap size "
                                      "and cluster size. Expected {1}"},
    {PARALLELS_ERR_BITMAP_DATA, "Failed to read bitmap data cluster: Input/output error"},
    {PARALLELS_WARN_EXT_IGNORED, "Format Extension ignored in RW mode"},

    {PARALLELS_ERR_CREATE_SIZE, "The image size is too large for file format 'parallels' (try "
                                "using a larger cluster size)"},
    {PARALLELS_ERR_CREATE_CLUSTER, "Cluster size is too large"},
    {PARALLELS_ERR_CREATE_FACTOR, "Image size is too large for this cluster size"},
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
