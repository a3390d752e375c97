/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `resize`: another virtual size. A raw image is its file; a qcow2 image is changed by a plan of
 * the cell that has it open.
 */
#include <stdio.h>
#include <string.h>

#include "compat/exit_status.h"
#include "compat/size.h"
#include "compat/wording.h"
#include "guest/abi/plan.pb-c.h"
#include "src/cmd/cmd.h"
#include "src/graph/graph.h"
#include "src/plan/apply.h"
#include "src/plan/create_file.h"
#include "src/plan/resize_image.h"

/* Arithmetic of the old size and the operand, signed as stock's; FALSE unless positive. */
static gboolean find_size(const struct options *opt, uint64_t old_bytes, uint64_t *out_bytes)
{
    uint64_t size = opt->size_bytes;

    if (opt->sign == RESIZE_GROW)
        size = old_bytes + size;
    else if (opt->sign == RESIZE_SHRINK)
        size = old_bytes - size;
    *out_bytes = size;
    return (int64_t)size > 0;
}

/* What stock asks before it touches the image. */
static gboolean check_size(const struct options *opt, uint64_t old_bytes, uint64_t new_bytes)
{
    if (new_bytes <= old_bytes && opt->preallocation != PREALLOC_OFF) {
        report_error("Preallocation can only be used for growing images");
        return FALSE;
    }
    if (new_bytes < old_bytes && !opt->shrink) {
        wording_report_shrink();
        return FALSE;
    }
    return TRUE;
}

static gboolean resize_raw(struct image *image, const struct options *opt, uint64_t size_bytes,
                           GError **error)
{
    if (opt->preallocation == PREALLOC_METADATA) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Unsupported preallocation mode: metadata");
        return FALSE;
    }
    if (g_str_has_prefix(endpoint_protocol(endpoint_below(image_endpoint(image))), "null-")) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Image format driver does not support resize");
        return FALSE;
    }
    if (apply_explains()) {
        fprintf(stderr, "plan: file size %" G_GUINT64_FORMAT "\n", size_bytes);
        return TRUE;
    }
    return create_file_set_size(image_endpoint(image), size_bytes, opt->preallocation, error);
}

static struct image *open_image(void *user, GError **error)
{
    const struct invocation *inv = user;
    const struct options *opt = &inv->opt;
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .read_write = TRUE,
        .may_resize = TRUE,
        .cache = CACHE_WRITEBACK,
    };
    struct image *image = image_open(&options, error);

    if (image == NULL)
        wording_prefix_open(error, options.filename);
    return image;
}

/* What stock does with a qcow2 image first when it grows, and so complains about. */
static const char *const grow_sentences[] = {
    [PREALLOC_OFF] = "Failed to grow the L1 table",
    [PREALLOC_METADATA] = "Allocating clusters failed",
    [PREALLOC_FALLOC] = "Failed to resize underlying file: Could not preallocate new data",
    [PREALLOC_FULL] = "Failed to resize underlying file: Could not write zeros for preallocation",
};

static gboolean resize_planned(const struct invocation *inv, struct image **image,
                               uint64_t size_bytes, GError **error)
{
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;
    gboolean grows = size_bytes > image_virtual_size(*image);
    gboolean is_qcow2 = strcmp(image_format(*image), "qcow2") == 0;

    request.size = size_bytes;
    request.preallocation = (Abi__Preallocation)inv->opt.preallocation;
    request.shrink = inv->opt.shrink;
    if (resize_image(image, &request, open_image, (void *)inv, error))
        return TRUE;
    if (!is_qcow2)
        apply_reword(error, "Could not resize file");
    else if (grows)
        apply_reword(error, grow_sentences[inv->opt.preallocation]);
    return FALSE;
}

/* The image that a filter or raw lets through belongs to the node over it: it stays open. */
static gboolean resize_below(const struct invocation *inv, struct image *view, uint64_t size_bytes,
                             GError **error)
{
    if (image_extent(view, 0) != NULL) {
        return wording_fail(error, "Resizing an image in several files below another node is not "
                                   "built yet in instar");
    }
    return resize_planned(inv, &view, size_bytes, error);
}

int cmd_resize(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    g_autoptr(GError) error = NULL;
    g_autoptr(Image) image = open_image((void *)inv, &error);
    struct image *view;
    uint64_t size_bytes;
    gboolean ok;

    if (image == NULL) {
        report_gerror(error);
        return EXIT_STATUS_ERROR;
    }
    view = image_view(image);
    if (!find_size(opt, image_virtual_size(image), &size_bytes)) {
        report_error("New image size must be positive");
        return EXIT_STATUS_ERROR;
    }
    if (!check_size(opt, image_virtual_size(image), size_bytes))
        return EXIT_STATUS_ERROR;
    if (!size_check_disk(size_bytes, &error)) {
        report_gerror(error);
        return EXIT_STATUS_ERROR;
    }
    /* An encrypted disk is the rest of its file: nothing in its header depends on the size. */
    if (image_cell(view) == NULL || strcmp(image_format(view), "luks") == 0)
        ok = resize_raw(view, opt, image_payload_bytes(view) + size_bytes, &error);
    else
        ok = view != image ? resize_below(inv, view, size_bytes, &error)
                           : resize_planned(inv, &image, size_bytes, &error);
    if (!ok) {
        report_gerror(error);
        return EXIT_STATUS_ERROR;
    }
    if (!opt->quiet && !apply_explains())
        puts("Image resized.");
    return EXIT_STATUS_OK;
}
