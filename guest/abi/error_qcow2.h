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
    QCOW2_ERR_CRYPT_METHOD,       /* n0: crypt_method */
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
    QCOW2_ERR_SECTOR_COUNT,          /* virtual size of 2^63 and more */

    /* opening: header extensions */
    QCOW2_ERR_EXT_LARGE = GUEST_ERR_QCOW2 + 32,
    QCOW2_ERR_EXT_BACKING_FORMAT, /* n0: length */
    QCOW2_ERR_EXT_CRYPTO_UNEXPECTED,
    QCOW2_ERR_EXT_CRYPTO_SIZE,  /* n0: length */
    QCOW2_ERR_EXT_CRYPTO_ALIGN, /* n0: offset, n1: cluster size */
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

/*
 * Whether a code is a corruption event: the host prints its sentence as a line of its own, once
 * for each image, and goes on as if reading had failed with EIO.
 */
static inline bool qcow2_err_is_event(unsigned code)
{
    return code >= QCOW2_EVENT_L2_OFFSET && code <= QCOW2_EVENT_LAST;
}

#endif
