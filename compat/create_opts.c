/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creation options: gathering them from tables, -o, -b, -F and SIZE, and printing them.
 *
 * What a value means to a format is in create_decode.c.
 */
#include "compat/create_opts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "compat/create_private.h"
#include "compat/wording.h"

/* ---- the table of a target ---- */

/* Formats and protocols have at most this many options together. */
#define MAX_DEFS 48

static gboolean has_name(const struct keyval_def *const *defs, size_t nr, const char *name)
{
    for (size_t i = 0; i < nr; i++) {
        if (strcmp(defs[i]->name, name) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Appends a table to defs, but for the names that are there already. */
static size_t append_table(const struct keyval_def **defs, size_t nr,
                           const struct keyval_def *table)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (!has_name(defs, nr, table->name)) {
            g_assert(nr < MAX_DEFS);
            defs[nr++] = table;
        }
    }
    return nr;
}

/* Keeps the definitions that the profile's qemu-img lists. */
static size_t keep_listed(const struct keyval_def **defs, size_t nr)
{
    size_t kept = 0;

    for (size_t i = 0; i < nr; i++) {
        if (defs[i]->since <= profile_get()->id) {
            defs[kept++] = defs[i];
        }
    }
    return kept;
}

static struct keyval_slot *find_slot(const struct create_opts *opts, const char *key)
{
    return keyval_slot(opts->slots, opts->nr, key);
}

const struct keyval_slot *create_opts_slot(const struct create_opts *opts, const char *key)
{
    return find_slot(opts, key);
}

/* ---- finding the drivers ---- */

static const struct driver *find_format(const char *name, GError **error)
{
    const struct driver *format = driver_find(name != NULL ? name : "raw");

    if (format == NULL) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Unknown file format '%s'", name);
    }
    return format;
}

static gboolean require_creatable(const struct driver *driver, const char *kind, GError **error)
{
    if (driver->create == NULL) {
        return wording_fail(error, "%s driver '%s' does not support image creation", kind,
                            driver->name);
    }
    return TRUE;
}

/* A device that is there has the options of devices, whatever its name looks like. */
static const struct driver *find_protocol(const char *filename, GError **error)
{
    struct stat st;

    if (stat(filename, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))) {
        return driver_find("host_device");
    }
    return driver_of_name(filename, error);
}

/* Finds format and protocol in stock's order; filename NULL leaves the protocol out. */
static gboolean find_drivers(const char *format_name, const char *filename,
                             const struct driver **out_format, const struct driver **out_protocol,
                             GError **error)
{
    *out_format = find_format(format_name, error);
    if (*out_format == NULL) {
        return FALSE;
    }
    *out_protocol = NULL;
    if (filename != NULL) {
        *out_protocol = find_protocol(filename, error);
        if (*out_protocol == NULL) {
            return FALSE;
        }
    }
    return require_creatable(*out_format, "Format", error) &&
           (filename == NULL || require_creatable(*out_protocol, "Protocol", error));
}

/* ---- a new set ---- */

static struct create_opts *new_opts(const struct create_request *request, const char *filename,
                                    GError **error)
{
    const struct keyval_def *defs[MAX_DEFS];
    const struct driver *format, *protocol;
    struct create_opts *opts;

    if (!find_drivers(request->format, filename, &format, &protocol, error)) {
        return NULL;
    }
    opts = g_new0(struct create_opts, 1);
    opts->format = format;
    opts->protocol = protocol != NULL ? protocol : driver_find("file");
    opts->filename = g_strdup(request->filename);
    opts->backing_file = g_strdup(request->backing_file);
    opts->backing_fmt = g_strdup(request->backing_fmt);
    opts->nr = append_table(defs, 0, format->create);
    opts->nr = append_table(defs, opts->nr, opts->protocol->create);
    opts->slots = g_new(struct keyval_slot, opts->nr);
    keyval_slots_init(opts->slots, defs, opts->nr);
    opts->given = keyval_parse(request->options != NULL ? request->options : "", NULL);
    if (!keyval_apply(opts->slots, opts->nr, opts->given, error)) {
        create_opts_free(opts);
        return NULL;
    }
    return opts;
}

void create_opts_free(struct create_opts *opts)
{
    if (opts == NULL) {
        return;
    }
    keyval_free(opts->given);
    g_free(opts->filename);
    g_free(opts->backing_file);
    g_free(opts->backing_fmt);
    g_free(opts->slots);
    g_free(opts);
}

static gboolean set_string(struct create_opts *opts, const char *key, const char *value,
                           const char *what, GError **error)
{
    if (value == NULL) {
        return TRUE;
    }
    if (!keyval_set(opts->slots, opts->nr, key, value, NULL)) {
        return wording_fail(error, "%s not supported for file format '%s'", what,
                            opts->format->name);
    }
    return TRUE;
}

/* Lays -b and -F over what -o said. */
static gboolean set_backing(struct create_opts *opts, GError **error)
{
    return set_string(opts, "backing_file", opts->backing_file, "Backing file", error) &&
           set_string(opts, "backing_fmt", opts->backing_fmt, "Backing file format", error);
}

static gboolean set_size_operand(struct create_opts *opts, const struct create_request *request,
                                 GError **error)
{
    uint64_t already;

    if (!request->have_size) {
        return TRUE;
    }
    if (create_opts_size(opts, &already)) {
        return wording_fail(error, "The image size must be specified only once");
    }
    create_opts_set_size(opts, request->size_bytes);
    return TRUE;
}

static gboolean check_backing_name(const struct create_opts *opts, GError **error)
{
    const char *backing = create_opts_backing_file(opts);

    if (backing == NULL) {
        return TRUE;
    }
    if (*backing == '\0') {
        return wording_fail(error, "Expected backing file name, got empty string");
    }
    if (strcmp(backing, opts->filename) == 0) {
        return wording_fail(error, "Error: Trying to create an image with the same filename as the "
                                   "backing file");
    }
    return TRUE;
}

struct create_opts *create_opts_new(const struct create_request *request, GError **error)
{
    struct create_opts *opts = new_opts(request, request->filename, error);

    if (opts == NULL) {
        return NULL;
    }
    if (!set_size_operand(opts, request, error) || !set_backing(opts, error) ||
        !check_backing_name(opts, error)) {
        create_opts_free(opts);
        return NULL;
    }
    return opts;
}

static gboolean check_convert_backing(const struct create_opts *opts, unsigned nr_sources,
                                      GError **error)
{
    if (create_opts_backing_file(opts) == NULL) {
        return TRUE;
    }
    if (nr_sources > 1) {
        return wording_fail(error, "Having a backing file for the target makes no sense when "
                                   "concatenating multiple input images");
    }
    if (create_opts_backing_fmt(opts) == NULL) {
        return wording_fail(error, "Use of backing file requires explicit backing format");
    }
    return TRUE;
}

struct create_opts *create_opts_new_convert(const struct create_request *request, GError **error)
{
    struct create_opts *opts = new_opts(request, request->filename, error);

    if (opts == NULL) {
        return NULL;
    }
    if (!set_backing(opts, error) || !check_convert_backing(opts, request->nr_sources, error)) {
        create_opts_free(opts);
        return NULL;
    }
    return opts;
}

struct create_opts *create_opts_new_measure(const struct create_request *request, GError **error)
{
    const struct driver *format, *protocol;
    struct create_opts *opts;

    if (!find_drivers(request->format, NULL, &format, &protocol, error)) {
        return NULL;
    }
    opts = new_opts(request, NULL, error);
    if (opts == NULL) {
        wording_add_hint(error, "%s: Invalid options for file format '%s'", report_program(),
                         format->name);
        return NULL;
    }
    opts->measure = TRUE;
    return opts;
}

/* ---- reading and changing it ---- */

const struct driver *create_opts_format(const struct create_opts *opts)
{
    return opts->format;
}

const struct driver *create_opts_protocol(const struct create_opts *opts)
{
    return opts->protocol;
}

static const char *slot_text(const struct create_opts *opts, const char *key)
{
    const struct keyval_slot *slot = find_slot(opts, key);

    return slot != NULL ? slot->text : NULL;
}

const char *create_opts_backing_file(const struct create_opts *opts)
{
    return slot_text(opts, "backing_file");
}

const char *create_opts_backing_fmt(const struct create_opts *opts)
{
    return slot_text(opts, "backing_fmt");
}

/* The largest number stands for "no size", as it does in stock. */
gboolean create_opts_size(const struct create_opts *opts, uint64_t *out_bytes)
{
    const struct keyval_slot *slot = find_slot(opts, "size");

    if (slot == NULL || !slot->given || slot->number == UINT64_MAX) {
        return FALSE;
    }
    *out_bytes = slot->number;
    return TRUE;
}

void create_opts_set_size(struct create_opts *opts, uint64_t bytes)
{
    struct keyval_slot *slot = find_slot(opts, "size");

    g_assert(slot != NULL);
    slot->given = TRUE;
    slot->number = bytes;
}

gboolean create_opts_check_compress(const struct create_opts *opts, GError **error)
{
    const struct keyval_slot *encryption = find_slot(opts, "encryption");
    const char *encrypt_format = slot_text(opts, "encrypt.format");
    const char *preallocation = slot_text(opts, "preallocation");
    const char *complaint = NULL;

    if (!opts->format->can_compress) {
        complaint = "Compression not supported for this file format";
    } else if ((encryption != NULL && encryption->number != 0) || encrypt_format != NULL) {
        complaint = "Compression and encryption not supported at the same time";
    } else if (preallocation != NULL && strcmp(preallocation, "off") != 0) {
        complaint = "Compression and preallocation not supported at the same time";
    }
    if (complaint != NULL) {
        return wording_fail(error, "%s", complaint);
    }
    return TRUE;
}

/* ---- printing ---- */

static void append_slot(GString *line, const struct keyval_slot *slot)
{
    g_autofree char *text = NULL;

    switch (slot->def->type) {
    case KEYVAL_SIZE:
    case KEYVAL_NUMBER: /* signed, whatever it is: stock prints a size of 8E as negative */
        text = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)slot->number);
        break;
    case KEYVAL_STRING:
    case KEYVAL_BOOL:
        text = keyval_escape(slot->text);
        break;
    }
    g_string_append_printf(line, " %s=%s", slot->def->name, text);
}

char *create_opts_formatting_line(const struct create_opts *opts)
{
    GString *line = g_string_new(NULL);

    g_string_append_printf(line, "Formatting '%s', fmt=%s", opts->filename, opts->format->name);
    for (size_t i = 0; i < opts->nr; i++) {
        if (opts->slots[i].given || opts->slots[i].def->default_text != NULL) {
            append_slot(line, &opts->slots[i]);
        }
    }
    return g_string_free(line, FALSE);
}

gboolean create_opts_print_help(const char *format, const char *filename, GError **error)
{
    const struct keyval_def *defs[MAX_DEFS];
    const struct driver *driver, *protocol;
    size_t nr;

    if (!find_drivers(format, filename, &driver, &protocol, error)) {
        return FALSE;
    }
    nr = append_table(defs, 0, driver->create);
    if (protocol != NULL) {
        nr = append_table(defs, nr, protocol->create);
        printf("Supported options:\n");
    } else {
        printf("Supported %s options:\n", driver->name);
    }
    keyval_print_help(defs, keep_listed(defs, nr));
    if (protocol == NULL) {
        printf("\nThe protocol level may support further options.\n"
               "Specify the target filename to include those options.\n");
    }
    return TRUE;
}

gboolean create_opts_print_amend_help(const char *format, GError **error)
{
    const struct keyval_def *defs[MAX_DEFS];
    const struct driver *driver = find_format(format, error);

    if (driver == NULL) {
        return FALSE;
    }
    if (driver->amend == NULL) {
        return wording_fail(error, "Format driver '%s' does not support option amendment",
                            driver->name);
    }
    printf("Amend options for '%s':\n", driver->name);
    keyval_print_help(defs, append_table(defs, 0, driver->amend));
    return TRUE;
}
