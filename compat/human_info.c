/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `info` and `snapshot -l` as text.
 */
#include "compat/human.h"

#include <time.h>
#include <string.h>

#include "compat/human_private.h"
#include "compat/info_tree.h"
#include "compat/profile.h"
#include "compat/size.h"

#define INDENT 4

/* ---- trees ---- */

static void print_tree(FILE *out, const struct value *tree, unsigned indent);

static void print_scalar(FILE *out, const struct value *value)
{
    g_autofree char *text = NULL;

    switch (value_kind(value)) {
    case VALUE_BOOL:
        fputs(value_truth(value) ? "true" : "false", out);
        break;
    case VALUE_UINT:
        fprintf(out, "%" G_GUINT64_FORMAT, value_number(value));
        break;
    case VALUE_INT:
        fprintf(out, "%" G_GINT64_FORMAT, (gint64)value_number(value));
        break;
    default:
        text = human_name(value_string(value));
        fputs(text, out);
        break;
    }
}

/* A key as people read it: "lazy-refcounts" is "lazy refcounts". */
static void print_key(FILE *out, const char *key)
{
    for (; *key != '\0'; key++) {
        fputc(*key == '-' ? ' ' : *key, out);
    }
}

/* Prints the members of an object or the items of a list, each on its own line. */
static void print_tree(FILE *out, const struct value *tree, unsigned indent)
{
    for (size_t i = 0; i < value_count(tree); i++) {
        const struct value *item = value_item(tree, i);
        gboolean nested = value_kind(item) == VALUE_LIST || value_kind(item) == VALUE_OBJECT;

        fprintf(out, "%*s", (int)indent, "");
        if (value_kind(tree) == VALUE_OBJECT) {
            print_key(out, value_key(tree, i));
        } else {
            fprintf(out, "[%zu]", i);
        }
        fputs(nested ? ":\n" : ": ", out);
        if (nested) {
            print_tree(out, item, indent + INDENT);
        } else {
            print_scalar(out, item);
            fputc('\n', out);
        }
    }
}

/* Prints a heading and a tree below it, and frees the tree; nothing for an empty one. */
static void print_section(FILE *out, const char *heading, struct value *tree, unsigned indent)
{
    if (tree != NULL && value_count(tree) > 0) {
        fprintf(out, "%*s%s:\n", (int)indent, "", heading);
        print_tree(out, tree, indent + INDENT);
    }
    value_free(tree);
}

/* ---- snapshots ---- */

struct snapshot_layout {
    const char *heading;
    const char *row;
    const char *clock;
    const char *no_icount;
};

static const struct snapshot_layout *snapshot_layout(void)
{
    static const struct snapshot_layout narrow = {
        .heading =
            "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT",
        .no_icount = "",
    };
    static const struct snapshot_layout wide = {
        .heading =
            "ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT",
        .no_icount = "--",
    };

    return profile_get()->snapshot_wide ? &wide : &narrow;
}

static char *snapshot_clock(uint64_t nsec)
{
    uint64_t sec = nsec / 1000000000;

    return g_strdup_printf("%0*d:%02d:%02d.%03d", profile_get()->snapshot_wide ? 4 : 2,
                           (int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60),
                           (int)(nsec / 1000000 % 1000));
}

static void print_snapshot(FILE *out, const struct snapshot_entry *entry, unsigned indent)
{
    g_autofree char *size = size_human(entry->vm_state_size_bytes);
    g_autofree char *clock = snapshot_clock(entry->vm_clock_nsec);
    g_autofree char *id = human_name(entry->id);
    g_autofree char *name = human_name(entry->name);
    g_autofree char *icount = entry->have_icount
                                  ? g_strdup_printf("%" G_GUINT64_FORMAT, entry->icount)
                                  : g_strdup(snapshot_layout()->no_icount);
    time_t seconds = (time_t)entry->date_sec;
    struct tm broken = {0};
    char date[64] = "";

    localtime_r(&seconds, &broken);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &broken);
    if (profile_get()->snapshot_wide) {
        fprintf(out, "%*s%-7s %-16s %8s %19s %15s %10s\n", (int)indent, "", id, name, size, date,
                clock, icount);
    } else {
        fprintf(out, "%*s%-9s %-16s %8s%20s%13s%11s\n", (int)indent, "", id, name, size, date,
                clock, icount);
    }
}

static void print_snapshots(FILE *out, const GPtrArray *snapshots, unsigned indent)
{
    if (snapshots == NULL || snapshots->len == 0) {
        return;
    }
    fprintf(out, "%*sSnapshot list:\n", (int)indent, "");
    fprintf(out, "%*s%s\n", (int)indent, "", snapshot_layout()->heading);
    for (guint i = 0; i < snapshots->len; i++) {
        print_snapshot(out, g_ptr_array_index(snapshots, i), indent);
    }
}

void human_snapshots(FILE *out, const GPtrArray *snapshots)
{
    print_snapshots(out, snapshots, 0);
}

/* ---- info ---- */

static void print_line(FILE *out, unsigned indent, const char *title, const char *name)
{
    g_autofree char *text = human_name(name);

    fprintf(out, "%*s%s: %s\n", (int)indent, "", title, text);
}

static void print_backing(FILE *out, const struct image_info *info, unsigned indent)
{
    g_autofree char *backing = NULL;

    if (info->backing_filename == NULL) {
        return;
    }
    backing = human_name(info->backing_filename);
    fprintf(out, "%*sbacking file: %s", (int)indent, "", backing);
    if (info->full_backing_filename == NULL) {
        fputs(" (cannot determine actual path)", out);
    } else if (strcmp(info->backing_filename, info->full_backing_filename) != 0) {
        g_autofree char *full = human_name(info->full_backing_filename);

        fprintf(out, " (actual path: %s)", full);
    }
    fputc('\n', out);
    if (info->backing_filename_format != NULL) {
        print_line(out, indent, "backing file format", info->backing_filename_format);
    }
}

/*
 * Prints one image, all lines indented.
 *
 * in: path is that of the node in the tree, "" for the image itself
 */
static void print_image(FILE *out, const struct image_info *info, const char *path, unsigned indent)
{
    gboolean has_children = info->children != NULL && info->children->len > 0;
    gboolean leaf = *path != '\0' && !has_children;
    g_autofree char *virtual_size = size_human(info->virtual_size_bytes);
    g_autofree char *actual_size =
        info->have_actual_size ? size_human(info->actual_size_bytes) : g_strdup("unavailable");
    const int blanks = (int)indent;

    print_line(out, indent, leaf ? "filename" : "image", info->filename);
    print_line(out, indent, leaf ? "protocol type" : "file format", info->format);
    fprintf(out, "%*s%s: %s (%" G_GUINT64_FORMAT " bytes)\n", blanks, "",
            leaf ? "file length" : "virtual size", virtual_size, info->virtual_size_bytes);
    fprintf(out, "%*sdisk size: %s\n", blanks, "", actual_size);
    if (info->encrypted) {
        fprintf(out, "%*sencrypted: yes\n", blanks, "");
    }
    if (info->cluster_size_bytes != 0) {
        fprintf(out, "%*scluster_size: %" G_GUINT64_FORMAT "\n", blanks, "",
                info->cluster_size_bytes);
    }
    if (info->have_dirty_flag && info->dirty) {
        fprintf(out, "%*scleanly shut down: no\n", blanks, "");
    }
    print_backing(out, info, indent);
    if (info->limits != NULL) {
        print_section(out, "Block limits", info_tree_limits(info->limits), indent);
    }
    print_snapshots(out, info->snapshots, indent);
    print_section(out, "Format specific information", info_tree_specific(&info->specific), indent);
    for (guint i = 0; has_children && profile_get()->info_children && i < info->children->len;
         i++) {
        const struct image_child *child = g_ptr_array_index(info->children, i);
        g_autofree char *child_path = g_strconcat(path, "/", child->name, NULL);

        fprintf(out, "%*sChild node '%s':\n", blanks, "", child_path);
        print_image(out, child->info, child_path, indent + INDENT);
    }
}

void human_info(FILE *out, struct image_info *const *images, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        if (i > 0) {
            fputc('\n', out);
        }
        print_image(out, images[i], "", 0);
    }
}
