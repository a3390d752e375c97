/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of `convert`: created like `create` would, then opened as any image is, in a cell of
 * its own that knows nothing of the sources.
 */
#include <stdio.h>
#include <string.h>

#include "compat/driver.h"
#include "compat/wording.h"
#include "src/cmd/convert.h"
#include "src/copy/target_codec.h"
#include "src/copy/target_image.h"
#include "src/plan/apply.h"
#include "src/plan/create_image.h"

void convert_target_clear(struct convert_target *target)
{
    target_free(target->target);
    if (target->image != NULL) {
        image_free(target->image);
    }
}

gboolean convert_check_target(const struct invocation *inv, unsigned nr_sources,
                              struct create_opts **out_opts, GError **error)
{
    const struct options *opt = &inv->opt;
    struct create_request request = {
        .format = opt->out_format,
        .filename = g_ptr_array_index(inv->operands, inv->operands->len - 1),
        .options = opt->options,
        .backing_file = opt->backing_file,
        .backing_fmt = opt->backing_fmt,
        .nr_sources = nr_sources,
    };

    *out_opts = NULL;
    if (opt->no_create) {
        return TRUE;
    }
    *out_opts = create_opts_new_convert(&request, error);
    if (*out_opts == NULL) {
        return FALSE;
    }
    if (opt->compress && !create_opts_check_compress(*out_opts, error)) {
        create_opts_free(g_steal_pointer(out_opts));
        return FALSE;
    }
    return TRUE;
}

static gboolean fail(GError *error)
{
    report_gerror(error);
    g_error_free(error);
    return FALSE;
}

static gboolean create_target(struct create_opts *opts, const char *name, uint64_t size_bytes)
{
    GError *error = NULL;

    create_opts_set_size(opts, size_bytes);
    if (create_image(opts, name, TRUE, &error)) {
        return TRUE;
    }
    report_gerror_prefixed(error, "%s: error while converting %s: ", name,
                           create_opts_format(opts)->name);
    g_error_free(error);
    return FALSE;
}

static gboolean is_vmdk(const struct image *image)
{
    return strcmp(image_format(image), "vmdk") == 0;
}

static gboolean open_target(const struct options *opt, struct convert_target *out, GError **error)
{
    struct image *image = image_view(out->image);
    gboolean compressed = opt->compress || image_wants_compression(out->image);

    /* Streams take nothing else; into other VMDK images stock writes as if nothing were said. */
    if (image_cell(image) != NULL && (compressed || is_vmdk(image))) {
        if (!target_find_codec(image, &out->codec, error)) {
            return FALSE;
        }
        if (is_vmdk(image) && opt->compress && image_cluster_size(image) == 0) {
            return wording_fail(error, "invalid cluster size");
        }
        if (is_vmdk(image)) {
            compressed = out->codec == CELL_CODEC_VMDK_GRAIN;
        }
    }
    out->target = target_new_image(out->image,
                                   &(struct target_image_options){.fresh = !opt->no_create,
                                                                  .compressed = compressed,
                                                                  .reads_zero = opt->target_is_zero,
                                                                  .bitmaps_told = opt->no_create},
                                   error);
    if (out->target == NULL) {
        return FALSE;
    }
    out->refuses_compression = opt->compress && !is_vmdk(out->image) &&
                               target_shape(out->target)->data != image_endpoint(out->image);
    return TRUE;
}

/* The value of an option with which the target was made; NULL: none. */
static const char *made_with(const struct create_opts *opts, const char *key)
{
    const struct keyval_slot *slot = opts != NULL ? create_opts_slot(opts, key) : NULL;

    return slot != NULL ? slot->text : NULL;
}

static gboolean open_image(const struct options *opt, struct cache_mode cache,
                           struct convert_target *out)
{
    struct image_open_options options = {
        .filename = out->name,
        .image_opts = opt->target_image_opts,
        .format =
            opt->target_image_opts ? NULL : (opt->out_format != NULL ? opt->out_format : "raw"),
        .read_write = TRUE,
        .may_resize = TRUE,
        .key_secret = made_with(out->opts, "key-secret"),
        .encrypt_secret = made_with(out->opts, "encrypt.key-secret"),
        .cache = cache,
    };
    GError *error = NULL;

    if (opt->target_image_opts && opt->out_format != NULL) {
        report_error("--image-opts and --format are mutually exclusive");
        return FALSE;
    }
    out->image = image_open(&options, &error);
    if (out->image == NULL) {
        wording_prefix_open(&error, out->name);
        return fail(error);
    }
    return TRUE;
}

/* What only an existing target can be wrong about. */
static gboolean check_existing(const struct options *opt, uint64_t size_bytes,
                               const struct convert_target *out)
{
    if (image_virtual_size(out->image) < size_bytes) {
        report_error("output file is smaller than input file");
        return FALSE;
    }
    if (opt->compress && image_is_encrypted(out->image)) {
        report_error("Compression and encryption not supported at the same time");
        return FALSE;
    }
    if (opt->compress && !driver_find(image_format(out->image))->can_compress) {
        report_error("Compression not supported for this file format");
        return FALSE;
    }
    return TRUE;
}

gboolean convert_reopen_target(const struct options *opt, struct convert_target *target)
{
    struct cache_mode cache = CACHE_UNSAFE;

    if (opt->cache != NULL) {
        (void)cache_mode_parse(opt->cache, &cache); /* it was one when it was opened */
    }
    g_clear_pointer(&target->target, target_free);
    g_clear_pointer(&target->image, image_free);
    return open_image(opt, cache, target);
}

gboolean convert_open_target(const struct invocation *inv, struct create_opts *opts,
                             uint64_t size_bytes, struct convert_target *out)
{
    const struct options *opt = &inv->opt;
    struct cache_mode cache = CACHE_UNSAFE;

    memset(out, 0, sizeof(*out));
    out->opts = opts;
    out->name = g_ptr_array_index(inv->operands, inv->operands->len - 1);
    out->has_backing =
        opt->backing_file != NULL || (opts != NULL && create_opts_backing_file(opts) != NULL);
    if (opts != NULL && !create_target(opts, out->name, size_bytes)) {
        return FALSE;
    }
    if (opt->cache != NULL && !cache_mode_parse(opt->cache, &cache)) {
        wording_report_bad_cache(FALSE, opt->cache);
        return FALSE;
    }
    if (opts != NULL && apply_explains()) {
        return TRUE;
    }
    return open_image(opt, cache, out) && (!opt->bitmaps || convert_check_bitmaps_fit(out)) &&
           check_existing(opt, size_bytes, out);
}

gboolean convert_start_target(const struct options *opt, struct convert_target *target)
{
    GError *error = NULL;

    return open_target(opt, target, &error) || fail(error);
}
