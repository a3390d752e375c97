/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `map`: where the guest's data lies, across the chain.
 *
 * Neighbouring extents that differ in nothing are one line. An entry is printed when the next one
 * is known to be different, so what precedes an error comes out as in stock.
 */
#include <string.h>

#include "compat/exit_status.h"
#include "compat/human.h"
#include "compat/json.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "src/cmd/cmd.h"
#include "src/graph/graph.h"

struct printer {
    gboolean json;
    struct json_map state;
};

static gboolean print_entry(struct printer *printer, const struct map_entry *entry, GError **error)
{
    if (printer->json) {
        json_map_entry(stdout, &printer->state, entry);
        return TRUE;
    }
    return human_map_entry(stdout, entry, error);
}

/* Names that images chose are made harmless for people, once each. */
static const char *file_name(const struct extent *extent)
{
    g_autofree char *shown = extent->file_name != NULL
                                 ? g_strdup(extent->file_name)
                                 : endpoint_shown_path(endpoint_below(extent->endpoint));

    return g_intern_string(shown);
}

static void to_entry(const struct extent *extent, struct map_entry *entry)
{
    *entry = (struct map_entry){
        .start_bytes = extent->start,
        .length_bytes = extent->length,
        .depth = extent->depth,
        .present = extent->present,
        .zero = extent->zero,
        .data = extent->data,
        .compressed = extent->kind == CELL_EXTENT_COMPRESSED && !extent->opaque,
    };
    if (extent->has_offset && extent->kind != CELL_EXTENT_COMPRESSED &&
        extent->kind != CELL_EXTENT_ENCRYPTED) {
        entry->have_offset = TRUE;
        entry->offset_bytes = extent->offset;
        entry->filename = file_name(extent);
    }
}

/* Whether `next` continues `entry` in every respect that is printed. */
static gboolean continues(const struct map_entry *entry, const struct map_entry *next)
{
    if (entry->depth != next->depth || entry->present != next->present ||
        entry->zero != next->zero || entry->data != next->data ||
        entry->have_offset != next->have_offset) {
        return FALSE;
    }
    if (entry->compressed != next->compressed && profile_get()->map_compressed) {
        return FALSE;
    }
    if (!entry->have_offset) {
        return TRUE;
    }
    return strcmp(entry->filename, next->filename) == 0 &&
           entry->offset_bytes + entry->length_bytes == next->offset_bytes;
}

/* Prints all entries; FALSE when something failed and was reported. */
static gboolean print_all(struct image *image, const struct options *opt, struct printer *printer)
{
    uint64_t length = opt->have_max_length ? opt->max_length_bytes : INT64_MAX;
    g_autoptr(Extents) it = extents_new(image, opt->start_offset_bytes, length, 0);
    struct map_entry current = {.start_bytes = opt->start_offset_bytes};
    g_autoptr(GError) error = NULL;
    gboolean printed = TRUE;
    struct extent extent;
    int got;

    while ((got = extents_next(it, &extent, &error)) > 0) {
        struct map_entry entry;

        to_entry(&extent, &entry);
        if (current.length_bytes > 0 && continues(&current, &entry)) {
            current.length_bytes += entry.length_bytes;
            continue;
        }
        if (current.length_bytes > 0) {
            printed = print_entry(printer, &current, &error);
        }
        if (!printed) {
            break;
        }
        current = entry;
    }
    if (got < 0) {
        int saved_errno = image_report_damage(error);

        if (printer->json && printer->state.any) {
            fputs(",\n", stdout); /* stock has promised another entry by then */
        }
        report_error("Could not read file metadata: %s", g_strerror(saved_errno));
        return FALSE;
    }
    /* Stock prints one entry of no length for an empty range. */
    if (printed) {
        printed = print_entry(printer, &current, &error);
    }
    if (!printed) {
        report_gerror(error);
    }
    return printed;
}

int cmd_map(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct printer printer = {.json = opt->output == OUTPUT_JSON};
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .force_share = opt->force_share,
    };
    GError *error = NULL;
    g_autoptr(Image) image = image_open(&options, &error);

    if (image == NULL) {
        wording_prefix_open(&error, options.filename);
        report_gerror(error);
        g_error_free(error);
        return EXIT_STATUS_ERROR;
    }
    if (printer.json) {
        json_map_begin(stdout, &printer.state);
    } else {
        human_map_begin(stdout);
    }
    if (!print_all(image, opt, &printer)) {
        return EXIT_STATUS_ERROR;
    }
    if (printer.json) {
        json_map_end(stdout, &printer.state);
    }
    return EXIT_STATUS_OK;
}
