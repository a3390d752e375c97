/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new VHD: fixed or dynamic, with a size that is rounded up to a geometry unless force_size says
 * that it shall not be.
 *
 * source: geometry, creators and file layout as stock 7.2, 10.0 and 11.1 make them over a grid of
 * sizes and options
 */
#include "guest/abi/error_vpc.h"
#include "guest/formats/create_options.h"
#include "guest/formats/vpc.h"
#include "guest/formats/vpc_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

struct vpc_creation {
    struct plan plan;
    uint32_t blob;
    struct vpc_fields fields;
    struct vpc_parent parent;
};

static enum guest_err parse_subformat(const Abi__CreateRequest *request, uint32_t *out_disk_type,
                                      struct guest_err_detail *detail)
{
    struct span text;

    *out_disk_type = VPC_DYNAMIC;
    if (!create_option_text(request, "subformat", &text) || span_equal_text(text, "dynamic"))
        return GUEST_OK;
    if (!span_equal_text(text, "fixed"))
        return err_text(detail, (enum guest_err)VPC_ERR_SUBFORMAT, text, 0);
    *out_disk_type = VPC_FIXED;
    return GUEST_OK;
}

/* With a backing file it is a differencing disk, which has no other format. */
static enum guest_err parse_parent(const Abi__CreateRequest *request, struct vpc_creation *creation,
                                   struct guest_err_detail *detail)
{
    struct vpc_fields *f = &creation->fields;
    struct span name;

    if (!create_option_text(request, "backing_file", &name))
        return GUEST_OK;
    if (f->disk_type == VPC_FIXED)
        return vpc_error(detail, VPC_ERR_PARENT_FIXED);
    f->disk_type = VPC_DIFFERENCING;
    f->parent = &creation->parent;
    return vpc_describe_parent(name, span_of(request->parent_guid.data, request->parent_guid.len),
                               request->parent_time_sec, &creation->parent, detail);
}

/* The size of the disk, and the program that stands for how it is written down. */
static enum guest_err choose_size(const Abi__CreateRequest *request, struct vpc_fields *f,
                                  struct guest_err_detail *detail)
{
    uint64_t sectors = div_round_up_u64(request->size, VPC_SECTOR_BYTES);
    /* A differencing disk has the size of its parent. */
    bool exact = f->disk_type == VPC_DIFFERENCING || create_option_number(request, "force_size", 0);

    memcpy(f->creator_application, exact ? "qem2" : "qemu", 4);
    if (exact)
        f->geometry = vpc_geometry_below(VPC_GEOMETRY_MAX_SECTORS);
    else
        f->geometry = vpc_geometry_above(sectors);
    if (!exact && sectors < VPC_GEOMETRY_MAX_SECTORS)
        sectors = vpc_geometry_sectors(&f->geometry);
    if (sectors > VPC_SECTORS_MAX)
        return vpc_error(detail, VPC_ERR_SIZE_TOO_LARGE);
    f->size = sectors * VPC_SECTOR_BYTES;
    return GUEST_OK;
}

static enum guest_err creation_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                    struct guest_err_detail *detail)
{
    const struct vpc_creation *creation = (const struct vpc_creation *)plan;
    const struct vpc_fields *f = &creation->fields;
    static const uint8_t unallocated = 0xff;
    uint32_t blob = creation->blob;

    (void)detail;
    plan_simple(sink, CELL_OP_TRUNCATE, blob, plan->file_size, 0, CELL_NOTE_FILE_SIZE);
    if (f->disk_type != VPC_FIXED) {
        uint64_t table_bytes = vpc_table_bytes(f->max_table_entries);

        if (table_bytes)
            plan_pattern(sink, blob, VPC_MADE_TABLE_OFFSET, table_bytes, &unallocated, 1,
                         CELL_NOTE_L1_TABLE);
        vpc_make_footer(f, plan_write(sink, blob, 0, VPC_FOOTER_BYTES, CELL_NOTE_HEADER));
        vpc_make_dynamic(f, plan_write(sink, blob, VPC_MADE_DYNAMIC_OFFSET, VPC_DYNAMIC_BYTES,
                                       CELL_NOTE_HEADER));
    }
    if (f->parent)
        memcpy(plan_write(sink, blob, f->parent->offset, f->parent->length, CELL_NOTE_BACKING_NAME),
               f->parent->locator, f->parent->length);
    vpc_make_footer(f, plan_write(sink, blob, plan->file_size - VPC_FOOTER_BYTES, VPC_FOOTER_BYTES,
                                  CELL_NOTE_HEADER));
    *out_done = true;
    return GUEST_OK;
}

static void creation_free(struct plan *plan)
{
    free(plan);
}

static const struct plan_verbs creation_verbs = {.next = creation_next, .free = creation_free};

enum guest_err vpc_create(const Abi__CreateRequest *request, struct plan **out,
                          struct guest_err_detail *detail)
{
    struct vpc_creation *creation = arena_array(1, sizeof(*creation));
    struct vpc_fields *f;
    enum guest_err err;

    if (!creation)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    f = &creation->fields;
    creation->blob = request->blob;
    creation->plan.verbs = &creation_verbs;
    err = parse_subformat(request, &f->disk_type, detail);
    if (!err)
        err = parse_parent(request, creation, detail);
    if (!err)
        err = choose_size(request, f, detail);
    if (!err && request->random.len < VPC_UUID_BYTES)
        err = err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (err) {
        free(creation);
        return err;
    }
    vpc_make_unique_id(request->random.data, f->unique_id);
    f->time_stamp = vpc_time_stamp(request->time_sec);
    f->max_table_entries = (uint32_t)div_round_up_u64(f->size, VPC_BLOCK_BYTES);
    creation->plan.file_size =
        VPC_FOOTER_BYTES + (f->disk_type == VPC_FIXED
                                ? f->size
                                : VPC_MADE_TABLE_OFFSET + vpc_table_bytes(f->max_table_entries));
    if (f->parent) {
        creation->parent.offset = creation->plan.file_size - VPC_FOOTER_BYTES;
        creation->plan.file_size += vpc_locator_space(&creation->parent);
    }
    *out = &creation->plan;
    return GUEST_OK;
}
