/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another virtual size for an image that a cell has open.
 *
 * A VMDK of several files may need further ones, and a descriptor that is too long to be replaced
 * in place becomes a file of its own that is renamed over the old one; files of extents that are no
 * part of the disk any more go, if they have the names that we would give them.
 */
#ifndef INSTAR_SRC_PLAN_RESIZE_IMAGE_H
#define INSTAR_SRC_PLAN_RESIZE_IMAGE_H

#include "guest/abi/plan.pb-c.h"
#include "src/graph/graph.h"

/* Opens the image again, as it was; NULL with *error. */
typedef struct image *resize_reopen(void *user, GError **error);

/*
 * Plans and carries out, or explains.
 *
 * in:      *image: replaced where it must be opened anew; request: all but what concerns files
 * out:     *image: may be NULL on failure
 */
gboolean resize_image(struct image **image, Abi__ResizeRequest *request, resize_reopen *reopen,
                      void *user, GError **error);

#endif
