/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sectors of a VMDK extent's file are used for: metadata, a grain, nothing. Check asks for
 * each grain whether its place is another's already.
 *
 * Metadata is kept by the sector. Grains begin at multiples of their size as a rule (from the first
 * on), and are kept by the grain then, so that a file of 2 TiB needs a few MiB; where they do not,
 * as in streams, by the sector, for files of up to VMDK_CLAIMS_SECTORS_MAX.
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_CLAIMS_H
#define INSTAR_GUEST_FORMATS_VMDK_CLAIMS_H

#include "guest/formats/cluster_set.h"
#include "guest/formats/vmdk.h"

#define VMDK_CLAIMS_SECTORS_MAX (1ull << 30)

struct vmdk_claims {
    const struct vmdk_extent *e;
    uint64_t file_sectors;
    uint64_t table_sectors;
    bool on;                   /* grains are compared with each other */
    uint64_t unit, shift;      /* sectors: bit i is [i * unit - shift, (i + 1) * unit - shift) */
    struct cluster_set meta;   /* sectors */
    struct cluster_set grains; /* units */
    struct cluster_set lost;   /* numbers of tables that lie over other metadata */
};

enum vmdk_claim {
    VMDK_CLAIM_FREE,
    VMDK_CLAIM_GRAIN, /* another grain has it */
    VMDK_CLAIM_META,
};

/*
 * Claims header, descriptor, directories and the ends of a stream; no tables yet.
 *
 * in:      e: hosted sparse or COWD
 * returns: GUEST_ERR_NO_MEMORY; *out is to be cleared all the same
 */
enum guest_err vmdk_claims_init(struct vmdk_claims *out, const struct vmdk_extent *e,
                                struct guest_err_detail *detail);
void vmdk_claims_clear(struct vmdk_claims *claims);

/* Whether a grain table at that sector would be inside the file. */
bool vmdk_is_table(const struct vmdk_claims *claims, uint32_t sector);

/*
 * Claims a table.
 *
 * in:      number: of the table
 * out:     *out_free: nothing else was there; if not, the number is in claims->lost
 */
enum guest_err vmdk_claim_table(struct vmdk_claims *claims, uint64_t number, uint32_t sector,
                                bool *out_free, struct guest_err_detail *detail);

/*
 * Settles how grains are kept, once all tables are claimed.
 *
 * bound:   all tables that are not lost are read once
 */
enum guest_err vmdk_claims_survey(struct vmdk_claims *claims, struct guest_err_detail *detail);

/* Claims a grain of that many sectors inside the file. */
enum guest_err vmdk_claim_grain(struct vmdk_claims *claims, uint64_t sector, uint64_t nr,
                                enum vmdk_claim *out, struct guest_err_detail *detail);

/* An entry of a directory. */
enum guest_err vmdk_directory_read(const struct vmdk_extent *e, uint64_t directory, uint64_t number,
                                   uint32_t *out, struct guest_err_detail *detail);

/* How many entries of a table belong to grains of the extent. */
uint64_t vmdk_entries_of(const struct vmdk_extent *e, uint64_t number);

/* Whether an entry names a grain, and not a hole or zeros. */
static inline bool vmdk_is_grain(const struct vmdk_extent *e, uint32_t entry)
{
    return entry != 0 && !(e->zero_grain && entry == VMDK_GTE_ZEROED);
}

#endif
