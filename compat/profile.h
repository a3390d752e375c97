/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which qemu-img we look like.
 *
 * The grammar accepted is always the newest; a profile chooses words and layouts. It is a small
 * table of switches that the parsers and renderers consult, never a copy of them.
 */
#ifndef COMPAT_PROFILE_H
#define COMPAT_PROFILE_H

#include <glib.h>

enum profile_id {
    PROFILE_7_2,
    PROFILE_10_0,
    PROFILE_11_1,
    PROFILE_NR,
};

#define PROFILE_NEWEST PROFILE_11_1

struct profile {
    enum profile_id id;
    const char *name;       /* "11.1", as in INSTAR_QEMU_PROFILE */
    const char *version;    /* "11.1.3", as printed by --version */
    const char *years;      /* "2003-2026", in the copyright line */
    gboolean getopt_style;  /* usage errors in getopt's words, with the subcommand's name */
    gboolean verb_help;     /* each subcommand has its own --help */
    gboolean number_ranges; /* number errors name the range or quote the text */
    gboolean size_strict;   /* `.5M` accepted, hexadecimal with a suffix refused */
    gboolean dd_plain;      /* dd count= and skip= take plain integers only (10.0) */
    gboolean info_children; /* info: child nodes, also `detached-header` of LUKS */
    gboolean map_compressed;
    gboolean snapshot_wide;         /* the snapshot table with VM_SIZE and VM_CLOCK */
    gboolean vhd_geometry;          /* vpc: the geometry is the size, but for some creators (7.2) */
    gboolean bench_fits;            /* bench: offsets wrap so that a request fits behind them */
    gboolean json_position;         /* JSON errors start with line:column */
    gboolean close_flush;           /* a flush that fails while a file is closed is told */
    gboolean blkdebug_names_config; /* blkdebug: a missing configuration file is named */
};

/*
 * Gives the profile in force: the newest, unless profile_select chose another.
 *
 * returns: a constant, never NULL
 */
const struct profile *profile_get(void);

/*
 * Chooses the profile for the rest of the process.
 *
 * in:      name "7.2", "10.0" or "11.1" (a longer version such as "7.2.22" selects its series);
 *          NULL or "" means the built-in default (DEFAULT_PROFILE, else the newest)
 * returns: FALSE with *error when no profile has that name; the choice is then unchanged
 */
gboolean profile_select(const char *name, GError **error);

#endif
