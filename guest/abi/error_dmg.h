/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a dmg image. The sentences are in compat/wording_readonly.c.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_DMG_H
#define INSTAR_GUEST_ABI_ERROR_DMG_H

#include <stdbool.h>

#include "guest/abi/error.h"

enum dmg_err {
    DMG_ERR_SHORT = GUEST_ERR_DMG, /* less than a trailer */
    DMG_ERR_TRAILER,               /* no trailer where one would be */
    DMG_ERR_INVALID,               /* EINVAL */
    DMG_ERR_SECTOR_COUNT,          /* of a disk larger than any */
    DMG_ERR_SECTORS,               /* n0: sectors of a chunk, n1: its index, n2: the most */
    DMG_ERR_LENGTH,                /* n0: bytes of a chunk, n1: its index, n2: the most */
    DMG_ERR_RAW_LENGTH,            /* n0: bytes of a raw chunk, n1: its index, n2: its sectors */
    DMG_WARN_TYPE,                 /* n0: of a chunk that nobody knows */
};

/* Whether it is a line of its own in stock, before the one that says EINVAL. */
static inline bool dmg_err_is_line(uint32_t code)
{
    return code >= DMG_ERR_SECTORS && code <= DMG_ERR_RAW_LENGTH;
}

#endif
