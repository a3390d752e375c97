/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every sentence a user reads on stderr.
 *
 * An error is a GError whose message is one line, followed by its hint lines, each after a newline;
 * report_gerror prints the program's name before the first and nothing before the hints. Errors of
 * the cell arrive as a code, up to four numbers and one span of hostile bytes; a table turns code
 * into sentence. No text from outside is ever a format string.
 */
#ifndef COMPAT_WORDING_H
#define COMPAT_WORDING_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* The domain of errors made on the host from the command line. */
#define COMPAT_ERROR compat_error_quark()
GQuark compat_error_quark(void);

enum compat_error {
    COMPAT_ERROR_USAGE,  /* the command line is wrong */
    COMPAT_ERROR_VALUE,  /* a value is wrong */
    COMPAT_ERROR_SYSTEM, /* the system refused */
    COMPAT_ERROR_IMAGE,  /* the cell refused an image */
    COMPAT_ERROR_LARGE,  /* the system refused a file of that size */
};

/*
 * A hint line that stock leaves without its newline ends with this character.
 */
#define WORDING_UNTERMINATED "\x1f"

/* Sets the name before each message: the base name of argv[0]. Default "qemu-img". */
void report_set_program(const char *argv0);
const char *report_program(void);

/* "qemu-img: <message>" on stderr; a newline inside the formatted text starts a hint line. */
void report_error(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* "qemu-img: warning: <message>" */
void report_warning(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A line without any prefix, as check and the corruption notices have it. */
void report_line(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* report_error with the error's message. */
void report_gerror(const GError *error);

/* The same, with a prefix: "qemu-img: FILE: message". */
void report_gerror_prefixed(const GError *error, const char *prefix_format, ...)
    G_GNUC_PRINTF(2, 3);

/* "Try 'qemu-img SUB --help' for more information", in the profile's words; verb NULL: global. */
void report_try_help(const char *verb);

/* Sets *error to the sentence (domain COMPAT_ERROR, code COMPAT_ERROR_VALUE) and gives FALSE. */
gboolean wording_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Appends a hint line to an error. */
void wording_add_hint(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * Puts the outer sentence of an open around its reason: "Could not open 'NAME': <reason>".
 *
 * NAME is the name as the user gave it. A file that cannot be opened has a reason made by
 * wording_set_open_errno, so that its name then appears twice, as in stock.
 */
void wording_prefix_open(GError **error, const char *name);

/* "Could not open backing file: <reason>" */
void wording_prefix_backing(GError **error);

/* Sets *error to "Could not open 'PATH': <strerror>". */
void wording_set_open_errno(GError **error, const char *path, int saved_errno);

/* Sets *error to "Could not create 'PATH': <strerror>". */
void wording_set_create_errno(GError **error, const char *path, int saved_errno);

/*
 * Sets *error to "Failed to get "write" lock" (shared: `shared "write"`) with the hint
 * "Is another process using the image [PATH]?".
 *
 * in:      permission "consistent read", "write", "write unchanged" or "resize"
 */
void wording_set_lock(GError **error, gboolean shared, const char *permission, const char *path);

/* create: adds the hint "Could not open backing image." */
void wording_hint_backing(GError **error);

/* create: "Backing file specified without backing format" + "Detected format of F." (may be NULL)
 */
void wording_set_backing_format_missing(GError **error, const char *detected);

/* create: "Image creation needs a size parameter" */
void wording_set_size_missing(GError **error);

/* The three lines about a raw image that was probed and is opened for writing. */
void wording_warn_probed_raw(const char *filename);

/* resize: the refusal without --shrink, and the warning that follows it. */
void wording_report_shrink(void);

/* "Invalid cache option: X" (-t) or "Invalid source cache option: X" (-T) */
void wording_report_bad_cache(gboolean source, const char *word);

/* "This image format does not support checks" */
void wording_report_check_unsupported(void);

/* convert --salvage and convert: "error while reading offset N: ..." etc. */
void wording_report_read_error(gboolean salvage, uint64_t offset_bytes, int saved_errno);
void wording_report_status_error(gboolean salvage, uint64_t offset_bytes, int saved_errno);
void wording_report_write_error(uint64_t offset_bytes, int saved_errno);

/* ---- errors of the cell ---- */

/* What came with a code, copied out of the cell's answer and bounded there. */
struct wording_detail {
    uint64_t number[4];
    const uint8_t *span; /* the detail's text: hostile bytes; NULL: none */
    size_t span_len;
};

/*
 * One row: a code and its sentence.
 *
 * In a sentence `{0}` to `{3}` are the numbers in decimal, `{0d}` signed, `{0x}` in hexadecimal,
 * `{0#x}` as C's %#x, `{0x8}` padded with zeros to 8 digits, `{0e}` the sentence of that errno,
 * `{span}` the bytes with control bytes escaped, `{name}` the image's name. Anything else stands
 * for itself.
 */
struct wording_row {
    unsigned code; /* enum guest_err */
    const char *sentence;
};

/*
 * Adds a table; later tables win. Rows are constants and stay where they are.
 */
void wording_register(const struct wording_row *rows, size_t nr);

/*
 * Fills the sentence of a code.
 *
 * in:      name the image's name for `{name}`, may be NULL
 * returns: newly allocated text; for a code without a row a sentence that names the number
 */
char *wording_cell_sentence(unsigned code, const struct wording_detail *detail, const char *name);

/*
 * Makes hostile bytes printable: control and formatting characters, line separators and what is no
 * UTF-8 become \xNN, byte by byte.
 *
 * returns: newly allocated text
 */
char *wording_escape_span(const uint8_t *bytes, size_t len);

#endif
