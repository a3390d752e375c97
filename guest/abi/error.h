/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that can be wrong with an image, as numbers.
 *
 * A format or planner returns an enum guest_err and fills a struct guest_err_detail; no text is
 * formed in the guest. compat/wording.c owns qemu's sentence for each code. Codes are stable only
 * within one build: guest and host are always built together. Each format has a block of 256.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_H
#define INSTAR_GUEST_ABI_ERROR_H

#include <stdint.h>

#define GUEST_ERR_NUMBERS  4
#define GUEST_ERR_TEXT_MAX 1024

enum guest_err {
    GUEST_OK = 0,

    /* any format */
    GUEST_ERR_IO = 1,               /* the host could not read; number[0] is its errno */
    GUEST_ERR_RANGE = 2,            /* a read outside the blob */
    GUEST_ERR_NO_MEMORY = 3,        /* the arena is used up */
    GUEST_ERR_BAD_REQUEST = 4,      /* the host asked for something that makes no sense */
    GUEST_ERR_NO_NODE = 5,          /* no such node */
    GUEST_ERR_UNKNOWN_FORMAT = 6,   /* text: the format asked for */
    GUEST_ERR_FORMAT_NOT_BUILT = 7, /* text: a format that is recognised but not supported yet */
    GUEST_ERR_NOT_SUPPORTED = 8,    /* the driver has no such operation (ENOTSUP) */
    GUEST_ERR_BACKING_NAME = 9,     /* text: a reference that cannot be parsed */
    GUEST_ERR_SNAPSHOT_NOT_FOUND = 10,
    GUEST_ERR_DECODE = 11,         /* a compressed unit does not decode */
    GUEST_ERR_TOO_MUCH_WORK = 12,  /* a bound on work or depth was reached */
    GUEST_ERR_INVALID = 13,        /* EINVAL without a sentence of its own */
    GUEST_ERR_FILE_TOO_LARGE = 14, /* EFBIG */
    GUEST_ERR_CHECKS_NOT_SUPPORTED = 15,
    GUEST_ERR_READ_ONLY = 16, /* a format that is only read, opened for writing */

    /* first code of each format; a format's own list is in guest/abi/error_<format>.h */
    GUEST_ERR_QCOW2 = 256,
    GUEST_ERR_PLAN = 512,
    GUEST_ERR_VDI = 4096,
    GUEST_ERR_BOCHS = 4352,
    GUEST_ERR_CLOOP = 4608,
    GUEST_ERR_DMG = 4864,
    GUEST_ERR_VPC = 5120,
    GUEST_ERR_VHDX = 5376,
    GUEST_ERR_QED = 768,
    GUEST_ERR_QCOW = 1024,
    GUEST_ERR_PARALLELS = 1280,
    GUEST_ERR_VMDK = 2048,
    GUEST_ERR_LUKS = 6144,
    GUEST_ERR_LAST = 65535,
};

/*
 * What the sentence needs.
 *
 * number: up to four, their meaning stands beside the code
 * text:   bytes from the image or the request, shown escaped; not terminated
 */
struct guest_err_detail {
    uint64_t number[GUEST_ERR_NUMBERS];
    uint32_t text_len;
    uint8_t text[GUEST_ERR_TEXT_MAX];
};

#endif
