/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that create images share. Only src/plan/create_*.c include this.
 */
#ifndef INSTAR_SRC_PLAN_CREATE_PRIVATE_H
#define INSTAR_SRC_PLAN_CREATE_PRIVATE_H

#include "guest/abi/plan.pb-c.h"
#include "src/plan/apply.h"
#include "src/plan/made_file.h"
#include "src/plan/parent_id.h"

/* Blobs of a creation plan: the image, and the file of its data where that is another. */
#define CREATE_IMAGE_BLOB  0u
#define CREATE_DATA_BLOB   1u
#define CREATE_EXTENT_BLOB 16u /* and up: the further files of an image that has many */

/* A cell for a planner. NULL with *error. */
struct cell *create_cell(GError **error);

/* What only an image of several files, or with a parent known by a number, has to say. */
struct create_extras {
    const char *file_name;             /* last component */
    ProtobufCBinaryData *extent_names; /* last components */
    size_t nr_extents;
    gboolean has_parent_id;
    uint64_t parent_id;
    const struct parent_id *parent; /* of a VHD or VHDX; NULL: none */
};

/*
 * Has the cell plan a new image; apply_plan carries it out.
 *
 * in:      extras: may be NULL
 * returns: FALSE with stock's sentence
 */
gboolean create_start_plan(struct cell *cell, const struct create_opts *opts, uint64_t size_bytes,
                           const struct create_extras *extras, GError **error);

/* In 11.1: says that the file cannot be flushed as it is closed, once a node that closes. */
void create_tell_close(struct endpoint *endpoint);
void create_tell_close_nodes(struct endpoint *endpoint, unsigned nr_nodes);

/*
 * Looks whether a device keeps what was written to it: stock opens what it has made. What has no
 * size (/dev/null) does not.
 *
 * returns: FALSE with *error in the words of the format that notices, TRUE for one that does not
 */
gboolean create_was_kept(struct endpoint *endpoint, const char *format, GError **error);

/*
 * A block device that is too small for what is made on it: stock meets its end at another place in
 * each format, and has words for each.
 *
 * in:      capacity_bytes: of the device
 * returns: FALSE, always
 */
gboolean create_device_small(const struct create_opts *opts, uint64_t capacity_bytes,
                             GError **error);
gboolean create_device_small_qcow2(const struct create_qcow2 *options, uint64_t capacity_bytes,
                                   GError **error);

/* Refuses a format that wants to cut the file first, which a device does not let it. */
gboolean create_device_check(const struct create_opts *opts, struct endpoint *endpoint,
                             GError **error);

/* A write that failed: the words every format but qcow2 has for it. FALSE, always. */
gboolean create_write_error(int number, GError **error);

/* create_image for each kind of target; file: the options of the file below. */
gboolean create_qcow2_image(const struct create_opts *opts, const char *filename,
                            const struct create_file *file, gboolean no_flush, GError **error);

gboolean create_vmdk_image(const struct create_opts *opts, const char *filename,
                           const struct create_file *file, gboolean no_flush, GError **error);

/*
 * Any format whose planner takes its options as key and value, in one file.
 */
gboolean create_planned_image(const struct create_opts *opts, const char *filename,
                              const struct create_file *file, gboolean no_flush, GError **error);

#endif
