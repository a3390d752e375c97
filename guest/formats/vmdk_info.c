/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `info` shows of a VMDK image, as a message. The host knows the names of the files.
 */
#include "guest/formats/message.h"
#include "guest/formats/vmdk.h"
#include "guest/lib/arena.h"

static const char *type_word(enum vmdk_type type)
{
    static const char *const words[] = {"", "FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE"};

    return words[type];
}

static enum guest_err add_extent(Abi__VmdkInfo *info, const struct vmdk_extent *e,
                                 struct guest_err_detail *detail)
{
    Abi__VmdkExtent *out = malloc(sizeof(*out));

    if (!out)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__vmdk_extent__init(out);
    info->extent[info->n_extent++] = out;
    out->virtual_size = e->sectors * VMDK_SECTOR_BYTES;
    out->cluster_size = e->flat ? 0 : vmdk_cluster_bytes(e);
    out->compressed = e->compressed;
    out->blob = e->source->blob;
    return message_set_text(&out->format, type_word(e->type))
               ? GUEST_OK
               : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

enum guest_err vmdk_info(struct node *node, Abi__InfoReply *reply, struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    Abi__VmdkInfo *info = malloc(sizeof(*info));
    enum guest_err err = GUEST_OK;

    if (!info)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__vmdk_info__init(info);
    reply->vmdk = info;
    reply->has_backing_format = true;
    reply->no_summary = v->mixed;
    info->cid = v->cid;
    info->parent_cid = v->parent_cid;
    info->extent = arena_array(v->nr_extents, sizeof(*info->extent));
    if (!info->extent || !message_set_bytes(&reply->backing_format, span_of("vmdk", 4)) ||
        !message_set_bytes(&info->create_type, span_of(v->create_type, strlen(v->create_type))))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (unsigned i = 0; i < v->nr_linked && !err; i++)
        err = add_extent(info, &v->extents[i], detail);
    return err;
}
