/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From result structs to trees. Which keys are there is decided here and nowhere else; their order
 * is the tree's.
 */
#include "compat/info_tree.h"

#include "compat/profile.h"

static void set_uint(struct value *object, const char *key, uint64_t number)
{
    value_set(object, key, value_uint(number));
}

static void set_bool(struct value *object, const char *key, gboolean truth)
{
    value_set(object, key, value_bool(truth));
}

static void set_text(struct value *object, const char *key, const char *text)
{
    value_set(object, key, value_text(text));
}

/* Optional members: left out when zero or NULL. */
static void set_nonzero(struct value *object, const char *key, uint64_t number)
{
    if (number != 0) {
        set_uint(object, key, number);
    }
}

static void set_optional(struct value *object, const char *key, const char *text)
{
    if (text != NULL) {
        set_text(object, key, text);
    }
}

/* ---- formats ---- */

/* What a slot of version 2 has beside what stock shows of version 1. */
static void set_derivation(struct value *tree, const struct luks_slot *slot)
{
    set_text(tree, "kdf", slot->kdf);
    if (slot->memory_kib > 0) {
        set_uint(tree, "memory", slot->memory_kib * 1024);
        set_uint(tree, "lanes", slot->lanes);
    }
}

static struct value *luks_slot_tree(const struct luks_slot *slot, unsigned version)
{
    struct value *tree = value_object();

    set_bool(tree, "active", slot->active);
    if (slot->active) {
        set_uint(tree, "iters", slot->iters);
        set_uint(tree, "stripes", slot->stripes);
        if (version == 2) {
            set_derivation(tree, slot);
        }
    }
    set_uint(tree, "key-offset", slot->key_offset_bytes);
    return tree;
}

static struct value *luks_tree(const struct luks_info *luks)
{
    struct value *tree = value_object(), *slots = value_list();

    set_text(tree, "cipher-alg", luks->cipher_alg);
    set_text(tree, "cipher-mode", luks->cipher_mode);
    set_text(tree, "ivgen-alg", luks->ivgen_alg);
    set_optional(tree, "ivgen-hash-alg", luks->ivgen_hash_alg);
    set_text(tree, "hash-alg", luks->hash_alg);
    if (profile_get()->info_children) {
        set_bool(tree, "detached-header", luks->detached_header);
    }
    set_uint(tree, "payload-offset", luks->payload_offset_bytes);
    set_uint(tree, "master-key-iters", luks->master_key_iters);
    set_text(tree, "uuid", luks->uuid);
    if (luks->version == 2) {
        set_uint(tree, "version", luks->version);
        set_uint(tree, "sector-size", luks->sector_size);
    }
    for (size_t i = 0; i < luks->nr_slots; i++) {
        value_append(slots, luks_slot_tree(&luks->slots[i], luks->version));
    }
    value_set(tree, "slots", slots);
    return tree;
}

static struct value *encrypt_tree(const struct qcow2_info *qcow2)
{
    struct value *tree;

    if (qcow2->encrypt == ENCRYPT_LUKS && qcow2->luks != NULL) {
        tree = luks_tree(qcow2->luks);
        set_text(tree, "format", "luks");
    } else {
        tree = value_object();
        set_text(tree, "format", qcow2->encrypt == ENCRYPT_LUKS ? "luks" : "aes");
    }
    return tree;
}

static struct value *bitmaps_tree(const GPtrArray *bitmaps)
{
    struct value *list = value_list();

    for (guint i = 0; i < bitmaps->len; i++) {
        const struct bitmap_entry *entry = g_ptr_array_index(bitmaps, i);
        struct value *tree = value_object(), *flags = value_list();

        if (entry->in_use) {
            value_append(flags, value_text("in-use"));
        }
        if (entry->auto_load) {
            value_append(flags, value_text("auto"));
        }
        value_set(tree, "flags", flags);
        set_text(tree, "name", entry->name);
        set_uint(tree, "granularity", entry->granularity_bytes);
        value_append(list, tree);
    }
    return list;
}

static struct value *qcow2_tree(const struct qcow2_info *qcow2)
{
    struct value *tree = value_object();

    set_text(tree, "compat", qcow2->version >= 3 ? "1.1" : "0.10");
    set_text(tree, "compression-type", qcow2->compression_type);
    set_uint(tree, "refcount-bits", qcow2->refcount_bits);
    if (qcow2->version >= 3) {
        set_bool(tree, "lazy-refcounts", qcow2->lazy_refcounts);
        set_bool(tree, "corrupt", qcow2->corrupt);
        set_bool(tree, "extended-l2", qcow2->extended_l2);
    }
    set_optional(tree, "data-file", qcow2->data_file);
    if (qcow2->have_data_file_raw) {
        set_bool(tree, "data-file-raw", qcow2->data_file_raw);
    }
    if (qcow2->bitmaps != NULL) {
        value_set(tree, "bitmaps", bitmaps_tree(qcow2->bitmaps));
    }
    if (qcow2->encrypt != ENCRYPT_NONE) {
        value_set(tree, "encrypt", encrypt_tree(qcow2));
    }
    return tree;
}

static struct value *vmdk_tree(const struct vmdk_info *vmdk)
{
    struct value *tree = value_object(), *extents = value_list();

    set_text(tree, "create-type", vmdk->create_type);
    set_uint(tree, "cid", vmdk->cid);
    set_uint(tree, "parent-cid", vmdk->parent_cid);
    for (guint i = 0; i < vmdk->extents->len; i++) {
        const struct vmdk_extent *extent = g_ptr_array_index(vmdk->extents, i);
        struct value *item = value_object();

        set_text(item, "filename", extent->filename);
        set_text(item, "format", extent->format);
        set_uint(item, "virtual-size", extent->virtual_size_bytes);
        set_nonzero(item, "cluster-size", extent->cluster_size_bytes);
        if (extent->compressed) {
            set_bool(item, "compressed", TRUE);
        }
        value_append(extents, item);
    }
    value_set(tree, "extents", extents);
    return tree;
}

struct value *info_tree_specific(const struct specific *specific)
{
    struct value *tree;

    switch (specific->kind) {
    case SPECIFIC_NONE:
        return NULL;
    case SPECIFIC_QCOW2:
        return qcow2_tree(specific->qcow2);
    case SPECIFIC_LUKS:
        return luks_tree(specific->luks);
    case SPECIFIC_VMDK:
        return vmdk_tree(specific->vmdk);
    case SPECIFIC_FILE:
    case SPECIFIC_RBD:
        break;
    }
    tree = value_object();
    if (specific->have_extent_size_hint) {
        set_uint(tree, "extent-size-hint", specific->extent_size_hint_bytes);
    }
    return tree;
}

static const char *specific_type(enum specific_kind kind)
{
    static const char *const names[] = {
        [SPECIFIC_FILE] = "file", [SPECIFIC_QCOW2] = "qcow2", [SPECIFIC_LUKS] = "luks",
        [SPECIFIC_VMDK] = "vmdk", [SPECIFIC_RBD] = "rbd",
    };

    return names[kind];
}

/* ---- images ---- */

static struct value *snapshots_tree(const GPtrArray *snapshots)
{
    struct value *list = value_list();

    for (guint i = 0; i < snapshots->len; i++) {
        const struct snapshot_entry *entry = g_ptr_array_index(snapshots, i);
        struct value *tree = value_object();

        set_text(tree, "id", entry->id);
        set_text(tree, "name", entry->name);
        set_uint(tree, "vm-state-size", entry->vm_state_size_bytes);
        set_uint(tree, "date-sec", entry->date_sec);
        set_uint(tree, "date-nsec", entry->date_nsec);
        set_uint(tree, "vm-clock-sec", entry->vm_clock_nsec / 1000000000);
        set_uint(tree, "vm-clock-nsec", entry->vm_clock_nsec % 1000000000);
        if (entry->have_icount) {
            set_uint(tree, "icount", entry->icount);
        }
        value_append(list, tree);
    }
    return list;
}

struct value *info_tree_limits(const struct limits_info *limits)
{
    struct value *tree = value_object();

    set_uint(tree, "request-alignment", limits->request_alignment);
    set_nonzero(tree, "max-discard", limits->max_discard);
    set_nonzero(tree, "discard-alignment", limits->discard_alignment);
    set_nonzero(tree, "max-write-zeroes", limits->max_write_zeroes);
    set_nonzero(tree, "write-zeroes-alignment", limits->write_zeroes_alignment);
    set_nonzero(tree, "opt-transfer", limits->opt_transfer);
    set_nonzero(tree, "max-transfer", limits->max_transfer);
    set_nonzero(tree, "max-hw-transfer", limits->max_hw_transfer);
    set_uint(tree, "max-iov", limits->max_iov);
    set_nonzero(tree, "max-hw-iov", limits->max_hw_iov);
    set_uint(tree, "min-mem-alignment", limits->min_mem_alignment);
    set_uint(tree, "opt-mem-alignment", limits->opt_mem_alignment);
    return tree;
}

static struct value *children_tree(const GPtrArray *children)
{
    struct value *list = value_list();

    for (guint i = 0; children != NULL && i < children->len; i++) {
        const struct image_child *child = g_ptr_array_index(children, i);
        struct value *tree = value_object();

        set_text(tree, "name", child->name);
        value_set(tree, "info", info_tree_image(child->info));
        value_append(list, tree);
    }
    return list;
}

static void set_specific(struct value *tree, const struct specific *specific)
{
    struct value *data = info_tree_specific(specific), *wrapped;

    if (data == NULL) {
        return;
    }
    wrapped = value_object();
    set_text(wrapped, "type", specific_type(specific->kind));
    value_set(wrapped, "data", data);
    value_set(tree, "format-specific", wrapped);
}

struct value *info_tree_image(const struct image_info *info)
{
    struct value *tree = value_object();

    set_text(tree, "filename", info->filename);
    set_text(tree, "format", info->format);
    set_uint(tree, "virtual-size", info->virtual_size_bytes);
    if (info->have_actual_size) {
        set_uint(tree, "actual-size", info->actual_size_bytes);
    }
    set_nonzero(tree, "cluster-size", info->cluster_size_bytes);
    if (info->encrypted) {
        set_bool(tree, "encrypted", TRUE);
    }
    if (info->have_dirty_flag) {
        set_bool(tree, "dirty-flag", info->dirty);
    }
    set_optional(tree, "backing-filename", info->backing_filename);
    set_optional(tree, "full-backing-filename", info->full_backing_filename);
    set_optional(tree, "backing-filename-format", info->backing_filename_format);
    if (info->snapshots != NULL && info->snapshots->len > 0) {
        value_set(tree, "snapshots", snapshots_tree(info->snapshots));
    }
    if (info->limits != NULL) {
        value_set(tree, "limits", info_tree_limits(info->limits));
    }
    set_specific(tree, &info->specific);
    if (profile_get()->info_children) {
        value_set(tree, "children", children_tree(info->children));
    }
    return tree;
}

/* ---- check, measure ---- */

struct value *info_tree_check(const struct check_result *result)
{
    struct value *tree = value_object();

    set_text(tree, "filename", result->filename);
    set_text(tree, "format", result->format);
    set_uint(tree, "check-errors", result->check_errors);
    if (result->have_image_end_offset) {
        set_nonzero(tree, "image-end-offset", result->image_end_offset_bytes);
    }
    set_nonzero(tree, "corruptions", result->corruptions);
    set_nonzero(tree, "leaks", result->leaks);
    set_nonzero(tree, "corruptions-fixed", result->corruptions_fixed);
    set_nonzero(tree, "leaks-fixed", result->leaks_fixed);
    set_nonzero(tree, "total-clusters", result->total_clusters);
    set_nonzero(tree, "allocated-clusters", result->allocated_clusters);
    set_nonzero(tree, "fragmented-clusters", result->fragmented_clusters);
    set_nonzero(tree, "compressed-clusters", result->compressed_clusters);
    return tree;
}

struct value *info_tree_measure(const struct measure_result *result)
{
    struct value *tree = value_object();

    set_uint(tree, "required", result->required_bytes);
    set_uint(tree, "fully-allocated", result->fully_allocated_bytes);
    if (result->have_bitmaps) {
        set_uint(tree, "bitmaps", result->bitmaps_bytes);
    }
    return tree;
}
