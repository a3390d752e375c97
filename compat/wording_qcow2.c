/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2's sentences, as stock qemu-img 7.2 to 11.1 print them.
 */
#include "compat/wording_qcow2.h"

#include "compat/wording.h"
#include "guest/abi/error_qcow2.h"

#define CORRUPT(what)                                                                              \
    "qcow2: Image is corrupt: " what "; further non-fatal corruption events will be suppressed"
#define MARKING(what)                                                                              \
    "qcow2: Marking image as corrupt: " what "; further corruption events will be suppressed"
#define OVERLAP(what)  MARKING("Preventing invalid write on metadata (overlaps with " what ")")
#define READ_SNAPSHOTS "ERROR failed to read the snapshot table: "
#define SNAPSHOT_EXTRA                                                                             \
    "Too much extra metadata in snapshot table entry {0}\n"                                        \
    "You can force-remove this extra metadata with qemu-img check -r all"
#define SNAPSHOT_TABLE_BIG                                                                         \
    "Snapshot table is too big\n"                                                                  \
    "You can force-remove all {0} overhanging snapshots with qemu-img check -r all"
/* Stock ends this hint without a newline. */
#define RUN_CHECK                                                                                  \
    "Some clusters may be leaked, run 'qemu-img check -r' on the image file to "                   \
    "fix." WORDING_UNTERMINATED
#define IN_TABLE "(L2 offset: {0#x}, L2 index: {1#x})"

static const struct wording_row rows[] = {
    {QCOW2_ERR_NOT_QCOW2, "Image is not in qcow2 format"},
    {QCOW2_ERR_VERSION, "Unsupported qcow2 version {0}"},
    {QCOW2_ERR_CLUSTER_BITS, "Unsupported cluster size: 2^{0}"},
    {QCOW2_ERR_HEADER_SHORT, "qcow2 header too short"},
    {QCOW2_ERR_HEADER_LONG, "qcow2 header exceeds cluster size"},
    {QCOW2_ERR_BACKING_OFFSET, "Invalid backing file offset"},
    {QCOW2_ERR_BACKING_NAME_LONG, "Backing file name too long"},
    {QCOW2_ERR_FEATURES_NAMED, "Unsupported qcow2 feature(s): {span}"},
    {QCOW2_ERR_FEATURES_UNNAMED,
     "Unsupported qcow2 feature(s): Unknown incompatible feature: {0x}"},
    {QCOW2_ERR_FEATURES_BOTH,
     "Unsupported qcow2 feature(s): {span}, Unknown incompatible feature: {0x}"},
    {QCOW2_ERR_CORRUPT_READ_WRITE, "qcow2: Image is corrupt; cannot be opened read/write"},
    {QCOW2_ERR_SUBCLUSTER_SIZE, "Unsupported subcluster size: {0}"},
    {QCOW2_ERR_REFCOUNT_ORDER, "Reference count entry width too large; may not exceed 64 bits"},
    {QCOW2_ERR_CRYPT_METHOD, "Unsupported encryption method {0d}"},
    {QCOW2_ERR_NO_REFTABLE, "Image does not contain a reference count table"},
    {QCOW2_ERR_REFTABLE_LARGE, "Reference count table too large"},
    {QCOW2_ERR_REFTABLE_OFFSET, "Reference count table offset invalid"},
    {QCOW2_ERR_SNAPSHOTS_LARGE, "Snapshot table too large"},
    {QCOW2_ERR_SNAPSHOTS_OFFSET, "Snapshot table offset invalid"},
    {QCOW2_ERR_L1_LARGE, "Active L1 table too large"},
    {QCOW2_ERR_L1_OFFSET, "Active L1 table offset invalid"},
    {QCOW2_ERR_L1_SMALL, "L1 table is too small"},
    {QCOW2_ERR_TOO_BIG, "Image is too big"},
    {QCOW2_ERR_L1_READ, "Could not read L1 table: Input/output error"},
    {QCOW2_ERR_RAW_WITHOUT_DATA_FILE, "data-file-raw requires a data file"},
    {QCOW2_ERR_SECTOR_COUNT, "Could not refresh total sector count: File too large"},
    {QCOW2_ERR_COMPRESSION_UNKNOWN, "qcow2: unknown compression type: {0}"},
    {QCOW2_ERR_COMPRESSION_BIT_SET,
     "qcow2: Compression type incompatible feature bit must not be set"},
    {QCOW2_ERR_COMPRESSION_BIT_CLEAR,
     "qcow2: Compression type incompatible feature bit must be set"},

    {QCOW2_ERR_EXT_LARGE, "Header extension too large"},
    {QCOW2_ERR_EXT_BACKING_FORMAT, "ERROR: ext_backing_format: len={0} too large (>=16)"},
    {QCOW2_ERR_EXT_CRYPTO_UNEXPECTED,
     "CRYPTO header extension only expected with LUKS encryption method"},
    {QCOW2_ERR_EXT_CRYPTO_SIZE, "CRYPTO header extension size {0}, but expected size 16"},
    {QCOW2_ERR_EXT_CRYPTO_ALIGN,
     "Encryption header offset '{0}' is not a multiple of cluster size '{1}'"},
    {QCOW2_ERR_CRYPTO_MISSING, "CRYPTO header extension is missing"},
    {QCOW2_ERR_CRYPTO_OUTSIDE, "Request for data outside of extension header"},
    {QCOW2_ERR_EXT_BITMAPS_LENGTH, "bitmaps_ext: Invalid extension length"},
    {QCOW2_ERR_EXT_BITMAPS_RESERVED, "bitmaps_ext: Reserved field is not zero"},
    {QCOW2_ERR_EXT_BITMAPS_MANY,
     "bitmaps_ext: Image has {0} bitmaps, exceeding the QEMU supported maximum of 65535"},
    {QCOW2_ERR_EXT_BITMAPS_NONE, "found bitmaps extension with zero bitmaps"},
    {QCOW2_ERR_EXT_BITMAPS_OFFSET, "bitmaps_ext: invalid bitmap directory offset"},
    {QCOW2_ERR_EXT_BITMAPS_SIZE, "bitmaps_ext: bitmap directory size ({0}) exceeds the maximum "
                                 "supported size (67107840)"},

    {QCOW2_ERR_SNAPSHOT_EXTRA, SNAPSHOT_EXTRA},
    {QCOW2_ERR_SNAPSHOT_TABLE_BIG, SNAPSHOT_TABLE_BIG},
    {QCOW2_ERR_SNAPSHOT_READ, "Failed to read snapshot table"},
    {QCOW2_ERR_SNAPSHOT_L1_LARGE, "Snapshot L1 table too large"},
    {QCOW2_ERR_SNAPSHOT_L1_OFFSET, "Snapshot L1 table offset invalid"},
    {QCOW2_ERR_BITMAP_ENTRY, "Bitmap '{span}' doesn't satisfy the constraints"},
    {QCOW2_ERR_BITMAP_EXTRA, "Bitmap extra data is not supported"},
    {QCOW2_ERR_BITMAP_MORE, "More bitmaps found than specified in header extension"},
    {QCOW2_ERR_BITMAP_FEWER, "Less bitmaps found than specified in header extension"},
    {QCOW2_ERR_BITMAP_BROKEN, "Broken bitmap directory"},
    {QCOW2_ERR_BITMAP_TABLE, "Could not read bitmap_table table from image for bitmap '{span}': "
                             "Invalid argument"},
    {QCOW2_ERR_BITMAP_DATA, "Could not read bitmap '{span}' from image: Invalid argument"},
    {QCOW2_ERR_BITMAP_EMPTY, "Requested bitmap directory size is zero"},
    {QCOW2_ERR_BITMAP_READ, "Failed to read bitmap directory"},

    {QCOW2_WARN_BITMAPS_STALE, "a program lacking bitmap support modified this file, so all "
                               "bitmaps are now considered inconsistent\n" RUN_CHECK},
    {QCOW2_WARN_BITMAPS_V2,
     "This qcow2 v2 image contains bitmaps, but they may have been modified by a program without "
     "persistent bitmap support; so now they must all be considered inconsistent\n" RUN_CHECK},

    {QCOW2_ERR_NO_DATA_FILE, "'data-file' is required for this image"},
    {QCOW2_ERR_ENCRYPTED, "Reading encrypted qcow2 images is not supported yet"},

    {QCOW2_EVENT_L2_OFFSET, CORRUPT("L2 table offset {0#x} unaligned (L1 index: {1#x})")},
    {QCOW2_EVENT_CLUSTER_OFFSET,
     CORRUPT("Cluster allocation offset {0#x} unaligned (L2 offset: {1#x}, L2 index: {2#x})")},
    {QCOW2_EVENT_INVALID_ENTRY, CORRUPT("Invalid cluster entry found  " IN_TABLE)},
    {QCOW2_EVENT_ZERO_V2, CORRUPT("Zero cluster entry found in pre-v3 image " IN_TABLE)},
    {QCOW2_EVENT_COMPRESSED_DATA_FILE,
     CORRUPT("Compressed cluster entry found in image with external data file " IN_TABLE)},
    {QCOW2_EVENT_DATA_FILE_OFFSET,
     CORRUPT("External data file host cluster offset {0#x} does not match guest cluster offset: "
             "{1#x}, L2 index: {2#x})")},
    {QCOW2_EVENT_REFBLOCK_OFFSET,
     CORRUPT("Refblock offset {0#x} unaligned (reftable index: {1#x})")},

    {QCOW2_FOUND_SNAPSHOTS_LARGE, "ERROR snapshot table too large\n"
                                  "You can force-remove all {0} overhanging snapshots with "
                                  "qemu-img check -r all"},
    {QCOW2_FOUND_SNAPSHOTS_OFFSET, "ERROR snapshot table offset invalid"},
    {QCOW2_FOUND_SNAPSHOT_EXTRA, READ_SNAPSHOTS SNAPSHOT_EXTRA},
    {QCOW2_FOUND_SNAPSHOT_TABLE_BIG, READ_SNAPSHOTS SNAPSHOT_TABLE_BIG},
    {QCOW2_FOUND_PAST_END, "ERROR: counting reference for region exceeding the end of the file by "
                           "one cluster or more: offset 0x{0x} size 0x{1x}"},
    {QCOW2_FOUND_COUNT_OVERFLOW,
     "ERROR: overflow cluster offset=0x{0x}\n"
     "Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a "
     "clean copy if the image cannot be opened for writing"},
    {QCOW2_FOUND_L1_IO, "ERROR: I/O error in check_refcounts_l1"},
    {QCOW2_FOUND_L1_RESERVED, "ERROR found L1 entry with reserved bits set: {0x}"},
    {QCOW2_FOUND_L2_UNALIGNED,
     "ERROR l2_offset={0x}: Table is not cluster aligned; L1 entry corrupted"},
    {QCOW2_FOUND_L2_IO, "ERROR: I/O error in check_refcounts_l2"},
    {QCOW2_FOUND_L2_RESERVED, "ERROR found l2 entry with reserved bits set: {0x}"},
    {QCOW2_FOUND_COMPRESSED_COPIED,
     "ERROR: coffset=0x{0x}: copied flag must never be set for compressed clusters"},
    {QCOW2_FOUND_COMPRESSED_DATA_FILE, "ERROR compressed cluster {0} with data file, entry=0x{1x}"},
    {QCOW2_FOUND_COMPRESSED_BITMAP,
     "ERROR compressed cluster {0} with non-zero subcluster allocation bitmap, entry=0x{1x}"},
    {QCOW2_FOUND_BITMAP_CORRUPT,
     "ERROR offset={0x}: Allocated cluster has corrupted subcluster allocation bitmap"},
    {QCOW2_FOUND_ZERO_UNALIGNED,
     "ERROR offset={0x}: Preallocated cluster is not properly aligned; L2 entry corrupted."},
    {QCOW2_FOUND_DATA_UNALIGNED,
     "ERROR offset={0x}: Data cluster is not properly aligned; L2 entry corrupted."},
    {QCOW2_FOUND_UNALLOCATED_BITMAP,
     "ERROR: Unallocated cluster has non-zero subcluster allocation map"},
    {QCOW2_FOUND_SNAPSHOTS_DATA_FILE, "ERROR {0} snapshots in image with data file"},
    {QCOW2_FOUND_SNAPSHOT_L1_OFFSET,
     "ERROR snapshot {span} l1_offset={0#x}: L1 table is not cluster aligned; snapshot table entry "
     "corrupted"},
    {QCOW2_FOUND_SNAPSHOT_L1_SIZE,
     "ERROR snapshot {span} l1_size={0#x}: L1 table is too large; snapshot table entry corrupted"},
    {QCOW2_FOUND_REFTABLE_RESERVED, "ERROR refcount table entry {0} has reserved bits set"},
    {QCOW2_FOUND_REFBLOCK_UNALIGNED,
     "ERROR refcount block {0} is not cluster aligned; refcount table entry corrupted"},
    {QCOW2_FOUND_REFBLOCK_OUTSIDE, "ERROR refcount block {0} is outside image"},
    {QCOW2_FOUND_REFBLOCK_SHARED, "ERROR refcount block {0} refcount={1}"},
    {QCOW2_FOUND_REFBLOCK_EVENT,
     CORRUPT("Refblock offset {0#x} unaligned (reftable index: {1#x})")},
    {QCOW2_FOUND_NO_REFCOUNT, "Can't get refcount for cluster {0}: {1e}"},
    {QCOW2_FOUND_LEAK, "Leaked cluster {0} refcount={1} reference={2}"},
    {QCOW2_FOUND_MISSING, "ERROR cluster {0} refcount={1} reference={2}"},
    {QCOW2_FOUND_COPIED_L2,
     "ERROR OFLAG_COPIED L2 cluster: l1_index={0} l1_entry={1x} refcount={2}"},
    {QCOW2_FOUND_COPIED_DATA, "ERROR OFLAG_COPIED data cluster: l2_entry={0x} refcount={1}"},
    {QCOW2_FOUND_L2_UNREADABLE, "ERROR: Could not read L2 table: {0e}"},
    {QCOW2_FOUND_SNAPSHOT_INCOMPLETE, "ERROR snapshot table entry {0} is incomplete"},

    {QCOW2_FOUND_SNAPSHOTS_DROPPED, "Discarding {0} overhanging snapshots"},
    {QCOW2_FOUND_SNAPSHOT_EXTRA_DROPPED,
     "Discarding too much extra metadata in snapshot table entry {0} ({1} > {2})"},
    {QCOW2_FOUND_SNAPSHOTS_BIG_DROPPED,
     "Discarding {0} overhanging snapshots (snapshot table is too big)"},
    {QCOW2_FOUND_RESIZE_LIMIT, "Could not resize file: File too large"},
    {QCOW2_FOUND_RESIZE_FAILED, "ERROR could not resize image: File too large"},
    {QCOW2_FOUND_REBUILDING, "Rebuilding refcount structure"},
    {QCOW2_FOUND_REBUILD_NEEDED, "ERROR need to rebuild refcount structures"},
    {QCOW2_FOUND_REBUILT_BROKEN, "ERROR rebuilt refcount structure is still broken"},
    {QCOW2_FOUND_REFBLOCK_WRITE, "ERROR writing refblock: Input/output error"},
    {QCOW2_FOUND_REFTABLE_WRITE, "ERROR writing reftable: Input/output error"},
    {QCOW2_FOUND_L2_WRITE,
     "ERROR: Could not write L2 table; metadata overlap check failed: Input/output error"},
    {QCOW2_FOUND_SNAPSHOTS_WRITE, "ERROR failed to update snapshot table: Input/output error"},
    {QCOW2_FOUND_MARKED_REFBLOCK,
     MARKING("Refblock offset {0#x} unaligned (reftable index: {1#x})")},
    {QCOW2_FOUND_OVERLAP_HEADER, OVERLAP("qcow2_header")},
    {QCOW2_FOUND_OVERLAP_L1, OVERLAP("active L1 table")},
    {QCOW2_FOUND_OVERLAP_L2, OVERLAP("active L2 table")},
    {QCOW2_FOUND_OVERLAP_REFTABLE, OVERLAP("refcount table")},
    {QCOW2_FOUND_OVERLAP_SNAPSHOTS, OVERLAP("snapshot table")},
    {QCOW2_FOUND_OVERLAP_INACTIVE_L1, OVERLAP("inactive L1 table")},
    {QCOW2_FOUND_OVERLAP_BITMAPS, OVERLAP("bitmap directory")},
    {QCOW2_FOUND_OVERLAP_REFBLOCK, OVERLAP("refcount block")},
};

void wording_register_qcow2(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
