/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a VHDX image: codes of errors, and codes of check's findings. The sentence
 * of each is in compat/wording_vhdx.c; `n0` .. `n3` are the detail's numbers.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_VHDX_H
#define INSTAR_GUEST_ABI_ERROR_VHDX_H

#include <stdbool.h>

#include "guest/abi/error.h"

enum vhdx_err {
    VHDX_ERR_INVALID = GUEST_ERR_VHDX, /* EINVAL */
    VHDX_ERR_NOT_SUPPORTED,            /* ENOTSUP */
    VHDX_ERR_IO,                       /* EIO: so far out that no file reaches there */
    VHDX_ERR_NO_HEADER,
    VHDX_ERR_LOG_DIRTY, /* a log to be replayed, and the image is opened for reading */

    VHDX_ERR_SUBFORMAT, /* text: what was asked for */
    VHDX_ERR_LOG_ZERO,
    VHDX_ERR_LOG_LARGE,
    VHDX_ERR_BLOCK_SIZE,
    VHDX_ERR_SIZE_TOO_LARGE,
    VHDX_ERR_RESIZE_KIND, /* a fixed child, or one of a part of a sector */
    VHDX_ERR_RESIZE_PREALLOC,
    VHDX_ERR_RESIZE_ZERO,
    VHDX_ERR_RESIZE_BAT,       /* the table would have to move, and cannot */
    VHDX_ERR_PARENT_OTHER,     /* the parent found is not the one it was made from */
    VHDX_ERR_PARENT_NAME_KIND, /* a name that cannot be written down */
    VHDX_ERR_PARENT_FIXED,     /* a fixed disk has no parent */
    VHDX_ERR_PARENT_FORMAT,    /* a parent of another format */
    VHDX_ERR_PARENT_NONE,      /* a differencing disk without one */
    VHDX_ERR_PARENT_FULL,      /* the metadata has no room for another name */
    VHDX_ERR_TOO_LARGE,        /* EFBIG */

    /* lines of their own; the image is refused with EINVAL after them, see vhdx_err_is_line */
    VHDX_LINE_REGION = GUEST_ERR_VHDX + 32, /* n0, n1: start and end; n2, n3: of the other */
    VHDX_LINE_OVERFLOW,                     /* n0: BAT entry */
    VHDX_LINE_START,                        /* n0: BAT entry, n1: offset, n2: file size */
    VHDX_LINE_END,                          /* n0: BAT entry, n1: last offset, n2: file size */
    VHDX_LINE_LAST = GUEST_ERR_VHDX + 47,
};

/* What stock's check does not look at. */
enum vhdx_finding {
    VHDX_FOUND_HEADER = GUEST_ERR_VHDX + 128, /* n0: which, 1 or 2 */
    VHDX_FOUND_REGIONS,                       /* n0: which region table, 1 or 2 */
    VHDX_FOUND_OVERLAP,                       /* n0: BAT entry, n1: the other, n2: offset */
    VHDX_FOUND_NO_BITMAP,                     /* n0: BAT entry of a block partially there */
    VHDX_FOUND_BITMAP,                        /* n0: BAT entry of a bitmap, n1: offset */
};

/* Whether an error of opening is a line that comes before stock's own error. */
static inline bool vhdx_err_is_line(unsigned code)
{
    return code >= VHDX_LINE_REGION && code <= VHDX_LINE_LAST;
}

#endif
