/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to images of formats in which one table (the BAT) says where each block of the disk is,
 * sectors can be written one by one, and new blocks take their room at the end of the file: VHD and
 * VHDX. A format says how its table looks and what goes before; all else is done here.
 *
 * A block gets its room with the first run in it. Tables change in memory; they leave as a plan:
 *
 *   1 what the format must have done before data is written, barrier
 *   2 (the copy's) data, zeros
 *   3 sectors of the BAT; one names only blocks whose data was reported
 *
 * Where there is a parent, a bit a sector says that the sector is the disk's own; else it is the
 * parent's. The bits of blocks that are written to are kept in memory until all are set, and go
 * into the file after the data and before the BAT. A block that is wholly its own needs none.
 *
 * In a disk whose blocks all lie in their order (a fixed VHD) only zeros are left to be done.
 */
#ifndef INSTAR_GUEST_FORMATS_BLOCK_WRITER_H
#define INSTAR_GUEST_FORMATS_BLOCK_WRITER_H

#include "guest/formats/writer.h"
#include "guest/formats/zero_list.h"

#define BLOCK_NOWHERE 0xffffffffu

/* Of one step of the preparation. */
#define BLOCK_PREPARE_OPS   4u
#define BLOCK_PREPARE_BYTES 4096u

/* One sector of a BAT. */
#define BLOCK_BAT_SECTOR_BYTES 512u

/* How far a block is. */
enum block_link {
    BLOCK_UNLINKED,
    BLOCK_LINKED,  /* its data was reported, the BAT in the file may say so */
    BLOCK_IN_FILE, /* and does */
};

struct block_writer;

struct block_format {
    /* Whether something must be prepared before data is written into the blocks that were made. */
    bool (*unprepared)(const struct block_writer *writer);

    /* One step of that, at most BLOCK_PREPARE_OPS with BLOCK_PREPARE_BYTES in all. */
    void (*prepare)(struct block_writer *writer, struct plan_sink *sink);

    /* In which sector of the BAT a block's entry is. */
    uint64_t (*bat_sector)(const struct block_writer *writer, uint64_t block);

    /* Appends the op that writes that sector: entries of blocks that are linked, others as before.
     */
    enum guest_err (*put_bat_sector)(struct block_writer *writer, uint64_t sector,
                                     struct plan_sink *sink, struct guest_err_detail *detail);

    /* The BAT in the file was changed: what is known of it from before is stale. */
    void (*changed)(struct block_writer *writer);

    /* With a parent: fills bits_bytes with the bits of a block that was there from the start. */
    enum guest_err (*load_bits)(struct block_writer *writer, uint64_t block, uint8_t *bits,
                                struct guest_err_detail *detail);

    /* With a parent: finds the bits of a block their room; NULL if they have it with the block. */
    enum guest_err (*need_bits)(struct block_writer *writer, uint64_t block,
                                struct guest_err_detail *detail);

    /* Where they are in the file, bytes. */
    uint64_t (*bits_offset)(const struct block_writer *writer, uint64_t block);

    /* Where the file ends when all that was made is in it, bytes. */
    uint64_t (*file_size)(const struct block_writer *writer);

    /* Gives back what the format has added; may be NULL. */
    void (*forget)(struct block_writer *writer);
};

enum block_stage {
    BLOCK_STAGE_PREPARE,
    BLOCK_STAGE_ZEROS,
    BLOCK_STAGE_BITS,
    BLOCK_STAGE_BIT_TABLES, /* what the BAT says of where bits are */
    BLOCK_STAGE_BAT,
    BLOCK_STAGE_DONE,
};

/* The head of a format's own writer; a format fills the first part. */
struct block_writer {
    struct image_writer base;
    const struct block_format *format;
    uint32_t blob;
    bool fresh;           /* all that was not written is zeros */
    uint64_t block_bytes; /* of the disk */
    uint64_t block_span;  /* of the file: with what goes before the data */
    uint64_t lead;        /* bytes of a block before its data */
    uint64_t place_unit;  /* bytes that `placed` counts in */
    bool linear;          /* all blocks lie in their order from the start of the file on */
    uint64_t nr_blocks;   /* linear: 0 */
    uint64_t nr_bat_sectors;
    uint64_t end;     /* after the last block, bytes */
    uint32_t *placed; /* by block: where, or BLOCK_NOWHERE */
    uint8_t *linked;  /* by block, enum block_link */

    /* with a parent */
    bool has_parent;
    bool bits_from_top;  /* the first sector's bit is the highest of a byte */
    uint32_t bits_bytes; /* of a block's bits, those that count */
    uint8_t *whole;      /* by block: all of it is the disk's own, bits do not matter */

    uint8_t *stale;    /* by sector of the BAT: the file does not say what it may */
    uint32_t *made;    /* blocks in the order in which they got their room */
    uint32_t nr_made;  /* of made */
    uint32_t prepared; /* of made: the format has done its part; the format's to count */
    struct zero_list zeros;
    uint8_t **bits;    /* by block: NULL when not in memory */
    uint8_t *bits_set; /* by block: the file does not have these bits */
    uint64_t nr_bits_set;
    bool bit_tables_stale; /* need_bits has found new room */

    /* of the plan being drained */
    enum block_stage stage;
    bool ordered; /* data comes before what is written from here on */
    uint64_t at;
};

/*
 * Makes the arrays of a writer whose first part is filled: nothing is placed. Its shape's unit is
 * one sector.
 *
 * returns: GUEST_ERR_NO_MEMORY
 * bound:   memory of ten bytes a block; with a parent twenty, and the bits of blocks written to
 */
enum guest_err block_writer_init(struct block_writer *writer, uint32_t sector_bytes,
                                 struct guest_err_detail *detail);

/* Gives the arrays back, and the writer itself. */
void block_writer_free(struct image_writer *writer);

/*
 * Notes that bytes of a block are the disk's own from now on.
 *
 * in:      [from, to): bytes inside the block, whole sectors but for the disk's end
 */
enum guest_err block_bits_add(struct block_writer *writer, uint64_t block, uint64_t from,
                              uint64_t to, struct guest_err_detail *detail);

/* Appends the op that writes the bits of a block. */
void block_bits_yield(struct block_writer *writer, uint64_t block, struct plan_sink *sink);

/* Where the data of a block is that has its room, bytes. */
static inline uint64_t block_data_offset(const struct block_writer *writer, uint64_t block)
{
    return writer->placed[block] * writer->place_unit + writer->lead;
}

#endif
