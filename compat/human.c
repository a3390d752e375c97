/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as text: check, map, measure and compare. Info is in human_info.c.
 */
#include "compat/human.h"

#include <string.h>

#include "compat/human_private.h"
#include "compat/wording.h"

char *human_name(const char *name)
{
    return wording_escape_span((const uint8_t *)name, strlen(name));
}

/* ---- check ---- */

static double percent(uint64_t part, uint64_t whole)
{
    return (double)part * 100.0 / (double)whole;
}

void human_check(FILE *out, const struct check_result *result)
{
    if (result->corruptions == 0 && result->leaks == 0 && result->check_errors == 0) {
        fputs("No errors were found on the image.\n", out);
    }
    if (result->corruptions != 0) {
        fprintf(out,
                "\n%" G_GUINT64_FORMAT " errors were found on the image.\n"
                "Data may be corrupted, or further writes to the image may corrupt it.\n",
                result->corruptions);
    }
    if (result->leaks != 0) {
        fprintf(out,
                "\n%" G_GUINT64_FORMAT " leaked clusters were found on the image.\n"
                "This means waste of disk space, but no harm to data.\n",
                result->leaks);
    }
    if (result->check_errors != 0) {
        fprintf(out, "\n%" G_GUINT64_FORMAT " internal errors have occurred during the check.\n",
                result->check_errors);
    }
    if (result->total_clusters != 0 && result->allocated_clusters != 0) {
        fprintf(out,
                "%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " = %0.2f%% allocated, "
                "%0.2f%% fragmented, %0.2f%% compressed clusters\n",
                result->allocated_clusters, result->total_clusters,
                percent(result->allocated_clusters, result->total_clusters),
                percent(result->fragmented_clusters, result->allocated_clusters),
                percent(result->compressed_clusters, result->allocated_clusters));
    }
    if (result->have_image_end_offset && result->image_end_offset_bytes > 0) {
        fprintf(out, "Image end offset: %" G_GUINT64_FORMAT "\n", result->image_end_offset_bytes);
    }
}

void human_check_repaired(FILE *out, uint64_t leaks_fixed, uint64_t corruptions_fixed)
{
    fprintf(out,
            "The following inconsistencies were found and repaired:\n\n"
            "    %" G_GUINT64_FORMAT " leaked clusters\n"
            "    %" G_GUINT64_FORMAT " corruptions\n\n"
            "Double checking the fixed image now...\n",
            leaks_fixed, corruptions_fixed);
}

/* ---- map ---- */

void human_map_begin(FILE *out)
{
    fprintf(out, "%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
}

gboolean human_map_entry(FILE *out, const struct map_entry *entry, GError **error)
{
    if (entry->data && !entry->have_offset) {
        return wording_fail(error, "File contains external, encrypted or compressed clusters.");
    }
    if (entry->data && !entry->zero) {
        g_autofree char *name = human_name(entry->filename != NULL ? entry->filename : "");

        fprintf(out,
                "%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER
                "x%s\n",
                entry->start_bytes, entry->length_bytes, entry->offset_bytes, name);
    }
    return TRUE;
}

/* ---- measure, compare ---- */

void human_measure(FILE *out, const struct measure_result *result)
{
    fprintf(out, "required size: %" G_GUINT64_FORMAT "\n", result->required_bytes);
    fprintf(out, "fully allocated size: %" G_GUINT64_FORMAT "\n", result->fully_allocated_bytes);
    if (result->have_bitmaps) {
        fprintf(out, "bitmaps size: %" G_GUINT64_FORMAT "\n", result->bitmaps_bytes);
    }
}

void human_compare(FILE *out, const struct compare_result *result)
{
    if (result->sizes_differ && result->verdict != COMPARE_STRICT_SIZE) {
        fputs("Warning: Image size mismatch!\n", out);
    }
    switch (result->verdict) {
    case COMPARE_IDENTICAL:
        fputs("Images are identical.\n", out);
        break;
    case COMPARE_CONTENT_MISMATCH:
        fprintf(out, "Content mismatch at offset %" G_GUINT64_FORMAT "!\n", result->offset_bytes);
        break;
    case COMPARE_STRICT_SIZE:
        fputs("Strict mode: Image size mismatch!\n", out);
        break;
    case COMPARE_STRICT_STATUS:
        fprintf(out, "Strict mode: Offset %" G_GUINT64_FORMAT " block status mismatch!\n",
                result->offset_bytes);
        break;
    }
}
