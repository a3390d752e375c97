/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest as the harnesses call it: one session over images in memory, and what every reply must
 * keep to.
 *
 * The host's requests are trusted, so the harnesses make them well-formed; the images are not.
 */
#ifndef INSTAR_FUZZ_SESSION_H
#define INSTAR_FUZZ_SESSION_H

#include "fuzz/guarded.h"
#include "guest/abi/plan.pb-c.h"
#include "guest/plan/dispatch.h"

/* Blobs: the image under test, the zeros beneath it, and a data file. */
#define FUZZ_IMAGE_BLOB   1
#define FUZZ_BACKING_BLOB 2
#define FUZZ_DATA_BLOB    3
#define FUZZ_OTHER_SIZE   (1u << 20) /* bytes of the last two */
#define FUZZ_EXTENT_BLOB  4          /* every extent that the image names: what `extent` holds */

struct fuzz_session {
    struct session session;
    struct guarded image;
    struct guarded extent; /* NULL data: extents are the image itself */
};

/*
 * Starts a session whose image blob holds these bytes, between guard pages.
 */
void fuzz_session_start(struct fuzz_session *s, const uint8_t *data, size_t size);
void fuzz_session_end(struct fuzz_session *s);

/*
 * Calls the guest.
 *
 * in:      nr_records of what lies in session.records go with the call
 * returns: the unpacked reply, freed with fuzz_forget; NULL if the method is not built or the reply
 *          would not fit
 */
ProtobufCMessage *fuzz_call(struct fuzz_session *s, enum cell_method method,
                            const ProtobufCMessage *request, uint32_t nr_records,
                            const ProtobufCMessageDescriptor *reply_type);
void fuzz_forget(void *reply);

/*
 * Opens the image blob, and what it refers to: a backing file of zeros, a data file.
 *
 * returns: its node, or NULL when it is refused
 */
const struct node *fuzz_open(struct fuzz_session *s, const char *format, bool read_write,
                             bool for_check);

/*
 * Maps a range of the virtual disk to its end, in calls of max_records at most, and judges each
 * answer: no gap, no overlap, always further.
 */
void fuzz_map(struct fuzz_session *s, const struct node *node, uint64_t start, uint64_t length,
              uint32_t max_records, uint32_t layers);

/*
 * Drains the pending plan, for at most so many batches, and judges its ops: known kinds, no
 * overflow, bytes of writes inside the window.
 *
 * in:      file_size: no op on the image reaches past it; UINT64_MAX: not known
 * returns: whether it came to its end
 */
bool fuzz_drain(struct fuzz_session *s, unsigned max_batches, uint64_t file_size);

#endif
