/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image gets as soon as it is opened for writing: a header that says nothing that the
 * writer cannot keep true, and a repair if it was not closed properly.
 */
#include <errno.h>

#include "compat/wording.h"
#include "guest/abi/error_plan.h"
#include "src/graph/layer.h"
#include "src/plan/apply.h"
#include "src/plan/image_plan.h"
#include "src/plan/repair.h"

/* Opens the node anew after its file has been written to. */
static gboolean look_again(const struct layer *layer, struct image *image, GError **error)
{
    g_autofree char *format = g_strdup(image->open.format);

    wire_open_clear(&image->open);
    return dialogue_open_again(layer, image->blob, format, &image->open, error);
}

/* Stock knows no more than an errno of why. */
static gboolean fail_tidy(GError **error)
{
    int number = apply_errno(*error);

    if (wire_error_code(*error) == GUEST_ERR_PLAN_HEADER_FULL) {
        number = ENOSPC;
    }
    if (number == 0) {
        g_prefix_error(error, "Could not update qcow2 header: ");
        return FALSE;
    }
    g_clear_error(error);
    return wording_fail(error, "Could not update qcow2 header: %s", g_strerror(number));
}

static gboolean tidy(const struct layer *layer, struct image *image, GError **error)
{
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;

    request.node = image->open.node;
    request.step = ABI__AMEND_STEP__AMEND_TIDY;
    if (!image_plan_run(image, CELL_METHOD_AMEND, &request.base, image->open.cluster_size, error)) {
        return fail_tidy(error);
    }
    return look_again(layer, image, error);
}

/* An image that was not closed properly is repaired before it is written, as stock does. */
static gboolean repair_dirty(const struct layer *layer, struct image *image, GError **error)
{
    struct check_result result = {0};
    struct repair_target target = {
        .cell = image->graph->cell,
        .node = image->open.node,
        .blob = image->blob,
        .endpoint = image->endpoint,
        .filename = image->filename,
        .fix_leaks = TRUE,
        .fix_errors = TRUE,
    };
    g_autoptr(GError) why = NULL;

    if (!repair_check(&target, &result, &why) || result.check_errors > 0) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE, "Could not repair dirty image: %s",
                    g_strerror(why != NULL ? image_report_damage(why) : EIO));
        return FALSE;
    }
    return look_again(layer, image, error);
}

gboolean layer_mend(const struct layer *layer, struct image *image, GError **error)
{
    if (image->open.untidy && !layer->options->reopened && !tidy(layer, image, error)) {
        return FALSE;
    }
    return !image->open.dirty || layer->options->for_check || repair_dirty(layer, image, error);
}

gboolean image_reopen(struct image *image, GError **error)
{
    struct image_open_options options = {.read_write = TRUE, .for_check = TRUE};
    struct layer layer = {
        .graph = image->graph,
        .options = &options,
        .display = image->filename,
        .endpoint = image->endpoint,
        .header = image->header != NULL ? image->header->endpoint : NULL,
        .writable = TRUE,
    };

    return look_again(&layer, image, error);
}
