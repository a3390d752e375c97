/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text descriptor: create type, extents, the parent's name, ids.
 *
 * Stock opens the extents one by one as it reads the lines. Here the host opens them after the
 * whole text was read, so that what is wrong behind an extent that may fail to open waits in
 * vmdk->late.
 */
#include "guest/formats/message.h"
#include "guest/formats/vmdk.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

enum guest_err vmdk_read_text(struct source *source, uint64_t offset, uint64_t most,
                              struct span *out, struct guest_err_detail *detail)
{
    uint64_t size;
    uint8_t *text;
    enum guest_err err;

    if (!align_up_u64(source->size_bytes, VMDK_SECTOR_BYTES, &size))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (size == 0)
        return vmdk_error(detail, VMDK_ERR_TOO_SMALL, 0);
    size = min_u64(offset < size ? size - offset : 0, most);
    text = arena_bytes(size);
    if (!text)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(source, offset, size, text, detail);
    if (err) {
        free(text);
        return err;
    }
    *out = span_of(text, strnlen((const char *)text, size));
    return GUEST_OK;
}

/* ---- the create type ---- */

static bool is_supported(const char *type)
{
    static const char *const types[] = {"monolithicFlat",     "vmfs",
                                        "vmfsSparse",         "seSparse",
                                        "twoGbMaxExtentFlat", "twoGbMaxExtentSparse"};

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static enum guest_err read_create_type(struct vmdk *v, struct span text,
                                       struct guest_err_detail *detail)
{
    struct span value;

    if (!vmdk_text_value(text, "createType", &value) || value.len >= sizeof(v->create_type))
        return vmdk_error(detail, VMDK_ERR_DESCRIPTOR, 0);
    memcpy(v->create_type, value.data, value.len);
    v->create_type[value.len] = '\0';
    return is_supported(v->create_type)
               ? GUEST_OK
               : err_text(detail, (enum guest_err)VMDK_ERR_CREATE_TYPE, value, 0);
}

/* ---- extents ---- */

/*
 * An extent's name is a path and nothing else: what looks like a protocol in it is part of the
 * path.
 */
static enum guest_err add_ref(struct node *node, const struct vmdk_line *line, uint32_t index,
                              struct guest_err_detail *detail)
{
    Abi__FileRef *ref = malloc(sizeof(*ref));

    if (!ref)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__file_ref__init(ref);
    ref->role = ABI__ROLE__ROLE_EXTENT;
    ref->index = index;
    if (!message_set_bytes(&ref->text, line->name) || !message_set_bytes(&ref->path, line->name) ||
        !message_set_text(&ref->protocol, "file") || !message_set_text(&ref->format, "raw")) {
        abi__file_ref__free_unpacked(ref, NULL);
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    return node_take_ref(node, ref, detail);
}

enum line_kind {
    LINE_NONE, /* no extent */
    LINE_BAD,
    LINE_EXTENT,
};

static enum vmdk_type type_of(struct span word)
{
    static const struct {
        const char *word;
        enum vmdk_type type;
    } types[] = {{"FLAT", VMDK_TYPE_FLAT},
                 {"SPARSE", VMDK_TYPE_SPARSE},
                 {"VMFS", VMDK_TYPE_VMFS},
                 {"VMFSSPARSE", VMDK_TYPE_VMFSSPARSE},
                 {"SESPARSE", VMDK_TYPE_SESPARSE}};

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (span_equal_text(word, types[i].word))
            return types[i].type;
    return VMDK_TYPE_NONE;
}

static enum line_kind judge_line(const struct vmdk_line *line)
{
    enum vmdk_type type;

    if (line->matches < 4 || !span_equal_text(line->access, "RW"))
        return LINE_NONE;
    type = type_of(line->type);
    if (type == VMDK_TYPE_FLAT ? line->matches != 5 || line->offset < 0 : line->matches != 4)
        return LINE_BAD;
    return line->sectors > 0 && type != VMDK_TYPE_NONE ? LINE_EXTENT : LINE_NONE;
}

static enum guest_err add_extent(struct node *node, const struct vmdk_line *line,
                                 struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    struct vmdk_extent *e;
    enum guest_err err;

    if (v->nr_extents == VMDK_EXTENTS_MAX)
        return vmdk_error(detail, VMDK_ERR_EXTENTS_MANY, VMDK_EXTENTS_MAX);
    err = add_ref(node, line, v->nr_extents, detail);
    if (err)
        return err;
    e = &v->extents[v->nr_extents++];
    e->type = type_of(line->type);
    e->flat = e->type == VMDK_TYPE_FLAT || e->type == VMDK_TYPE_VMFS;
    e->sesparse = e->type == VMDK_TYPE_SESPARSE;
    e->sectors = (uint64_t)line->sectors;
    /* So far out there is nothing to read, whatever the wrapped number would be. */
    if (e->flat && !mul_u64((uint64_t)line->offset, VMDK_SECTOR_BYTES, &e->flat_offset))
        e->flat_offset = (uint64_t)INT64_MAX + 1 - VMDK_SECTOR_BYTES;
    return GUEST_OK;
}

static struct span line_at(struct span text, size_t at)
{
    struct span rest = span_of(NULL, 0);
    const uint8_t *end;

    (void)span_sub(text, at, text.len - at, &rest);
    end = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;
    return span_of(rest.data, end ? (size_t)(end - rest.data) : rest.len);
}

static bool is_blank_line(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && (line.data[i] < '\t' || line.data[i] > '\r'))
            return false;
    return true;
}

static enum guest_err take_line(struct node *node, struct span text, size_t at,
                                const struct vmdk_line *parsed, struct guest_err_detail *detail)
{
    switch (judge_line(parsed)) {
    case LINE_BAD:
        return err_text(detail, (enum guest_err)VMDK_ERR_EXTENT_LINE, line_at(text, at), 0);
    case LINE_EXTENT:
        return add_extent(node, parsed, detail);
    default:
        return GUEST_OK;
    }
}

/*
 * The scan of a blank line goes on into the first line that is not, so that an extent behind blank
 * lines is there several times. (Stock does that, and so the disk is that large.) What it finds is
 * kept from line to line, for the work to stay linear.
 */
static enum guest_err parse_lines(struct node *node, struct span text,
                                  struct guest_err_detail *detail)
{
    struct vmdk_line parsed;
    bool have = false;

    for (size_t at = 0; at < text.len; at += line_at(text, at).len + 1) {
        struct span rest;
        enum guest_err err;

        if (!have && span_sub(text, at, text.len - at, &rest))
            vmdk_text_line(rest, &parsed);
        have = is_blank_line(line_at(text, at));
        err = take_line(node, text, at, &parsed, detail);
        if (err)
            return err;
    }
    return GUEST_OK;
}

enum guest_err vmdk_parse_descriptor(struct node *node, struct span text,
                                     struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    enum guest_err err = read_create_type(v, text, detail);

    if (err)
        return err;
    v->extents = arena_array(VMDK_EXTENTS_MAX, sizeof(*v->extents));
    if (!v->extents)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = parse_lines(node, text, &v->late_detail);
    if (err && !v->nr_extents) {
        if (detail)
            *detail = v->late_detail;
        return err;
    }
    v->late = err;
    return GUEST_OK;
}

/* ---- ids ---- */

static enum guest_err read_parent(struct node *node, struct span text,
                                  struct guest_err_detail *detail)
{
    static const char format[] = "vmdk";
    struct span after, name;

    if (!vmdk_text_after(text, "parentFileNameHint", &after))
        return GUEST_OK;
    if (!vmdk_text_value(text, "parentFileNameHint", &name))
        return vmdk_error(detail, VMDK_ERR_IDS, 0);
    if (!name.len)
        return GUEST_OK;
    return node_add_ref(node, ABI__ROLE__ROLE_BACKING, name, span_of(format, sizeof(format) - 1), 0,
                        detail);
}

static bool read_id(struct span text, const char *name, uint32_t *out)
{
    struct span after;

    return vmdk_text_after(text, name, &after) && vmdk_text_hex(after, out);
}

enum guest_err vmdk_read_ids(struct node *node, uint64_t offset, struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    struct span text;
    enum guest_err err = vmdk_read_text(
        node->source, offset, VMDK_DESCRIPTOR_SECTORS * VMDK_SECTOR_BYTES - 1, &text, detail);

    if (err)
        return err;
    err = read_parent(node, text, detail);
    if (!err && (!read_id(text, "CID=", &v->cid) || !read_id(text, "parentCID=", &v->parent_cid)))
        err = vmdk_error(detail, VMDK_ERR_IDS, 0);
    free((void *)text.data);
    return err;
}
