/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an overlay must write down about its parent besides its name: VHD and VHDX know it by a
 * GUID.
 */
#ifndef INSTAR_SRC_PLAN_PARENT_ID_H
#define INSTAR_SRC_PLAN_PARENT_ID_H

#include "src/graph/graph.h"

struct parent_id {
    uint8_t guid[16];
    size_t len; /* 16, or 0: not known */
    uint64_t time_sec;
};

/* Whether overlays of that format need it. */
gboolean parent_id_wanted(const char *format);

/*
 * Opens the parent and asks for it.
 *
 * in:      overlay: path of the overlay, which a relative name is relative to; name: of the parent,
 *          as it will be stored; name_format: what it is said to be; NULL: as the overlay
 * returns: FALSE with *error when it is not an image of the same format
 */
gboolean parent_id_read(const char *format, const char *overlay, const char *name,
                        const char *name_format, struct parent_id *out, GError **error);

#endif
