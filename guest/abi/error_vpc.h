/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a VHD image: codes of errors, and codes of check's findings. The sentence
 * of each is in compat/wording_vpc.c; `n0` .. `n3` are the detail's numbers.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_VPC_H
#define INSTAR_GUEST_ABI_ERROR_VPC_H

#include "guest/abi/error.h"

enum vpc_err {
    VPC_ERR_TOO_SMALL = GUEST_ERR_VPC, /* no footer fits */
    VPC_ERR_NO_FOOTER,
    VPC_ERR_FOOTER_CHECKSUM,
    VPC_ERR_TOO_LARGE, /* EFBIG */
    VPC_ERR_DYNAMIC_READ,
    VPC_ERR_DYNAMIC_MAGIC,
    VPC_ERR_BLOCK_SIZE,  /* n0: bytes */
    VPC_ERR_BAT_SMALL,   /* does not cover the disk */
    VPC_ERR_BAT_LARGE,   /* n0: entries, sign-extended */
    VPC_ERR_BAT_READ,    /* so far out that no file reaches there */
    VPC_ERR_TRUNCATED,   /* a block, or the BAT, ends past the file */
    VPC_ERR_PARENT_NAME, /* a differencing disk that names no parent in a way we understand */
    VPC_ERR_SUBFORMAT,   /* text: what was asked for */
    VPC_ERR_SIZE_TOO_LARGE,
    VPC_ERR_RESIZE_KIND,
    VPC_ERR_RESIZE_PREALLOC,
    VPC_ERR_WRITE_MIXED,      /* a dynamic disk that says it is fixed */
    VPC_ERR_WRITE_SHORT,      /* a fixed disk whose file is shorter */
    VPC_ERR_PARENT_OTHER,     /* the parent found is not the one it was made from */
    VPC_ERR_PARENT_NAME_KIND, /* a name that cannot be written down */
    VPC_ERR_PARENT_FIXED,     /* a fixed disk has no parent */
    VPC_ERR_PARENT_FORMAT,    /* a parent of another format */
    VPC_ERR_PARENT_NONE,      /* a differencing disk without one */
};

enum vpc_finding {
    VPC_FOUND_NO_COPY = GUEST_ERR_VPC + 128, /* no footer at the end of the file */
    VPC_FOUND_COPY_DIFFERS,                  /* it says something else than the copy at the start */
    VPC_FOUND_FOOTER_FIELD,                  /* n0: offset in the footer */
    VPC_FOUND_DYNAMIC_CHECKSUM,
    VPC_FOUND_DYNAMIC_VERSION, /* n0: version */
    VPC_FOUND_BLOCK_METADATA,  /* n0: block, n1: offset; it lies over headers, BAT or footer */
    VPC_FOUND_BLOCK_OVERLAP,   /* n0: block, n1: other block, n2: offset */
    VPC_FOUND_BLOCK_BEYOND,    /* n0: block; allocated, but past the end of the disk */
    VPC_FOUND_LEAK,            /* n0: offset, n1: bytes that no block uses */
    VPC_FOUND_START,           /* the footer at the start is broken, the one at the end is sound */
    VPC_FOUND_BLOCK_OUTSIDE,   /* n0: block, n1: offset; it ends past the end of the file */
    VPC_FOUND_SHORT,           /* n0: bytes of the file, n1: bytes needed */
};

#endif
