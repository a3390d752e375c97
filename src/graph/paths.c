/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path arithmetic. Only path_below asks the system anything: where the directory is.
 */
#include "src/graph/paths.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

gboolean path_has_protocol(const char *name)
{
    return name[strcspn(name, ":/")] == ':';
}

char *path_directory(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return g_strdup(".");
    }
    return slash == path ? g_strdup("/") : g_strndup(path, (gsize)(slash - path));
}

char *path_combine(const char *base, const char *name)
{
    const char *slash = strrchr(base, '/');

    if (*name == '/' || path_has_protocol(name) || slash == NULL) {
        return g_strdup(name);
    }
    return g_strdup_printf("%.*s%s", (int)(slash + 1 - base), base, name);
}

char *path_as_name(const char *path)
{
    return path_has_protocol(path) ? g_strconcat("./", path, NULL) : g_strdup(path);
}

static gboolean has_dot_dot(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    return g_strv_contains((const char *const *)parts, "..");
}

/* What follows `directory` in `path`, or NULL. */
static const char *strip_directory(const char *directory, const char *path)
{
    size_t len = strlen(directory);

    while (len > 0 && directory[len - 1] == '/') {
        len--;
    }
    if (strncmp(path, directory, len) != 0 || path[len] != '/') {
        return NULL;
    }
    path += len;
    return path + strspn(path, "/");
}

char *path_below(const char *directory, const char *path)
{
    g_autofree char *typed = NULL;
    const char *rest = path;

    if (has_dot_dot(path)) {
        return NULL;
    }
    if (*path == '/') {
        typed = g_canonicalize_filename(directory, NULL);
        rest = strip_directory(typed, path);
        if (rest == NULL) {
            char *real = realpath(directory, NULL);

            rest = real != NULL ? strip_directory(real, path) : NULL;
            free(real);
        }
    }
    return rest != NULL && *rest != '\0' ? g_strdup(rest) : NULL;
}
