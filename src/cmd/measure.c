/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `measure`: how large a file a conversion would need. What must be stored is counted here, from
 * the source's extents; what it takes in tables is the cell's to say.
 */
#include <stdio.h>
#include <string.h>

#include "compat/create_opts.h"
#include "compat/exit_status.h"
#include "compat/human.h"
#include "compat/json.h"
#include "compat/wording.h"
#include "guest/abi/plan.pb-c.h"
#include "src/cmd/cmd.h"
#include "src/graph/bitmaps.h"
#include "src/graph/snapshot.h"
#include "src/plan/luks_options.h"
#include "src/plan/qcow2_options.h"
#include "src/wire/decode.h"

#define SECTOR             512u
#define BITMAP_ENTRY_BYTES 24u /* of the bitmap directory, before the name */

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* ---- what must be stored ---- */

/*
 * Adds up the target's clusters that hold data of the source.
 *
 * An extent is counted from its cluster's start to its last cluster's end; what else lies in that
 * last cluster is not looked at again.
 */
static gboolean count_data(struct image *image, uint64_t cluster_bytes, uint64_t *out_bytes,
                           GError **error)
{
    g_autoptr(Extents) it = extents_new(image, 0, image_virtual_size(image), 0);
    g_autoptr(GError) damage = NULL;
    uint64_t counted = 0; /* up to here */
    struct extent extent;
    int got;

    *out_bytes = 0;
    while ((got = extents_next(it, &extent, &damage)) > 0) {
        uint64_t start = MAX(extent.start, counted), end = extent.start + extent.length;

        if (end <= counted || extent.zero || !extent.data || !extent.present)
            continue;
        counted = round_up(end, cluster_bytes);
        *out_bytes += counted - start / cluster_bytes * cluster_bytes;
    }
    if (got < 0) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Unable to get block status: %s",
                    g_strerror(image_report_damage(damage)));
        return FALSE;
    }
    return TRUE;
}

/* ---- bitmaps ---- */

/* Clusters that copies of the bitmaps would take: bits, tables, one directory. */
static uint64_t bitmaps_size(const struct image_bitmaps *bitmaps, uint64_t cluster_bytes)
{
    uint64_t total = 0, directory = 0;

    for (guint i = 0; bitmaps->persistent && i < bitmaps->list->len; i++) {
        const struct image_bitmap *bitmap = g_ptr_array_index(bitmaps->list, i);
        uint64_t data = round_up(bitmap->length, cluster_bytes);

        if (bitmap->in_use)
            continue;
        total += data + round_up(data / cluster_bytes * 8, cluster_bytes);
        directory += round_up(BITMAP_ENTRY_BYTES + g_bytes_get_size(bitmap->name), 8);
    }
    return total + round_up(directory, cluster_bytes);
}

static gboolean measure_bitmaps(struct image *image, const struct create_qcow2 *options,
                                struct measure_result *result, GError **error)
{
    if (options->version < 3)
        return TRUE;
    g_autoptr(ImageBitmaps) bitmaps = image_bitmaps_new(image, error);

    if (bitmaps == NULL)
        return FALSE;
    result->have_bitmaps = bitmaps->supported;
    if (bitmaps->supported)
        result->bitmaps_bytes = bitmaps_size(bitmaps, options->cluster_size_bytes);
    return TRUE;
}

/* ---- targets ---- */

static gboolean measure_raw(uint64_t size_bytes, struct measure_result *result)
{
    uint64_t size = round_up(size_bytes, SECTOR);

    *result = (struct measure_result){.required_bytes = size, .fully_allocated_bytes = size};
    return TRUE;
}

/* options NULL: an image of format luks. */
static gboolean ask_cell(struct cell *cell, const struct create_qcow2 *options,
                         Abi__LuksCreate *luks, uint64_t size_bytes, uint64_t data_bytes,
                         struct measure_result *result, GError **error)
{
    Abi__MeasureRequest request = ABI__MEASURE_REQUEST__INIT;
    Abi__Qcow2CreateOptions qcow2;
    ProtobufCMessage *message = NULL;

    if (options != NULL) {
        qcow2_options_fill(options, &qcow2);
        qcow2.luks = luks;
        request.qcow2 = &qcow2;
    } else {
        request.luks = luks;
    }
    request.format = (char *)(options != NULL ? "qcow2" : "luks");
    request.size = size_bytes;
    request.required_data = data_bytes;
    if (!cell_call(cell, CELL_METHOD_MEASURE, &request.base, NULL, 0, 0,
                   &abi__measure_reply__descriptor, &message, error))
        return FALSE;
    const Abi__MeasureReply *reply = (const Abi__MeasureReply *)message;
    gboolean ok = wire_check_error(reply->error, NULL, error);
    result->required_bytes = reply->required;
    result->fully_allocated_bytes = reply->fully_allocated;
    protobuf_c_message_free_unpacked(message, NULL);
    return ok;
}

static struct cell *start_cell(GError **error)
{
    struct cell_config config;

    return cell_config_from_environment(&config, error) ? cell_new(&config, error) : NULL;
}

static gboolean measure_qcow2(struct image *image, const struct create_opts *opts,
                              uint64_t size_bytes, struct measure_result *result, GError **error)
{
    struct create_qcow2 options;
    Abi__LuksCreate luks, *options_luks;
    gboolean has_luks;
    uint64_t data_bytes = 0;

    if (!create_opts_qcow2(opts, &options, error))
        return FALSE;
    if (!qcow2_options_encryption(opts, &options, TRUE, &luks, &has_luks, error))
        return FALSE;
    options_luks = has_luks ? &luks : NULL;
    g_autoptr(Cell) own = image == NULL || image_cell(image) == NULL ? start_cell(error) : NULL;
    struct cell *cell = own != NULL ? own : image != NULL ? image_cell(image) : NULL;

    *result = (struct measure_result){0};
    /* The options are looked at before the image is. */
    if (cell == NULL || !ask_cell(cell, &options, options_luks, size_bytes, 0, result, error))
        return FALSE;
    if (image == NULL)
        return TRUE;
    if (options.backing_file != NULL)
        data_bytes = round_up(size_bytes, options.cluster_size_bytes);
    else if (!count_data(image, options.cluster_size_bytes, &data_bytes, error))
        return FALSE;
    return ask_cell(cell, &options, options_luks, size_bytes, data_bytes, result, error) &&
           measure_bitmaps(image, &options, result, error);
}

static gboolean measure_luks(const struct create_opts *opts, uint64_t size_bytes,
                             struct measure_result *result, GError **error)
{
    Abi__LuksCreate luks;
    g_autoptr(Cell) cell = NULL;

    if (create_opts_slot(opts, "detached-header") != NULL &&
        create_opts_slot(opts, "detached-header")->text != NULL)
        return wording_fail(error, "Parameter 'detached-header' is unexpected");
    if (!luks_options_fill(opts, "", TRUE, &luks, error))
        return FALSE;
    cell = start_cell(error);
    return cell != NULL && ask_cell(cell, NULL, &luks, size_bytes, 0, result, error);
}

static gboolean measure(struct image *image, const struct options *opt,
                        struct measure_result *result, GError **error)
{
    struct create_request request = {.format = opt->out_format, .options = opt->options};
    struct create_opts *opts = create_opts_new_measure(&request, error);
    uint64_t size_bytes = image != NULL ? image_virtual_size(image) : opt->size_bytes;
    gboolean ok = FALSE;

    if (opts == NULL)
        return FALSE;
    const char *format = create_opts_format(opts)->name;

    if (strcmp(format, "raw") == 0 || strcmp(format, "file") == 0)
        ok = measure_raw(size_bytes, result);
    else if (strcmp(format, "qcow2") == 0)
        ok = measure_qcow2(image, opts, size_bytes, result, error);
    else if (strcmp(format, "luks") == 0)
        ok = measure_luks(opts, size_bytes, result, error);
    else
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Block driver '%s' does not support size measurement", format);
    create_opts_free(opts);
    return ok;
}

/* ---- the source ---- */

/* Opens the source as asked; FALSE when that failed and was reported. */
static gboolean open_source(const struct invocation *inv, struct image **out)
{
    const struct options *opt = &inv->opt;
    g_autoptr(GError) error = NULL;

    *out = NULL;
    if (inv->operands->len == 0)
        return TRUE;
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .force_share = opt->force_share,
        .cache = CACHE_WRITEBACK,
    };
    g_autoptr(Image) image = image_open(&options, &error);

    if (image == NULL) {
        wording_prefix_open(&error, options.filename);
        report_gerror(error);
        return FALSE;
    }
    gboolean plain = opt->snapshot_id == NULL && opt->snapshot_name == NULL;
    if (opt->snapshot != NULL &&
        !image_load_snapshot(image, plain ? opt->snapshot : NULL, opt->snapshot_id,
                             opt->snapshot_name, &error)) {
        report_gerror_prefixed(error, "Failed to load snapshot: ");
        return FALSE;
    }
    *out = g_steal_pointer(&image);
    return TRUE;
}

int cmd_measure(const struct invocation *inv)
{
    struct measure_result result = {0};
    struct image *source = NULL;
    g_autoptr(GError) error = NULL;

    if (!open_source(inv, &source))
        return EXIT_STATUS_ERROR;
    g_autoptr(Image) image = source;
    if (!measure(image, &inv->opt, &result, &error)) {
        report_gerror(error);
        return EXIT_STATUS_ERROR;
    }
    if (inv->opt.output == OUTPUT_JSON)
        json_measure(stdout, &result);
    else
        human_measure(stdout, &result);
    return EXIT_STATUS_OK;
}
