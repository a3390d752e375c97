/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check of a VHD, which stock does not have: the two footers, the dynamic header's checksum, and
 * the BAT, in which no block may lie over another or over metadata.
 *
 * Blocks are sorted by place, so that overlaps and room that nobody uses show in one pass. What is
 * repaired is decided on the way (guest/formats/vpc_mend.h).
 */
#include "guest/formats/vpc_mend.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

struct vpc_audit {
    struct vpc *vpc;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    struct vpc_mend *mend; /* NULL: nothing is repaired */
    bool fix_errors, fix_leaks;
    bool no_end;          /* there is no footer at the end */
    uint64_t file_end;    /* of the file, whole sectors */
    uint64_t block_span;  /* bitmap and data, bytes */
    uint32_t disk_blocks; /* blocks that the disk has */
    uint64_t *places;     /* sector << 32 | block, of allocated blocks */
    uint32_t nr_places;
};

static void report(struct vpc_audit *audit, enum vpc_finding code, bool fixed, uint64_t a,
                   uint64_t b, uint64_t c)
{
    struct cell_finding finding = {
        .code = code, .flags = fixed ? CELL_FINDING_REPAIRED : 0, .number = {a, b, c}};
    bool leak =
        code == VPC_FOUND_LEAK || code == VPC_FOUND_BLOCK_BEYOND || code == VPC_FOUND_COPY_DIFFERS;

    audit->reply->leaks += leak && !fixed;
    audit->reply->leaks_fixed += leak && fixed;
    audit->reply->corruptions += !leak && !fixed;
    audit->reply->corruptions_fixed += !leak && fixed;
    audit->findings->add(audit->findings, &finding);
}

/* What is not repaired in any case. */
static void found(struct vpc_audit *audit, enum vpc_finding code, uint64_t a, uint64_t b,
                  uint64_t c)
{
    report(audit, code, false, a, b, c);
}

/* What every footer says, and what the one at the end says of the one at the start. */
static enum guest_err audit_footer(struct vpc_audit *audit, struct guest_err_detail *detail)
{
    const struct vpc *vpc = audit->vpc;
    uint8_t bytes[VPC_FOOTER_BYTES];
    struct vpc_footer copy;
    enum guest_err err;

    if (vpc->footer.version != VPC_VERSION)
        found(audit, VPC_FOUND_FOOTER_FIELD, 12, vpc->footer.version, 0);
    if (vpc->footer.disk_type < VPC_FIXED || vpc->footer.disk_type > VPC_DIFFERENCING)
        found(audit, VPC_FOUND_FOOTER_FIELD, 60, vpc->footer.disk_type, 0);
    if (!vpc->has_table)
        return GUEST_OK;
    if (vpc->start_broken) {
        report(audit, VPC_FOUND_START, audit->fix_errors, 0, 0, 0);
        return audit->fix_errors ? vpc_mend_start(audit->mend, detail) : GUEST_OK;
    }
    err = source_read_padded(vpc->source, audit->file_end - sizeof(bytes), sizeof(bytes), bytes,
                             detail);
    if (err)
        return err;
    audit->no_end = !vpc_decode_footer(span_of(bytes, sizeof(bytes)), &copy);
    if (audit->no_end)
        report(audit, VPC_FOUND_NO_COPY, audit->fix_errors, 0, 0, 0);
    else if (memcmp(bytes, vpc->footer_bytes, sizeof(bytes)) != 0)
        report(audit, VPC_FOUND_COPY_DIFFERS, audit->mend != NULL, 0, 0, 0);
    else
        return GUEST_OK;
    if (audit->mend)
        vpc_mend_end(audit->mend);
    return GUEST_OK;
}

static enum guest_err audit_dynamic(struct vpc_audit *audit, struct guest_err_detail *detail)
{
    const struct vpc_dynamic *dynamic = &audit->vpc->dynamic;
    uint8_t bytes[VPC_DYNAMIC_BYTES];
    enum guest_err err = source_read_padded(audit->vpc->source, audit->vpc->footer.data_offset,
                                            sizeof(bytes), bytes, detail);

    if (err)
        return err;
    if (vpc_checksum(span_of(bytes, sizeof(bytes)), VPC_DYNAMIC_CHECKSUM) != dynamic->checksum) {
        report(audit, VPC_FOUND_DYNAMIC_CHECKSUM, audit->fix_errors, 0, 0, 0);
        if (audit->fix_errors)
            err = vpc_mend_checksum(audit->mend, span_of(bytes, sizeof(bytes)), detail);
    }
    if (dynamic->version != VPC_VERSION)
        found(audit, VPC_FOUND_DYNAMIC_VERSION, dynamic->version, 0, 0);
    return err;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a < b + b_len && b < a + a_len;
}

static bool over_metadata(const struct vpc_audit *audit, uint64_t offset)
{
    const struct vpc *vpc = audit->vpc;
    uint64_t table_bytes = (uint64_t)vpc->dynamic.max_table_entries * VPC_BAT_ENTRY_BYTES;

    return overlap(offset, audit->block_span, 0, VPC_FOOTER_BYTES) ||
           overlap(offset, audit->block_span, vpc->footer.data_offset, VPC_DYNAMIC_BYTES) ||
           overlap(offset, audit->block_span, vpc->dynamic.table_offset, table_bytes) ||
           (!audit->no_end && overlap(offset, audit->block_span, audit->file_end - VPC_FOOTER_BYTES,
                                      VPC_FOOTER_BYTES));
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Counts, or with `places` gathers, the allocated blocks. */
static enum guest_err gather(struct vpc_audit *audit, struct guest_err_detail *detail)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < audit->vpc->dynamic.max_table_entries; i++) {
        uint32_t entry;
        enum guest_err err = vpc_bat_entry(audit->vpc, i, &entry, detail);

        if (err)
            return err;
        if (entry == VPC_UNALLOCATED)
            continue;
        if (audit->places)
            audit->places[nr] = (uint64_t)entry << 32 | i;
        nr++;
    }
    audit->nr_places = nr;
    return GUEST_OK;
}

/* Bytes between two places that are not the BAT. */
static uint64_t gap(const struct vpc_audit *audit, uint64_t from, uint64_t to)
{
    uint64_t table = audit->vpc->dynamic.table_offset;
    uint64_t bytes = audit->vpc->dynamic.max_table_entries * (uint64_t)VPC_BAT_ENTRY_BYTES;

    if (from >= to)
        return 0;
    return to - from - (table >= from && table + bytes <= to ? bytes : 0);
}

static void audit_gap(struct vpc_audit *audit, uint64_t from, uint64_t to)
{
    if (gap(audit, from, to) >= audit->block_span)
        found(audit, VPC_FOUND_LEAK, from, gap(audit, from, to), 0);
}

/* A block by its place: what is wrong with it, and whether it is forgotten or moved. */
static enum guest_err audit_block(struct vpc_audit *audit, uint32_t block, uint64_t offset,
                                  uint32_t before, uint64_t end, struct guest_err_detail *detail)
{
    bool fix = audit->fix_errors;

    if (offset + audit->block_span > audit->file_end) {
        report(audit, VPC_FOUND_BLOCK_OUTSIDE, fix, block, offset, 0);
        return fix ? vpc_mend_forget(audit->mend, block, detail) : GUEST_OK;
    }
    if (block >= audit->disk_blocks) {
        report(audit, VPC_FOUND_BLOCK_BEYOND, audit->fix_leaks, block, 0, 0);
        if (audit->fix_leaks)
            return vpc_mend_forget(audit->mend, block, detail);
    }
    if (over_metadata(audit, offset))
        report(audit, VPC_FOUND_BLOCK_METADATA, fix, block, offset, 0);
    else if (offset < end)
        report(audit, VPC_FOUND_BLOCK_OVERLAP, fix, block, before, offset);
    else
        return GUEST_OK;
    return fix ? vpc_mend_move(audit->mend, block, offset, detail) : GUEST_OK;
}

static enum guest_err audit_blocks(struct vpc_audit *audit, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    uint64_t end = VPC_FOOTER_BYTES + VPC_DYNAMIC_BYTES;
    uint32_t before = 0;

    qsort(audit->places, audit->nr_places, sizeof(*audit->places), by_place);
    for (uint32_t i = 0; !err && i < audit->nr_places; i++) {
        uint32_t block = (uint32_t)audit->places[i];
        uint64_t offset = (audit->places[i] >> 32) * VPC_SECTOR_BYTES;

        err = audit_block(audit, block, offset, before, i ? end : 0, detail);
        audit_gap(audit, end, min_u64(offset, audit->file_end - VPC_FOOTER_BYTES));
        audit->reply->fragmented_clusters += i && block != before + 1;
        end = max_u64(end, offset + audit->block_span);
        before = block;
    }
    audit_gap(audit, end, audit->file_end - VPC_FOOTER_BYTES);
    return err;
}

static enum guest_err audit_table(struct vpc_audit *audit, uint64_t virtual_size,
                                  struct guest_err_detail *detail)
{
    enum guest_err err = audit_dynamic(audit, detail);

    audit->block_span = (uint64_t)audit->vpc->bitmap_bytes + audit->vpc->dynamic.block_size;
    audit->disk_blocks = (uint32_t)div_round_up_u64(virtual_size, audit->vpc->dynamic.block_size);
    if (!err)
        err = gather(audit, detail);
    if (err)
        return err;
    audit->places = arena_array(audit->nr_places, sizeof(*audit->places));
    if (!audit->places)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = gather(audit, detail);
    if (!err)
        err = audit_blocks(audit, detail);
    free(audit->places);
    audit->reply->total_clusters = audit->disk_blocks;
    audit->reply->allocated_clusters = audit->nr_places;
    return err;
}

enum guest_err vpc_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail)
{
    struct vpc *vpc = vpc_of(node);
    struct vpc_mend mend = {.vpc = vpc};
    struct vpc_audit audit = {
        .vpc = vpc,
        .findings = findings,
        .reply = reply,
        .mend = request->fix_leaks || request->fix_errors ? &mend : NULL,
        .fix_errors = request->fix_errors,
        .fix_leaks = request->fix_leaks,
        .file_end = vpc->file_end,
    };
    uint64_t needed = node->virtual_size + VPC_FOOTER_BYTES;
    enum guest_err err;

    err = vpc_mend_init(&mend, detail);
    if (!err)
        err = audit_footer(&audit, detail);
    if (!err && vpc->has_table)
        err = audit_table(&audit, node->virtual_size, detail);
    else if (!err && needed > audit.file_end)
        found(&audit, VPC_FOUND_SHORT, audit.file_end, needed, 0);
    if (!err)
        err = vpc_mend_finish(&mend, &node->repair, detail);
    vpc_mend_clear(&mend);
    return err;
}
