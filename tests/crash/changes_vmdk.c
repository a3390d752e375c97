/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy into a stream-optimized VMDK that exists: each grain that it has not got is written once.
 */
#include <string.h>

#include "guest/lib/bytes.h"
#include "tests/crash/case.h"

#define GRAIN_BYTES  65536u
#define STORED_BYTES 32768u
#define FILL         0xd7

/* Appends a marker and a zlib stream of stored blocks. */
static GByteArray *make_grain(uint64_t start)
{
    GByteArray *out = g_byte_array_new();
    uint8_t head[14] = {0}, block[5], sum[4];
    uint32_t a = 1, b = 0;
    g_autofree uint8_t *bytes = g_malloc(GRAIN_BYTES);
    memset(bytes, FILL, GRAIN_BYTES);
    store_le64(head, start / 512);
    store_le32(head + 8, 2 + 2 * (5 + STORED_BYTES) + 4);
    head[12] = 0x78;
    head[13] = 0x01;
    g_byte_array_append(out, head, sizeof(head));
    for (unsigned i = 0; i < 2; i++) {
        block[0] = i == 1; /* last */
        block[1] = STORED_BYTES & 0xff;
        block[2] = STORED_BYTES >> 8;
        block[3] = (uint8_t)~block[1];
        block[4] = (uint8_t)~block[2];
        g_byte_array_append(out, block, sizeof(block));
        g_byte_array_append(out, bytes, STORED_BYTES);
    }
    for (unsigned i = 0; i < GRAIN_BYTES; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    for (unsigned i = 0; i < 4; i++)
        sum[i] = (uint8_t)((b << 16 | a) >> (24 - 8 * i));
    g_byte_array_append(out, sum, sizeof(sum));
    g_byte_array_set_size(out, (out->len + 511) / 512 * 512);
    return out;
}

static void write_grain(struct bench *b, struct image_writer *w, uint64_t start, GArray *log)
{
    g_autoptr(GByteArray) grain = make_grain(start);
    struct cell_place run = {.start = start,
                             .length = GRAIN_BYTES,
                             .kind = CELL_PLACE_COMPRESSED,
                             .comp_len = grain->len};
    struct guest_err_detail detail;
    struct cell_place out;
    uint32_t nr;
    g_assert_cmpint(w->verbs->place(w, &run, 1, &out, 1, &nr, &detail), ==, GUEST_OK);
    if (w->verbs->wants_plan(w))
        log_plan(b, w->verbs->plan(w), log);
    log_write(b, log, out.blob, out.offset, grain->data, grain->len);
    g_assert_cmpint(w->verbs->commit(w, &out, 1, &detail), ==, GUEST_OK);
}

void change_write_stream(struct bench *b, const struct crash_case *c, GArray *log)
{
    struct image_writer_options options = {.compressed = true, .random = 0x123456789abcdef};
    struct image_writer *w = NULL;
    struct guest_err_detail detail;
    g_assert_cmpint(b->node->driver->writer_open(b->node, &options, &w, &detail), ==, GUEST_OK);
    for (uint64_t at = GRAIN_BYTES; at + GRAIN_BYTES <= c->size; at += c->size / 5 & -GRAIN_BYTES) {
        write_grain(b, w, at, log);
        if (at > c->size / 2) /* the tables leave now and then */
            log_plan(b, w->verbs->plan(w), log);
    }
    log_plan(b, w->verbs->finish(w, 0), log);
    w->verbs->free(w);
}
