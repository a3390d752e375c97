/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a Parallels image, and what its check finds. The sentences are in
 * compat/wording_parallels.c.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_PARALLELS_H
#define INSTAR_GUEST_ABI_ERROR_PARALLELS_H

#include "guest/abi/error.h"

enum parallels_err {
    PARALLELS_ERR_NOT_PARALLELS = GUEST_ERR_PARALLELS, /* no magic, or another version */
    PARALLELS_ERR_NO_TRACKS,
    PARALLELS_ERR_CLUSTER_LARGE,
    PARALLELS_ERR_BAT_LARGE,
    PARALLELS_ERR_BAT_SMALL,    /* does not cover the disk */
    PARALLELS_ERR_EXT_MAGIC,    /* n0: what stands there */
    PARALLELS_ERR_EXT_OFFSET,   /* beyond what a file can hold */
    PARALLELS_ERR_SECTOR_COUNT, /* virtual size of 2^63 and more */

    /* the format extension */
    PARALLELS_ERR_EXT_READ = GUEST_ERR_PARALLELS + 16, /* beyond what a file can hold */
    PARALLELS_ERR_EXT_SUM,
    PARALLELS_ERR_EXT_SHORT,          /* no room for a feature; n0: bytes that are left */
    PARALLELS_ERR_EXT_FLAGS,          /* any */
    PARALLELS_ERR_EXT_DATA_SIZE,      /* of a feature leaves the cluster */
    PARALLELS_ERR_EXT_FEATURE,        /* n0: one that nobody knows */
    PARALLELS_ERR_BITMAP_SHORT,       /* n0: bytes of its data */
    PARALLELS_ERR_BITMAP_SIZE,        /* n0: sectors it is for, n1: of the disk */
    PARALLELS_ERR_BITMAP_TABLE,       /* leaves the data */
    PARALLELS_ERR_BITMAP_GRANULARITY, /* n0: sectors */
    PARALLELS_ERR_BITMAP_TWICE,       /* text: its name */
    PARALLELS_ERR_BITMAP_TABLE_SIZE,  /* n0: entries, n1: that it should have */
    PARALLELS_ERR_BITMAP_DATA,        /* bits beyond what a file can hold */
    PARALLELS_WARN_EXT_IGNORED,       /* whoever writes does not see it */

    PARALLELS_ERR_CREATE_SIZE = GUEST_ERR_PARALLELS + 32,
    PARALLELS_ERR_CREATE_CLUSTER,
    PARALLELS_ERR_CREATE_FACTOR, /* more than 2^32 clusters */
    PARALLELS_ERR_RESIZE_PREALLOC,
    PARALLELS_ERR_RESIZE_SIZE,

    /* check: each as found, and the next as repaired */
    PARALLELS_FOUND_UNCLEAN = GUEST_ERR_PARALLELS + 64,
    PARALLELS_FIXED_UNCLEAN,
    PARALLELS_FOUND_DATA_OFF,
    PARALLELS_FIXED_DATA_OFF,
    PARALLELS_FOUND_OUTSIDE, /* n0: BAT index */
    PARALLELS_FIXED_OUTSIDE,
    PARALLELS_FOUND_LEAK, /* n0: bytes */
    PARALLELS_FIXED_LEAK,
    PARALLELS_FOUND_DUPLICATE, /* n0: BAT index */
    PARALLELS_FIXED_DUPLICATE,
};

#endif
