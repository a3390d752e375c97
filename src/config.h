/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: `key = value` lines, `#` starts a comment.
 *
 *   sandbox       kvm, process or auto    INSTAR_SANDBOX
 *   policy        strict, default, qemu   INSTAR_POLICY
 *   profile       7.2, 10.0 or 11.1       INSTAR_QEMU_PROFILE
 *   cell_memory   a SIZE                  INSTAR_CELL_MEMORY
 *   cell_timeout  seconds                 INSTAR_CELL_TIMEOUT
 *
 * Each key stands for an environment variable. The environment wins over
 * $XDG_CONFIG_HOME/instar/instar.conf (or ~/.config/...), and that over sysconfdir/instar.conf.
 */
#ifndef INSTAR_SRC_CONFIG_H
#define INSTAR_SRC_CONFIG_H

#include <glib.h>

/*
 * Reads the files that are there and sets the variables that are not.
 *
 * returns: FALSE with an error that names file and line: a file that is there but cannot be read, a
 *          line that is no `key = value`, an unknown key. A directory we may not look into counts
 *          as a file that is not there: callers change the user without changing HOME
 */
gboolean config_load(GError **error);

/* One file, for tests. */
gboolean config_load_file(const char *path, GError **error);

#endif
