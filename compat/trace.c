/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace options, accepted and answered.
 */
#include "compat/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compat/keyval.h"
#include "compat/wording.h"

/* A pattern with a wildcard matches nothing in silence; a name must exist. */
static void enable(const char *pattern)
{
    if (*pattern != '\0' && strchr(pattern, '*') == NULL) {
        report_warning("trace event '%s' does not exist", *pattern == '-' ? pattern + 1 : pattern);
    }
}

/* A file of patterns, one a line, `#` for comments. */
static gboolean read_events(const char *path)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        report_line("%s:%s: %s", report_program(), path, g_strerror(errno));
        return FALSE;
    }
    fclose(file);
    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return TRUE;
    }
    lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        if (lines[i][0] != '\0' && lines[i][0] != '#') {
            enable(lines[i]);
        }
    }
    return TRUE;
}

static gboolean open_log(const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        report_error("Error opening logfile %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    fclose(file);
    return TRUE;
}

static gboolean is_help(const char *word)
{
    return word != NULL && (strcmp(word, "help") == 0 || strcmp(word, "?") == 0);
}

static gboolean check_keys(const struct keyval *kv)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        if (strcmp(pair->key, "enable") != 0 && strcmp(pair->key, "events") != 0 &&
            strcmp(pair->key, "file") != 0) {
            report_error("Invalid parameter '%s'", pair->key);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean apply(const struct keyval *kv, int *exit_status)
{
    const char *pattern = keyval_get(kv, "enable");
    const char *events = keyval_get(kv, "events");
    const char *file = keyval_get(kv, "file");

    *exit_status = 1;
    if (!check_keys(kv)) {
        return FALSE;
    }
    if (is_help(pattern)) {
        *exit_status = 0;
        return FALSE;
    }
    if (pattern != NULL) {
        enable(pattern);
    }
    return (events == NULL || read_events(events)) && (file == NULL || open_log(file));
}

gboolean trace_parse(const char *spec, int *exit_status)
{
    struct keyval *kv = keyval_parse(spec, "enable");
    gboolean good = apply(kv, exit_status);

    keyval_free(kv);
    return good;
}
