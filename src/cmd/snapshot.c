/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `snapshot`: the internal snapshots of an image, listed, or changed by a plan of the cell that has
 * the image open.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "compat/exit_status.h"
#include "compat/human.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "guest/abi/error_plan.h"
#include "guest/abi/plan.pb-c.h"
#include "src/cmd/cmd.h"
#include "src/graph/ask.h"
#include "src/graph/graph.h"
#include "src/plan/apply.h"
#include "src/plan/image_plan.h"
#include "src/wire/decode.h"

#define NAME_BYTES_MAX 255u /* stock cuts longer names off */

/* Room beyond the file for tables: never more than what they describe, and some to start with. */
#define ROOM_BYTES(size) (MIN(size, G_MAXINT64 / 4) + ((uint64_t)1 << 30))

/* ---- listing ---- */

static gboolean list(struct image *image, GError **error)
{
    struct image_info *info;
    gboolean ok;

    if (image_cell(image) == NULL)
        return TRUE;
    info = image_info_new();
    ok = image_describe(image, info, error);
    if (ok)
        human_snapshots(stdout, info->snapshots);
    image_info_free(info);
    return ok;
}

/* ---- what went wrong, in stock's words ---- */

/* The errno by which stock would have refused; 0: it has a sentence, or we have. */
static int errno_of(const GError *error)
{
    switch (wire_error_code(error)) {
    case GUEST_ERR_NOT_SUPPORTED:
    case GUEST_ERR_PLAN_V2_SNAPSHOTS:
    case GUEST_ERR_PLAN_SNAPSHOT_DATA:
        return ENOTSUP;
    case GUEST_ERR_PLAN_REFCOUNT_FULL:
    case GUEST_ERR_PLAN_SIZE_UNALIGNED:
        return EINVAL;
    case GUEST_ERR_PLAN_SNAPSHOTS_FULL:
    case GUEST_ERR_PLAN_SNAPSHOT_SIZE:
    case GUEST_ERR_PLAN_TABLE_FULL:
        return EFBIG;
    case GUEST_ERR_SNAPSHOT_NOT_FOUND:
        return ENOENT;
    default:
        return apply_errno(error);
    }
}

static void report_create(const GError *error, const char *name)
{
    int err = errno_of(error);

    if (err == 0)
        report_gerror_prefixed(error, "Could not create snapshot '%s': ", name);
    else if (profile_get()->id == PROFILE_7_2)
        report_error("Could not create snapshot '%s': %d (%s)", name, -err, g_strerror(err));
    else
        report_error("Could not create snapshot '%s': %s", name, g_strerror(err));
}

static void report_apply(const GError *error, const char *name)
{
    uint32_t code = wire_error_code(error);
    int err = errno_of(error);

    /* What stock says when it cannot give the disk its old size comes first. */
    if (code == GUEST_ERR_PLAN_V2_SNAPSHOTS || code == GUEST_ERR_PLAN_SIZE_UNALIGNED)
        report_gerror(error);
    if (err == 0)
        report_gerror_prefixed(error, "Could not apply snapshot '%s': ", name);
    else if (code == GUEST_ERR_NOT_SUPPORTED)
        report_error("Could not apply snapshot '%s': Block driver does not support snapshots",
                     name);
    else
        report_error("Could not apply snapshot '%s': Failed to load snapshot: %s", name,
                     g_strerror(err));
}

static void report_delete(const GError *error, const char *name)
{
    int err = errno_of(error);

    if (err == ENOENT || err == ENOTSUP)
        report_error("Could not delete snapshot '%s': snapshot not found", name);
    else
        report_gerror_prefixed(error, "Could not delete snapshot '%s': ", name);
}

static void report_change(const struct options *opt, const GError *error)
{
    switch (opt->action) {
    case SNAPSHOT_CREATE:
        report_create(error, opt->action_snapshot);
        break;
    case SNAPSHOT_APPLY:
        report_apply(error, opt->action_snapshot);
        break;
    default:
        report_delete(error, opt->action_snapshot);
        break;
    }
}

/* ---- changing ---- */

static const Abi__SnapshotAction actions[] = {
    [SNAPSHOT_CREATE] = ABI__SNAPSHOT_ACTION__SNAPSHOT_CREATE,
    [SNAPSHOT_APPLY] = ABI__SNAPSHOT_ACTION__SNAPSHOT_APPLY,
    [SNAPSHOT_DELETE] = ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE,
};

static gboolean change(struct image *image, const struct options *opt, GError **error)
{
    Abi__SnapshotRequest request = ABI__SNAPSHOT_REQUEST__INIT;
    gint64 now_usec = g_get_real_time();
    size_t len = strlen(opt->action_snapshot);

    request.node = image_node(image);
    request.action = actions[opt->action];
    request.name.data = (uint8_t *)opt->action_snapshot;
    request.name.len = opt->action == SNAPSHOT_CREATE ? MIN(len, NAME_BYTES_MAX) : len;
    request.date_sec = (uint32_t)(now_usec / G_USEC_PER_SEC);
    request.date_nsec = (uint32_t)(now_usec % G_USEC_PER_SEC) * 1000;
    return image_plan_run(image, CELL_METHOD_SNAPSHOT, &request.base,
                          ROOM_BYTES(endpoint_size(image_endpoint(image))), error);
}

/* Raw images have none; going back to one makes stock look below the format as well. */
static void report_none(struct image *image, const struct options *opt)
{
    const char *name = opt->action_snapshot;

    if (opt->action == SNAPSHOT_CREATE && profile_get()->id == PROFILE_7_2) {
        report_error("Could not create snapshot '%s': %d (%s)", name, -ENOTSUP,
                     g_strerror(ENOTSUP));
    } else if (opt->action == SNAPSHOT_CREATE) {
        report_error("Could not create snapshot '%s': %s", name, g_strerror(ENOTSUP));
    } else if (opt->action == SNAPSHOT_APPLY) {
        if (image_was_probed(image))
            wording_warn_probed_raw(image_filename(image));
        report_error("Could not apply snapshot '%s': Block driver does not support snapshots",
                     name);
    } else {
        report_error("Could not delete snapshot '%s': snapshot not found", name);
    }
}

/* ---- */

/* Without an action 7.2 opens the image as if it should be written, and says nothing. */
static gboolean says_nothing(const struct options *opt)
{
    return !opt->have_action && profile_get()->id == PROFILE_7_2;
}

int cmd_snapshot(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .read_write = opt->action != SNAPSHOT_LIST || says_nothing(opt),
        .force_share = opt->force_share,
        .cache = CACHE_WRITEBACK,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(Image) image = image_open(&options, &error);
    struct image *holder;

    if (image == NULL) {
        wording_prefix_open(&error, options.filename);
        report_gerror(error);
        return EXIT_STATUS_ERROR;
    }
    holder = image_with_snapshots(image);
    if (opt->action == SNAPSHOT_LIST) {
        if (says_nothing(opt) || list(holder, &error))
            return EXIT_STATUS_OK;
        report_gerror(error);
        return EXIT_STATUS_ERROR;
    }
    if (image_is_bytes(holder) || strcmp(image_format(holder), "raw") == 0) {
        report_none(image, opt);
        return EXIT_STATUS_ERROR;
    }
    if (change(holder, opt, &error))
        return EXIT_STATUS_OK;
    report_change(opt, error);
    return EXIT_STATUS_ERROR;
}
