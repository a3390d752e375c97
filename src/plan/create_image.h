/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a new image file from decoded creation options; shared by create, convert and dd.
 */
#ifndef INSTAR_SRC_PLAN_CREATE_IMAGE_H
#define INSTAR_SRC_PLAN_CREATE_IMAGE_H

#include <glib.h>

#include "compat/create_opts.h"

/*
 * Creates the image, after the "Formatting" line: decodes the values, plans in a cell, and only
 * then makes or truncates the file(s) and writes.
 *
 * in:      filename: as typed; opts: with a size. no_flush: nothing needs to be durable (convert
 *          with cache unsafe)
 * returns: FALSE with *error in the words that follow "FILE: " in stock, code COMPAT_ERROR_LARGE
 *          for a file that may not get so large; a file that did not exist before is removed again.
 * With INSTAR_EXPLAIN=plan nothing is made and TRUE is given
 */
gboolean create_image(const struct create_opts *opts, const char *filename, gboolean no_flush,
                      GError **error);

#endif
