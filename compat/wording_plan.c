/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What planners refuse, in stock's words where stock refuses it too.
 */
#include "compat/wording_plan.h"

#include "compat/wording.h"
#include "guest/abi/error_plan.h"

#define NEEDS_V3 "(use version=v3 or greater)"

static const struct wording_row rows[] = {
    {GUEST_ERR_PLAN_CLUSTER_SIZE, "Cluster size must be a power of two between 512 and 2048k"},
    {GUEST_ERR_PLAN_EXTL2_VERSION, "Extended L2 entries are only supported with compatibility "
                                   "level 1.1 and above " NEEDS_V3},
    {GUEST_ERR_PLAN_EXTL2_CLUSTER,
     "Extended L2 entries are only supported with cluster sizes of at least {0} bytes"},
    {GUEST_ERR_PLAN_BACKING_PREALLOC, "Backing file and preallocation can only be used at the "
                                      "same time if extended_l2 is on"},
    {GUEST_ERR_PLAN_BACKING_FORMAT_ALONE, "Backing format cannot be used without backing file"},
    {GUEST_ERR_PLAN_LAZY_VERSION,
     "Lazy refcounts only supported with compatibility level 1.1 and above " NEEDS_V3},
    {GUEST_ERR_PLAN_REFCOUNT_BITS,
     "Refcount width must be a power of two and may not exceed 64 bits"},
    {GUEST_ERR_PLAN_REFCOUNT_VERSION, "Different refcount widths than 16 bits require "
                                      "compatibility level 1.1 or above " NEEDS_V3},
    {GUEST_ERR_PLAN_RAW_WITHOUT_DATA_FILE, "data-file-raw requires data-file"},
    {GUEST_ERR_PLAN_RAW_WITH_BACKING,
     "Backing file and data-file-raw cannot be used at the same time"},
    {GUEST_ERR_PLAN_DATA_FILE_VERSION, "External data files are only supported with "
                                       "compatibility level 1.1 and above " NEEDS_V3},
    {GUEST_ERR_PLAN_COMPRESSION_VERSION, "Non-zlib compression type is only supported with "
                                         "compatibility level 1.1 and above " NEEDS_V3},
    {GUEST_ERR_PLAN_KEEP_WITHOUT_FILE, "Must not use 'keep_data_file=on' without 'data_file'"},
    {GUEST_ERR_PLAN_KEEP_INVISIBLE,
     "'keep_data_file=on' requires 'preallocation=metadata' or 'data_file_raw=on', or the file "
     "contents will not be visible"},
    {GUEST_ERR_PLAN_KEEP_PREALLOC,
     "Preallocating more than only metadata would overwrite the external data file's content and "
     "is therefore incompatible with 'keep_data_file=on'"},
    {GUEST_ERR_PLAN_SIZE_TOO_LARGE, "The image size is too large for file format 'qcow2' (try "
                                    "using a larger cluster size)"},
    {GUEST_ERR_PLAN_BACKING_NAME_LONG, "Could not assign backing file '{span}': Invalid argument"},
    {GUEST_ERR_PLAN_HEADER_FULL, "Could not write qcow2 header: No space left on device"},
    {GUEST_ERR_PLAN_PREALLOC_TOO_LARGE, "Could not preallocate metadata: File too large"},
    {GUEST_ERR_PLAN_MEASURE_TOO_LARGE,
     "The image size is too large (try using a larger cluster size)"},

    {GUEST_ERR_PLAN_SIZE_UNALIGNED, "The new size must be a multiple of 512"},
    {GUEST_ERR_PLAN_V2_SNAPSHOTS, "Can't resize a v2 image which has snapshots"},
    {GUEST_ERR_PLAN_L1_TOO_LARGE, "Failed to grow the L1 table: File too large"},
    {GUEST_ERR_PLAN_RESIZE_FORMAT, "Image format driver does not support resize"},
    {GUEST_ERR_PLAN_RESIZE_BITMAPS,
     "Bitmap '{span}' doesn't satisfy the constraints: Too much space will be occupied by the "
     "bitmap. Use larger granularity"},
    {GUEST_ERR_PLAN_BITMAP_IN_USE, "Bitmap '{span}' is inconsistent and cannot be used\n"
                                   "Try block-dirty-bitmap-remove to delete this bitmap from disk"},
    {GUEST_ERR_PLAN_RESIZE_OCCUPIED,
     "Clusters behind the end of the disk are in use (entry at offset {0#x})"},
    {GUEST_ERR_PLAN_ZERO_V2, "Failed to zero out new clusters: Operation not supported"},
    {GUEST_ERR_PLAN_TABLE_FULL, "Failed to resize refcount structures: File too large"},

    {GUEST_ERR_PLAN_SNAPSHOTS_FULL, "File too large"},
    {GUEST_ERR_PLAN_SNAPSHOT_BITMAPS, "Device has active dirty bitmaps"},
    {GUEST_ERR_PLAN_SNAPSHOT_DATA, "Operation not supported"},
    {GUEST_ERR_PLAN_SNAPSHOT_SIZE, "A snapshot of {0} bytes does not fit the image"},

    {GUEST_ERR_PLAN_BACKING_RAW, "Invalid argument"},
    {GUEST_ERR_PLAN_BACKING_LONG, "Invalid argument"},
    {GUEST_ERR_PLAN_BACKING_FULL, "No space left in the file header"},
    {GUEST_ERR_PLAN_BITMAP_NO_NAME, "Bitmap name cannot be empty"},
    {GUEST_ERR_PLAN_BITMAP_GRANULARITY, "Granularity must be power of 2 and at least 512"},
    {GUEST_ERR_PLAN_BITMAP_EXISTS, "Bitmap already exists: {span}"},
    {GUEST_ERR_PLAN_BITMAP_NOT_FOUND, "Dirty bitmap '{span}' not found"},
    {GUEST_ERR_PLAN_BITMAP_SIZES, "Bitmaps are of different sizes (destination size is {0}, source "
                                  "size is {1}) and can't be merged"},
    {GUEST_ERR_PLAN_BITMAP_V2, "Cannot store dirty bitmaps in qcow2 v2 files"},
    {GUEST_ERR_PLAN_BITMAP_NAME_LONG, "Name length exceeds maximum (1023 characters)"},
    {GUEST_ERR_PLAN_BITMAP_LARGE,
     "Too much space will be occupied by the bitmap. Use larger granularity"},
    {GUEST_ERR_PLAN_BITMAPS_MANY, "Maximum number of persistent bitmaps is already reached"},
    {GUEST_ERR_PLAN_BITMAPS_FULL, "Not enough space in the bitmap directory"},

    {GUEST_ERR_PLAN_AMEND_SNAPSHOTS, "Internal snapshots prevent downgrade of image"},
    {GUEST_ERR_PLAN_AMEND_FEATURES,
     "Cannot downgrade an image with incompatible features {0#x} set"},
    {GUEST_ERR_PLAN_AMEND_DATA_FILE, "Cannot downgrade an image with a data file"},
    {GUEST_ERR_PLAN_AMEND_WIDTH, "compat=0.10 requires refcount_bits=16"},
    {GUEST_ERR_PLAN_AMEND_DECREASE, "Cannot decrease refcount entry width to {0} bits: Cluster at "
                                    "offset {1#x} has a refcount of {2}"},
    {GUEST_ERR_PLAN_AMEND_COMPRESSED,
     "Cannot downgrade an image with zstd compression type and existing compressed clusters"},

    {GUEST_ERR_PLAN_DIRTY, "The image was not closed properly: repair it before it is changed"},
    {GUEST_ERR_PLAN_CORRUPT,
     "The image's refcounts are wrong (seen at offset {0#x}): repair it before it is changed"},
    {GUEST_ERR_PLAN_REFCOUNT_FULL, "Cluster at offset {0#x} has as many references as fit"},
    {GUEST_ERR_PLAN_BITMAPS, "Writing to an image that has bitmaps is not built yet"},
    {GUEST_ERR_PLAN_ENCRYPTED, "Writing to an encrypted image is not built yet"},
};

void wording_register_plan(void)
{
    wording_register(rows, sizeof(rows) / sizeof(rows[0]));
}
