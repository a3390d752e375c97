/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creation options: from `-f FMT -o ... -b ... FILE` to typed values.
 *
 * A target's options are its format's table followed by the table of the protocol of its name;
 * where both define a key the format's definition stands. create_opts_new makes the checks stock
 * makes before its "Formatting" line, in stock's order. Words inside values (compat=0.9) are
 * complained about after that line, so they are decoded by create_opts_qcow2 and its kin, called
 * after it. What needs arithmetic over several values (cluster size a power of two, ...) is the
 * planner's.
 */
#ifndef COMPAT_CREATE_OPTS_H
#define COMPAT_CREATE_OPTS_H

#include <glib.h>
#include <stdint.h>

#include "compat/argv.h"
#include "compat/driver.h"
#include "compat/keyval.h"

/* What the command line asked for; every string borrowed. */
struct create_request {
    const char *format; /* NULL means raw */
    const char *filename;
    const char *options;      /* all -o joined, or NULL */
    const char *backing_file; /* -b, or NULL */
    const char *backing_fmt;  /* -F, or NULL */
    gboolean have_size;       /* the SIZE operand */
    uint64_t size_bytes;
    unsigned nr_sources; /* convert */
};

struct create_opts;

/*
 * Checks a request of `create` up to the point where stock opens the backing file.
 *
 * returns: NULL with *error, without the "FILE: " prefix that create puts before it:
 *          Unknown file format, ... does not support image creation, Unknown protocol,
 *          Invalid parameter, Parameter 'K' expects ..., The image size must be specified only
 * once, Backing file not supported for file format, Trying to create an image with the same ...
 */
struct create_opts *create_opts_new(const struct create_request *request, GError **error);

/*
 * The same for `convert -O FMT -o ...`, after the sources are open: keys are checked against the
 * tables, then -B and -F are set over them; a missing backing format has convert's words.
 */
struct create_opts *create_opts_new_convert(const struct create_request *request, GError **error);

/*
 * The same for `measure -O FMT -o ...`, whose target is never opened: filename is not used.
 */
struct create_opts *create_opts_new_measure(const struct create_request *request, GError **error);

void create_opts_free(struct create_opts *opts);

const struct driver *create_opts_format(const struct create_opts *opts);
const struct driver *create_opts_protocol(const struct create_opts *opts);

/*
 * `convert -c`: refuses a format without compression, and compression together with preallocation
 * or encryption.
 */
gboolean create_opts_check_compress(const struct create_opts *opts, GError **error);

/* NULL when there is none. */
const char *create_opts_backing_file(const struct create_opts *opts);
const char *create_opts_backing_fmt(const struct create_opts *opts);

/* FALSE while the size is unknown: the verb then takes the backing image's and sets it. */
gboolean create_opts_size(const struct create_opts *opts, uint64_t *out_bytes);
void create_opts_set_size(struct create_opts *opts, uint64_t bytes);

/* Any slot by key, for formats without a decoder here; NULL when the target has no such key. */
const struct keyval_slot *create_opts_slot(const struct create_opts *opts, const char *key);

/*
 * "Formatting 'NAME', fmt=FMT key=value ..." without the newline; newly allocated.
 */
char *create_opts_formatting_line(const struct create_opts *opts);

/* A preallocation word: off, metadata, falloc or full. FALSE for any other. */
gboolean prealloc_parse(const char *word, enum prealloc_mode *out);

/* Options of the file that holds the image: raw's own and every format's protocol part. */
struct create_file {
    uint64_t size_bytes;
    gboolean nocow;
    enum prealloc_mode preallocation; /* off, falloc or full */
    gboolean have_extent_size_hint;
    uint64_t extent_size_hint_bytes; /* 1 MiB when not given, 0 disables */
};

enum qcow2_compression {
    QCOW2_ZLIB,
    QCOW2_ZSTD,
};

/* `-f qcow2`, decoded but not validated against each other. */
struct create_qcow2 {
    uint64_t size_bytes;
    unsigned version; /* 2 or 3 */
    const char *backing_file;
    const char *backing_fmt;
    uint64_t cluster_size_bytes; /* any number: the planner checks */
    enum prealloc_mode preallocation;
    gboolean lazy_refcounts;
    uint64_t refcount_bits; /* any number, negative ones wrap */
    enum qcow2_compression compression;
    gboolean extended_l2;
    const char *data_file;
    gboolean data_file_raw;
    gboolean keep_data_file;
    const char *encrypt_format; /* NULL: none; encryption=on gives "aes" */
};

/*
 * Decodes the values that raw and every file target need.
 *
 * returns: FALSE with *error "invalid parameter value: X" or "Unsupported preallocation mode:
 *          metadata"; a post-Formatting error
 */
gboolean create_opts_file(const struct create_opts *opts, struct create_file *out, GError **error);

/*
 * Decodes the values of a qcow2 target. Stock complains about them after it has created the file.
 *
 * out:     strings in it belong to opts
 * returns: FALSE with *error in the words of create (and convert), or of measure for options made
 *          by create_opts_new_measure; a post-Formatting error
 */
gboolean create_opts_qcow2(const struct create_opts *opts, struct create_qcow2 *out,
                           GError **error);

/*
 * Checks that the backing format, if any, is one that stock knows (create only).
 *
 * returns: FALSE with *error; a post-Formatting error
 */
gboolean create_opts_backing_known(const struct create_opts *opts, GError **error);

/*
 * Decodes what qcow's options say about encryption.
 *
 * out:     *out_format: "aes", "luks" or NULL, borrowed
 * returns: FALSE with *error; a post-Formatting error
 */
gboolean create_opts_encryption(const struct create_opts *opts, const char **out_format,
                                GError **error);

/*
 * Prints what `-o help` prints (to stdout).
 *
 * in:      filename the target, whose protocol's options are then included; NULL: none given
 * returns: FALSE with *error for a format or protocol that is unknown or cannot create
 */
gboolean create_opts_print_help(const char *format, const char *filename, GError **error);

/* What `amend -f FMT -o help` prints. FALSE with *error for a format without amend options. */
gboolean create_opts_print_amend_help(const char *format, GError **error);

#endif
