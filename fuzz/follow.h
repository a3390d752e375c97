/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans carried out on bytes in memory, for harnesses that judge what becomes of an image.
 */
#ifndef INSTAR_FUZZ_FOLLOW_H
#define INSTAR_FUZZ_FOLLOW_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/* What a harness wants to know of a plan. */
struct fuzz_watch {
    void (*barrier)(void *user); /* the image is as it may be found from here on; may be NULL */
    /* An op that is carried out next; false: the end cannot be judged. May be NULL. */
    bool (*op)(void *user, const struct cell_op *op);
    void *user;
};

/*
 * Opens the image that bytes are.
 *
 * in:      the bytes outlive the node
 * returns: NULL when it is refused
 */
struct node *fuzz_open_bytes(const char *format, const uint8_t *bytes, uint64_t len,
                             bool read_write, bool for_check);

/*
 * Carries out a plan to its end, judging that its ops are well-formed, and frees it. The node that
 * made it reads other bytes, which stay as they are.
 *
 * in:      image: blob 0; ops of other blobs are passed over
 * returns: false when it failed, would make the image longer than 64 MiB, or a watcher said so
 */
bool fuzz_follow(GByteArray *image, struct plan *plan, const struct fuzz_watch *watch);

#endif
