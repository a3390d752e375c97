/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers a command line can name, with their creation and amend options.
 *
 * A driver here is a name and tables: what -f and -O accept, what `-o` understands, what `--help`
 * lists. What a driver does is elsewhere; `built` tells whether instar has it yet.
 */
#ifndef COMPAT_DRIVER_H
#define COMPAT_DRIVER_H

#include <glib.h>

#include "compat/keyval.h"

struct driver {
    const char *name;
    const struct keyval_def *create; /* ends with a NULL name; NULL: cannot create */
    const struct keyval_def *amend;  /* ends with a NULL name; NULL: cannot be amended */
    gboolean is_protocol;
    gboolean is_filter;    /* hands its child through, and is no protocol */
    gboolean can_compress; /* convert -c */
    gboolean can_back;     /* the user may name a backing file */
    gboolean built;
};

/*
 * Finds a driver by the name -f and -O take ("qcow2", "raw", "file", ...).
 *
 * returns: NULL when no driver has that name
 */
const struct driver *driver_find(const char *name);

/*
 * Finds the protocol driver a file name asks for: text before a colon that precedes any slash
 * ("nbd:..."); a plain path is "file".
 *
 * returns: NULL with *error "Unknown protocol 'x'"
 */
const struct driver *driver_of_name(const char *filename, GError **error);

/*
 * Refuses a driver that is not built yet.
 *
 * returns: FALSE with *error "The 'vmdk' driver is not built yet in instar"
 */
gboolean driver_require_built(const struct driver *driver, GError **error);

/* The i-th driver in the order of --help, NULL at the end. */
const struct driver *driver_at(size_t i);

#endif
