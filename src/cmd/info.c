/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `info`: what one image is, or each image of a chain.
 *
 * Only the image itself is opened. With --backing-chain each backing file is opened as an image of
 * its own, so that the error about a missing one names it alone; nothing is printed until all were
 * found.
 */
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "compat/exit_status.h"
#include "compat/human.h"
#include "compat/json.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "src/cmd/cmd.h"
#include "src/graph/ask.h"
#include "src/graph/graph.h"

#define SECTOR 512u

/* ---- from an opened image to what is shown ---- */

static uint64_t whole_sectors(uint64_t bytes)
{
    return (bytes + SECTOR - 1) / SECTOR * SECTOR;
}

#define QCOW2_SUBCLUSTERS  32u
#define NULL_MEM_ALIGNMENT 512u

/* Limits that stock finds by default; those that only some devices have are absent. */
static struct limits_info *limits_new(struct endpoint *endpoint)
{
    struct limits_info *limits = g_new0(struct limits_info, 1);

    limits->request_alignment = 1;
    limits->min_mem_alignment = endpoint_fd(endpoint_below(endpoint)) >= 0
                                    ? endpoint_alignment(endpoint)
                                    : NULL_MEM_ALIGNMENT;
    limits->opt_mem_alignment = 4096;
    limits->max_iov = 1024;
    return limits;
}

/* What stock's driver of a format says about the requests that it takes. */
static const struct format_limits {
    const char *format;
    gboolean sectors;      /* requests start and end on sectors */
    gboolean write_zeroes; /* zeroes whole clusters at once */
    gboolean max_zeroes;   /* and not more than fit 31 bits */
    gboolean discard;      /* discards whole clusters */
} format_limits[] = {
    {.format = "qcow2", .write_zeroes = TRUE, .discard = TRUE},
    {.format = "qed", .sectors = TRUE, .write_zeroes = TRUE, .max_zeroes = TRUE},
    {.format = "qcow", .sectors = TRUE},
    {.format = "parallels", .sectors = TRUE},
    {.format = "vmdk", .write_zeroes = TRUE},
};

static void apply_format_limits(struct image_info *info)
{
    uint64_t cluster = info->cluster_size_bytes;

    for (size_t i = 0; i < G_N_ELEMENTS(format_limits); i++) {
        const struct format_limits *row = &format_limits[i];

        if (strcmp(row->format, info->format) != 0) {
            continue;
        }
        if (row->sectors) {
            info->limits->request_alignment = SECTOR;
        }
        info->limits->discard_alignment = row->discard ? cluster : 0;
        info->limits->write_zeroes_alignment = row->write_zeroes ? cluster : 0;
        info->limits->max_write_zeroes = row->max_zeroes ? INT32_MAX / cluster * cluster : 0;
    }
}

static void add_format_limits(struct image_info *info, struct image *image,
                              struct endpoint *endpoint)
{
    const struct qcow2_info *qcow2 = info->specific.qcow2;

    info->limits = limits_new(endpoint);
    if (image_was_probed(image) && strcmp(info->format, "raw") == 0) {
        /* The guess may be wrong, so the first sector is guarded as a whole. */
        info->limits->request_alignment = SECTOR;
    }
    apply_format_limits(info);
    if (qcow2 != NULL && qcow2->extended_l2) {
        info->limits->write_zeroes_alignment /= QCOW2_SUBCLUSTERS;
    }
}

/* XFS keeps a hint for the size of extents with each file. */
static void add_extent_size_hint(struct specific *specific, struct endpoint *endpoint)
{
    struct fsxattr attr;
    int fd = endpoint_fd(endpoint);

    if (fd >= 0 && ioctl(fd, FS_IOC_FSGETXATTR, &attr) == 0 && attr.fsx_extsize > 0) {
        specific->have_extent_size_hint = TRUE;
        specific->extent_size_hint_bytes = attr.fsx_extsize;
    }
}

/* The nodes that a blkverify node compares with, NULL: it is none. */
static GPtrArray *raw_copy(GPtrArray *files, guint i)
{
    return ((const struct image_file *)g_ptr_array_index(files, i))->raw;
}

/* Zeros that nobody stores are never dirty: nothing is said about it. */
static gboolean tells_dirty(struct endpoint *endpoint)
{
    uint64_t ignored = 0;
    const char *protocol = endpoint_protocol(endpoint_unslice(endpoint, &ignored));

    return !g_str_has_prefix(protocol, "null") && strcmp(protocol, "nbd") != 0;
}

/* A node that is a protocol, or a raw window above one: bytes that nobody interpreted. */
static void describe_bytes(struct image_info *info, struct endpoint *endpoint,
                           const struct options *opt)
{
    info->virtual_size_bytes = whole_sectors(endpoint_size(endpoint));
    info->have_actual_size = endpoint_allocated(endpoint, &info->actual_size_bytes);
    info->have_dirty_flag = tells_dirty(endpoint);
    if (opt->limits) {
        info->limits = limits_new(endpoint);
    }
    if (strcmp(info->format, "file") == 0 && profile_get()->info_children) {
        info->specific.kind = SPECIFIC_FILE;
        add_extent_size_hint(&info->specific, endpoint);
    }
    if (opt->limits && strcmp(info->format, "raw") != 0) {
        info->limits->request_alignment = endpoint_alignment(endpoint);
    }
}

/* Windows and filters have the clusters of the disk that they show; verified ones do not. */
static uint64_t cluster_size_below(GPtrArray *files, guint first)
{
    const struct image_file *last;

    for (guint i = first > 0 ? first - 1 : 0; i < files->len; i++) {
        if (raw_copy(files, i) != NULL) {
            return 0;
        }
    }
    last = files->len > first ? g_ptr_array_index(files, files->len - 1) : NULL;
    return last != NULL && last->disk != NULL ? image_cluster_size(last->disk) : 0;
}

/* The files an image consists of besides its own, the one opened last first. */
static void add_extents(struct image_info *info, struct image *image, const struct options *opt)
{
    const struct image_file *file;
    unsigned nr = 0;

    while (image_extent(image, nr) != NULL) {
        nr++;
    }
    while (nr-- > 0) {
        g_autofree char *name = g_strdup_printf("extents.%u", nr);
        struct image_info *child = image_info_new();

        file = image_extent(image, nr);
        child->filename = g_strdup(file->display);
        child->format = g_strdup(file->driver);
        describe_bytes(child, file->endpoint, opt);
        image_info_add_child(info, name, child);
    }
}

/* The file that the header of a luks image is in, when it is not the image's own. */
static void add_header(struct image_info *info, struct image *image, const struct options *opt)
{
    const struct image_file *file = image_header(image);
    struct image_info *child;

    if (file == NULL) {
        return;
    }
    child = image_info_new();
    child->filename = g_strdup(file->display);
    child->format = g_strdup(file->driver);
    describe_bytes(child, file->endpoint, opt);
    image_info_add_child(info, "header", child);
}

/* What all files of the image take on disk together. */
static void add_extent_sizes(struct image_info *info, struct image *image)
{
    const struct image_file *file = image_header(image);

    if (file != NULL) {
        uint64_t allocated = 0;

        info->have_actual_size &= endpoint_allocated(file->endpoint, &allocated);
        info->actual_size_bytes += allocated;
    }

    for (unsigned i = 0; (file = image_extent(image, i)) != NULL; i++) {
        uint64_t allocated = 0;

        info->have_actual_size &= endpoint_allocated(file->endpoint, &allocated);
        info->actual_size_bytes += allocated;
    }
}

/* The cell tells files apart by number. */
static void name_vmdk_extents(struct image_info *info, struct image *image)
{
    GPtrArray *extents = info->specific.vmdk->extents;

    for (guint i = 0; i < extents->len; i++) {
        struct vmdk_extent *extent = g_ptr_array_index(extents, i);
        struct endpoint *endpoint = image_blob(image, extent->blob);

        extent->filename = g_strdup(endpoint == image_endpoint(image) || endpoint == NULL
                                        ? image_file_name(image)
                                        : endpoint_path(endpoint));
    }
}

static struct image_info *describe(struct image *image, const struct options *opt, GError **error);

/* Nodes, each the child of the one before; the first is a child of `info`. */
static gboolean add_files(struct image_info *info, GPtrArray *files, const struct options *opt,
                          GError **error)
{
    for (guint i = 0; i < files->len; i++) {
        const struct image_file *file = g_ptr_array_index(files, i);
        struct image_info *child;

        if (file->disk != NULL) {
            child = describe(file->disk, opt, error);
            if (child == NULL) {
                return FALSE;
            }
        } else {
            child = image_info_new();
            child->filename = g_strdup(file->display);
            child->format = g_strdup(file->driver);
            describe_bytes(child, file->endpoint, opt);
            child->cluster_size_bytes = cluster_size_below(files, i + 1);
        }
        image_info_add_child(info, file->key, child);
        if (i > 0 && raw_copy(files, i - 1) != NULL &&
            !add_files(info, raw_copy(files, i - 1), opt, error)) {
            return FALSE;
        }
        info = child;
    }
    return TRUE;
}

/* Takes over `info`; NULL on failure. */
static struct image_info *add_children(struct image_info *info, struct image *image,
                                       const struct options *opt, GError **error)
{
    if (!profile_get()->info_children) {
        return info;
    }
    add_extents(info, image, opt);
    add_header(info, image, opt);
    if (!add_files(info, image_files(image), opt, error) ||
        (image_raw_copy(image) != NULL && !add_files(info, image_raw_copy(image), opt, error))) {
        image_info_free(info);
        return NULL;
    }
    return info;
}

static struct image_info *describe(struct image *image, const struct options *opt, GError **error)
{
    struct image_info *info = image_info_new();
    struct endpoint *endpoint = image_endpoint(image);

    info->filename = g_strdup(image_filename(image));
    info->format = g_strdup(image_format(image));
    if (image_is_bytes(image)) {
        describe_bytes(info, endpoint, opt);
        if (image_raw_copy(image) == NULL) {
            info->cluster_size_bytes = cluster_size_below(image_files(image), 0);
        }
        return add_children(info, image, opt, error);
    }
    info->have_actual_size = endpoint_allocated(endpoint, &info->actual_size_bytes);
    info->have_dirty_flag = tells_dirty(endpoint);
    info->virtual_size_bytes = image_virtual_size(image);
    if (image_cell(image) != NULL && !image_describe(image, info, error)) {
        image_info_free(info);
        return NULL;
    }
    add_extent_sizes(info, image);
    if (info->specific.vmdk != NULL) {
        name_vmdk_extents(info, image);
    }
    if (info->backing_filename != NULL) {
        info->full_backing_filename = image_backing_path(image);
    }
    if (opt->limits) {
        add_format_limits(info, image, endpoint);
    }
    if (image_cell(image) == NULL) {
        info->cluster_size_bytes = cluster_size_below(image_files(image), 0);
    }
    return add_children(info, image, opt, error);
}

/* ---- the chain ---- */

static void report_open_failure(GError *error, const char *name)
{
    wording_prefix_open(&error, name);
    report_gerror(error);
    g_error_free(error);
}

static void free_info(gpointer info)
{
    image_info_free(info);
}

/* Opens the next image of the chain; *out_name is the name for messages. */
static struct image *open_next(struct image *previous, const struct image_open_options *options,
                               GHashTable *seen, char **out_name)
{
    g_autofree char *path = previous != NULL ? image_backing_path(previous) : NULL;
    GError *error = NULL;
    struct image *image;

    *out_name = path != NULL ? image_shown_name(path) : g_strdup(options->filename);
    if (!g_hash_table_add(seen, g_strdup(path != NULL ? path : options->filename))) {
        report_error("Backing file '%s' creates an infinite loop.", *out_name);
        return NULL;
    }
    image = previous != NULL ? image_open_backing(previous, options, &error)
                             : image_open(options, &error);
    if (image == NULL) {
        report_open_failure(error, *out_name);
    }
    return image;
}

/* Fills `infos`; FALSE when something failed and was reported. */
static gboolean collect(const struct options *opt, const struct image_open_options *options,
                        GPtrArray *infos)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct image *image = NULL;
    gboolean ok = TRUE;

    do {
        g_autofree char *name = NULL;
        struct image *next = open_next(image, options, seen, &name);
        struct image_info *info = NULL;
        GError *error = NULL;

        image_free(image);
        image = next;
        if (image != NULL) {
            info = describe(image, opt, &error);
        }
        if (error != NULL) {
            report_open_failure(error, name);
        }
        ok = info != NULL;
        if (ok) {
            g_ptr_array_add(infos, info);
        }
    } while (ok && opt->backing_chain && image_backing_name(image) != NULL);
    image_free(image);
    return ok;
}

int cmd_info(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func(free_info);
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .force_share = opt->force_share,
        .no_io = TRUE,
        .cache = opt->cache_mode,
    };

    if (!collect(opt, &options, infos)) {
        return EXIT_STATUS_ERROR;
    }
    if (opt->output == OUTPUT_JSON) {
        json_info(stdout, (struct image_info **)infos->pdata, infos->len, opt->backing_chain);
    } else {
        human_info(stdout, (struct image_info **)infos->pdata, infos->len);
    }
    return EXIT_STATUS_OK;
}
