/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/vmdk_names.h"

#include <string.h>

char *vmdk_extent_path(const char *filename, const char *subformat, size_t i)
{
    const char *slash = strrchr(filename, '/');
    const char *dot = strrchr(slash != NULL ? slash : filename, '.');
    size_t stem = dot != NULL ? (size_t)(dot - filename) : strlen(filename);
    g_autofree char *tag =
        strcmp(subformat, "monolithicFlat") == 0
            ? g_strdup("flat")
            : g_strdup_printf("%c%03zu", strstr(subformat, "Flat") ? 'f' : 's', i + 1);

    return g_strdup_printf("%.*s-%s%s", (int)stem, filename, tag, filename + stem);
}

const char *vmdk_last_component(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}
