/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data window of a codec cell:
 *
 *   0            buffers: nr_buffers * buffer_bytes, what reader_fill returns
 *   whole_at     one unit, decoded here when only a part of it is wanted
 *   in_at        compressed bytes, several units side by side as they lie in the file
 *
 * Units that lie side by side are read with one call. Their compressed lengths are upper bounds in
 * sectors, so that neighbours overlap by some bytes: a run ends where a gap is.
 *
 * Encrypted sectors are read to where they are wanted and decrypted there; what does not begin or
 * end with a sector goes through whole_at.
 */
#include "src/copy/reader.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "guest/abi/cell.pb-c.h"
#include "guest/abi/codec.pb-c.h"
#include "guest/abi/error.h"

#define MIB            (1u << 20)
#define ARENA_BYTES    (32u << 20) /* a limit, not a cost: the arena grows on touch */
#define IN_BYTES       (1u << 20)
#define BATCH_MAX      512u
#define GAP_BYTES_MAX  4096u
#define UNIT_BYTES_MAX (64u << 20)

struct reader {
    size_t buffer_bytes;
    guint nr_buffers;
    void *buffers; /* mapped on first use, touched one by one */
    struct cell_config config;

    struct cell *cell;
    GPtrArray *retired;  /* cells with too small a window, whose buffers may still be in use */
    uint32_t unit_bytes; /* the largest unit the cell's window has room for */
    uint64_t whole_at, in_at, in_bytes;

    /* The batch: records, and where part units go once decoded. */
    struct cell_decode records[BATCH_MAX];
    guint piece_of[BATCH_MAX];
    guint nr_records;
    uint64_t in_used;

    GPtrArray *ciphers; /* of const struct crypto_spec *: those the cell has, by number */

    /* The unit that lies decoded at whole_at; unit_len 0: none. Its other parts need no decoding.
     */
    struct piece whole;
};

struct reader *reader_new(size_t buffer_bytes, guint nr_buffers, const struct cell_config *cell)
{
    struct reader *reader = g_new0(struct reader, 1);

    reader->buffer_bytes = buffer_bytes;
    reader->nr_buffers = nr_buffers;
    reader->retired = g_ptr_array_new_with_free_func((GDestroyNotify)cell_free);
    reader->ciphers = g_ptr_array_new();
    reader->config = *cell;
    reader->config.memory_bytes = MIN(cell->memory_bytes, ARENA_BYTES);
    reader->config.codec = TRUE;
    return reader;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL) {
        return;
    }
    if (reader->buffers != NULL) {
        munmap(reader->buffers, reader->nr_buffers * reader->buffer_bytes);
    }
    g_ptr_array_unref(reader->ciphers);
    g_ptr_array_unref(reader->retired);
    if (reader->cell != NULL) {
        cell_free(reader->cell);
    }
    g_free(reader);
}

static gboolean fail(struct read_fault *fault, guint piece, int error_number, GError *error)
{
    fault->piece = piece;
    fault->error_number = error_number;
    fault->error = error;
    return FALSE;
}

/* Makes the cell, or makes it anew with a larger window. */
static gboolean need_cell(struct reader *reader, uint32_t unit_bytes, GError **error)
{
    if (reader->cell != NULL && unit_bytes <= reader->unit_bytes) {
        return TRUE;
    }
    if (reader->cell != NULL) {
        g_ptr_array_add(reader->retired, g_steal_pointer(&reader->cell));
    }
    reader->unit_bytes = MAX(unit_bytes, 2 * MIB);
    g_ptr_array_set_size(reader->ciphers, 0);
    reader->whole.unit_len = 0;
    reader->whole_at = reader->nr_buffers * reader->buffer_bytes;
    reader->in_at = reader->whole_at + reader->unit_bytes;
    /* No stream worth storing is longer than its unit, but a qcow2 entry can say twice as much. */
    reader->in_bytes = MAX(IN_BYTES, 2 * (uint64_t)reader->unit_bytes + GAP_BYTES_MAX);
    reader->config.window_bytes =
        (reader->in_at + reader->in_bytes + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
    reader->cell = cell_new(&reader->config, error);
    return reader->cell != NULL;
}

/* Whether the piece is a unit that was decoded aside because only a part of it is wanted. */
static gboolean is_part(const struct piece *piece)
{
    if (piece->kind == PIECE_ENCRYPTED) {
        return piece->iv_offset % piece->cipher->sector_bytes != 0 ||
               piece->length % piece->cipher->sector_bytes != 0;
    }
    return piece->skip != 0 || piece->length != piece->unit_len;
}

/* Copies a part of the decoded unit to where it is wanted. */
static void copy_part(struct reader *reader, const struct piece *piece, uint64_t out_at)
{
    uint64_t skip = piece->kind == PIECE_ENCRYPTED ? piece->iv_offset % piece->cipher->sector_bytes
                                                   : piece->skip;

    memcpy(cell_window(reader->cell, out_at, piece->length),
           cell_window(reader->cell, reader->whole_at + skip, piece->length), piece->length);
}

/* Whether the unit that lies decoded is the one this piece is a part of. */
static gboolean is_at_hand(const struct reader *reader, const struct piece *piece)
{
    const struct piece *whole = &reader->whole;

    return whole->unit_len != 0 && piece->endpoint == whole->endpoint &&
           piece->offset == whole->offset && piece->comp_len == whole->comp_len &&
           piece->unit_len == whole->unit_len && piece->codec == whole->codec;
}

/* What stock calls a unit that does not decode. */
static int decode_errno(const struct piece *piece)
{
    return piece->codec == CELL_CODEC_ZLIB || piece->codec == CELL_CODEC_VMDK_GRAIN ? EINVAL : EIO;
}

/* Decodes the batch. */
static gboolean decode_batch(struct reader *reader, const struct piece *pieces,
                             const uint64_t *out_at, struct read_fault *fault)
{
    Abi__DecodeRequest request = ABI__DECODE_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    GError *error = NULL;
    guint nr = reader->nr_records;
    gboolean malformed;

    reader->nr_records = 0;
    reader->in_used = 0;
    if (nr == 0) {
        return TRUE;
    }
    request.nr_records = nr;
    if (!cell_call(reader->cell, CELL_METHOD_DECODE, &request.base, reader->records, nr,
                   sizeof(reader->records[0]), &abi__status_reply__descriptor, &reply, &error)) {
        return fail(fault, reader->piece_of[0], EIO, error);
    }
    malformed = ((Abi__StatusReply *)reply)->error != NULL;
    protobuf_c_message_free_unpacked(reply, NULL);
    if (malformed) {
        return fail(fault, reader->piece_of[0], EIO, NULL);
    }
    if (!cell_take_records(reader->cell, reader->records, nr, sizeof(reader->records[0]), &error)) {
        return fail(fault, reader->piece_of[0], EIO, error);
    }
    for (guint i = 0; i < nr; i++) {
        const struct piece *piece = &pieces[reader->piece_of[i]];

        if (reader->records[i].error != GUEST_OK) {
            return fail(fault, reader->piece_of[i], decode_errno(piece), NULL);
        }
        if (is_part(piece)) {
            if (piece->kind == PIECE_COMPRESSED) {
                reader->whole = *piece;
            }
            copy_part(reader, piece, out_at[reader->piece_of[i]]);
        }
    }
    return TRUE;
}

/* The pieces from `first` on that are compressed and lie side by side, as one read. */
static guint run_of_units(const struct reader *reader, const struct piece *pieces, guint first,
                          guint nr, uint64_t *out_len)
{
    uint64_t end = pieces[first].offset + pieces[first].comp_len;
    guint last = first + 1;

    for (; last < nr; last++) {
        const struct piece *next = &pieces[last];
        uint64_t next_end = next->offset + next->comp_len;

        if (next->kind != PIECE_COMPRESSED || next->endpoint != pieces[first].endpoint ||
            next->offset < pieces[last - 1].offset || next->offset > end + GAP_BYTES_MAX ||
            MAX(end, next_end) - pieces[first].offset > reader->in_bytes) {
            break;
        }
        end = MAX(end, next_end);
    }
    *out_len = end - pieces[first].offset;
    return last - first;
}

/*
 * Reads one run of compressed pieces into the window and adds its units to the batch, which is
 * decoded when it is full. A part unit is always the last of its batch: there is one place for it.
 */
static gboolean load_units(struct reader *reader, const struct piece *pieces, guint first, guint nr,
                           const uint64_t *out_at, guint *out_taken, struct read_fault *fault)
{
    uint64_t len;
    uint64_t at;
    int err;

    if (is_at_hand(reader, &pieces[first])) {
        copy_part(reader, &pieces[first], out_at[first]);
        *out_taken = 1;
        return TRUE;
    }
    *out_taken = run_of_units(reader, pieces, first, nr, &len);
    if (reader->in_used + len > reader->in_bytes && !decode_batch(reader, pieces, out_at, fault)) {
        return FALSE;
    }
    at = reader->in_at + reader->in_used;
    err = endpoint_pread(pieces[first].endpoint, pieces[first].offset,
                         cell_window(reader->cell, at, len), len);
    if (err != 0) {
        return fail(fault, first, err, NULL);
    }
    reader->in_used += len;
    for (guint i = first; i < first + *out_taken; i++) {
        const struct piece *piece = &pieces[i];

        reader->records[reader->nr_records] = (struct cell_decode){
            .src = at + (piece->offset - pieces[first].offset),
            .src_len = piece->comp_len,
            .dst = is_part(piece) ? reader->whole_at : out_at[i],
            .dst_len = piece->unit_len,
            .codec = piece->codec,
        };
        reader->piece_of[reader->nr_records++] = i;
        if (is_part(piece)) {
            reader->whole.unit_len = 0;
        }
        if (is_part(piece) || reader->nr_records == BATCH_MAX) {
            /* What follows in this run is read again if need be; in_used starts over. */
            *out_taken = i + 1 - first;
            return decode_batch(reader, pieces, out_at, fault);
        }
    }
    return TRUE;
}

/* Makes sure that the cell has a cipher. */
static gboolean need_cipher(struct reader *reader, const struct crypto_spec *spec,
                            guint *out_number, GError **error)
{
    Abi__CipherLoadRequest request = ABI__CIPHER_LOAD_REQUEST__INIT;
    Abi__Cipher cipher = ABI__CIPHER__INIT;
    ProtobufCMessage *reply = NULL;
    gboolean ok;

    if (g_ptr_array_find(reader->ciphers, spec, out_number)) {
        return TRUE;
    }
    *out_number = reader->ciphers->len;
    cipher.cipher = spec->cipher;
    cipher.mode = spec->mode;
    cipher.ivgen = spec->ivgen;
    cipher.ivgen_hash = spec->ivgen_hash;
    cipher.sector_bytes = spec->sector_bytes;
    cipher.key = (ProtobufCBinaryData){.len = spec->key_len, .data = (uint8_t *)spec->key};
    request.number = *out_number;
    request.cipher = &cipher;
    if (!cell_call(reader->cell, CELL_METHOD_CIPHER_LOAD, &request.base, NULL, 0, 0,
                   &abi__status_reply__descriptor, &reply, error)) {
        return FALSE;
    }
    ok = ((Abi__StatusReply *)reply)->error == NULL;
    protobuf_c_message_free_unpacked(reply, NULL);
    if (!ok) {
        g_set_error_literal(error, CELL_ERROR, CELL_ERROR_PROTOCOL,
                            "The sandboxed parser refused a cipher");
        return FALSE;
    }
    g_ptr_array_add(reader->ciphers, (void *)spec);
    return TRUE;
}

/* What has to be read and decrypted for a piece: whole sectors. */
static uint64_t sectors_around(const struct piece *piece, uint64_t *out_skip)
{
    uint64_t unit = piece->cipher->sector_bytes;

    *out_skip = piece->iv_offset % unit;
    return (*out_skip + piece->length + unit - 1) / unit * unit;
}

/* Reads encrypted sectors to where they are wanted, or aside when they are more than that. */
static gboolean load_sectors(struct reader *reader, const struct piece *pieces, guint i,
                             const uint64_t *out_at, struct read_fault *fault)
{
    const struct piece *piece = &pieces[i];
    gboolean part = is_part(piece);
    uint64_t skip, len = sectors_around(piece, &skip), at = part ? reader->whole_at : out_at[i];
    GError *error = NULL;
    guint number;
    int err;

    if (!need_cipher(reader, piece->cipher, &number, &error)) {
        return fail(fault, i, EIO, error);
    }
    if (part) {
        if (!decode_batch(reader, pieces, out_at, fault)) {
            return FALSE;
        }
        reader->whole.unit_len = 0;
    }
    err = piece->offset < skip ? EIO
                               : endpoint_pread(piece->endpoint, piece->offset - skip,
                                                cell_window(reader->cell, at, len), len);
    if (err != 0) {
        return fail(fault, i, err, NULL);
    }
    reader->records[reader->nr_records] = (struct cell_decode){
        .src = at,
        .src_len = (uint32_t)len,
        .dst = at,
        .dst_len = (uint32_t)len,
        .codec = CELL_CODEC_CIPHER,
        .iv_offset = piece->iv_offset - skip,
        .cipher = number,
    };
    reader->piece_of[reader->nr_records++] = i;
    return (!part && reader->nr_records < BATCH_MAX) || decode_batch(reader, pieces, out_at, fault);
}

/* The largest unit that is decoded aside; 0: nothing needs a cell. */
static gboolean largest_unit(const struct piece *pieces, guint nr, uint32_t *out_bytes,
                             struct read_fault *fault)
{
    *out_bytes = 0;
    for (guint i = 0; i < nr; i++) {
        const struct piece *piece = &pieces[i];

        if (piece->kind == PIECE_ENCRYPTED) {
            uint64_t skip;

            *out_bytes = MAX(*out_bytes, (uint32_t)sectors_around(piece, &skip));
        }
        if (piece->kind != PIECE_COMPRESSED) {
            continue;
        }
        if (piece->unit_len > UNIT_BYTES_MAX || piece->skip > piece->unit_len ||
            piece->length > piece->unit_len - piece->skip || piece->comp_len == 0 ||
            piece->comp_len > 2 * (uint64_t)piece->unit_len) {
            return fail(fault, i, decode_errno(piece), NULL);
        }
        *out_bytes = MAX(*out_bytes, piece->unit_len);
    }
    return TRUE;
}

void *reader_buffer(struct reader *reader, guint buffer)
{
    if (reader->buffers == NULL) {
        void *map = mmap(NULL, reader->nr_buffers * reader->buffer_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (map == MAP_FAILED) {
            return NULL;
        }
        reader->buffers = map;
    }
    return (guint8 *)reader->buffers + buffer * reader->buffer_bytes;
}

void *reader_fill(struct reader *reader, guint buffer, const struct piece *pieces, guint nr,
                  struct read_fault *fault)
{
    g_autofree uint64_t *out_at = g_new(uint64_t, MAX(nr, 1));
    uint32_t unit_bytes;
    uint64_t first_at = buffer * reader->buffer_bytes, at = first_at;
    guint taken;
    guint8 *out;

    for (guint i = 0; i < nr; i++) {
        out_at[i] = at;
        at += pieces[i].length;
    }
    g_assert(buffer < reader->nr_buffers && at - first_at <= reader->buffer_bytes);
    if (!largest_unit(pieces, nr, &unit_bytes, fault)) {
        return NULL;
    }
    if (unit_bytes > 0) {
        GError *error = NULL;

        if (!need_cell(reader, unit_bytes, &error)) {
            fail(fault, 0, ENOMEM, error);
            return NULL;
        }
        out = cell_window(reader->cell, first_at, reader->buffer_bytes);
    } else {
        out = reader_buffer(reader, buffer);
    }
    if (out == NULL) {
        fail(fault, 0, ENOMEM, NULL);
        return NULL;
    }
    reader->nr_records = 0;
    reader->in_used = 0;
    for (guint i = 0; i < nr; i += taken) {
        const struct piece *piece = &pieces[i];
        int err = 0;

        taken = 1;
        switch (piece->kind) {
        case PIECE_SKIP:
        case PIECE_ZERO:
            memset(out + (out_at[i] - first_at), 0, piece->length);
            break;
        case PIECE_DATA:
            err = endpoint_pread(piece->endpoint, piece->offset, out + (out_at[i] - first_at),
                                 piece->length);
            break;
        case PIECE_BAD:
            err = piece->error_number;
            break;
        case PIECE_ENCRYPTED:
            if (!load_sectors(reader, pieces, i, out_at, fault)) {
                return NULL;
            }
            break;
        case PIECE_COMPRESSED:
            if (!load_units(reader, pieces, i, nr, out_at, &taken, fault)) {
                return NULL;
            }
            break;
        }
        if (err != 0) {
            fail(fault, i, err, NULL);
            return NULL;
        }
    }
    return decode_batch(reader, pieces, out_at, fault) ? out : NULL;
}
