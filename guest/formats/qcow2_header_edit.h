/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the first cluster of a qcow2 image: fields of the header, header extensions, and the
 * backing file name behind them.
 *
 * Only a write of one sector is atomic, so that the first sector, which has all the fields and the
 * start of the list of extensions, switches from the old state to the new one:
 *
 *   - where all that differs lies in one sector, that sector is written;
 *   - where the others are not used by the old state, they are written before the first;
 *   - otherwise the new list is put behind everything that is in use, and the first sector gets an
 *     extension of a type that nobody knows, just long enough that the list goes on there. Then
 *     the list's own place can be written, and the first sector once more; what is behind
 *     everything becomes zeros again.
 *
 * The bitmaps extension is put first, so that later changes of it stay in the first sector.
 *
 * Clusters of 1 or 2 KiB may have no room for two lists: then feature names are left out, and if
 * that is not enough, all is written at once, as stock does always.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_HEADER_EDIT_H
#define INSTAR_GUEST_FORMATS_QCOW2_HEADER_EDIT_H

#include "guest/formats/qcow2.h"
#include "guest/plan/plan.h"

#define HEADER_EDIT_SECTOR    512u
#define HEADER_EDIT_FIELDS    112u /* bytes of the fields that are known */
#define HEADER_EDIT_STEPS_MAX 5u

/* Header extension that nobody knows: readers go on behind it. */
#define HEADER_EDIT_DETOUR 0x696e7374u

struct header_edit_extension {
    uint32_t type;
    struct span data; /* borrowed */
};

/* Bytes [from, to) of the first cluster, to be written from a step's image of it. */
struct header_edit_step {
    uint8_t *image; /* one cluster; owned */
    uint64_t from, to;
};

struct header_edit {
    const struct qcow2 *q;
    uint8_t *old;                            /* the first cluster as it is */
    uint64_t old_used;                       /* bytes of it that mean something */
    uint8_t fields[HEADER_EDIT_FIELDS];      /* as they will be; changed by the caller */
    struct header_edit_extension *extension; /* as they will be, in their order */
    uint64_t nr_extensions;
    struct span backing_name; /* empty: none */
    struct header_edit_step step[HEADER_EDIT_STEPS_MAX];
    unsigned nr_steps, at;
};

/*
 * Reads the first cluster. Fields that a shorter header does not have are what they mean then.
 *
 * out:     *edit, to be released with header_edit_clear, also after a failure
 * returns: GUEST_OK; GUEST_ERR_IO; GUEST_ERR_NO_MEMORY
 * bound:   one cluster
 */
enum guest_err header_edit_init(struct header_edit *edit, const struct qcow2 *q,
                                struct guest_err_detail *detail);
void header_edit_clear(struct header_edit *edit);

/*
 * Replaces the extension of a type, or adds it; takes it out. The data is borrowed until the edit
 * is composed.
 */
enum guest_err header_edit_set(struct header_edit *edit, uint32_t type, struct span data,
                               struct guest_err_detail *detail);
void header_edit_drop(struct header_edit *edit, uint32_t type);

/*
 * Decides what is written, in which order.
 *
 * returns: GUEST_ERR_PLAN_HEADER_FULL when the first cluster cannot hold it; GUEST_ERR_NO_MEMORY
 * bound:   three times the first cluster of memory
 */
enum guest_err header_edit_compose(struct header_edit *edit, struct guest_err_detail *detail);

/*
 * Sets bytes of the header in what is still to be written: the place of a table that was not known
 * before. offset + len <= 72.
 */
void header_edit_patch(struct header_edit *edit, uint64_t offset, const uint8_t *bytes,
                       uint64_t len);

/*
 * Appends the writes, a barrier behind each. Nothing when nothing changes.
 *
 * returns: false when the batch has no room; to be called again with the next one
 */
bool header_edit_yield(struct header_edit *edit, struct plan_sink *sink, uint32_t blob);

#endif
