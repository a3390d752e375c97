/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a VMDK's extents are called, by the name of the image.
 */
#ifndef INSTAR_SRC_PLAN_VMDK_NAMES_H
#define INSTAR_SRC_PLAN_VMDK_NAMES_H

#include <glib.h>

#define VMDK_SPLIT_BYTES (2ull << 30)
#define VMDK_FILES_MAX   2048u

/*
 * `dir/name.suffix` with a tag before the last dot of the last component: a-flat.vmdk,
 * a-s001.vmdk, a-f001.vmdk.
 *
 * in:      i: from 0 on
 * returns: newly allocated
 */
char *vmdk_extent_path(const char *filename, const char *subformat, size_t i);

/* Behind the last slash. */
const char *vmdk_last_component(const char *path);

#endif
