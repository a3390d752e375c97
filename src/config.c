/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the configuration file. What the values mean is checked by whoever uses them.
 */
#include "src/config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "compat/wording.h"

static const struct {
    const char *key;
    const char *variable;
} keys[] = {
    {"cell_memory", "INSTAR_CELL_MEMORY"}, {"cell_timeout", "INSTAR_CELL_TIMEOUT"},
    {"policy", "INSTAR_POLICY"},           {"profile", "INSTAR_QEMU_PROFILE"},
    {"sandbox", "INSTAR_SANDBOX"},
};

static gboolean set_key(const char *key, const char *value)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(key, keys[i].key) == 0) {
            g_setenv(keys[i].variable, value, FALSE);
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean read_line(char *line, const char *path, unsigned number, GError **error)
{
    char *equals;
    char *key;

    line[strcspn(line, "#")] = '\0';
    key = g_strstrip(line);
    if (*key == '\0') {
        return TRUE;
    }
    equals = strchr(key, '=');
    if (equals == NULL) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "%s:%u: expected 'key = value'", path,
                    number);
        return FALSE;
    }
    *equals = '\0';
    g_strchomp(key);
    if (!set_key(key, g_strchug(equals + 1))) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "%s:%u: unknown key '%s'", path,
                    number, key);
        return FALSE;
    }
    return TRUE;
}

gboolean config_load_file(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GError *cause = NULL;

    if (access(path, F_OK) != 0) {
        return TRUE;
    }
    if (!g_file_get_contents(path, &text, NULL, &cause)) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM,
                    "Could not read the configuration file: %s", cause->message);
        g_error_free(cause);
        return FALSE;
    }
    lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i] != NULL; i++) {
        if (!read_line(lines[i], path, i + 1, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean config_load(GError **error)
{
    const char *base = g_getenv("XDG_CONFIG_HOME");
    const char *home = g_getenv("HOME");
    g_autofree char *path = NULL;

    if (base != NULL && *base == '/') {
        path = g_strconcat(base, "/instar/instar.conf", NULL);
    } else if (home != NULL && *home == '/') {
        path = g_strconcat(home, "/.config/instar/instar.conf", NULL);
    }
    return (path == NULL || config_load_file(path, error)) &&
           config_load_file(INSTAR_SYSCONFDIR "/instar.conf", error);
}
