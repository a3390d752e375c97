/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a Bochs image. The sentences are in compat/wording_readonly.c.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_BOCHS_H
#define INSTAR_GUEST_ABI_ERROR_BOCHS_H

#include "guest/abi/error.h"

enum bochs_err {
    BOCHS_ERR_MAGIC = GUEST_ERR_BOCHS, /* names or version are not those of a growing redolog */
    BOCHS_ERR_CATALOG_LARGE,
    BOCHS_ERR_EXTENT_SMALL,
    BOCHS_ERR_EXTENT_ODD,   /* n0: bytes, no power of two */
    BOCHS_ERR_EXTENT_LARGE, /* n0: bytes */
    BOCHS_ERR_CATALOG_SMALL,
};

#endif
