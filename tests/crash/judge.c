/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges a state that a crash may leave: our check, the content, now and then stock's check.
 */
#include "tests/crash/judge.h"

#include <glib/gstdio.h>
#include <string.h>

#include "guest/abi/check.pb-c.h"
#include "guest/abi/error_vdi.h"
#include "guest/abi/error_vhdx.h"
#include "guest/plan/chain_read.h"
#include "tests/crash/bitmaps.h"

static struct node *open_bytes(const uint8_t *bytes, uint64_t len, uint32_t blob,
                               const char *format, gboolean for_check)
{
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    struct guest_err_detail detail;
    struct node *node = NULL;
    request.format = (char *)format;
    request.for_check = for_check;
    struct source *src = source_new_buffer(blob, bytes, len);
    if (node_open(src, &request, &node, &detail) == GUEST_OK)
        return node;
    source_free(src);
    return NULL;
}

static void fail_state(const struct trial *t, const char *what)
{
    g_test_message("%s: %s", t->where, what);
    g_test_fail();
}

/*
 * Blocks of a VDI image that count as used and are not: its way to have leaks. The second region
 * table of a VHDX, which is written before the first, and read by nobody while that is whole.
 */
static void forgive(struct finding_sink *sink, const struct cell_finding *finding)
{
    bool unused = finding->code == VDI_FOUND_ALLOCATED && finding->number[0] < finding->number[1];
    bool copy = finding->code == VHDX_FOUND_REGIONS && finding->number[0] == 2;

    if (unused || copy)
        (*(unsigned *)sink->user)++;
}

static void judge_check(struct trial *t, const struct disk *disk)
{
    struct node *node =
        open_bytes(disk->file[0]->data, disk->file[0]->len, 0, t->bench.format, TRUE);
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    unsigned leaks = 0;
    struct finding_sink sink = {.add = forgive, .user = &leaks};
    struct guest_err_detail detail;
    if (node == NULL) {
        fail_state(t, "does not open for a check");
        return;
    }
    if (!node->driver->check) { /* qcow: that its content is right must do */
        node_free(node);
        return;
    }
    if (node->driver->check(node, &request, &sink, &reply, &detail) != GUEST_OK ||
        reply.corruptions != leaks || reply.check_errors != 0)
        fail_state(t, "is corrupt");
    node_free(node);
}

/* A damaged image is no worse than before when another repair makes it sound. */
static void judge_repair(struct trial *t, const struct disk *disk)
{
    struct disk mended;
    struct node *node;
    disk_new(&mended);
    disk_copy(&mended, disk);
    node = open_bytes(disk->file[0]->data, disk->file[0]->len, 0, t->bench.format, TRUE);
    if (node == NULL) {
        fail_state(t, "does not open for a repair");
    } else {
        GArray *steps = steps_new();
        struct plan *plan = plan_repair_all(node);
        if (plan != NULL)
            steps_drain(steps, plan, 64);
        for (unsigned i = 0; i < steps->len; i++) {
            const struct step *step = &g_array_index(steps, struct step, i);
            disk_step(&mended, step, 0, step->length);
        }
        g_array_unref(steps);
        node_free(node);
        judge_check(t, &mended);
    }
    disk_free(&mended);
}

gboolean is_child(const struct trial *t)
{
    return strstr(t->c->name, "-child") != NULL;
}

/* The backing file that the image names: the old one, or the new one. */
static struct node *open_named(struct trial *t, const struct node *node)
{
    const Abi__FileRef *ref = node->nr_refs ? node->refs[node->nr_refs - 1] : NULL;
    GByteArray *bytes = t->backing;
    const char *new = new_base(t->c);
    if (!ref || ref->role != ABI__ROLE__ROLE_BACKING)
        return NULL;
    if (ref->text.len == strlen(new))
        bytes = t->new_backing;
    if ((ref->text.len != 4 || memcmp(ref->text.data, "base", 4) != 0) &&
        (bytes != t->new_backing || memcmp(ref->text.data, new, ref->text.len) != 0))
        fail_state(t, "names a backing file that never was");
    /* qcow stores none. */
    if (strcmp(ref->format, is_child(t) ? t->bench.format : "raw") != 0 &&
        strcmp(t->bench.format, "qcow") != 0)
        fail_state(t, "has lost the format of its backing file");
    return open_bytes(bytes->data, bytes->len, 2, "raw", FALSE);
}

char *bitmaps_now(struct trial *t)
{
    struct disk disk;
    disk_new(&disk);
    disk_load(&disk, &t->bench);
    struct node *node = open_bytes(disk.file[0]->data, disk.file[0]->len, 0, "qcow2", FALSE);
    g_assert_nonnull(node);
    char *text = bitmaps_describe(node);
    node_free(node);
    disk_free(&disk);
    return text;
}

/* All bitmaps are the old ones, or all are the new ones. */
static void judge_bitmaps(struct trial *t, struct node *node)
{
    g_autofree char *now = t->old_bitmaps ? bitmaps_describe(node) : NULL;
    if (now && strcmp(now, t->old_bitmaps) != 0 && strcmp(now, t->new_bitmaps) != 0)
        fail_state(t, "has other bitmaps");
}

uint8_t *content_of(struct trial *t, const struct disk *disk, uint64_t *out_len)
{
    struct node *node =
        open_bytes(disk->file[0]->data, disk->file[0]->len, 0, t->bench.format, FALSE);
    struct guest_err_detail detail;
    g_assert_nonnull(node);
    struct node *base = node->backing = open_named(t, node);
    uint8_t *content = g_malloc(node->virtual_size + 1);
    *out_len = node->virtual_size;
    g_assert_cmpint(chain_read(node, 0, *out_len, content, &detail), ==, GUEST_OK);
    node_free(node);
    node_free(base);
    return content;
}

/* Every sector holds what it held before, or what it holds at the end. */
static void judge_content(struct trial *t, const struct disk *disk)
{
    struct node *node =
        open_bytes(disk->file[0]->data, disk->file[0]->len, 0, t->bench.format, FALSE);
    struct node *data = NULL, *base = NULL;
    struct guest_err_detail detail;
    if (node == NULL) {
        fail_state(t, "does not open");
        return;
    }
    if (node->nr_refs && node->refs[0]->role == ABI__ROLE__ROLE_DATA_FILE)
        node->data_file = data =
            open_bytes(disk->file[1]->data, disk->file[1]->len, 1, "raw", FALSE);
    node->backing = base = open_named(t, node);
    uint64_t len = node->virtual_size;
    if (len != t->old_len && len != t->new_len)
        fail_state(t, "has neither the old nor the new size");
    g_autofree uint8_t *now = g_malloc(len + 1);
    if (chain_read(node, 0, len, now, &detail) != GUEST_OK)
        fail_state(t, "cannot be read");
    for (uint64_t at = 0; at < len; at += SECTOR) {
        static const uint8_t zeros[SECTOR];
        const uint8_t *was = at < t->old_len ? t->old_content + at : zeros;
        const uint8_t *will = at < t->new_len ? t->new_content + at : zeros;
        if (memcmp(now + at, was, SECTOR) != 0 && memcmp(now + at, will, SECTOR) != 0) {
            g_autofree char *what = g_strdup_printf("wrong content at %" G_GUINT64_FORMAT, at);
            fail_state(t, what);
            break;
        }
    }
    judge_bitmaps(t, node);
    node_free(node);
    node_free(data);
    node_free(base);
}

/* The image is not sound before, nor on the way: a repair makes it so. */
static gboolean is_damaged(const struct crash_case *c)
{
    return c->change == change_repair;
}

static void judge_stock(struct trial *t, const struct disk *disk)
{
    g_autofree char *path = g_build_filename(t->bench.dir, "state", NULL);
    /* NONE: not flushed, as a file that replaces another is by default, and not cut off either */
    g_remove(path);
    g_assert_true(g_file_set_contents_full(path, (char *)disk->file[0]->data, disk->file[0]->len,
                                           G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    int status = bench_status(&t->bench, "qemu-img check -q %s -f %s state",
                              is_damaged(t->c) ? "-r all" : "", t->bench.format);
    if (status == 2 && strcmp(t->bench.format, "vdi") == 0)
        status = bench_status(&t->bench, "! qemu-img check -f vdi state 2>&1 | grep ERROR | "
                                         "grep -v 'allocated blocks mismatch'");
    if (status == BENCH_NO_CHECK)
        status = bench_status(&t->bench, "qemu-img info -f %s state", t->bench.format);
    if (status != 0 && status != 3)
        fail_state(t, "is corrupt, says stock");
}

/* Before a new image has its first sector, it is no image. */
static gboolean is_no_image(const struct trial *t, const struct disk *disk)
{
    static const uint8_t magic[4] = {'Q', 'F', 'I', 0xfb};
    return t->c->options == NULL &&
           (disk->file[0]->len < 4 || memcmp(disk->file[0]->data, magic, 4) != 0);
}

void judge(struct trial *t, const struct disk *disk, const char *format, unsigned step,
           unsigned more)
{
    if (g_test_failed() || is_no_image(t, disk))
        return;
    g_free(t->where);
    t->where = g_strdup_printf(format, step, more);
    if (is_damaged(t->c))
        judge_repair(t, disk);
    else
        judge_check(t, disk);
    judge_content(t, disk);
    if (t->judged++ % t->stock_every == 0 && !is_child(t))
        judge_stock(t, disk);
}
