/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size for a hostile image of any format that has one. What is planned must be well-formed
 * and come to its end. Of an image that was sound, every barrier leaves a sound one; at the end the
 * disk has the new size, shows what it did before and zeros behind that. Input:
 *
 *   u8            low three bits: format; bits 3 and 4: preallocation, when the disk grows
 *   be64          the new size
 *   u8            how many times 64 KiB of zeros end the image
 *   u8            how many sectors of 4 KiB of it follow, anywhere; 0: all else is its start
 *   be16...       their places
 *   the rest      their bytes
 */
#include <glib.h>
#include <string.h>

#include "fuzz/follow.h"
#include "fuzz/guarded.h"
#include "guest/abi/error_vdi.h"
#include "guest/lib/bytes.h"
#include "guest/plan/chain_read.h"
#include "guest/plan/resize.h"

#define LOOK_BYTES (1u << 20) /* of the disk's start */
#define ZERO_BYTES (1u << 18) /* of the new area: its start and its end */
#define STEP_BYTES 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECTOR_BYTES 4096u
#define ZEROS_BYTES  65536u

struct trial {
    const char *format;
    GByteArray *image;
    bool sound;  /* before */
    bool single; /* the image is one file: what it shows can be judged */
};

/* The image of an input: most of one of several MiB is zeros. */
static GByteArray *unpack(struct cursor *c)
{
    GByteArray *image = g_byte_array_new();
    unsigned zeros = cur_u8(c), nr = cur_u8(c);
    struct cursor places = cur_of(cur_bytes(c, nr * 2));
    guint start = nr ? 0 : (guint)cur_left(c);

    if (!cur_ok(c))
        return image;
    g_byte_array_set_size(image, start + zeros * ZEROS_BYTES);
    if (image->len > 0)
        memset(image->data, 0, image->len);
    struct span head = cur_bytes(c, start);
    if (head.len > 0)
        memcpy(image->data, head.data, head.len);
    for (unsigned i = 0; i < nr; i++) {
        uint64_t at = (uint64_t)cur_be16(&places) * SECTOR_BYTES;
        struct span bytes = cur_bytes(c, SECTOR_BYTES);
        if (bytes.len == SECTOR_BYTES && at + SECTOR_BYTES <= image->len)
            memcpy(image->data + at, bytes.data, SECTOR_BYTES);
    }
    return image;
}

/* Blocks of a VDI image that count as used and are not: its way to have leaks. */
static void forgive(struct finding_sink *sink, const struct cell_finding *finding)
{
    if (finding->code == VDI_FOUND_ALLOCATED && finding->number[0] < finding->number[1])
        (*(unsigned *)sink->user)++;
}

static bool is_sound(const struct trial *t)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    unsigned forgiven = 0;
    struct finding_sink sink = {.add = forgive, .user = &forgiven};
    struct node *node = fuzz_open_bytes(t->format, t->image->data, t->image->len, false, true);
    struct guest_err_detail detail;
    bool sound = node && node->driver->check &&
                 node->driver->check(node, &request, &sink, &reply, &detail) == GUEST_OK &&
                 reply.corruptions == forgiven && reply.check_errors == 0;

    node_free(node);
    return sound;
}

static void judge_at_barrier(void *user)
{
    const struct trial *t = user;

    if (t->sound)
        g_assert(is_sound(t));
}

static bool is_of_image(void *user, const struct cell_op *op)
{
    (void)user;
    return op->kind == CELL_OP_BARRIER || op->blob == 0;
}

/* The start of the disk, and which of its steps can be read. */
static void read_start(struct node *node, uint64_t len, uint8_t *out, bool *out_known)
{
    struct guest_err_detail detail;

    for (uint64_t at = 0; at < len; at += STEP_BYTES)
        out_known[at / STEP_BYTES] =
            chain_read(node, at, MIN(STEP_BYTES, len - at), &out[at], &detail) == GUEST_OK;
}

static void judge_zeros(struct node *node, uint64_t from, uint64_t to)
{
    static uint8_t bytes[STEP_BYTES];
    static const uint8_t zeros[STEP_BYTES];
    struct guest_err_detail detail;

    for (uint64_t at = from; at < to; at += STEP_BYTES) {
        uint64_t len = MIN(STEP_BYTES, to - at);
        g_assert(chain_read(node, at, len, bytes, &detail) == GUEST_OK);
        g_assert(memcmp(bytes, zeros, len) == 0);
    }
}

static void judge_disk(const struct trial *t, uint64_t old_size, uint64_t new_size,
                       const uint8_t *before, const bool *knew)
{
    static uint8_t after[LOOK_BYTES];
    static bool know[LOOK_BYTES / STEP_BYTES];
    struct node *node = fuzz_open_bytes(t->format, t->image->data, t->image->len, false, false);
    uint64_t len = MIN(MIN(old_size, new_size), LOOK_BYTES);

    g_assert(node && node->virtual_size == new_size);
    read_start(node, len, after, know);
    for (uint64_t at = 0; at < len; at += STEP_BYTES) {
        if (!knew[at / STEP_BYTES])
            continue;
        g_assert(know[at / STEP_BYTES]);
        g_assert(memcmp(&before[at], &after[at], MIN(STEP_BYTES, len - at)) == 0);
    }
    if (new_size > old_size) {
        judge_zeros(node, old_size, MIN(new_size, old_size + ZERO_BYTES));
        judge_zeros(node, MAX(old_size, new_size - MIN(new_size, ZERO_BYTES)), new_size);
    }
    node_free(node);
}

static void run(struct trial *t, struct node *node, const Abi__ResizeRequest *request)
{
    static uint8_t before[LOOK_BYTES];
    static bool knew[LOOK_BYTES / STEP_BYTES];
    struct fuzz_watch watch = {.barrier = judge_at_barrier, .op = is_of_image, .user = t};
    uint64_t old_size = node->virtual_size;
    struct guest_err_detail detail;
    struct plan *plan = NULL;

    t->single = node->nr_refs == 0;
    t->sound = t->single && is_sound(t);
    if (t->single)
        read_start(node, MIN(old_size, LOOK_BYTES), before, knew);
    if (plan_resize(node, request, &plan, &detail) != GUEST_OK ||
        !fuzz_follow(t->image, plan, &watch) || !t->sound)
        return;
    g_assert(is_sound(t));
    judge_disk(t, old_size, request->size, before, knew);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"qcow2", "qed",  "parallels", "vdi",
                                          "vhdx",  "vmdk", "vpc",       "qcow2"};
    struct cursor c = cur_of(span_of(data, size));
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;
    uint8_t flags = cur_u8(&c);
    uint64_t new_size = cur_be64(&c);
    struct trial t = {.format = formats[flags & 7], .image = unpack(&c)};
    struct guarded guarded;
    struct node *node;

    if (!cur_ok(&c) || new_size == 0 || new_size > INT64_MAX) {
        g_byte_array_unref(t.image);
        return 0;
    }
    guarded = guarded_copy(t.image->data, t.image->len, GUARDED_END);
    node = fuzz_open_bytes(t.format, guarded.data, guarded.len, true, false);
    if (node) {
        request.size = new_size;
        request.shrink = true;
        if (new_size > node->virtual_size)
            request.preallocation = flags >> 3 & 3;
        run(&t, node, &request);
    }
    node_free(node);
    g_byte_array_unref(t.image);
    guarded_clear(&guarded);
    return 0;
}
