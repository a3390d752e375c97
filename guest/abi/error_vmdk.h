/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a VMDK image: codes of errors, and codes of check's findings.
 *
 * The sentence of each code is in compat/wording_vmdk.c; `n0` .. `n3` are the detail's numbers.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_VMDK_H
#define INSTAR_GUEST_ABI_ERROR_VMDK_H

#include "guest/abi/error.h"

enum vmdk_err {
    /* the descriptor */
    VMDK_ERR_TOO_SMALL = GUEST_ERR_VMDK, /* an empty file */
    VMDK_ERR_DESCRIPTOR,                 /* no createType that could be read */
    VMDK_ERR_CREATE_TYPE,                /* text: a type that is not supported */
    VMDK_ERR_EXTENT_LINE,                /* text: the line */
    VMDK_ERR_EXTENTS_MANY,               /* n0: the most there may be */
    VMDK_ERR_IDS,                        /* no CID or parentCID, or a hint that does not end */
    VMDK_ERR_NESTED,                     /* an extent that is a descriptor itself */

    /* sparse extents */
    VMDK_ERR_NOT_SPARSE = GUEST_ERR_VMDK + 16, /* no magic */
    VMDK_ERR_VERSION,                          /* n0: version */
    VMDK_ERR_READ_ONLY,                        /* version 3 */
    VMDK_ERR_GT_LARGE,                         /* numGTEsPerGT */
    VMDK_ERR_GT_SPAN,                          /* what one grain table covers is nothing */
    VMDK_ERR_TRUNCATED,                        /* n0: bytes */
    VMDK_ERR_GRANULARITY,
    VMDK_ERR_GD_LARGE,
    VMDK_ERR_GD_READ,  /* so far out that no file reaches there */
    VMDK_ERR_RGD_READ, /* as above, the redundant directory */
    VMDK_ERR_FOOTER,
    VMDK_ERR_FOOTER_READ,
    VMDK_ERR_SECTOR_COUNT, /* 2^63 bytes and more */

    /* seSparse extents */
    VMDK_ERR_SE_MAGIC = GUEST_ERR_VMDK + 32, /* n0 */
    VMDK_ERR_SE_VERSION,                     /* n0 */
    VMDK_ERR_SE_GRAIN_SIZE,                  /* n0 */
    VMDK_ERR_SE_GT_SIZE,                     /* n0 */
    VMDK_ERR_SE_FLAGS,                       /* n0 */
    VMDK_ERR_SE_RESERVED,                    /* n0 .. n3 */
    VMDK_ERR_SE_VOLATILE,                    /* n0: magic */
    VMDK_ERR_SE_JOURNAL,

    /* creating */
    VMDK_ERR_PARAMETER = GUEST_ERR_VMDK + 80, /* text: a word that is none of an option's */
    VMDK_ERR_COMPAT6,
    VMDK_ERR_FLAT_BACKING,
    VMDK_ERR_FLAT_ZEROED,
    VMDK_ERR_TEXT_LONG, /* the descriptor does not fit into its place */

    /* writing */
    VMDK_ERR_STREAM_ALLOCATED = GUEST_ERR_VMDK + 96, /* a grain of a stream is written once */
    VMDK_ERR_WRITE_KIND,                             /* no writing of such extents */
    VMDK_ERR_RESIZE_KIND,                            /* nor another size */
    VMDK_ERR_RESIZE_PREALLOC,

    /* reading */
    VMDK_ERR_ENTRY = GUEST_ERR_VMDK + 48, /* n0: sector; a table entry that means nothing */
};

/* What check finds before it gives up. */
enum vmdk_finding {
    VMDK_FOUND_NO_EXTENT = GUEST_ERR_VMDK + 64, /* n0: sector */
    VMDK_FOUND_NO_OFFSET,                       /* n0: sector */
    VMDK_FOUND_PAST_END,                        /* n0: sector */
    VMDK_FOUND_REDUNDANT,                       /* n0: sector; the two tables differ */
    VMDK_FOUND_DIRECTORY,                       /* n0: number of a table */
    VMDK_FOUND_OVERLAP,                         /* n0: sector; its grain lies over another */
    VMDK_FOUND_OVER_METADATA,                   /* n0: sector; its grain lies over metadata */
    VMDK_FOUND_TABLE,                           /* n0: number of a table over other metadata */
    VMDK_FOUND_MARKER,                          /* n0: sector */
    VMDK_FOUND_TABLE_MARKER,                    /* n0: number of a table */
};

#endif
