/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of a block device that an image does not fit on.
 *
 * source: each format created by stock 7.2 and 11.1 on loop devices of 4 KiB to 4 MiB
 */
#include <errno.h>
#include <string.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "src/plan/create_private.h"

#define VHDX_HEADERS_END ((128u << 10) + (4u << 10)) /* the second header and all of it */

static const char cannot_grow[] = "Cannot grow device files";

gboolean create_device_check(const struct create_opts *opts, struct endpoint *endpoint,
                             GError **error)
{
    return strcmp(create_opts_format(opts)->name, "qed") != 0 || !create_file_is_block(endpoint) ||
           wording_fail(error, "Cannot resize device files");
}

static gboolean is_static(const struct create_opts *opts)
{
    const struct keyval_slot *slot = create_opts_slot(opts, "static");

    return slot != NULL && slot->number != 0;
}

static gboolean is_fixed(const struct create_opts *opts)
{
    const struct keyval_slot *slot = create_opts_slot(opts, "subformat");

    return slot != NULL && g_strcmp0(slot->text, "fixed") == 0;
}

gboolean create_device_small(const struct create_opts *opts, uint64_t capacity_bytes,
                             GError **error)
{
    const char *format = create_opts_format(opts)->name, *full = g_strerror(ENOSPC);

    g_clear_error(error);
    if (strcmp(format, "vdi") == 0) {
        return is_static(opts)
                   ? wording_fail(error, "Failed to statically allocate file%s", cannot_grow)
                   : wording_fail(error, "Error writing bmap");
    }
    if (strcmp(format, "vhdx") == 0 && capacity_bytes < VHDX_HEADERS_END) {
        return wording_fail(error, "Failed to write image headers: %s", full);
    }
    if (strcmp(format, "parallels") == 0) {
        return wording_fail(error, "Failed to create Parallels image: %s",
                            g_strerror(profile_get()->id == PROFILE_11_1 ? EINVAL : ENOSPC));
    }
    if (strcmp(format, "qcow") == 0) {
        return wording_fail(error, "Could not create image: %s", full);
    }
    if (strcmp(format, "vpc") == 0 && !is_fixed(opts)) {
        return wording_fail(error, "Unable to create or write VHD header");
    }
    return wording_fail(error, cannot_grow);
}

/* Header, refcount table, one refcount block, L1 table: how far stock comes. */
gboolean create_device_small_qcow2(const struct create_qcow2 *options, uint64_t capacity_bytes,
                                   GError **error)
{
    uint64_t cluster = options->cluster_size_bytes;
    uint64_t l1_entries = options->size_bytes / (cluster * (cluster / 8)) + 1;
    const char *full = g_strerror(ENOSPC);

    if (capacity_bytes < cluster) {
        return wording_fail(error, "Could not write qcow2 header: %s", full);
    }
    if (capacity_bytes < 3 * cluster) {
        return wording_fail(error, "Could not write refcount table: %s", full);
    }
    return options->preallocation == PREALLOC_OFF ||
                   capacity_bytes / 8 < 3 * cluster / 8 + l1_entries
               ? wording_fail(error, "Could not resize image: Failed to grow the L1 table: %s",
                              full)
               : wording_fail(error, "Could not resize image: %s", cannot_grow);
}
