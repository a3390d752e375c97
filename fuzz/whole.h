/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image of a format without peculiarities, opened and read in every way.
 */
#ifndef INSTAR_FUZZ_WHOLE_H
#define INSTAR_FUZZ_WHOLE_H

#include "fuzz/session.h"

/*
 * Opens the bytes as an image of that format and asks for everything: info, the whole map in large
 * and in small steps, the bytes of the disk, check. Its backing file is zeros.
 */
void fuzz_whole(const uint8_t *data, size_t size, const char *format);

/* The two halves of it: all but check, and check. */
void fuzz_read_all(struct fuzz_session *s, const char *format);
void fuzz_check(struct fuzz_session *s, const char *format);

/* A check that repairs everything; its plan is drained. */
void fuzz_repair(struct fuzz_session *s, const char *format);

#endif
