/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `amend -o` asks of a qcow2 image, checked against the image where stock does so before it
 * changes anything.
 */
#ifndef COMPAT_AMEND_OPTS_H
#define COMPAT_AMEND_OPTS_H

#include "compat/driver.h"
#include "compat/keyval.h"

/* The image as it is. */
struct amend_current {
    unsigned version; /* 2 or 3 */
    unsigned refcount_bits;
    gboolean encrypted;
    gboolean has_data_file;
    gboolean data_file_raw;
    gboolean lazy_refcounts;
};

/*
 * Checks keys and types of an option string for a format.
 *
 * returns: FALSE with *error in stock's words: "Invalid parameter 'K'", with a hint when creation
 *          takes all of it, or the types' complaints
 */
gboolean amend_opts_check(const struct driver *driver, const struct keyval *pairs, GError **error);

/* What shall be; strings belong to the pairs. */
struct amend_qcow2 {
    unsigned version;
    unsigned refcount_bits;
    gboolean lazy_refcounts;
    gboolean changes_backing; /* one of the next two was given */
    const char *backing_file; /* NULL: not given */
    const char *backing_fmt;
    const char *data_file; /* NULL: not given */
    gboolean clear_raw;    /* data_file_raw=off */
    uint64_t size_bytes;   /* 0: not given */
    gboolean encryption;   /* encrypt.* was given */
};

/*
 * Decodes an option string for a format, which has been checked.
 *
 * in:      pairs outlive *out
 * returns: FALSE with *error in stock's words: what cannot be amended in this image
 */
gboolean amend_opts_qcow2(const struct driver *driver, const struct keyval *pairs,
                          const struct amend_current *current, struct amend_qcow2 *out,
                          GError **error);

/* Key slots of an encrypted image; strings belong to the pairs. */
struct amend_keyslots {
    gboolean activate;                   /* else: erase */
    const char *new_secret, *old_secret; /* ids; NULL: not given */
    gboolean has_slot;
    uint64_t slot;
    gboolean has_iter_time;
    uint64_t iter_time_ms;
};

/*
 * Decodes what an option string says about key slots.
 *
 * in:      prefix: "" for luks, "encrypt." for qcow2
 * returns: FALSE with *error in stock's words
 */
gboolean amend_opts_keyslots(const struct driver *driver, const struct keyval *pairs,
                             const char *prefix, struct amend_keyslots *out, GError **error);

#endif
