/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct create_opts, shared by the files that build and decode it.
 */
#ifndef COMPAT_CREATE_PRIVATE_H
#define COMPAT_CREATE_PRIVATE_H

#include "compat/create_opts.h"

struct create_opts {
    const struct driver *format;
    const struct driver *protocol;
    gboolean measure;   /* errors have measure's words */
    char *filename;     /* NULL: measure */
    char *backing_file; /* holders of what -b and -F put into slots */
    char *backing_fmt;
    struct keyval *given; /* holder of what -o put into slots */
    struct keyval_slot *slots;
    size_t nr;
};

#endif
