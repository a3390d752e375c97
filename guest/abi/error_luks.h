/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with an encrypted image, its key or what is asked of it. The sentence of each
 * is in compat/wording_luks.c; `n0` .. `n3` are the detail's numbers, `text` its text.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_LUKS_H
#define INSTAR_GUEST_ABI_ERROR_LUKS_H

#include "guest/abi/error.h"

enum luks_err {
    /* the key */
    LUKS_ERR_NO_KEY = GUEST_ERR_LUKS, /* text: what stands before "key-secret" */
    LUKS_ERR_NO_SECRET,               /* text: the id */
    LUKS_ERR_SECRET_TEXT,             /* text: the id */
    LUKS_ERR_PASSWORD,
    LUKS_ERR_NOT_ENCRYPTED, /* text: what the options say, as in the next two */
    LUKS_ERR_OTHER_AES,
    LUKS_ERR_OTHER_LUKS,

    /* the header */
    LUKS_ERR_NOT_LUKS,
    LUKS_ERR_VERSION, /* n0 */
    LUKS_ERR_CIPHER_NAME,
    LUKS_ERR_CIPHER_MODE,
    LUKS_ERR_HASH_SPEC,
    LUKS_ERR_PAYLOAD_HEADER,
    LUKS_ERR_ITERATIONS,
    LUKS_ERR_SLOT_STRIPES,    /* n0: slot, n1: stripes */
    LUKS_ERR_SLOT_HEADER,     /* n0: slot */
    LUKS_ERR_SLOT_STATE,      /* n0: slot */
    LUKS_ERR_SLOT_ITERATIONS, /* n0: slot */
    LUKS_ERR_SLOT_PAYLOAD,    /* n0: slot */
    LUKS_ERR_SLOT_OVERLAP,    /* n0, n1: slots */
    LUKS_ERR_MODE_FORM,       /* text: all of cipher_mode */
    LUKS_ERR_HASH,            /* text */
    LUKS_ERR_MODE,            /* text */
    LUKS_ERR_CIPHER,          /* text; n0: key bytes */
    LUKS_ERR_IVGEN,           /* text */
    LUKS_ERR_IVGEN_HASH,
    LUKS_ERR_ESSIV_AES, /* n0: bytes of the hash, as in the next two */
    LUKS_ERR_ESSIV_SERPENT,
    LUKS_ERR_ESSIV_TWOFISH,
    LUKS_ERR_ESSIV_UNSUITED, /* text: cipher */
    LUKS_ERR_MODE_UNSUITED,  /* text: mode */
    LUKS_ERR_PAYLOAD_BEYOND, /* the payload starts past the end of the file */

    /* LUKS2 */
    LUKS2_ERR_DAMAGED = GUEST_ERR_LUKS + 64, /* no copy of the header has a right checksum */
    LUKS2_ERR_CHECKSUM_ALG,                  /* text */
    LUKS2_ERR_METADATA,                      /* not JSON, or a value that cannot be */
    LUKS2_ERR_REQUIREMENT,                   /* text */
    LUKS2_ERR_SEGMENT_TYPE,                  /* text */
    LUKS2_ERR_SEGMENTS,                      /* n0: how many */
    LUKS2_ERR_NO_DIGEST,
    LUKS2_ERR_INTEGRITY,
    LUKS2_ERR_SECTOR,     /* n0: bytes */
    LUKS2_ERR_KDF,        /* text */
    LUKS2_ERR_SLOT,       /* n0: slot */
    LUKS2_ERR_COST,       /* n0: slot, n1: KiB, n2: passes */
    LUKS2_ERR_ITERATIONS, /* n0: slot, n1: iterations */
    LUKS2_ERR_BEYOND,     /* the segment ends past the end of the file */

    /* amending */
    LUKS_ERR_KEYSLOT_RANGE = GUEST_ERR_LUKS + 96, /* n0 */
    LUKS_ERR_KEYSLOT_ACTIVE,                      /* n0 */
    LUKS_ERR_KEYSLOTS_FULL,
    LUKS_ERR_LAST_MATCH,
    LUKS_ERR_LAST_SLOT, /* n0 */
    LUKS_ERR_NOTHING_NAMED,
    LUKS_ERR_OLD_MISMATCH, /* n0: slot */
    LUKS_ERR_NO_MATCH,
    LUKS_ERR_KEYSLOT_ERASED, /* n0: slot */
};

#endif
