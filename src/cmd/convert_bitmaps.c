/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `convert --bitmaps`: the source's persistent bitmaps are made anew in the target, when its data
 * is there. The order in which they are made, by which errors are told, is stock's: the last first.
 */
#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "guest/abi/error_plan.h"
#include "src/cmd/convert.h"
#include "src/plan/bitmap.h"
#include "src/wire/decode.h"

#define NODE_NAME       "#block100" /* as in bitmap.c */
#define ACTIONS_PER_MAX 3u
#define REQUEST_BYTES   (1u << 20) /* of one request; a cell takes twice as much */
#define ACTION_BYTES    64u        /* beside the names */

/* ---- before anything is made ---- */

static gboolean check_usable(const struct options *opt, const struct image_bitmaps *bitmaps)
{
    for (guint i = 0; i < bitmaps->list->len && !opt->skip_broken_bitmaps; i++) {
        const struct image_bitmap *bitmap = g_ptr_array_index(bitmaps->list, i);

        if (bitmap->in_use) {
            report_error("Cannot copy inconsistent bitmap '%s'\n"
                         "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete "
                         "it",
                         bitmap->shown);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean convert_find_bitmaps(const struct options *opt, const GPtrArray *sources,
                              struct image_bitmaps **out)
{
    g_autoptr(GError) error = NULL;

    *out = NULL;
    if (!opt->bitmaps) {
        return TRUE;
    }
    if (sources->len > 1) {
        report_error("Copying bitmaps only possible with single source");
        return FALSE;
    }
    *out = image_bitmaps_new(g_ptr_array_index(sources, 0), &error);
    if (*out == NULL) {
        report_gerror(error);
        return FALSE;
    }
    if (!(*out)->supported) {
        report_error("Source lacks bitmap support");
        return FALSE;
    }
    return check_usable(opt, *out);
}

gboolean convert_check_bitmaps_fit(const struct convert_target *target)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ImageBitmaps) bitmaps = image_bitmaps_new(target->image, &error);

    if (bitmaps == NULL) {
        report_gerror(error);
        return FALSE;
    }
    if (!bitmaps->supported) {
        report_error("Format driver '%s' does not support bitmaps", image_format(target->image));
        return FALSE;
    }
    return TRUE;
}

/* ---- copying ---- */

/* The actions of one request, and which bitmap each is about. */
struct batch {
    GArray *actions;  /* of Abi__BitmapAction */
    GPtrArray *about; /* of const struct image_bitmap * */
};

static void add_action(struct batch *batch, const struct image_bitmaps *bitmaps,
                       const struct image_bitmap *bitmap, Abi__BitmapVerb verb)
{
    Abi__BitmapAction action = ABI__BITMAP_ACTION__INIT;
    gsize len;

    action.verb = verb;
    action.name.data = (uint8_t *)g_bytes_get_data(bitmap->name, &len);
    action.name.len = len;
    action.has_granularity = TRUE;
    action.granularity = bitmap->granularity;
    action.source = ABI__BITMAP_SOURCE__BITMAP_SOURCE_BLOB;
    action.source_offset = bitmap->offset;
    action.source_granularity = bitmap->granularity;
    action.source_size = image_virtual_size(bitmaps->image);
    g_array_append_val(batch->actions, action);
    g_ptr_array_add(batch->about, (gpointer)bitmap);
}

static void add_bitmap(struct batch *batch, const struct image_bitmaps *bitmaps,
                       const struct image_bitmap *bitmap)
{
    if (bitmap->in_use) {
        report_warning("Skipping inconsistent bitmap '%s'", bitmap->shown);
        return;
    }
    add_action(batch, bitmaps, bitmap, ABI__BITMAP_VERB__BITMAP_ADD);
    add_action(batch, bitmaps, bitmap, ABI__BITMAP_VERB__BITMAP_MERGE);
    if (!bitmap->enabled) {
        add_action(batch, bitmaps, bitmap, ABI__BITMAP_VERB__BITMAP_DISABLE);
    }
}

/* How many from `from` on fit one request. */
static guint batch_end(const struct image_bitmaps *bitmaps, guint from)
{
    size_t bytes = 0;
    guint i = from;

    while (i < bitmaps->list->len && bytes < REQUEST_BYTES) {
        const struct image_bitmap *bitmap = g_ptr_array_index(bitmaps->list, i++);

        bytes += ACTIONS_PER_MAX * (ACTION_BYTES + g_bytes_get_size(bitmap->name));
    }
    return i;
}

static gboolean plan(struct convert_target *target, const struct image_bitmaps *bitmaps,
                     const struct batch *batch, guint nr, uint32_t blob,
                     struct bitmap_outcome *outcome, GError **error)
{
    g_autofree Abi__BitmapAction **pointers = g_new0(Abi__BitmapAction *, nr + 1);
    Abi__BitmapRequest request = ABI__BITMAP_REQUEST__INIT;

    for (guint i = 0; i < nr; i++) {
        pointers[i] = &g_array_index(batch->actions, Abi__BitmapAction, i);
    }
    request.action = pointers;
    request.n_action = nr;
    request.blob = blob;
    request.blob_size = bitmaps->length;
    return bitmap_plan(target->image, &request, outcome, error);
}

/* The format has bitmaps, but nothing is stored in it. */
static void report_refusal(const struct batch *batch)
{
    const struct image_bitmap *bitmap = g_ptr_array_index(batch->about, 0);

    report_error("Failed to create bitmap %s: Can't store persistent bitmaps to " NODE_NAME ": %s",
                 bitmap->shown, g_strerror(ENOTSUP));
}

static void report_failure(const struct batch *batch, const struct bitmap_outcome *outcome)
{
    const struct image_bitmap *bitmap = g_ptr_array_index(batch->about, outcome->nr_done);
    const Abi__BitmapAction *action =
        &g_array_index(batch->actions, Abi__BitmapAction, outcome->nr_done);
    uint32_t code = outcome->failure_code;

    if (action->verb != ABI__BITMAP_VERB__BITMAP_ADD) {
        report_gerror_prefixed(outcome->failure, "Failed to populate bitmap %s: ", bitmap->shown);
    } else if (code >= GUEST_ERR_PLAN_BITMAP_V2 && code <= GUEST_ERR_PLAN_BITMAPS_FULL) {
        report_gerror_prefixed(outcome->failure,
                               "Failed to create bitmap %s: Can't make bitmap '%s' persistent in "
                               "'" NODE_NAME "': ",
                               bitmap->shown, bitmap->shown);
    } else {
        report_gerror_prefixed(outcome->failure, "Failed to create bitmap %s: ", bitmap->shown);
    }
}

/* One that cannot be filled is not made at all: its actions up to the failure are left out. */
static guint first_of(const struct batch *batch, guint at)
{
    while (at > 0 &&
           g_ptr_array_index(batch->about, at - 1) == g_ptr_array_index(batch->about, at)) {
        at--;
    }
    return at;
}

static gboolean carry_out(struct convert_target *target, struct image_bitmaps *bitmaps,
                          const struct batch *batch)
{
    uint32_t blob = bitmaps->length > 0 ? image_bitmaps_share(bitmaps, target->image) : 0;
    struct bitmap_outcome outcome = {0}, again = {0};
    g_autoptr(GError) error = NULL;
    gboolean ok = plan(target, bitmaps, batch, batch->actions->len, blob, &outcome, &error);

    if (ok && outcome.failure != NULL) {
        report_failure(batch, &outcome);
        ok = plan(target, bitmaps, batch, first_of(batch, outcome.nr_done), blob, &again, &error);
        g_clear_error(&again.failure);
    }
    if (!ok && wire_error_code(error) == GUEST_ERR_NOT_SUPPORTED) {
        report_refusal(batch);
    } else if (!ok || !bitmap_apply(target->image, &error)) {
        report_gerror(bitmaps->error != NULL ? bitmaps->error : error);
        ok = FALSE;
    }
    ok = ok && outcome.failure == NULL;
    g_clear_error(&outcome.failure);
    return ok;
}

gboolean convert_copy_bitmaps(const struct options *opt, struct image_bitmaps *bitmaps,
                              struct convert_target *target)
{
    guint nr = bitmaps->persistent ? bitmaps->list->len : 0;
    gboolean ok = TRUE;

    for (guint from = 0, to; from < nr && ok; from = to) {
        g_autoptr(GArray) actions = g_array_new(FALSE, FALSE, sizeof(Abi__BitmapAction));
        g_autoptr(GPtrArray) about = g_ptr_array_new();
        struct batch batch = {actions, about};

        to = batch_end(bitmaps, from);
        for (guint i = to; i-- > from;) {
            add_bitmap(&batch, bitmaps, g_ptr_array_index(bitmaps->list, i));
        }
        /* What was planned and written is not what the cell has open any more. */
        ok = actions->len == 0 ||
             (convert_reopen_target(opt, target) && carry_out(target, bitmaps, &batch));
    }
    return ok;
}
