/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges a state that a crash may leave: our check, the content, now and then stock's check.
 */
#ifndef INSTAR_TESTS_CRASH_JUDGE_H
#define INSTAR_TESTS_CRASH_JUDGE_H

#include <glib.h>

#include "tests/crash/case.h"
#include "tests/crash/disk.h"

#define SECTOR 512u

/* One case under way. */
struct trial {
    struct bench bench;
    const struct crash_case *c;
    GArray *steps; /* of struct step */
    GByteArray *backing, *new_backing;
    uint8_t *old_content, *new_content;
    char *old_bitmaps, *new_bitmaps; /* NULL: not looked at */
    uint64_t old_len, new_len;
    unsigned judged, stock_every;
    char *where; /* of the state being judged, for messages */
};

/* Whether the image is a differencing VHD or VHDX, which stock cannot make or read. */
gboolean is_child(const struct trial *trial);

/* What the disk shows over the backing file that it names; NULL and a failed test: nothing. */
uint8_t *content_of(struct trial *trial, const struct disk *disk, uint64_t *out_len);

/* The bitmaps that the bench's image has now, as text. */
char *bitmaps_now(struct trial *trial);

/*
 * Fails the test unless the state is valid and holds the old or the new content.
 *
 * in:      format of the state's name, with step and more for it
 */
void judge(struct trial *trial, const struct disk *disk, const char *format, unsigned step,
           unsigned more) G_GNUC_PRINTF(3, 0);

#endif
