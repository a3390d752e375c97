/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a qcow2 image: codes of errors, and codes of check's findings.
 *
 * The sentence of each code is in compat/wording_qcow2.c; `n0` .. `n3` are the detail's numbers.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_QCOW2_H
#define INSTAR_GUEST_ABI_ERROR_QCOW2_H

#include <stdbool.h>

#include "guest/abi/error.h"

enum qcow2_err {
    /* opening: the header */
    QCOW2_ERR_NOT_QCOW2 = GUEST_ERR_QCOW2, /* no magic */
    QCOW2_ERR_VERSION,                     /* n0: version */
    QCOW2_ERR_CLUSTER_BITS,                /* n0: cluster_bits */
    QCOW2_ERR_HEADER_SHORT,
    QCOW2_ERR_HEADER_LONG,        /* longer than a cluster */
    QCOW2_ERR_BACKING_OFFSET,     /* outside the first cluster */
    QCOW2_ERR_BACKING_NAME_LONG,  /* or outside the first cluster */
    QCOW2_ERR_FEATURES_NAMED,     /* text: names; unknown incompatible features */
    QCOW2_ERR_FEATURES_UNNAMED,   /* n0: bits without a name */
    QCOW2_ERR_FEATURES_BOTH,      /* text: names; n0: bits without a name */
    QCOW2_ERR_CORRUPT_READ_WRITE, /* the corrupt bit forbids writing */
    QCOW2_ERR_REFCOUNT_ORDER,     /* refcounts wider than 64 bits */
    QCOW2_ERR_CRYPT_METHOD,       /* n0: crypt_method, sign-extended */
    QCOW2_ERR_NO_REFTABLE,        /* refcount_table_clusters is 0 */
    QCOW2_ERR_REFTABLE_LARGE,
    QCOW2_ERR_REFTABLE_OFFSET,
    QCOW2_ERR_SNAPSHOTS_LARGE,
    QCOW2_ERR_SNAPSHOTS_OFFSET,
    QCOW2_ERR_L1_LARGE,
    QCOW2_ERR_L1_OFFSET,
    QCOW2_ERR_L1_SMALL,              /* does not cover the virtual size */
    QCOW2_ERR_TOO_BIG,               /* virtual size beyond what L1 can hold */
    QCOW2_ERR_COMPRESSION_UNKNOWN,   /* n0: compression_type */
    QCOW2_ERR_COMPRESSION_BIT_SET,   /* the feature bit is set, the type is zlib */
    QCOW2_ERR_COMPRESSION_BIT_CLEAR, /* the feature bit is clear, the type is not zlib */
    QCOW2_ERR_SUBCLUSTER_SIZE,       /* n0: bytes, below 512 */
    QCOW2_ERR_L1_READ,               /* so far out that no file reaches there */
    QCOW2_ERR_RAW_WITHOUT_DATA_FILE, /* the autoclear bit without the incompatible one */
    QCOW2_ERR_SECTOR_COUNT,          /* virtual size of 2^63 and more */

    /* opening: header extensions */
    QCOW2_ERR_EXT_LARGE = GUEST_ERR_QCOW2 + 32,
    QCOW2_ERR_EXT_BACKING_FORMAT, /* n0: length */
    QCOW2_ERR_EXT_CRYPTO_UNEXPECTED,
    QCOW2_ERR_EXT_CRYPTO_SIZE,  /* n0: length */
    QCOW2_ERR_EXT_CRYPTO_ALIGN, /* n0: offset, n1: cluster size */
    QCOW2_ERR_CRYPTO_MISSING,   /* LUKS without the extension */
    QCOW2_ERR_CRYPTO_OUTSIDE,   /* its header is outside of the file */
    QCOW2_ERR_EXT_BITMAPS_LENGTH,
    QCOW2_ERR_EXT_BITMAPS_RESERVED,
    QCOW2_ERR_EXT_BITMAPS_MANY, /* n0: how many */
    QCOW2_ERR_EXT_BITMAPS_NONE,
    QCOW2_ERR_EXT_BITMAPS_OFFSET,
    QCOW2_ERR_EXT_BITMAPS_SIZE, /* n0: bytes */

    /* opening: snapshots and bitmaps */
    QCOW2_ERR_SNAPSHOT_EXTRA = GUEST_ERR_QCOW2 + 48, /* n0: index */
    QCOW2_ERR_SNAPSHOT_TABLE_BIG,                    /* n0: how many do not fit */
    QCOW2_ERR_SNAPSHOT_READ,                         /* the table cannot be read */
    QCOW2_ERR_SNAPSHOT_L1_LARGE,
    QCOW2_ERR_SNAPSHOT_L1_OFFSET,
    QCOW2_ERR_BITMAP_ENTRY, /* text: name; the entry breaks a rule */
    QCOW2_ERR_BITMAP_EXTRA,
    QCOW2_ERR_BITMAP_MORE, /* the directory holds more than the extension says */
    QCOW2_ERR_BITMAP_FEWER,
    QCOW2_ERR_BITMAP_BROKEN, /* an entry leaves the directory */
    QCOW2_ERR_BITMAP_TABLE,  /* text: name; an entry of its table is none */
    QCOW2_ERR_BITMAP_DATA,   /* text: name; its table has the wrong size */
    QCOW2_ERR_BITMAP_EMPTY,  /* the directory has no bytes */
    QCOW2_ERR_BITMAP_READ,   /* the directory cannot be read */

    /* opening: warnings, see OpenReply.warning */
    QCOW2_WARN_BITMAPS_STALE = GUEST_ERR_QCOW2 + 72,
    QCOW2_WARN_BITMAPS_V2,

    /* reading data: refused */
    QCOW2_ERR_NO_DATA_FILE = GUEST_ERR_QCOW2 + 80, /* the external data file was not given */
    QCOW2_ERR_ENCRYPTED,                           /* decryption is not built yet */

    /* reading data: corruption events, see qcow2_err_is_event */
    QCOW2_EVENT_L2_OFFSET = GUEST_ERR_QCOW2 + 96, /* n0: offset, n1: L1 index */
    QCOW2_EVENT_CLUSTER_OFFSET,                   /* n0: offset, n1: L2 table, n2: index */
    QCOW2_EVENT_INVALID_ENTRY,                    /* n0: L2 table, n1: index */
    QCOW2_EVENT_ZERO_V2,                          /* n0: L2 table, n1: index */
    QCOW2_EVENT_COMPRESSED_DATA_FILE,             /* n0: L2 table, n1: index */
    QCOW2_EVENT_DATA_FILE_OFFSET,                 /* n0: host offset, n1: guest offset, n2: index */
    QCOW2_EVENT_REFBLOCK_OFFSET,                  /* n0: offset, n1: refcount table index */
    QCOW2_EVENT_LAST = GUEST_ERR_QCOW2 + 127,
};

/* What check finds, in the order in which it looks. */
enum qcow2_finding {
    /* the snapshot table cannot be read; lines with the program's name */
    QCOW2_FOUND_SNAPSHOTS_LARGE = GUEST_ERR_QCOW2 + 128, /* n0: how many too many */
    QCOW2_FOUND_SNAPSHOTS_OFFSET,
    QCOW2_FOUND_SNAPSHOT_EXTRA,     /* n0: index */
    QCOW2_FOUND_SNAPSHOT_TABLE_BIG, /* n0: how many do not fit */

    /* an entry of it */
    QCOW2_FOUND_SNAPSHOT_INCOMPLETE, /* n0: index */

    /* counting references */
    QCOW2_FOUND_PAST_END,       /* n0: offset, n1: size */
    QCOW2_FOUND_COUNT_OVERFLOW, /* n0: offset */
    QCOW2_FOUND_L1_IO,
    QCOW2_FOUND_L1_RESERVED,  /* n0: entry */
    QCOW2_FOUND_L2_UNALIGNED, /* n0: offset */
    QCOW2_FOUND_L2_IO,
    QCOW2_FOUND_L2_RESERVED,          /* n0: entry */
    QCOW2_FOUND_COMPRESSED_COPIED,    /* n0: offset of the bytes */
    QCOW2_FOUND_COMPRESSED_DATA_FILE, /* n0: index, n1: entry */
    QCOW2_FOUND_COMPRESSED_BITMAP,    /* n0: index, n1: entry */
    QCOW2_FOUND_BITMAP_CORRUPT,       /* n0: offset */
    QCOW2_FOUND_ZERO_UNALIGNED,       /* n0: offset */
    QCOW2_FOUND_DATA_UNALIGNED,       /* n0: offset */
    QCOW2_FOUND_UNALLOCATED_BITMAP,
    QCOW2_FOUND_SNAPSHOTS_DATA_FILE, /* n0: how many */
    QCOW2_FOUND_SNAPSHOT_L1_OFFSET,  /* text: "id (name)", n0: offset */
    QCOW2_FOUND_SNAPSHOT_L1_SIZE,    /* text: "id (name)", n0: entries */
    QCOW2_FOUND_REFTABLE_RESERVED,   /* n0: index */
    QCOW2_FOUND_REFBLOCK_UNALIGNED,  /* n0: index */
    QCOW2_FOUND_REFBLOCK_OUTSIDE,    /* n0: index */
    QCOW2_FOUND_REFBLOCK_SHARED,     /* n0: index, n1: references */

    /* comparing them with the refcounts */
    QCOW2_FOUND_REFBLOCK_EVENT, /* n0: offset, n1: index; the corruption event of reading it */
    QCOW2_FOUND_NO_REFCOUNT,    /* n0: cluster, n1: errno */
    QCOW2_FOUND_LEAK,           /* n0: cluster, n1: refcount, n2: references */
    QCOW2_FOUND_MISSING,        /* n0: cluster, n1: refcount, n2: references */
    QCOW2_FOUND_COPIED_L2,      /* n0: L1 index, n1: entry, n2: refcount */
    QCOW2_FOUND_COPIED_DATA,    /* n0: entry, n1: refcount */
    QCOW2_FOUND_L2_UNREADABLE,  /* n0: errno */

    /* repairing; what is repaired has CELL_FINDING_REPAIRED, these say how it goes */
    QCOW2_FOUND_SNAPSHOTS_DROPPED,      /* n0: how many */
    QCOW2_FOUND_SNAPSHOT_EXTRA_DROPPED, /* n0: index, n1: bytes, n2: most bytes */
    QCOW2_FOUND_SNAPSHOTS_BIG_DROPPED,  /* n0: how many */
    QCOW2_FOUND_RESIZE_LIMIT,           /* the file cannot be so long; prefixed */
    QCOW2_FOUND_RESIZE_FAILED,
    QCOW2_FOUND_REBUILDING,
    QCOW2_FOUND_REBUILD_NEEDED,
    QCOW2_FOUND_REBUILT_BROKEN,
    QCOW2_FOUND_REFBLOCK_WRITE, /* prefixed */
    QCOW2_FOUND_REFTABLE_WRITE, /* prefixed */
    QCOW2_FOUND_L2_WRITE,
    QCOW2_FOUND_SNAPSHOTS_WRITE,
    QCOW2_FOUND_MARKED_REFBLOCK, /* as QCOW2_FOUND_REFBLOCK_EVENT, of an image that is written */
    /* what was to be written lies over metadata, in the order in which it is asked for */
    QCOW2_FOUND_OVERLAP_HEADER,
    QCOW2_FOUND_OVERLAP_L1,
    QCOW2_FOUND_OVERLAP_L2,
    QCOW2_FOUND_OVERLAP_REFTABLE,
    QCOW2_FOUND_OVERLAP_SNAPSHOTS,
    QCOW2_FOUND_OVERLAP_INACTIVE_L1,
    QCOW2_FOUND_OVERLAP_BITMAPS,
    QCOW2_FOUND_OVERLAP_REFBLOCK,
};

/*
 * Whether a code is a corruption event: the host prints its sentence as a line of its own, once
 * for each image, and goes on as if reading had failed with EIO.
 */
static inline bool qcow2_err_is_event(unsigned code)
{
    return code >= QCOW2_EVENT_L2_OFFSET && code <= QCOW2_EVENT_LAST;
}

#endif
