/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bitmap`: persistent dirty bitmaps are added, removed, cleared, enabled, disabled and merged, in
 * the order of the command line. What was done before an action fails stays done, as in stock.
 */
#include <errno.h>
#include <string.h>

#include "compat/exit_status.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "guest/abi/error_plan.h"
#include "src/cmd/cmd.h"
#include "src/graph/bitmaps.h"
#include "src/plan/bitmap.h"

/* Nodes have no names here; what stock makes up is a number that changes from run to run. */
#define NODE_NAME "#block100"

static const struct {
    Abi__BitmapVerb verb;
    const char *word;
} verbs[] = {
    [BITMAP_ADD] = {ABI__BITMAP_VERB__BITMAP_ADD, "add"},
    [BITMAP_REMOVE] = {ABI__BITMAP_VERB__BITMAP_REMOVE, "remove"},
    [BITMAP_REMOVE_ALL] = {ABI__BITMAP_VERB__BITMAP_REMOVE_ALL, "remove-all"},
    [BITMAP_CLEAR] = {ABI__BITMAP_VERB__BITMAP_CLEAR, "clear"},
    [BITMAP_ENABLE] = {ABI__BITMAP_VERB__BITMAP_ENABLE, "enable"},
    [BITMAP_DISABLE] = {ABI__BITMAP_VERB__BITMAP_DISABLE, "disable"},
    [BITMAP_MERGE] = {ABI__BITMAP_VERB__BITMAP_MERGE, "merge"},
};

static const struct bitmap_action *action_at(const struct options *opt, guint i)
{
    return &g_array_index(opt->bitmap_actions, struct bitmap_action, i);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = text != NULL ? strlen(text) : 0, .data = (uint8_t *)text};
}

/* ---- images ---- */

static struct image *open_one(const char *name, const char *format, gboolean image_opts,
                              gboolean read_write)
{
    struct image_open_options options = {
        .filename = name,
        .image_opts = image_opts,
        .format = format,
        .read_write = read_write,
        .no_backing = TRUE,
        .cache = CACHE_WRITEBACK,
    };
    GError *error = NULL;
    struct image *image = image_open(&options, &error);

    if (image == NULL) {
        wording_prefix_open(&error, name);
        report_gerror(error);
        g_error_free(error);
    }
    return image;
}

/* ---- the request ---- */

/* Where a merge from another image finds its bits. */
static void find_source(const struct image_bitmaps *sources, const char *name,
                        Abi__BitmapAction *out)
{
    const struct image_bitmap *source = image_bitmaps_find(sources, name);

    if (source == NULL) {
        out->source = ABI__BITMAP_SOURCE__BITMAP_SOURCE_MISSING;
    } else if (source->in_use) {
        out->source = ABI__BITMAP_SOURCE__BITMAP_SOURCE_IN_USE;
    } else {
        out->source = ABI__BITMAP_SOURCE__BITMAP_SOURCE_BLOB;
        out->source_offset = source->offset;
        out->source_granularity = source->granularity;
        out->source_size = image_virtual_size(sources->image);
    }
}

static void fill_action(const struct options *opt, guint i, const struct image_bitmaps *sources,
                        Abi__BitmapAction *out)
{
    const struct bitmap_action *action = action_at(opt, i);

    abi__bitmap_action__init(out);
    out->verb = verbs[action->verb].verb;
    out->name = bytes_of(opt->bitmap);
    out->source_name = bytes_of(action->source);
    /* As in stock, 0 is the default, and what is more than 32 bits is cut. */
    out->has_granularity = opt->have_granularity && opt->granularity_bytes != 0;
    out->granularity = (uint32_t)opt->granularity_bytes;
    if (action->verb == BITMAP_MERGE && sources != NULL) {
        find_source(sources, action->source, out);
    }
}

/* ---- what is said ---- */

static gboolean is_storing(uint32_t code)
{
    return code >= GUEST_ERR_PLAN_BITMAP_V2 && code <= GUEST_ERR_PLAN_BITMAPS_FULL;
}

static void report_failure(const struct options *opt, const struct bitmap_outcome *outcome)
{
    const char *word = verbs[action_at(opt, outcome->nr_done)->verb].word;
    const char *name = opt->bitmap != NULL ? opt->bitmap : "";

    if (is_storing(outcome->failure_code)) {
        report_gerror_prefixed(outcome->failure,
                               "Operation %s on bitmap %s failed: Can't make bitmap '%s' "
                               "persistent in '" NODE_NAME "': ",
                               word, name, name);
    } else {
        report_gerror_prefixed(outcome->failure, "Operation %s on bitmap %s failed: ", word, name);
    }
}

/* A disk without a sector has no bits, and no table could be stored. */
static gboolean report_lost(void)
{
    static const char lost[] =
        "Lost persistent bitmaps during inactivation of node '" NODE_NAME "': %s";

    report_error(lost, "No memory");
    if (profile_get()->id == PROFILE_7_2) {
        return TRUE;
    }
    report_error("Error while closing the image: %s", g_strerror(EINVAL));
    report_error(lost, "No memory");
    return FALSE;
}

/* Without a cell there is a raw image, which has no bitmaps. */
static gboolean refuse_without_bitmaps(const struct options *opt)
{
    const struct bitmap_action *action = action_at(opt, 0);
    guint i = 0;

    while (action_at(opt, i)->verb == BITMAP_REMOVE_ALL) {
        if (++i == opt->bitmap_actions->len) {
            return TRUE;
        }
        action = action_at(opt, i);
    }
    uint64_t granularity = opt->have_granularity ? opt->granularity_bytes : 0;
    uint32_t cut = (uint32_t)granularity;

    if (action->verb != BITMAP_ADD) {
        report_error("Operation %s on bitmap %s failed: Dirty bitmap '%s' not found",
                     verbs[action->verb].word, opt->bitmap, opt->bitmap);
    } else if (*opt->bitmap == '\0') {
        report_error("Operation add on bitmap  failed: Bitmap name cannot be empty");
    } else if (granularity != 0 && (cut < 512 || (cut & (cut - 1)) != 0)) {
        report_error("Operation add on bitmap %s failed: Granularity must be power of 2 and at "
                     "least 512",
                     opt->bitmap);
    } else {
        report_error(
            "Operation add on bitmap %s failed: Can't store persistent bitmaps to " NODE_NAME
            ": %s",
            opt->bitmap, g_strerror(ENOTSUP));
    }
    return FALSE;
}

/* ---- */

static gboolean change(const struct options *opt, struct image *image,
                       struct image_bitmaps *sources)
{
    guint nr = opt->bitmap_actions->len;
    g_autofree Abi__BitmapAction *actions = g_new0(Abi__BitmapAction, nr);
    g_autofree Abi__BitmapAction **pointers = g_new0(Abi__BitmapAction *, nr);
    Abi__BitmapRequest request = ABI__BITMAP_REQUEST__INIT;
    struct bitmap_outcome outcome;
    g_autoptr(GError) error = NULL;
    gboolean ok;

    for (guint i = 0; i < nr; i++) {
        fill_action(opt, i, sources, &actions[i]);
        pointers[i] = &actions[i];
    }
    request.n_action = nr;
    request.action = pointers;
    if (sources != NULL && sources->length > 0) {
        request.blob = image_bitmaps_share(sources, image);
        request.blob_size = sources->length;
    }
    ok = bitmap_plan(image, &request, &outcome, &error);
    if (ok && outcome.failure != NULL) {
        report_failure(opt, &outcome);
    }
    if (!ok || !bitmap_apply(image, &error)) {
        report_gerror(sources != NULL && sources->error != NULL ? sources->error : error);
        g_clear_error(&outcome.failure);
        return FALSE;
    }
    ok = outcome.failure == NULL;
    g_clear_error(&outcome.failure);
    return outcome.lost ? report_lost() && ok : ok;
}

int cmd_bitmap(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    g_autoptr(Image) source = NULL;
    g_autoptr(ImageBitmaps) sources = NULL;
    g_autoptr(Image) image = NULL;
    g_autoptr(GError) error = NULL;

    image = open_one(g_ptr_array_index(inv->operands, 0), opt->format, opt->image_opts, TRUE);
    if (image == NULL) {
        return EXIT_STATUS_ERROR;
    }
    if (opt->source_file != NULL) {
        source = open_one(opt->source_file, opt->source_format, FALSE, FALSE);
        if (source == NULL) {
            return EXIT_STATUS_ERROR;
        }
        sources = image_bitmaps_new(source, &error);
        if (sources == NULL) {
            report_gerror(error);
            return EXIT_STATUS_ERROR;
        }
    }
    if (strcmp(image_format(image), "qcow2") != 0) {
        return refuse_without_bitmaps(opt) ? EXIT_STATUS_OK : EXIT_STATUS_ERROR;
    }
    return change(opt, image, sources) ? EXIT_STATUS_OK : EXIT_STATUS_ERROR;
}
