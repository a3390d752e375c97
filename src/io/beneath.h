/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a path that must not leave a directory.
 */
#ifndef INSTAR_SRC_IO_BENEATH_H
#define INSTAR_SRC_IO_BENEATH_H

/*
 * Opens `path` below the directory, whatever symbolic links and `..` it goes through.
 *
 * in:      flags as for openat, without O_CREAT; O_CLOEXEC is added
 * returns: a descriptor, or -1 with errno; EXDEV: the path leaves the directory. What lies outside
 *          is not looked at, so the answer does not tell whether it exists. On a kernel without
 *          openat2 symbolic links are refused altogether (ELOOP)
 */
int open_beneath(int dir_fd, const char *path, int flags);

#endif
