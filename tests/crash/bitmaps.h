/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty bitmaps of an image as text, so that two states of it can be compared.
 */
#ifndef INSTAR_TESTS_CRASH_BITMAPS_H
#define INSTAR_TESTS_CRASH_BITMAPS_H

#include "guest/formats/format.h"

/* Names, flags, granularities and checksums of the bits of a qcow2 node; newly allocated. */
char *bitmaps_describe(struct node *node);

#endif
