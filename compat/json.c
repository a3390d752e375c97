/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as JSON.
 */
#include "compat/json.h"

#include "compat/info_tree.h"
#include "compat/json_write.h"
#include "compat/profile.h"

/* Prints a tree and frees it. */
static void print_tree(FILE *out, struct value *tree)
{
    GString *text = g_string_new(NULL);

    json_write(text, tree, JSON_PRETTY);
    g_string_append_c(text, '\n');
    fwrite(text->str, 1, text->len, out);
    g_string_free(text, TRUE);
    value_free(tree);
}

void json_info(FILE *out, struct image_info *const *images, size_t nr, gboolean chain)
{
    struct value *list;

    if (!chain) {
        print_tree(out, info_tree_image(images[0]));
        return;
    }
    list = value_list();
    for (size_t i = 0; i < nr; i++) {
        value_append(list, info_tree_image(images[i]));
    }
    print_tree(out, list);
}

void json_check(FILE *out, const struct check_result *result)
{
    print_tree(out, info_tree_check(result));
}

void json_measure(FILE *out, const struct measure_result *result)
{
    print_tree(out, info_tree_measure(result));
}

/* ---- map: a line an extent, in a fixed order ---- */

static const char *truth(gboolean value)
{
    return value ? "true" : "false";
}

void json_map_begin(FILE *out, struct json_map *state)
{
    state->any = FALSE;
    fputs("[", out);
}

void json_map_entry(FILE *out, struct json_map *state, const struct map_entry *entry)
{
    fprintf(out,
            "%s{ \"start\": %" G_GUINT64_FORMAT ", \"length\": %" G_GUINT64_FORMAT
            ", \"depth\": %" G_GUINT64_FORMAT ", \"present\": %s, \"zero\": %s, \"data\": %s",
            state->any ? ",\n" : "", entry->start_bytes, entry->length_bytes, entry->depth,
            truth(entry->present), truth(entry->zero), truth(entry->data));
    if (profile_get()->map_compressed) {
        fprintf(out, ", \"compressed\": %s", truth(entry->compressed));
    }
    if (entry->have_offset) {
        fprintf(out, ", \"offset\": %" G_GUINT64_FORMAT, entry->offset_bytes);
    }
    fputs("}", out);
    state->any = TRUE;
}

void json_map_end(FILE *out, struct json_map *state)
{
    fputs("]\n", out);
}
