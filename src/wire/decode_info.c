/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to INFO: snapshots, bitmaps and what only the format knows.
 */
#include <string.h>

#include "compat/result.h"
#include "compat/wording.h"
#include "src/wire/decode.h"

static gboolean decode_snapshot(const Abi__Snapshot *snapshot, GPtrArray *list, GError **error)
{
    struct snapshot_entry *entry = g_new0(struct snapshot_entry, 1);

    g_ptr_array_add(list, entry);
    entry->id = wire_text(&snapshot->id, G_MAXUINT16);
    entry->name = wire_text(&snapshot->name, G_MAXUINT16);
    if (entry->id == NULL || entry->name == NULL) {
        return wire_refuse(error, "name of a snapshot");
    }
    entry->vm_state_size_bytes = snapshot->vm_state_size;
    entry->date_sec = snapshot->date_sec;
    entry->date_nsec = snapshot->date_nsec;
    entry->vm_clock_nsec = snapshot->vm_clock_nsec;
    entry->have_icount = snapshot->has_icount != 0;
    entry->icount = snapshot->icount;
    return TRUE;
}

static gboolean decode_snapshots(const Abi__InfoReply *reply, struct image_info *info,
                                 GError **error)
{
    if (reply->n_snapshot > WIRE_SNAPSHOTS_MAX) {
        return wire_refuse(error, "number of snapshots");
    }
    if (reply->n_snapshot == 0) {
        return TRUE;
    }
    info->snapshots = snapshot_list_new();
    for (size_t i = 0; i < reply->n_snapshot; i++) {
        if (!decode_snapshot(reply->snapshot[i], info->snapshots, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean decode_bitmaps(const Abi__Qcow2Info *qcow2, struct qcow2_info *out, GError **error)
{
    if (qcow2->n_bitmap > WIRE_BITMAPS_MAX) {
        return wire_refuse(error, "number of bitmaps");
    }
    out->bitmaps = bitmap_list_new();
    for (size_t i = 0; i < qcow2->n_bitmap; i++) {
        struct bitmap_entry *entry = g_new0(struct bitmap_entry, 1);

        g_ptr_array_add(out->bitmaps, entry);
        entry->name = wire_text(&qcow2->bitmap[i]->name, WIRE_NAME_MAX);
        if (entry->name == NULL) {
            return wire_refuse(error, "name of a bitmap");
        }
        entry->granularity_bytes = qcow2->bitmap[i]->granularity;
        entry->in_use = qcow2->bitmap[i]->in_use != 0;
        entry->auto_load = qcow2->bitmap[i]->auto_ != 0;
    }
    return TRUE;
}

static gboolean decode_qcow2(const Abi__Qcow2Info *qcow2, struct qcow2_info *out, GError **error)
{
    if (qcow2->version != 2 && qcow2->version != 3) {
        return wire_refuse(error, "qcow2 version");
    }
    out->version = qcow2->version;
    if (strcmp(qcow2->compression_type, "zlib") == 0) {
        out->compression_type = "zlib";
    } else if (strcmp(qcow2->compression_type, "zstd") == 0) {
        out->compression_type = "zstd";
    } else {
        return wire_refuse(error, "compression type");
    }
    if (qcow2->refcount_bits == 0 || qcow2->refcount_bits > 64 ||
        (qcow2->refcount_bits & (qcow2->refcount_bits - 1)) != 0) {
        return wire_refuse(error, "refcount bits");
    }
    out->refcount_bits = qcow2->refcount_bits;
    out->lazy_refcounts = qcow2->lazy_refcounts != 0;
    out->corrupt = qcow2->corrupt != 0;
    out->extended_l2 = qcow2->extended_l2 != 0;
    if (strcmp(qcow2->encrypt_format, "aes") == 0) {
        out->encrypt = ENCRYPT_AES;
    } else if (strcmp(qcow2->encrypt_format, "luks") == 0) {
        out->encrypt = ENCRYPT_LUKS;
    } else if (qcow2->encrypt_format[0] != '\0') {
        return wire_refuse(error, "encryption format");
    }
    if (qcow2->has_data_file) {
        out->data_file = wire_text(&qcow2->data_file, WIRE_NAME_MAX);
        if (out->data_file == NULL) {
            return wire_refuse(error, "data file name");
        }
    }
    out->have_data_file_raw = qcow2->needs_data_file != 0;
    out->data_file_raw = qcow2->data_file_raw != 0;
    return qcow2->n_bitmap == 0 || decode_bitmaps(qcow2, out, error);
}

static gboolean decode_vmdk_extent(const Abi__VmdkExtent *extent, GPtrArray *list, GError **error)
{
    static const char *const formats[] = {"", "FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE"};
    struct vmdk_extent *out = g_new0(struct vmdk_extent, 1);

    g_ptr_array_add(list, out);
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (strcmp(extent->format, formats[i]) == 0) {
            out->format = g_strdup(formats[i]);
        }
    }
    if (out->format == NULL) {
        return wire_refuse(error, "format of an extent");
    }
    out->virtual_size_bytes = extent->virtual_size;
    out->cluster_size_bytes = extent->cluster_size;
    out->compressed = extent->compressed != 0;
    out->blob = extent->blob;
    return TRUE;
}

static gboolean decode_vmdk(const Abi__VmdkInfo *vmdk, struct vmdk_info *out, GError **error)
{
    if (vmdk->n_extent > WIRE_EXTENTS_MAX) {
        return wire_refuse(error, "number of extents");
    }
    out->create_type = wire_text(&vmdk->create_type, WIRE_NAME_MAX);
    if (out->create_type == NULL) {
        return wire_refuse(error, "create type");
    }
    out->cid = vmdk->cid;
    out->parent_cid = vmdk->parent_cid;
    for (size_t i = 0; i < vmdk->n_extent; i++) {
        if (!decode_vmdk_extent(vmdk->extent[i], out->extents, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Words that we chose; the image only chose among them. */
static gboolean decode_luks(const Abi__LuksInfo *luks, struct luks_info *out, GError **error)
{
    const char *const words[] = {luks->cipher_alg, luks->cipher_mode, luks->ivgen_alg,
                                 luks->hash_alg};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!wire_is_word(words[i])) {
            return wire_refuse(error, "words of a cipher");
        }
    }
    if (luks->ivgen_hash_alg[0] != '\0' && !wire_is_word(luks->ivgen_hash_alg)) {
        return wire_refuse(error, "words of a cipher");
    }
    if (luks->n_slot < LUKS_INFO_SLOTS || luks->n_slot > LUKS_INFO_SLOTS_MAX) {
        return wire_refuse(error, "number of key slots");
    }
    if (luks->version != 0 && luks->version != 2) {
        return wire_refuse(error, "version of a header");
    }
    out->version = luks->version;
    out->sector_size = luks->sector_size;
    out->nr_slots = (unsigned)luks->n_slot;
    out->cipher_alg = g_strdup(luks->cipher_alg);
    out->cipher_mode = g_strdup(luks->cipher_mode);
    out->ivgen_alg = g_strdup(luks->ivgen_alg);
    out->ivgen_hash_alg = luks->ivgen_hash_alg[0] != '\0' ? g_strdup(luks->ivgen_hash_alg) : NULL;
    out->hash_alg = g_strdup(luks->hash_alg);
    out->detached_header = luks->detached_header != 0;
    out->payload_offset_bytes = luks->payload_offset;
    out->master_key_iters = luks->master_key_iters;
    out->uuid = wire_text(&luks->uuid, WIRE_FORMAT_MAX * 2);
    if (out->uuid == NULL) {
        return wire_refuse(error, "UUID");
    }
    for (size_t i = 0; i < luks->n_slot; i++) {
        out->slots[i] = (struct luks_slot){
            .active = luks->slot[i]->active != 0,
            .iters = luks->slot[i]->iters,
            .stripes = luks->slot[i]->stripes,
            .key_offset_bytes = luks->slot[i]->key_offset,
            .memory_kib = luks->slot[i]->memory_kib,
            .lanes = luks->slot[i]->lanes,
            .kdf = wording_escape_span(luks->slot[i]->kdf.data,
                                       MIN(luks->slot[i]->kdf.len, WIRE_FORMAT_MAX)),
        };
    }
    return TRUE;
}

/* Format luks, or LUKS inside qcow2. */
static gboolean decode_luks_of(const Abi__InfoReply *reply, struct image_info *info, GError **error)
{
    struct luks_info **out = &info->specific.luks;

    if (reply->luks == NULL) {
        return TRUE;
    }
    if (info->specific.kind == SPECIFIC_QCOW2) {
        out = &info->specific.qcow2->luks;
    } else {
        info->specific.kind = SPECIFIC_LUKS;
    }
    *out = luks_info_new();
    return decode_luks(reply->luks, *out, error);
}

gboolean wire_decode_info(const Abi__InfoReply *reply, struct image_info *info, GError **error)
{
    if (!wire_check_error(reply->error, info->filename, error)) {
        return FALSE;
    }
    if (reply->virtual_size > INT64_MAX || reply->cluster_size > WIRE_CLUSTER_MAX) {
        return wire_refuse(error, "sizes");
    }
    info->virtual_size_bytes = reply->virtual_size;
    info->cluster_size_bytes = reply->cluster_size;
    info->encrypted = reply->encrypted != 0;
    info->have_dirty_flag = reply->no_summary == 0;
    info->dirty = reply->dirty != 0;
    if (reply->has_backing) {
        info->backing_filename = wire_text(&reply->backing_file, WIRE_NAME_MAX);
        if (info->backing_filename == NULL) {
            return wire_refuse(error, "backing file name");
        }
    }
    if (reply->has_backing && reply->has_backing_format && reply->backing_format.len > 0) {
        info->backing_filename_format = wire_text(&reply->backing_format, WIRE_NAME_MAX);
        if (info->backing_filename_format == NULL) {
            return wire_refuse(error, "backing format");
        }
    }
    if (!decode_snapshots(reply, info, error)) {
        return FALSE;
    }
    if (reply->qcow2 != NULL) {
        info->specific.kind = SPECIFIC_QCOW2;
        info->specific.qcow2 = qcow2_info_new();
        if (!decode_qcow2(reply->qcow2, info->specific.qcow2, error)) {
            return FALSE;
        }
    }
    if (reply->vmdk != NULL) {
        info->specific.kind = SPECIFIC_VMDK;
        info->specific.vmdk = vmdk_info_new();
        return decode_vmdk(reply->vmdk, info->specific.vmdk, error);
    }
    return decode_luks_of(reply, info, error);
}
