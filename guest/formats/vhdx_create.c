/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new VHDX: log, BAT and metadata in this order behind the first MiB, then room, then blocks.
 *
 * A fixed disk has all its blocks from the start, in order. (Stock, unless block_state_zero is off,
 * marks them as zeros without a place, and gives them another one when they are written.)
 * source: sizes and defaults as stock 7.2, 10.0 and 11.1 make them over a grid of options
 */
#include "guest/formats/create_options.h"
#include "guest/formats/vhdx_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTOR_BYTES 512u
#define SPARE_BYTES  (5 * VHDX_MIB) /* between the BAT and the blocks; the metadata is in it */
#define GIB          (1ull << 30)
#define TIB          (1ull << 40)

#define BAT_CHUNK_BYTES 65536u

/* Of a differencing disk, as Hyper-V makes it. */
#define CHILD_BLOCK (2 * VHDX_MIB)

struct vhdx_creation {
    struct plan plan;
    uint32_t blob;
    struct vhdx_fields fields;
    struct vhdx_header header;
    uint64_t chunk_ratio, data_blocks;
    uint64_t data_offset;
    struct vhdx_locator parent;
    bool block_state_zero;
    bool begun;
    uint64_t next_block; /* whose BAT entry comes next */
};

static enum guest_err parse_subformat(const Abi__CreateRequest *request, uint32_t *out_params,
                                      struct guest_err_detail *detail)
{
    struct span text;

    if (!create_option_text(request, "subformat", &text) || span_equal_text(text, "dynamic"))
        return GUEST_OK;
    if (!span_equal_text(text, "fixed"))
        return err_text(detail, (enum guest_err)VHDX_ERR_SUBFORMAT, text, 0);
    *out_params |= VHDX_LEAVE_BLOCKS;
    return GUEST_OK;
}

static enum guest_err parse_parent(const Abi__CreateRequest *request,
                                   struct vhdx_creation *creation, struct guest_err_detail *detail)
{
    struct vhdx_fields *f = &creation->fields;
    struct span name;

    if (!create_option_text(request, "backing_file", &name))
        return GUEST_OK;
    if (f->params & VHDX_LEAVE_BLOCKS)
        return vhdx_error(detail, VHDX_ERR_PARENT_FIXED);
    f->params |= VHDX_HAS_PARENT;
    f->parent = &creation->parent;
    return vhdx_make_locator(name, span_of(request->parent_guid.data, request->parent_guid.len),
                             &creation->parent, detail);
}

/* A number that the last MiB of 64 bits rounds up to is 0, as in stock. */
static uint64_t up_to_mib(uint64_t bytes)
{
    return (bytes + VHDX_MIB - 1) / VHDX_MIB * VHDX_MIB;
}

static enum guest_err choose_log(const Abi__CreateRequest *request, uint32_t *out,
                                 struct guest_err_detail *detail)
{
    uint64_t length = up_to_mib(create_option_number(request, "log_size", VHDX_MIB));

    if (length == 0)
        return vhdx_error(detail, VHDX_ERR_LOG_ZERO);
    if (length > UINT32_MAX)
        return vhdx_error(detail, VHDX_ERR_LOG_LARGE);
    *out = (uint32_t)length;
    return GUEST_OK;
}

static uint64_t default_block(uint64_t size)
{
    if (size > 32 * TIB)
        return 64 * VHDX_MIB;
    if (size > 100 * GIB)
        return 32 * VHDX_MIB;
    return size > GIB ? 16 * VHDX_MIB : 8 * VHDX_MIB;
}

static enum guest_err choose_block(const Abi__CreateRequest *request, bool has_parent,
                                   uint32_t *out, struct guest_err_detail *detail)
{
    uint64_t size = up_to_mib(create_option_number(request, "block_size", 0));

    if (size == 0)
        size = has_parent ? CHILD_BLOCK : default_block(request->size);
    if (size > VHDX_BLOCK_MAX)
        size = VHDX_BLOCK_MAX;
    if (!is_power_of_two_u64(size))
        return vhdx_error(detail, VHDX_ERR_BLOCK_SIZE);
    *out = (uint32_t)size;
    return GUEST_OK;
}

/* Where everything is, and how long the file is. */
static void lay_out(struct vhdx_creation *creation)
{
    struct vhdx_fields *f = &creation->fields;
    uint64_t entries = vhdx_shape(f->disk_size, f->block_size, f->logical_sector, f->parent != NULL,
                                  &creation->chunk_ratio, &creation->data_blocks);

    f->bat_offset = VHDX_HEADER_SECTION + f->log_length;
    f->bat_length = div_round_up_u64(entries * VHDX_BAT_ENTRY_BYTES, VHDX_MIB) * VHDX_MIB;
    f->metadata_offset = f->bat_offset + f->bat_length;
    creation->data_offset = f->metadata_offset + SPARE_BYTES;
    creation->plan.file_size =
        creation->data_offset + (f->params & VHDX_LEAVE_BLOCKS ? f->disk_size : 0);
}

/* ---- the plan ---- */

static void yield_headers(struct vhdx_creation *creation, struct plan_sink *sink)
{
    const struct vhdx_fields *f = &creation->fields;
    struct vhdx_header *header = &creation->header;
    uint32_t blob = creation->blob;

    plan_simple(sink, CELL_OP_TRUNCATE, blob, creation->plan.file_size, 0, CELL_NOTE_FILE_SIZE);
    vhdx_make_identifier(plan_write(sink, blob, 0, VHDX_IDENTIFIER_BYTES, CELL_NOTE_HEADER));
    header->sequence_number = 1;
    vhdx_make_header(
        header, plan_write(sink, blob, VHDX_HEADER1_OFFSET, VHDX_HEADER_BYTES, CELL_NOTE_HEADER));
    header->sequence_number = 2;
    vhdx_make_header(
        header, plan_write(sink, blob, VHDX_HEADER2_OFFSET, VHDX_HEADER_BYTES, CELL_NOTE_HEADER));
    vhdx_make_regions(f, plan_write(sink, blob, VHDX_REGION_TABLE_OFFSET, VHDX_REGION_TABLE_BYTES,
                                    CELL_NOTE_HEADER));
    vhdx_make_regions(f, plan_write(sink, blob, VHDX_REGION_TABLE2_OFFSET, VHDX_REGION_TABLE_BYTES,
                                    CELL_NOTE_HEADER));
    vhdx_make_metadata_head(
        f, plan_write(sink, blob, f->metadata_offset, VHDX_METADATA_HEAD_BYTES, CELL_NOTE_HEADER));
    vhdx_make_metadata_items(f, plan_write(sink, blob, f->metadata_offset + VHDX_METADATA_ITEMS_AT,
                                           VHDX_METADATA_ITEM_BYTES, CELL_NOTE_HEADER));
    if (f->parent)
        memcpy(plan_write(sink, blob, f->metadata_offset + VHDX_METADATA_LOCATOR_AT,
                          f->parent->length, CELL_NOTE_BACKING_NAME),
               f->parent->bytes, f->parent->length);
}

/* The entries of one chunk, or a part of them: zeros, or the blocks of a fixed disk in order. */
static void yield_entries(struct vhdx_creation *creation, struct plan_sink *sink)
{
    const struct vhdx_fields *f = &creation->fields;
    uint64_t block = creation->next_block;
    uint64_t offset =
        f->bat_offset + (block + block / creation->chunk_ratio) * VHDX_BAT_ENTRY_BYTES;
    uint64_t nr = min_u64(creation->chunk_ratio - block % creation->chunk_ratio,
                          creation->data_blocks - block);
    uint8_t *bytes;

    if (!(f->params & VHDX_LEAVE_BLOCKS)) {
        static const uint8_t zero[VHDX_BAT_ENTRY_BYTES] = {VHDX_ZERO};

        plan_pattern(sink, creation->blob, offset, nr * VHDX_BAT_ENTRY_BYTES, zero, sizeof(zero),
                     CELL_NOTE_L1_TABLE);
        creation->next_block += nr;
        return;
    }
    nr = min_u64(nr, BAT_CHUNK_BYTES / VHDX_BAT_ENTRY_BYTES);
    bytes = plan_write(sink, creation->blob, offset, nr * VHDX_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE);
    for (uint64_t i = 0; i < nr; i++)
        store_le64(bytes + i * VHDX_BAT_ENTRY_BYTES,
                   (creation->data_offset + (block + i) * f->block_size) | VHDX_FULLY_PRESENT);
    creation->next_block += nr;
}

static enum guest_err creation_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                    struct guest_err_detail *detail)
{
    struct vhdx_creation *creation = (struct vhdx_creation *)plan;

    (void)detail;
    if (!creation->begun)
        yield_headers(creation, sink);
    creation->begun = true;
    /* Without a state a block is the parent's. */
    if (!(creation->fields.params & VHDX_LEAVE_BLOCKS) &&
        (!creation->block_state_zero || creation->fields.parent))
        creation->next_block = creation->data_blocks;
    while (creation->next_block < creation->data_blocks && plan_room(sink, 1, BAT_CHUNK_BYTES))
        yield_entries(creation, sink);
    *out_done = creation->next_block == creation->data_blocks;
    return GUEST_OK;
}

static void creation_free(struct plan *plan)
{
    free(plan);
}

static const struct plan_verbs creation_verbs = {.next = creation_next, .free = creation_free};

static enum guest_err fill_fields(const Abi__CreateRequest *request, struct vhdx_creation *creation,
                                  struct guest_err_detail *detail)
{
    struct vhdx_fields *f = &creation->fields;
    enum guest_err err = parse_subformat(request, &f->params, detail);

    if (!err)
        err = parse_parent(request, creation, detail);
    if (!err && request->size > VHDX_SIZE_MAX)
        err = vhdx_error(detail, VHDX_ERR_SIZE_TOO_LARGE);
    if (!err)
        err = choose_log(request, &f->log_length, detail);
    if (!err)
        err = choose_block(request, f->parent != NULL, &f->block_size, detail);
    if (!err && request->random.len < 3 * VHDX_GUID_BYTES)
        err = err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (err)
        return err;
    f->logical_sector = SECTOR_BYTES;
    f->disk_size = div_round_up_u64(request->size, SECTOR_BYTES) * SECTOR_BYTES;
    vhdx_make_guid(request->random.data, f->disk_id);
    vhdx_make_guid(request->random.data + VHDX_GUID_BYTES, creation->header.file_write_guid);
    vhdx_make_guid(request->random.data + 2 * VHDX_GUID_BYTES, creation->header.data_write_guid);
    creation->header.log_offset = VHDX_HEADER_SECTION;
    creation->header.log_length = f->log_length;
    creation->block_state_zero = create_option_number(request, "block_state_zero", 1);
    return GUEST_OK;
}

enum guest_err vhdx_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    struct vhdx_creation *creation = arena_array(1, sizeof(*creation));
    enum guest_err err;

    if (!creation)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    creation->blob = request->blob;
    creation->plan.verbs = &creation_verbs;
    err = fill_fields(request, creation, detail);
    if (err) {
        free(creation);
        return err;
    }
    lay_out(creation);
    *out = &creation->plan;
    return GUEST_OK;
}
