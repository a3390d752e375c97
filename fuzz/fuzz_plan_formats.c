/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new image of each format that is made from keys and values, and other sizes for it. Nothing
 * here is hostile: what is not refused must open with the size that was asked for, and check must
 * find nothing, after each step. Plans that make a file of more than 64 MiB are not followed.
 * Input:
 *
 *   u8        format, u8 flags
 *   u64       size
 *   u64       cluster, block or extent size
 *   u64       log size, or a table's
 *   u64 ...   sizes, one after the other, at most RESIZES_MAX of them
 */
#include <glib.h>
#include <string.h>

#include "fuzz/follow.h"
#include "guest/lib/checked.h"
#include "guest/plan/create.h"
#include "guest/plan/resize.h"

#define RESIZES_MAX 6
#define OPTIONS_MAX 16
#define SECTOR      512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const formats[] = {"vpc", "vhdx", "vdi", "parallels", "qed", "qcow"};

enum flags {
    FLAG_FIXED = 1,
    FLAG_CHILD = 2,
    FLAG_STATE_ZERO = 4,
    FLAG_ENCRYPTED = 8,
    FLAG_ROUNDED = 16, /* vpc: the size is that of a geometry */
};

struct options {
    Abi__CreateOption row[OPTIONS_MAX];
    Abi__CreateOption *list[OPTIONS_MAX];
    size_t nr;
    char text[2][24]; /* of numbers */
};

static void add(struct options *o, const char *key, const char *text, uint64_t number)
{
    Abi__CreateOption *row = o->list[o->nr] = &o->row[o->nr];

    g_assert(o->nr < OPTIONS_MAX);
    o->nr++;
    abi__create_option__init(row);
    row->key = (char *)key;
    row->given = row->has_text = true;
    row->number = number;
    row->text = (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

static void fill_options(struct options *o, uint8_t flags, uint64_t unit, uint64_t other)
{
    static const char *const unit_keys[] = {"cluster_size", "block_size"};
    static const char *const other_keys[] = {"log_size", "table_size"};

    g_snprintf(o->text[0], sizeof(o->text[0]), "%" G_GUINT64_FORMAT, unit);
    g_snprintf(o->text[1], sizeof(o->text[1]), "%" G_GUINT64_FORMAT, other);
    for (unsigned i = 0; i < 2; i++) {
        if (unit)
            add(o, unit_keys[i], o->text[0], unit);
        if (other)
            add(o, other_keys[i], o->text[1], other);
    }
    add(o, "subformat", flags & FLAG_FIXED ? "fixed" : "dynamic", 0);
    add(o, "static", flags & FLAG_FIXED ? "on" : "off", flags & FLAG_FIXED);
    add(o, "block_state_zero", "", flags & FLAG_STATE_ZERO ? 1 : 0);
    add(o, "force_size", "", flags & FLAG_ROUNDED ? 0 : 1);
    if (flags & FLAG_ENCRYPTED)
        add(o, "encrypt.format", "aes", 0);
    if (flags & FLAG_CHILD)
        add(o, "backing_file", "parent", 0);
}

static struct plan *plan_new(const char *format, uint64_t size, struct options *options)
{
    static uint8_t random[64], guid[16];
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;

    request.format = (char *)format;
    request.size = size;
    request.option = options->list;
    request.n_option = options->nr;
    request.random = (ProtobufCBinaryData){.data = random, .len = sizeof(random)};
    request.parent_guid = (ProtobufCBinaryData){.data = guid, .len = sizeof(guid)};
    return plan_create(&request, &plan, &detail) == GUEST_OK ? plan : NULL;
}

static void count_finding(struct finding_sink *sink, const struct cell_finding *finding)
{
    (void)sink;
    (void)finding;
}

/* The image opens, with that size (0: any), and is sound. */
static void judge(const char *format, const GByteArray *image, uint64_t size)
{
    struct finding_sink sink = {.add = count_finding};
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    struct guest_err_detail detail;
    struct node *node = fuzz_open_bytes(format, image->data, image->len, false, true);

    if (strcmp(format, "qcow") == 0)
        return node_free(node); /* without its key it may not open; it has no check */
    g_assert(node);
    g_assert(size == 0 || node->virtual_size == size);
    g_assert(node->driver->check(node, &request, &sink, &reply, &detail) == GUEST_OK);
    g_assert(reply.corruptions == 0 && reply.check_errors == 0);
    node_free(node);
}

/* Gives the image another size; false: it cannot be followed any further. */
static bool resize(const char *format, GByteArray *image, uint64_t size)
{
    static const struct fuzz_watch watch = {0};
    g_autofree uint8_t *before = g_memdup2(image->data, image->len);
    struct node *node = fuzz_open_bytes(format, before, image->len, true, false);
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    uint64_t rounded;
    bool good = true;

    if (!node)
        return false;
    request.size = size;
    request.shrink = true;
    if (plan_resize(node, &request, &plan, &detail) == GUEST_OK) {
        good = fuzz_follow(image, plan, &watch);
        bool fits = align_up_u64(size, SECTOR, &rounded);
        g_assert(fits);
        if (good)
            judge(format, image, rounded);
    }
    node_free(node);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_watch watch = {0};
    struct cursor c = cur_of(span_of(data, size));
    const char *format = formats[cur_u8(&c) % G_N_ELEMENTS(formats)];
    uint8_t flags = cur_u8(&c);
    uint64_t disk = cur_le64(&c), unit = cur_le64(&c), other = cur_le64(&c), rounded = 0;
    struct options options = {0};
    g_autoptr(GByteArray) image = g_byte_array_new();
    struct plan *plan;
    bool good;

    if (!cur_ok(&c))
        return 0;
    /* A QED image with tables of one cluster is made and cannot be opened, as in stock. */
    if (strcmp(format, "qed") == 0 && other == 1)
        return 0;
    /* So is a fixed VHD of nothing. */
    if (strcmp(format, "vpc") == 0 && (flags & FLAG_FIXED) && disk == 0)
        return 0;
    fill_options(&options, flags, unit, other);
    plan = plan_new(format, disk, &options);
    good = plan && fuzz_follow(image, plan, &watch);
    if (!good)
        return 0;
    if (!(flags & FLAG_ROUNDED) || strcmp(format, "vpc") != 0) {
        bool fits = align_up_u64(disk, SECTOR, &rounded);
        g_assert(fits);
    }
    judge(format, image, rounded);
    for (unsigned i = 0; good && i < RESIZES_MAX && cur_left(&c) >= sizeof(uint64_t); i++)
        good = resize(format, image, max_u64(cur_le64(&c), 1)); /* 0 is refused before */
    return 0;
}
