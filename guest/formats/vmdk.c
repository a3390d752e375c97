/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMDK driver: opening, and the table of its verbs.
 *
 * An image is a sparse extent with an embedded descriptor, or a descriptor file that names its
 * extents. In the second case the host opens them and links them one by one, in order; the size of
 * the disk is known after the last.
 */
#include "guest/formats/vmdk.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* ---- probing ---- */

/* Takes the next line off *text, without its end. */
static struct span take_line(struct span *text)
{
    const uint8_t *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    size_t len = end ? (size_t)(end - text->data) : text->len;
    struct span line = span_of(text->data, len);

    (void)span_sub(*text, end ? len + 1 : len, text->len - (end ? len + 1 : len), text);
    return line;
}

/* Spaces alone; a line of nothing at all is not what stock takes for blank. */
static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && !(line.data[i] == '\r' && i && i + 1 == line.len))
            return false;
    return line.len != 0;
}

/* A text descriptor: its first line that is neither comment nor blank gives the version. */
static int probe_descriptor(struct span head)
{
    while (head.len) {
        struct span line = take_line(&head);

        if (is_blank(line) || (line.len && line.data[0] == '#'))
            continue;
        if (line.len && line.data[line.len - 1] == '\r')
            line.len--;
        return span_equal_text(line, "version=1") || span_equal_text(line, "version=2") ||
                       span_equal_text(line, "version=3")
                   ? 100
                   : 0;
    }
    return 0;
}

static int vmdk_probe(struct span head)
{
    if (span_starts_with(head, "KDMV") || span_starts_with(head, "COWD"))
        return 100;
    return probe_descriptor(head);
}

/* ---- opening ---- */

/* All extents are known: where each begins, and what the whole is. */
static enum guest_err settle(struct node *node, struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    uint64_t sectors = 0;

    if (v->late) {
        if (detail)
            *detail = v->late_detail;
        return v->late;
    }
    for (unsigned i = 0; i < v->nr_extents; i++) {
        struct vmdk_extent *e = &v->extents[i];

        e->start = sectors;
        if (!add_u64(sectors, e->sectors, &sectors) || sectors > INT64_MAX / VMDK_SECTOR_BYTES)
            return vmdk_error(detail, VMDK_ERR_SECTOR_COUNT, 0);
        v->mixed |= e->flat != v->extents[0].flat || e->compressed != v->extents[0].compressed ||
                    e->cluster_sectors != v->extents[0].cluster_sectors;
    }
    node->virtual_size = sectors * VMDK_SECTOR_BYTES;
    if (v->nr_extents && !v->mixed && !v->extents[0].flat)
        node->cluster_size = vmdk_cluster_bytes(&v->extents[0]);
    return GUEST_OK;
}

static void set_type(struct vmdk *v, const char *type)
{
    memcpy(v->create_type, type, strlen(type) + 1);
}

/* The image is one sparse extent. */
static enum guest_err open_monolithic(struct node *node, uint32_t magic, uint64_t *out_descriptor,
                                      struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    enum guest_err err;

    v->extents = arena_array(1, sizeof(*v->extents));
    if (!v->extents)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    v->extents[0].source = node->source;
    err = vmdk_open_sparse(v, &v->extents[0], out_descriptor, detail);
    if (err || *out_descriptor) {
        free(v->extents);
        v->extents = NULL;
        return err;
    }
    v->nr_extents = v->nr_linked = 1;
    if (magic == VMDK4_MAGIC)
        set_type(v, v->extents[0].compressed ? "streamOptimized" : "monolithicSparse");
    return GUEST_OK;
}

static enum guest_err open_descriptor(struct node *node, uint64_t offset,
                                      struct guest_err_detail *detail)
{
    struct span text;
    enum guest_err err = vmdk_read_text(node->source, offset, VMDK_DESCRIPTOR_MAX, &text, detail);

    if (err)
        return err;
    err = vmdk_parse_descriptor(node, text, detail);
    free((void *)text.data);
    return err;
}

static void vmdk_close(struct node *node)
{
    struct vmdk *v = vmdk_of(node);

    if (!v)
        return;
    vmdk_window_clear(v);
    free(v->extents);
    free(v);
    node->state = NULL;
}

static enum guest_err vmdk_open(struct node *node, const Abi__OpenRequest *request,
                                struct guest_err_detail *detail)
{
    struct vmdk *v = arena_array(1, sizeof(*v));
    uint64_t descriptor = 0;
    uint8_t head[4];
    uint32_t magic;
    bool embedded;
    enum guest_err err;

    if (!v)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = v;
    v->read_write = request->read_write;
    err = source_read_padded(node->source, 0, sizeof(head), head, detail);
    if (err)
        return err;
    magic = load_le32(head);
    embedded = magic == VMDK4_MAGIC || magic == COWD_MAGIC;
    if (embedded)
        err = open_monolithic(node, magic, &descriptor, detail);
    if (!err && (!embedded || descriptor))
        err = open_descriptor(node, descriptor, detail);
    if (err)
        return err;
    v->text_offset = embedded ? VMDK_DESCRIPTOR_OFFSET : 0;
    if (!v->late)
        v->late = vmdk_read_ids(node, v->text_offset, &v->late_detail);
    return v->nr_linked == v->nr_extents ? settle(node, detail) : GUEST_OK;
}

/* ---- linking ---- */

static enum guest_err vmdk_link_extent(struct node *node, uint32_t index, struct node *child,
                                       struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    struct vmdk_extent *e;
    uint64_t descriptor = 0;
    enum guest_err err = GUEST_OK;

    if (index != v->nr_linked || index >= v->nr_extents)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    e = &v->extents[index];
    e->source = child->source;
    if (e->sesparse)
        err = vmdk_open_sesparse(e, detail);
    else if (!e->flat)
        err = vmdk_open_sparse(v, e, &descriptor, detail);
    if (!err && descriptor)
        err = vmdk_error(detail, VMDK_ERR_NESTED, 0);
    if (err)
        return err;
    if (e->compressed)
        set_type(v, "streamOptimized");
    v->nr_linked++;
    return v->nr_linked == v->nr_extents ? settle(node, detail) : GUEST_OK;
}

/* A parent that was changed since does not hold any more what this image was made on. */
static enum guest_err vmdk_link_backing(struct node *node, const struct node *child,
                                        struct guest_err_detail *detail)
{
    (void)detail;
    node->rejects_backing =
        child->driver != &format_vmdk || vmdk_of(child)->cid != vmdk_of(node)->parent_cid;
    return GUEST_OK;
}

const struct format_driver format_vmdk = {
    .name = "vmdk",
    .probe = vmdk_probe,
    .open = vmdk_open,
    .map = vmdk_map,
    .info = vmdk_info,
    .check = vmdk_check,
    .create = vmdk_create,
    .writer_open = vmdk_writer_open,
    .resize = vmdk_resize,
    .link_extent = vmdk_link_extent,
    .link_backing = vmdk_link_backing,
    .close = vmdk_close,
};
