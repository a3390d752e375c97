/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a VHDX: finding what must be replayed, and replaying it.
 */
#ifndef INSTAR_GUEST_FORMATS_VHDX_LOG_H
#define INSTAR_GUEST_FORMATS_VHDX_LOG_H

#include "guest/formats/format.h"
#include "guest/plan/plan.h"

#define VHDX_LOG_DESCRIPTOR_BYTES 32u

struct vhdx;

/* The header of a log entry, field names of the specification. */
struct vhdx_log_entry {
    uint32_t checksum;
    uint32_t entry_length;
    uint32_t tail;
    uint64_t sequence_number;
    uint32_t descriptor_count;
    uint64_t flushed_file_offset;
    uint64_t last_file_offset;
};

/* Entries that follow each other in the ring. */
struct vhdx_log_run {
    uint64_t start;  /* of the first, bytes from the start of the log */
    uint64_t length; /* of all, bytes */
    uint64_t first_number;
    uint32_t count; /* 0: there are none */
};

/* Reads from the ring, at any offset: past its end comes its start. */
enum guest_err vhdx_log_read(const struct vhdx *vhdx, uint64_t at, uint64_t len, uint8_t *buf,
                             struct guest_err_detail *detail);

/*
 * The entry at an offset of the ring, if there is one.
 *
 * in:      *budget: bytes that may still be summed
 * out:     *out_valid; *out when it is
 * returns: GUEST_ERR_TOO_MUCH_WORK when the budget is used up; what reading gives
 */
enum guest_err vhdx_log_entry_at(const struct vhdx *vhdx, uint64_t at, struct vhdx_log_entry *out,
                                 struct guest_err_detail *detail, bool *out_valid,
                                 uint64_t *budget);

/*
 * Finds the run of entries that must be replayed.
 *
 * returns: GUEST_OK, with count 0 when there is none; VHDX_ERR_INVALID for a log that breaks a rule
 * bound:   sums four times the log, looks at it once
 */
enum guest_err vhdx_log_search(const struct vhdx *vhdx, struct vhdx_log_run *out,
                               struct guest_err_detail *detail);

/*
 * Plans the replay of what vhdx_log_search finds.
 *
 * returns: VHDX_ERR_INVALID for a log that breaks a rule, before the first op
 * bound:   three looks at the log
 */
enum guest_err vhdx_replay_plan(struct vhdx *vhdx, struct plan **out,
                                struct guest_err_detail *detail);

#endif
