/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file below a new image: opened or made, emptied, brought to a size, with the attributes that
 * creation options ask for.
 */
#ifndef INSTAR_SRC_PLAN_CREATE_FILE_H
#define INSTAR_SRC_PLAN_CREATE_FILE_H

#include "compat/create_opts.h"
#include "src/io/endpoint.h"

/*
 * Makes an empty file, or takes a device or a network block device that exists.
 *
 * in:      name: as typed, `file:` and `host_device:` prefixes included; protocol: "host_device" or
 *          "nbd", and nothing else will do; NULL: as the name says
 * out:     *out_made: whether the file did not exist before
 * returns: NULL with stock's sentence
 */
struct endpoint *create_file_open(const char *name, const char *protocol,
                                  const struct create_file *options, gboolean no_flush,
                                  gboolean *out_made, GError **error);

/*
 * Gives the file its size: all of what `create -f raw` does.
 *
 * in:      size_bytes: rounded up to 512 by the caller
 * returns: FALSE with stock's sentence; code COMPAT_ERROR_LARGE for EFBIG
 */
gboolean create_file_resize(struct endpoint *endpoint, uint64_t size_bytes,
                            enum prealloc_mode preallocation, GError **error);

/*
 * The same for a file that is in use as a raw image: nothing of it is cleared.
 */
gboolean create_file_set_size(struct endpoint *endpoint, uint64_t size_bytes,
                              enum prealloc_mode preallocation, GError **error);

/* Whether it is a device that has a size, which it keeps. */
gboolean create_file_is_block(struct endpoint *endpoint);

/* The path behind a plain name or one with a file: or host_device: prefix. */
const char *create_file_path(const char *name);

#endif
