/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How messages leave the program, and the sentences that several commands share.
 *
 * The sentences of the cell's codes are in wording_cell.c.
 */
#include "compat/wording.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compat/profile.h"

static const char *program = "qemu-img";

G_DEFINE_QUARK(instar - compat - error, compat_error)

void report_set_program(const char *argv0)
{
    const char *slash;

    if (argv0 == NULL || *argv0 == '\0') {
        return;
    }
    slash = strrchr(argv0, '/');
    program = slash != NULL ? slash + 1 : argv0;
}

const char *report_program(void)
{
    return program;
}

/* One write per message, so that lines of several threads or processes do not mix. */
static void emit(const char *text)
{
    size_t len = strlen(text);
    gboolean unterminated = len > 0 && text[len - 1] == WORDING_UNTERMINATED[0];
    g_autofree char *line = NULL;

    line = unterminated ? g_strndup(text, len - 1) : g_strconcat(text, "\n", NULL);
    fflush(stdout);
    fputs(line, stderr);
    fflush(stderr);
}

static void emit_prefixed(const char *prefix, const char *message)
{
    g_autofree char *text = g_strconcat(program, ": ", prefix, message, NULL);

    emit(text);
}

void report_error(const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    emit_prefixed("", message);
}

void report_warning(const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    emit_prefixed("warning: ", message);
}

void report_line(const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    emit(message);
}

void report_gerror(const GError *error)
{
    emit_prefixed("", error->message);
}

void report_gerror_prefixed(const GError *error, const char *prefix_format, ...)
{
    g_autofree char *prefix = NULL;
    va_list args;

    va_start(args, prefix_format);
    prefix = g_strdup_vprintf(prefix_format, args);
    va_end(args);
    emit_prefixed(prefix, error->message);
}

void report_try_help(const char *verb)
{
    const struct profile *profile = profile_get();
    const char *info = profile->id == PROFILE_10_0 ? "info" : "information";

    if (verb != NULL && profile->verb_help) {
        report_line("Try '%s %s --help' for more %s", program, verb, info);
    } else {
        report_line("Try '%s --help' for more %s", program, info);
    }
}

gboolean wording_fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(COMPAT_ERROR, COMPAT_ERROR_VALUE, format, args));
    va_end(args);
    return FALSE;
}

void wording_add_hint(GError **error, const char *format, ...)
{
    g_autofree char *hint = NULL;
    char *message;
    va_list args;

    if (error == NULL || *error == NULL) {
        return;
    }
    va_start(args, format);
    hint = g_strdup_vprintf(format, args);
    va_end(args);
    message = g_strconcat((*error)->message, "\n", hint, NULL);
    g_free((*error)->message);
    (*error)->message = message;
}

void wording_prefix_open(GError **error, const char *name)
{
    if (error != NULL && g_error_matches(*error, COMPAT_ERROR, COMPAT_ERROR_USAGE)) {
        return; /* options that contradict each other: nothing was to be opened yet */
    }
    g_prefix_error(error, "Could not open '%s': ", name);
}

void wording_prefix_backing(GError **error)
{
    g_prefix_error(error, "Could not open backing file: ");
}

void wording_set_open_errno(GError **error, const char *path, int saved_errno)
{
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Could not open '%s': %s", path,
                g_strerror(saved_errno));
}

void wording_set_create_errno(GError **error, const char *path, int saved_errno)
{
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Could not create '%s': %s", path,
                g_strerror(saved_errno));
}

void wording_set_lock(GError **error, gboolean shared, const char *permission, const char *path)
{
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM,
                "Failed to get %s\"%s\" lock\nIs another process using the image [%s]?",
                shared ? "shared " : "", permission, path);
}

void wording_hint_backing(GError **error)
{
    wording_add_hint(error, "Could not open backing image.");
}

void wording_set_backing_format_missing(GError **error, const char *detected)
{
    gboolean unterminated = profile_get()->id == PROFILE_7_2;

    g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                        "Backing file specified without backing format");
    if (detected != NULL) {
        wording_add_hint(error, "Detected format of %s.%s", detected,
                         unterminated ? WORDING_UNTERMINATED : "");
    }
}

void wording_set_size_missing(GError **error)
{
    g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                        "Image creation needs a size parameter");
}

void wording_warn_probed_raw(const char *filename)
{
    report_line("WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                "         Automatically detecting the format is dangerous for raw images, write "
                "operations on block 0 will be restricted.\n"
                "         Specify the 'raw' format explicitly to remove the restrictions.",
                filename);
}

void wording_report_shrink(void)
{
    report_error("Use the --shrink option to perform a shrink operation.");
    report_warning("Shrinking an image will delete all data beyond the shrunken image's end. "
                   "Before performing such an operation, make sure there is no important data "
                   "there.");
}

void wording_report_bad_cache(gboolean source, const char *word)
{
    report_error("Invalid %scache option: %s", source ? "source " : "", word);
}

void wording_report_check_unsupported(void)
{
    report_error("This image format does not support checks");
}

void wording_report_read_error(gboolean salvage, uint64_t offset_bytes, int saved_errno)
{
    if (salvage) {
        report_warning("error while reading offset %" G_GUINT64_FORMAT ": %s", offset_bytes,
                       g_strerror(saved_errno));
    } else {
        report_error("error while reading at byte %" G_GUINT64_FORMAT ": %s", offset_bytes,
                     g_strerror(saved_errno));
    }
}

void wording_report_status_error(gboolean salvage, uint64_t offset_bytes, int saved_errno)
{
    if (salvage) {
        report_warning("error while reading block status at offset %" G_GUINT64_FORMAT ": %s",
                       offset_bytes, g_strerror(saved_errno));
    } else {
        report_error("error while reading block status at offset %" G_GUINT64_FORMAT ": %s",
                     offset_bytes, g_strerror(saved_errno));
    }
}

void wording_report_write_error(uint64_t offset_bytes, int saved_errno)
{
    report_error("error while writing at byte %" G_GUINT64_FORMAT ": %s", offset_bytes,
                 g_strerror(saved_errno));
}
