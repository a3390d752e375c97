/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and freeing results.
 */
#include "compat/result.h"

static void snapshot_free(void *data)
{
    struct snapshot_entry *entry = data;

    if (entry != NULL) {
        g_free(entry->id);
        g_free(entry->name);
        g_free(entry);
    }
}

void snapshot_entry_free(struct snapshot_entry *entry)
{
    snapshot_free(entry);
}

GPtrArray *snapshot_list_new(void)
{
    return g_ptr_array_new_with_free_func(snapshot_free);
}

static void bitmap_free(void *data)
{
    struct bitmap_entry *entry = data;

    g_free(entry->name);
    g_free(entry);
}

GPtrArray *bitmap_list_new(void)
{
    return g_ptr_array_new_with_free_func(bitmap_free);
}

static void extent_free(void *data)
{
    struct vmdk_extent *extent = data;

    g_free(extent->filename);
    g_free(extent->format);
    g_free(extent);
}

struct qcow2_info *qcow2_info_new(void)
{
    return g_new0(struct qcow2_info, 1);
}

struct luks_info *luks_info_new(void)
{
    struct luks_info *luks = g_new0(struct luks_info, 1);

    luks->nr_slots = LUKS_INFO_SLOTS;
    return luks;
}

struct vmdk_info *vmdk_info_new(void)
{
    struct vmdk_info *vmdk = g_new0(struct vmdk_info, 1);

    vmdk->extents = g_ptr_array_new_with_free_func(extent_free);
    return vmdk;
}

static void luks_free(struct luks_info *luks)
{
    if (luks != NULL) {
        g_free(luks->cipher_alg);
        g_free(luks->cipher_mode);
        g_free(luks->ivgen_alg);
        g_free(luks->ivgen_hash_alg);
        g_free(luks->hash_alg);
        g_free(luks->uuid);
        for (size_t i = 0; i < G_N_ELEMENTS(luks->slots); i++) {
            g_free(luks->slots[i].kdf);
        }
        g_free(luks);
    }
}

static void qcow2_free(struct qcow2_info *qcow2)
{
    if (qcow2 != NULL) {
        g_free(qcow2->data_file);
        g_clear_pointer(&qcow2->bitmaps, g_ptr_array_unref);
        luks_free(qcow2->luks);
        g_free(qcow2);
    }
}

static void vmdk_free(struct vmdk_info *vmdk)
{
    if (vmdk != NULL) {
        g_free(vmdk->create_type);
        g_ptr_array_unref(vmdk->extents);
        g_free(vmdk);
    }
}

static void child_free(void *data)
{
    struct image_child *child = data;

    g_free(child->name);
    image_info_free(child->info);
    g_free(child);
}

struct image_info *image_info_new(void)
{
    struct image_info *info = g_new0(struct image_info, 1);

    info->children = g_ptr_array_new_with_free_func(child_free);
    return info;
}

void image_info_free(struct image_info *info)
{
    if (info == NULL) {
        return;
    }
    g_free(info->filename);
    g_free(info->format);
    g_free(info->backing_filename);
    g_free(info->full_backing_filename);
    g_free(info->backing_filename_format);
    g_clear_pointer(&info->snapshots, g_ptr_array_unref);
    g_clear_pointer(&info->children, g_ptr_array_unref);
    g_free(info->limits);
    qcow2_free(info->specific.qcow2);
    luks_free(info->specific.luks);
    vmdk_free(info->specific.vmdk);
    g_free(info);
}

struct image_child *image_info_add_child(struct image_info *info, const char *name,
                                         struct image_info *child)
{
    struct image_child *entry = g_new0(struct image_child, 1);

    entry->name = g_strdup(name);
    entry->info = child;
    g_ptr_array_add(info->children, entry);
    return entry;
}
