/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `amend`: other options for an existing qcow2 image, key slots of an encrypted one. Each step is a
 * plan of its own, in stock's order: what was done before a step fails stays done. Between two
 * steps the image is opened anew, as nothing that a cell knew of it before it was written to counts
 * any more.
 */
#include <string.h>

#include "compat/amend_opts.h"
#include "compat/create_opts.h"
#include "compat/exit_status.h"
#include "compat/progress.h"
#include "compat/size.h"
#include "compat/wording.h"
#include "guest/abi/error_plan.h"
#include "guest/abi/plan.pb-c.h"
#include "src/cmd/cmd.h"
#include "src/graph/ask.h"
#include "src/graph/graph.h"
#include "src/plan/apply.h"
#include "src/plan/image_plan.h"
#include "src/plan/keyslot.h"
#include "src/wire/decode.h"

/* Room beyond what the file and the disk have: the most that tables can take. */
#define ROOM_BYTES ((uint64_t)1 << 40)

/* What a disk can be at most, as stock says it. */

/* The image between two steps. */
struct amend {
    const struct options *opt;
    const char *name;
    struct image *image;
    gboolean changed; /* since it was opened */
};

static gboolean open_image(struct amend *a, GError **error)
{
    struct image_open_options options = {
        .filename = a->name,
        .image_opts = a->opt->image_opts,
        .format = a->opt->format,
        .read_write = TRUE,
        .cache = a->opt->cache != NULL ? a->opt->cache_mode : CACHE_WRITEBACK,
    };

    g_clear_pointer(&a->image, image_free);
    a->changed = FALSE;
    a->image = image_open(&options, error);
    if (a->image == NULL) {
        wording_prefix_open(error, a->name);
    }
    return a->image != NULL;
}

/* ---- one step ---- */

static gboolean change(struct amend *a, enum cell_method method, const ProtobufCMessage *request,
                       uint64_t disk_bytes, GError **error)
{
    uint64_t room_bytes = MIN(disk_bytes, G_MAXINT64 / 4) + ROOM_BYTES;

    a->changed = image_plan_run(a->image, method, request, room_bytes, error);
    return a->changed;
}

static gboolean step(struct amend *a, Abi__AmendRequest *request, GError **error)
{
    if (a->changed && !open_image(a, error)) {
        return FALSE;
    }
    request->node = image_node(a->image);
    return change(a, CELL_METHOD_AMEND, &request->base, image_virtual_size(a->image), error);
}

static gboolean plain_step(struct amend *a, Abi__AmendStep which, GError **error)
{
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;

    request.step = which;
    return step(a, &request, error);
}

/* ---- the steps ---- */

static gboolean change_refcounts(struct amend *a, const struct amend_qcow2 *to, GError **error)
{
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;

    if (to->version < 3 && to->refcount_bits != 16) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Refcount widths other than 16 bits require compatibility level 1.1 or "
                            "above (use compat=1.1 or greater)");
        return FALSE;
    }
    request.step = ABI__AMEND_STEP__AMEND_REFCOUNT_BITS;
    request.refcount_bits = to->refcount_bits;
    if (step(a, &request, error))
        return TRUE;
    apply_reword(error, "Failed to write the new reftable");
    return FALSE;
}

static gboolean change_data_file(struct amend *a, const struct amend_qcow2 *to, GError **error)
{
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;

    request.step = ABI__AMEND_STEP__AMEND_DATA_FILE;
    request.clear_raw = to->clear_raw;
    request.has_data_file = to->data_file != NULL;
    request.data_file.data = (uint8_t *)to->data_file;
    request.data_file.len = to->data_file != NULL ? strlen(to->data_file) : 0;
    return step(a, &request, error);
}

/* Both must be what they are. */
static gboolean check_backing(struct amend *a, const struct amend_qcow2 *to, GError **error)
{
    if (g_strcmp0(to->backing_file, image_backing_name(a->image)) == 0 &&
        g_strcmp0(to->backing_fmt, image_backing_format(a->image)) == 0) {
        return TRUE;
    }
    g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Cannot amend the backing file");
    wording_add_hint(error, "You can use 'qemu-img rebase' instead.");
    return FALSE;
}

static gboolean change_lazy(struct amend *a, const struct amend_qcow2 *to, GError **error)
{
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;

    if (to->lazy_refcounts && to->version < 3) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Lazy refcounts only supported with compatibility level 1.1 and above "
                            "(use compat=1.1 or greater)");
        return FALSE;
    }
    request.step = ABI__AMEND_STEP__AMEND_LAZY_REFCOUNTS;
    request.on = to->lazy_refcounts;
    return step(a, &request, error);
}

static gboolean change_size(struct amend *a, uint64_t size_bytes, GError **error)
{
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;

    if (size_bytes > G_MAXINT64) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Image size cannot be negative");
        return FALSE;
    }
    if (!size_check_disk(size_bytes, error)) {
        return FALSE;
    }
    if (a->changed && !open_image(a, error)) {
        return FALSE;
    }
    request.node = image_node(a->image);
    request.size = size_bytes;
    request.shrink = TRUE;
    gboolean grows = size_bytes > image_virtual_size(a->image);
    if (change(a, CELL_METHOD_RESIZE, &request.base, size_bytes, error))
        return TRUE;
    if (grows)
        apply_reword(error, "Failed to grow the L1 table");
    return FALSE;
}

/* Key slots, of a luks image or of LUKS inside qcow2. */
static gboolean change_keyslots(struct amend *a, const struct keyval *pairs, const char *prefix,
                                GError **error)
{
    const struct driver *driver = driver_find(image_format(a->image));
    struct amend_keyslots keyslots;
    Abi__KeyslotRequest request;
    gboolean ok;

    if (!amend_opts_keyslots(driver, pairs, prefix, &keyslots, error) ||
        (a->changed && !open_image(a, error))) {
        return FALSE;
    }
    ok = keyslot_fill(a->image, &keyslots, a->opt->force, &request, error) &&
         change(a, CELL_METHOD_KEYSLOT, &request.base, image_virtual_size(a->image), error);
    keyslot_clear(&request);
    return ok;
}

static gboolean run(struct amend *a, const struct amend_current *is, const struct amend_qcow2 *to,
                    const struct keyval *pairs, GError **error)
{
    if (to->version > is->version && !plain_step(a, ABI__AMEND_STEP__AMEND_UPGRADE, error)) {
        return FALSE;
    }
    if (to->encryption && !change_keyslots(a, pairs, "encrypt.", error)) {
        return FALSE;
    }
    if (to->refcount_bits != is->refcount_bits && !change_refcounts(a, to, error)) {
        return FALSE;
    }
    if ((to->data_file != NULL || to->clear_raw) && is->has_data_file &&
        !change_data_file(a, to, error)) {
        return FALSE;
    }
    if (to->changes_backing && !check_backing(a, to, error)) {
        return FALSE;
    }
    if (to->lazy_refcounts != is->lazy_refcounts && !change_lazy(a, to, error)) {
        return FALSE;
    }
    if (to->size_bytes != 0 && !change_size(a, to->size_bytes, error)) {
        return FALSE;
    }
    return to->version >= is->version || plain_step(a, ABI__AMEND_STEP__AMEND_DOWNGRADE, error);
}

/* ---- */

static gboolean find_current(struct image *image, struct amend_current *out, GError **error)
{
    Abi__InfoReply *reply = image_ask_info(image, error);
    gboolean ok;

    if (reply == NULL) {
        return FALSE;
    }
    ok = reply->qcow2 != NULL;
    if (ok) {
        *out = (struct amend_current){
            .version = reply->qcow2->version,
            .refcount_bits = reply->qcow2->refcount_bits,
            .encrypted = reply->encrypted != 0,
            .has_data_file = reply->qcow2->needs_data_file != 0,
            .data_file_raw = reply->qcow2->data_file_raw != 0,
            .lazy_refcounts = reply->qcow2->lazy_refcounts != 0,
        };
    } else {
        wire_refuse(error, "description of a qcow2 image");
    }
    abi__info_reply__free_unpacked(reply, NULL);
    return ok;
}

static gboolean amend(struct amend *a, GError **error)
{
    const struct driver *driver;
    struct amend_current is;
    struct amend_qcow2 to;
    struct keyval *pairs;
    gboolean ok;

    if (!open_image(a, error)) {
        return FALSE;
    }
    driver = driver_find(image_format(a->image));
    if (keyval_has_help(a->opt->options)) {
        return create_opts_print_amend_help(image_format(a->image), error);
    }
    if (driver == NULL || driver->amend == NULL) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Format driver '%s' does not support option amendment", image_format(a->image));
        return FALSE;
    }
    pairs = keyval_parse(a->opt->options, NULL);
    ok = amend_opts_check(driver, pairs, error);
    if (ok) {
        progress_start();
        ok = strcmp(driver->name, "luks") == 0
                 ? change_keyslots(a, pairs, "", error)
                 : find_current(a->image, &is, error) &&
                       amend_opts_qcow2(driver, pairs, &is, &to, error) &&
                       run(a, &is, &to, pairs, error);
        progress_complete();
    }
    keyval_free(pairs);
    return ok;
}

int cmd_amend(const struct invocation *inv)
{
    struct amend a = {.opt = &inv->opt, .name = g_ptr_array_index(inv->operands, 0)};
    g_autoptr(GError) error = NULL;
    gboolean ok;

    progress_begin(inv->opt.progress, PROGRESS_STEP_AMEND);
    ok = amend(&a, &error);
    g_clear_pointer(&a.image, image_free);
    if (!ok) {
        report_gerror(error);
    }
    progress_end();
    return ok ? EXIT_STATUS_OK : EXIT_STATUS_ERROR;
}
