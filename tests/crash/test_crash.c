/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points: whatever part of a plan's writes has reached the disk, the image is valid.
 *
 * A case is a row: how to make the image, and who changes it. The changes are recorded as steps;
 * then every prefix of them is carried out on a copy in memory, and between two steps a torn one
 * (part of its sectors), and between two barriers random subsets of the steps, as a disk with a
 * write cache would leave them. Each result must pass our checker without corruption (leaked
 * clusters are allowed), and every sector of the virtual disk must hold what it held before or what
 * it holds at the end. Some results, evenly spread, are given to stock's check as well.
 *
 * A later planner adds a row to `cases`, and if need be a function that produces its plan.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "guest/abi/check.pb-c.h"
#include "guest/abi/error_vdi.h"
#include "guest/formats/qcow2_writer.h"
#include "guest/plan/amend.h"
#include "guest/plan/backing.h"
#include "guest/plan/bitmap.h"
#include "guest/plan/chain_read.h"
#include "guest/plan/create.h"
#include "guest/plan/empty.h"
#include "guest/plan/map.h"
#include "guest/plan/resize.h"
#include "guest/plan/snapshot.h"
#include "tests/crash/bench.h"
#include "tests/crash/bitmaps.h"

#define K      1024ull
#define M      (K * K)
#define SECTOR 512u

#define STOCK_CHECKS   8  /* results of one case that stock looks at */
#define TORN_PER_STEP  3  /* torn states of a step of several sectors */
#define SUBSETS        40 /* random subsets of one case's stages */
#define DISK_BYTES_MAX (8 * M)

struct crash_case {
    const char *name;
    const char *options; /* stock's -o; NULL: the image does not exist before */
    const char *prepare; /* shell, after creation */
    uint64_t size;       /* virtual, before */
    uint64_t backing_size;
    /* Changes the opened image, appending every step to the log, and carries them out. */
    void (*change)(struct bench *b, const struct crash_case *c, GArray *log);
    uint64_t new_size;
    Abi__Preallocation preallocation;
};

/* ---- who changes ---- */

static void ignore_finding(struct finding_sink *sink, const struct cell_finding *finding)
{
    (void)sink;
    (void)finding;
}

static void log_plan(struct bench *b, struct plan *plan, GArray *log)
{
    for (gboolean done = FALSE; !done;) {
        unsigned from = log->len;
        done = steps_batch(log, plan, 6);
        for (unsigned i = from; i < log->len; i++)
            step_apply(&g_array_index(log, struct step, i), b->fds);
    }
}

static void log_write(struct bench *b, GArray *log, uint32_t blob, uint64_t offset,
                      const uint8_t *bytes, uint64_t len)
{
    struct step step = {.kind = STEP_WRITE,
                        .blob = blob,
                        .offset = offset,
                        .length = len,
                        .bytes = g_memdup2(bytes, len),
                        .note = CELL_NOTE_DATA};
    g_array_append_val(log, step);
    step_apply(&step, b->fds);
}

static void change_create(struct bench *b, const struct crash_case *c, GArray *log)
{
    Abi__Qcow2CreateOptions o = ABI__QCOW2_CREATE_OPTIONS__INIT;
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    o.version = 3;
    o.cluster_size = c->name[strlen(c->name) - 1] == 'k' ? 65536 : 512;
    o.refcount_bits = 16;
    o.preallocation = c->preallocation;
    request.format = (char *)"qcow2";
    request.size = c->new_size;
    request.blob = BENCH_IMAGE_BLOB;
    request.data_blob = BENCH_DATA_BLOB;
    request.qcow2 = &o;
    g_assert_cmpint(plan_create(&request, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

static void change_resize(struct bench *b, const struct crash_case *c, GArray *log)
{
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    request.size = c->new_size;
    request.preallocation = c->preallocation;
    request.shrink = true;
    g_assert_cmpint(plan_resize(b->node, &request, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

/* The name says what is done: snapshot-create..., snapshot-apply..., snapshot-delete... */
static void change_snapshot(struct bench *b, const struct crash_case *c, GArray *log)
{
    Abi__SnapshotRequest request = ABI__SNAPSHOT_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    request.action = ABI__SNAPSHOT_ACTION__SNAPSHOT_CREATE;
    if (g_str_has_prefix(c->name, "snapshot-apply"))
        request.action = ABI__SNAPSHOT_ACTION__SNAPSHOT_APPLY;
    else if (g_str_has_prefix(c->name, "snapshot-delete"))
        request.action = ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE;
    request.name.data = (uint8_t *)"s1";
    request.name.len = 2;
    g_assert_cmpint(plan_snapshot(b->node, &request, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

/* What a check that repairs everything leaves to be written; NULL: nothing. */
static struct plan *plan_repair(struct node *node)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    struct finding_sink sink = {.add = ignore_finding};
    struct guest_err_detail detail;
    request.fix_leaks = request.fix_errors = true;
    g_assert_cmpint(node->driver->check(node, &request, &sink, &reply, &detail), ==, GUEST_OK);
    g_assert_cmpuint(reply.corruptions + reply.leaks + reply.check_errors, ==, 0);
    struct plan *plan = node->repair;
    node->repair = NULL;
    return plan;
}

static void change_repair(struct bench *b, const struct crash_case *c, GArray *log)
{
    struct plan *plan = plan_repair(b->node);
    (void)c;
    g_assert_nonnull(plan);
    log_plan(b, plan, log);
}

/* The image is not sound before, nor on the way: a repair makes it so. */
static gboolean is_damaged(const struct crash_case *c)
{
    return c->change == change_repair;
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

/* The name says what is done: bitmap-add... adds b9 and merges b0 into it, and so on. */
static void change_bitmap(struct bench *b, const struct crash_case *c, GArray *log)
{
    Abi__BitmapAction actions[2] = {ABI__BITMAP_ACTION__INIT, ABI__BITMAP_ACTION__INIT};
    Abi__BitmapAction *pointers[2] = {&actions[0], &actions[1]};
    Abi__BitmapRequest request = ABI__BITMAP_REQUEST__INIT;
    Abi__BitmapReply reply = ABI__BITMAP_REPLY__INIT;
    struct bitmap_request with_blob = {.message = &request};
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    gboolean adds = g_str_has_prefix(c->name, "bitmap-add");
    request.action = pointers;
    request.n_action = 1;
    actions[0].name = actions[1].name = bytes_of(adds ? "b9" : "b0");
    actions[1].verb = ABI__BITMAP_VERB__BITMAP_MERGE;
    actions[1].source_name = bytes_of("b0");
    if (adds) {
        actions[0].verb = ABI__BITMAP_VERB__BITMAP_ADD;
        actions[0].has_granularity = TRUE;
        actions[0].granularity = 512;
        request.n_action = strstr(c->name, "merge") ? 2 : 1;
    } else if (g_str_has_prefix(c->name, "bitmap-remove")) {
        actions[0].verb = ABI__BITMAP_VERB__BITMAP_REMOVE;
    } else if (g_str_has_prefix(c->name, "bitmap-clear")) {
        actions[0].verb = ABI__BITMAP_VERB__BITMAP_CLEAR;
    } else if (g_str_has_prefix(c->name, "bitmap-disable")) {
        actions[0].verb = ABI__BITMAP_VERB__BITMAP_DISABLE;
    } else {
        actions[0] = actions[1];
        actions[0].source_name = bytes_of("b1");
    }
    g_assert_cmpint(plan_bitmap(b->node, &with_blob, &reply, &plan, &detail), ==, GUEST_OK);
    g_assert_null(reply.failure);
    log_plan(b, plan, log);
}

/* The name says what is done: amend-upgrade..., amend-downgrade..., amend-lazy..., amend-BITS... */
static void change_amend(struct bench *b, const struct crash_case *c, GArray *log)
{
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    const char *what = c->name + strlen("amend-");
    request.step = ABI__AMEND_STEP__AMEND_REFCOUNT_BITS;
    request.refcount_bits = (uint32_t)g_ascii_strtoull(what, NULL, 10);
    request.on = TRUE;
    if (g_str_has_prefix(what, "upgrade"))
        request.step = ABI__AMEND_STEP__AMEND_UPGRADE;
    else if (g_str_has_prefix(what, "downgrade"))
        request.step = ABI__AMEND_STEP__AMEND_DOWNGRADE;
    else if (g_str_has_prefix(what, "lazy"))
        request.step = ABI__AMEND_STEP__AMEND_LAZY_REFCOUNTS;
    g_assert_cmpint(plan_amend(b->node, &request, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

/* A copy into an existing image: data, zeros, gaps; reported in order, as a host does. */
static void change_write(struct bench *b, const struct crash_case *c, GArray *log)
{
    struct image_writer_options options = {0};
    struct image_writer *w = NULL;
    struct guest_err_detail detail;
    g_autofree uint8_t *bytes = g_malloc(c->size);
    memset(bytes, 0xd7, c->size);
    g_assert_cmpint(b->node->driver->writer_open(b->node, &options, &w, &detail), ==, GUEST_OK);
    uint64_t run_bytes = MAX(w->shape.unit * 3, 48 * K);
    int turn = 0;
    for (uint64_t at = 0; at < c->size; at += run_bytes, turn++) {
        struct cell_place run = {
            .start = at,
            .length = MIN(run_bytes, c->size - at),
            .kind = turn % 3 == 1 ? CELL_PLACE_ZERO : CELL_PLACE_DATA,
        };
        struct cell_place out[1024];
        uint32_t nr = 0;
        if (turn % 4 == 3)
            continue;
        if (w->shape.linear) {
            out[nr] = run;
            out[nr++].offset = w->shape.linear_offset + run.start;
        } else {
            g_assert_cmpint(w->verbs->place(w, &run, 1, out, 1024, &nr, &detail), ==, GUEST_OK);
        }
        if (w->verbs->wants_plan(w))
            log_plan(b, w->verbs->plan(w), log);
        for (uint32_t i = 0; i < nr && run.kind == CELL_PLACE_DATA; i++)
            log_write(b, log, out[i].blob, out[i].offset, bytes, out[i].length);
        g_assert_cmpint(w->verbs->commit(w, out, nr, &detail), ==, GUEST_OK);
        /* The tables leave now and then, as with a small cache. */
        if (turn % 5 == 4 || w->verbs->wants_plan(w))
            log_plan(b, w->verbs->plan(w), log);
    }
    log_plan(b, w->verbs->finish(w, 0), log);
    w->verbs->free(w);
}

static void change_empty(struct bench *b, const struct crash_case *c, GArray *log)
{
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    g_assert_cmpint(plan_empty(b->node, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

/* A name that fills a good part of a small header. */
#define DOTS     "./././././././././././././././././././././"
#define NEW_BASE DOTS DOTS DOTS DOTS DOTS DOTS DOTS "new"
/* One that does not fit a sector together with a header. */
#define LONG_BASE DOTS DOTS DOTS DOTS DOTS NEW_BASE

static const char *new_base(const struct crash_case *c)
{
    return strstr(c->name, "-long") ? LONG_BASE : NEW_BASE;
}

/* The name says what is done: backing-drop..., or another backing file. */
static void change_backing(struct bench *b, const struct crash_case *c, GArray *log)
{
    Abi__BackingRequest request = ABI__BACKING_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    request.has_backing = strstr(c->name, "-drop") == NULL;
    request.name = bytes_of(new_base(c));
    request.format.data = (uint8_t *)"raw";
    request.format.len = 3;
    g_assert_cmpint(plan_backing(b->node, &request, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

/* What the overlay does not hold itself, in one piece after the other. */
static void keep_run(struct bench *b, struct image_writer *w, const struct cell_extent *extent,
                     GArray *log)
{
    struct guest_err_detail detail;
    g_autofree uint8_t *bytes = g_malloc(extent->length);
    struct cell_place run = {.start = extent->start, .length = extent->length};
    struct cell_place out[1024];
    uint32_t nr = 0;
    run.kind = b->node->backing ? CELL_PLACE_DATA : CELL_PLACE_ZERO;
    g_assert_cmpint(chain_read(b->node, run.start, run.length, bytes, &detail), ==, GUEST_OK);
    g_assert_cmpint(w->verbs->place(w, &run, 1, out, 1024, &nr, &detail), ==, GUEST_OK);
    for (uint32_t i = 0; i < nr && run.kind == CELL_PLACE_DATA; i++)
        log_write(b, log, out[i].blob, out[i].offset, bytes + (out[i].start - run.start),
                  out[i].length);
    g_assert_cmpint(w->verbs->commit(w, out, nr, &detail), ==, GUEST_OK);
    log_plan(b, w->verbs->plan(w), log);
}

/* A rebase whose new backing file has nothing in common with the old one. */
static void change_rebase(struct bench *b, const struct crash_case *c, GArray *log)
{
    struct image_writer_options options = {.keep_zeros = true};
    struct image_writer *w = NULL;
    struct guest_err_detail detail;
    g_assert_cmpint(b->node->driver->writer_open(b->node, &options, &w, &detail), ==, GUEST_OK);
    for (uint64_t at = 0; at < c->size;) {
        struct cell_extent extent;
        uint32_t nr = 0;
        g_assert_cmpint(
            plan_map(b->node, at, MIN(c->size - at, 64 * K), 1, &extent, 1, &nr, &at, &detail), ==,
            GUEST_OK);
        if (extent.kind == CELL_EXTENT_HOLE)
            keep_run(b, w, &extent, log);
    }
    log_plan(b, w->verbs->finish(w, 0), log);
    w->verbs->free(w);
    change_backing(b, c, log);
}

/* ---- files in memory ---- */

struct disk {
    GByteArray *file[2];
};

static void disk_resize(GByteArray *file, uint64_t len)
{
    guint old = file->len;
    g_byte_array_set_size(file, (guint)len);
    if (file->len > old)
        memset(file->data + old, 0, file->len - old);
}

static void disk_step(struct disk *disk, const struct step *step, uint64_t from, uint64_t to)
{
    if (step->kind == STEP_BARRIER)
        return;
    GByteArray *file = disk->file[step->blob];
    if (step->kind == STEP_TRUNCATE) {
        disk_resize(file, step->offset);
        return;
    }
    if (step->offset + to > file->len)
        disk_resize(file, step->offset + to);
    if (step->kind == STEP_COPY) {
        g_assert_cmpint(step->source + to, <=, file->len);
        memmove(file->data + step->offset + from, file->data + step->source + from, to - from);
    } else if (step->kind == STEP_ZERO)
        memset(file->data + step->offset + from, 0, to - from);
    else
        memcpy(file->data + step->offset + from, step->bytes + from, to - from);
}

static void disk_copy(struct disk *to, const struct disk *from)
{
    for (unsigned i = 0; i < 2; i++) {
        g_byte_array_set_size(to->file[i], 0);
        g_byte_array_append(to->file[i], from->file[i]->data, from->file[i]->len);
    }
}

static void disk_new(struct disk *disk)
{
    disk->file[0] = g_byte_array_new();
    disk->file[1] = g_byte_array_new();
}

static void disk_free(struct disk *disk)
{
    g_byte_array_unref(disk->file[0]);
    g_byte_array_unref(disk->file[1]);
}

static void disk_load(struct disk *disk, const struct bench *b)
{
    const char *const paths[2] = {b->image, b->data};
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *bytes = NULL;
        gsize len = 0;
        g_assert_true(g_file_get_contents(paths[i], &bytes, &len, NULL));
        g_byte_array_append(disk->file[i], (guint8 *)bytes, (guint)len);
    }
}

/* ---- judging ---- */

struct trial {
    struct bench bench;
    const struct crash_case *c;
    GArray *steps;
    GByteArray *backing, *new_backing;
    uint8_t *old_content, *new_content;
    char *old_bitmaps, *new_bitmaps; /* NULL: not looked at */
    uint64_t old_len, new_len;
    unsigned judged, stock_every;
    char *where; /* of the state being judged, for messages */
};

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

/* Blocks of a VDI image that count as used and are not: its way to have leaks. */
static void forgive_unused_blocks(struct finding_sink *sink, const struct cell_finding *finding)
{
    if (finding->code == VDI_FOUND_ALLOCATED && finding->number[0] < finding->number[1])
        (*(unsigned *)sink->user)++;
}

static void judge_check(struct trial *t, const struct disk *disk)
{
    struct node *node =
        open_bytes(disk->file[0]->data, disk->file[0]->len, 0, t->bench.format, TRUE);
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    unsigned leaks = 0;
    struct finding_sink sink = {.add = forgive_unused_blocks, .user = &leaks};
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
        struct plan *plan = plan_repair(node);
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
    if (strcmp(ref->format, "raw") != 0 && strcmp(t->bench.format, "qcow") != 0)
        fail_state(t, "has lost the format of its backing file");
    return open_bytes(bytes->data, bytes->len, 2, "raw", FALSE);
}

static char *bitmaps_now(struct trial *t)
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

static void judge_stock(struct trial *t, const struct disk *disk)
{
    g_autofree char *path = g_build_filename(t->bench.dir, "state", NULL);
    g_assert_true(g_file_set_contents(path, (char *)disk->file[0]->data, disk->file[0]->len, NULL));
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

static void judge(struct trial *t, const struct disk *disk, const char *format, unsigned step,
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
    if (t->judged++ % t->stock_every == 0)
        judge_stock(t, disk);
}

/* ---- states ---- */

static const struct step *step_at(const struct trial *t, unsigned i)
{
    return &g_array_index(t->steps, struct step, i);
}

static void judge_torn(struct trial *t, const struct disk *before, unsigned i)
{
    const struct step *step = step_at(t, i);
    uint64_t sectors = step->length / SECTOR;
    struct disk torn;
    if ((step->kind != STEP_WRITE && step->kind != STEP_ZERO) || sectors < 2)
        return;
    disk_new(&torn);
    for (unsigned k = 1; k <= TORN_PER_STEP && k < sectors; k++) {
        uint64_t cut = k * sectors / (TORN_PER_STEP + 1) * SECTOR;
        if (cut == 0 || cut >= step->length)
            continue;
        disk_copy(&torn, before);
        disk_step(&torn, step, 0, cut);
        judge(t, &torn, "step %u, torn %u", i, k);
        disk_copy(&torn, before);
        disk_step(&torn, step, cut, step->length);
        judge(t, &torn, "step %u, torn from behind %u", i, k);
    }
    disk_free(&torn);
}

static void judge_prefixes(struct trial *t, const struct disk *start)
{
    struct disk disk;
    disk_new(&disk);
    disk_copy(&disk, start);
    judge(t, &disk, "before step %u%.0u", 0, 0);
    for (unsigned i = 0; i < t->steps->len && !g_test_failed(); i++) {
        judge_torn(t, &disk, i);
        disk_step(&disk, step_at(t, i), 0, step_at(t, i)->length);
        if (step_at(t, i)->kind != STEP_BARRIER)
            judge(t, &disk, "after step %u%.0u", i, 0);
    }
    disk_free(&disk);
}

/* One stage, any of whose writes may have been carried out, in any order. Sizes come first. */
static void judge_subset(struct trial *t, const struct disk *start, unsigned from, unsigned to,
                         GRand *rand, unsigned turn)
{
    struct disk disk;
    g_autofree unsigned *order = g_new(unsigned, to - from + 1);
    unsigned nr = 0;
    disk_new(&disk);
    disk_copy(&disk, start);
    for (unsigned i = 0; i < from; i++)
        disk_step(&disk, step_at(t, i), 0, step_at(t, i)->length);
    for (unsigned i = from; i < to; i++) {
        if (step_at(t, i)->kind == STEP_TRUNCATE && step_at(t, i)->offset > disk.file[0]->len)
            disk_step(&disk, step_at(t, i), 0, 0);
        else if (step_at(t, i)->kind != STEP_TRUNCATE && g_rand_boolean(rand))
            order[nr++] = i;
    }
    for (unsigned i = nr; i > 1; i--) {
        unsigned other = (unsigned)g_rand_int_range(rand, 0, (gint32)i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
    /* Writes to the same place keep their order: a disk does that too. */
    for (unsigned i = 0; i < nr; i++) {
        for (unsigned k = i + 1; k < nr; k++) {
            const struct step *a = step_at(t, order[i]), *b = step_at(t, order[k]);
            if (order[i] > order[k] && a->blob == b->blob && a->offset < b->offset + b->length &&
                b->offset < a->offset + a->length) {
                unsigned kept = order[i];
                order[i] = order[k];
                order[k] = kept;
            }
        }
    }
    for (unsigned i = 0; i < nr; i++)
        disk_step(&disk, step_at(t, order[i]), 0, step_at(t, order[i])->length);
    judge(t, &disk, "stage at step %u, subset %u", from, turn);
    disk_free(&disk);
}

static void judge_subsets(struct trial *t, const struct disk *start)
{
    GRand *rand = g_rand_new_with_seed(20);
    for (unsigned turn = 0; turn < SUBSETS && !g_test_failed(); turn++) {
        unsigned at = (unsigned)g_rand_int_range(rand, 0, (gint32)t->steps->len);
        unsigned from = at, to = at;
        while (from > 0 && step_at(t, from - 1)->kind != STEP_BARRIER)
            from--;
        while (to < t->steps->len && step_at(t, to)->kind != STEP_BARRIER)
            to++;
        judge_subset(t, start, from, to, rand, turn);
    }
    g_rand_free(rand);
}

/* ---- one case ---- */

static uint8_t *content_now(struct trial *t, uint64_t *out_len)
{
    return bench_content(&t->bench, "image", out_len);
}

static void make_image(struct trial *t)
{
    const struct crash_case *c = t->c;
    struct bench *b = &t->bench;
    if (c->backing_size) {
        g_autofree char *path = g_build_filename(b->dir, "base", NULL);
        g_byte_array_set_size(t->backing, (guint)c->backing_size);
        memset(t->backing->data, 'B', c->backing_size);
        g_assert_true(g_file_set_contents(path, (char *)t->backing->data, t->backing->len, NULL));
    }
    if (c->change == change_backing || c->change == change_rebase) {
        g_autofree char *path = g_build_filename(b->dir, "new", NULL);
        g_byte_array_set_size(t->new_backing, (guint)c->size);
        memset(t->new_backing->data, 'N', c->size);
        g_assert_true(
            g_file_set_contents(path, (char *)t->new_backing->data, t->new_backing->len, NULL));
    }
    if (c->options)
        bench_shell(b, "qemu-img create -q -f %s %s -o '%s' image %" G_GUINT64_FORMAT, b->format,
                    c->backing_size ? "-b base -F raw" : "", c->options, c->size);
    if (c->prepare)
        bench_shell(b, "%s", c->prepare);
    if (c->options)
        t->old_content = content_now(t, &t->old_len);
}

static void change_image(struct trial *t)
{
    struct bench *b = &t->bench;
    struct node *base = NULL;
    int base_fd = -1;
    bench_open_files(b);
    if (t->c->options)
        bench_open_node(b);
    if (t->c->backing_size) {
        g_autofree char *path = g_build_filename(b->dir, "base", NULL);
        b->node->backing = base = bench_open_raw(path, &base_fd);
    }
    t->c->change(b, t->c, t->steps);
    node_free(base);
    if (base_fd >= 0)
        close(base_fd);
    bench_close(b);
}

static void run_case(const struct crash_case *c, const char *image_format)
{
    struct trial t = {.c = c,
                      .steps = steps_new(),
                      .backing = g_byte_array_new(),
                      .new_backing = g_byte_array_new()};
    struct disk start;
    if (!bench_has_stock())
        return;
    bench_init(&t.bench);
    t.bench.format = image_format;
    disk_new(&start);
    make_image(&t);
    bench_open_files(&t.bench); /* so that both exist */
    bench_close(&t.bench);
    disk_load(&start, &t.bench);
    if (t.c->change == change_bitmap || strstr(t.c->name, "-bitmaps"))
        t.old_bitmaps = bitmaps_now(&t);
    change_image(&t);
    if (t.old_bitmaps)
        t.new_bitmaps = bitmaps_now(&t);
    bench_assert_sound(&t.bench, FALSE, t.c->name);
    t.new_content = content_now(&t, &t.new_len);
    if (!t.c->options)
        t.old_len = t.new_len, t.old_content = g_memdup2(t.new_content, t.new_len);
    if (t.c->change == change_rebase)
        g_assert_cmpmem(t.old_content, t.old_len, t.new_content, t.new_len);
    t.stock_every = MAX(1, t.steps->len * 2 / STOCK_CHECKS);
    judge_prefixes(&t, &start);
    judge_subsets(&t, &start);
    g_test_message("%u steps, %u states judged", t.steps->len, t.judged);
    disk_free(&start);
    g_array_unref(t.steps);
    g_byte_array_unref(t.backing);
    g_byte_array_unref(t.new_backing);
    g_free(t.old_content);
    g_free(t.new_content);
    g_free(t.old_bitmaps);
    g_free(t.new_bitmaps);
    g_free(t.where);
    bench_clear(&t.bench);
}

#define FILL                                                                                       \
    "qemu-io -c 'write -q -P 1 0 100k' -c 'write -q -z 128k 64k' -c 'write -q -P 2 300k 50k' "     \
    "image;"
#define PACK "qemu-io -c 'write -q -c -P 3 192k 64k' -c 'write -q -c -P 4 384k 64k' image;"
#define SNAP "qemu-img snapshot -c s1 image;"

#define MORE "qemu-io -c 'write -q -P 7 50k 80k' -c 'write -q -z 300k 8k' image;"

#define FILL_VMDK "qemu-io -f vmdk -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"
#define FILL_VPC  "qemu-io -f vpc -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

#define FILL_PARALLELS                                                                             \
    "qemu-io -f parallels -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"
/* Not closed; the second of two entries that name one cluster, and too much at the end. */
#define HURT_PARALLELS                                                                             \
    "printf 'Ynot' | dd of=image bs=1 seek=44 conv=notrunc status=none;"                           \
    "printf '\\003' | dd of=image bs=1 seek=76 conv=notrunc status=none;"                          \
    "truncate -s +9000 image;"

#define FILL_QCOW    "qemu-io -f qcow -c 'write -q -P 1 0 100k' -c 'write -q -P 2 150k 9k' image;"
#define NULL_OPTIONS "encryption=off"

#define QED_SMALL "cluster_size=4k,table_size=2"
#define FILL_QED                                                                                   \
    "qemu-io -f qed -c 'write -q -P 1 0 100k' -c 'write -q -z 128k 64k' "                          \
    "-c 'write -q -P 2 300k 50k' image;"

/* Not closed; entries behind the end of the disk lie, of L1 and of the table behind 25 clusters. */
#define HURT_QED                                                                                   \
    "printf '\\002' | dd of=image bs=1 seek=16 conv=notrunc status=none;"                          \
    "printf 'lies' | dd of=image bs=1 seek=4136 conv=notrunc status=none;"                         \
    "printf 'lies' | dd of=image bs=1 seek=117088 conv=notrunc status=none;"

#define FAR_VHDX  "qemu-io -f vhdx -c 'write -q -P 3 2M 100k' image;"
#define FILL_VHDX "qemu-io -f vhdx -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

/* Blocks of 64 KiB in an image of 4 MiB: the entries, the size, the header's checksum. */
#define SMALL_BLOCKS_VPC                                                                           \
    "printf '\\000\\000\\000\\100\\000\\001\\000\\000\\377\\377\\364\\126' | "                     \
    "dd of=image bs=1 seek=540 conv=notrunc status=none;"

/* Printf's octal bytes over those at an offset. */
#define POKE(at, bytes)                                                                            \
    "printf '" bytes "' | dd of=image bs=1 seek=" #at " conv=notrunc status=none;"
#define REPAIR change_repair, 0, 0

/* Version 2 has no zeros to write. */
#define FILL_V2 "qemu-io -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

#define BITS                                                                                       \
    "qemu-img bitmap --add image b0; qemu-img bitmap --add -g 512 image b1;" FILL                  \
    "qemu-img bitmap --add -g 4k image b2;"

/* Blocks in an order that is not that of the disk. */
#define FILL_VDI                                                                                   \
    "qemu-io -f vdi -c 'write -q -P 5 5M 64k' -c 'write -q -P 4 4M 200k' -c 'write -q -P 1 0 "     \
    "1500k' -c 'write -q -P 3 3M 10k' image;"

#define METADATA ABI__PREALLOCATION__PREALLOC_METADATA
#define FULL     ABI__PREALLOCATION__PREALLOC_FULL

static const struct crash_case cases[] = {
    {"create-64k", NULL, NULL, 0, 0, change_create, M, 0},
    {"create-512", NULL, NULL, 0, 0, change_create, 200 * K, METADATA},
    {"create-full-512", NULL, NULL, 0, 0, change_create, 200 * K, FULL},
    {"resize", "cluster_size=64k", FILL, 512 * K, 0, change_resize, 3 * M, 0},
    {"resize-l1-moves", "cluster_size=512", FILL, 512 * K, 0, change_resize, 5 * M, 0},
    {"resize-reftable-moves", "cluster_size=512,refcount_bits=64", FILL, 512 * K, 0, change_resize,
     3 * M, METADATA},
    {"resize-metadata", "cluster_size=4k", FILL, 511 * K, 0, change_resize, 3 * M, METADATA},
    {"resize-full", "cluster_size=4k", FILL, 511 * K, 0, change_resize, 2 * M, FULL},
    {"resize-v2", "cluster_size=4k,compat=0.10", FILL, 512 * K, 0, change_resize, 2 * M, METADATA},
    {"resize-extl2", "cluster_size=16k,extended_l2=on", FILL, 511 * K, 0, change_resize, 2 * M,
     METADATA},
    {"resize-snapshot", "cluster_size=4k", FILL SNAP, 511 * K, 0, change_resize, 3 * M, METADATA},
    {"resize-data-file", "cluster_size=4k,data_file=data", FILL, 511 * K, 0, change_resize, 2 * M,
     METADATA},
    {"resize-backing", "cluster_size=4k", FILL, 511 * K, 2 * M, change_resize, 3 * M, 0},
    {"resize-backing-metadata", "cluster_size=4k", FILL, 511 * K, 2 * M, change_resize, 2 * M,
     METADATA},
    {"resize-backing-packed", "cluster_size=64k",
     FILL "qemu-io -c 'write -q -c -P 9 448k 63k' image", 511 * K, 2 * M, change_resize, 3 * M, 0},
    {"resize-backing-snapshot", "cluster_size=64k",
     FILL "qemu-io -c 'write -q -P 9 448k 63k' image;" SNAP, 511 * K, 2 * M, change_resize, 3 * M,
     0},
    {"shrink", "cluster_size=64k", FILL PACK, 512 * K, 0, change_resize, 200 * K, 0},
    {"shrink-512", "cluster_size=512", FILL PACK, 512 * K, 0, change_resize, 50 * K, 0},
    {"shrink-4k-snapshot", "cluster_size=4k", FILL SNAP MORE, 3 * M, 0, change_resize, 60 * K, 0},
    {"shrink-snapshot-shared", "cluster_size=4k", FILL SNAP, 512 * K, 0, change_resize, 60 * K, 0},
    {"shrink-512-snapshot-shared", "cluster_size=512", FILL SNAP, 512 * K, 0, change_resize,
     310 * K, 0},
    {"shrink-extl2", "cluster_size=16k,extended_l2=on", FILL MORE, 512 * K, 0, change_resize,
     310 * K, 0},
    {"shrink-v2", "cluster_size=512,compat=0.10", FILL, 512 * K, 0, change_resize, 70 * K, 0},
    {"shrink-refcount64", "cluster_size=512,refcount_bits=64", FILL, 512 * K, 0, change_resize,
     70 * K, 0},
    {"shrink-data-file", "cluster_size=4k,data_file=data", FILL, 512 * K, 0, change_resize, 70 * K,
     0},
    {"shrink-backing", "cluster_size=4k", FILL, 512 * K, 512 * K, change_resize, 70 * K, 0},
    {"shrink-bitmap", "cluster_size=4k",
     "qemu-img bitmap --add -g 512 image b; qemu-io -c 'write -q -P 1 0 400k' image;", 512 * K, 0,
     change_resize, 70 * K, 0},
    {"shrink-bitmap-cut", "cluster_size=512",
     "qemu-img bitmap --add -g 512 image b; qemu-io -c 'write -q -P 1 0 5M' image;", 6 * M, 0,
     change_resize, 700 * K, 0},
    {"write", "cluster_size=4k", FILL, 512 * K, 0, change_write, 0, 0},
    {"write-packed", "cluster_size=64k", FILL PACK, 512 * K, 0, change_write, 0, 0},
    {"write-512", "cluster_size=512", FILL, 256 * K + 100 * K, 0, change_write, 0, 0},
    {"write-v2-backing", "cluster_size=4k,compat=0.10", FILL, 512 * K, 512 * K, change_write, 0, 0},
    {"write-backing", "cluster_size=4k", FILL, 512 * K, 512 * K, change_write, 0, 0},
    {"write-snapshot", "cluster_size=4k", FILL SNAP, 512 * K, 0, change_write, 0, 0},
    {"write-snapshot-packed", "cluster_size=64k", FILL PACK SNAP, 512 * K, 0, change_write, 0, 0},
    {"write-extl2-backing", "cluster_size=16k,extended_l2=on", FILL, 512 * K, 512 * K, change_write,
     0, 0},
    {"snapshot-create", "cluster_size=64k", FILL PACK, 512 * K, 0, change_snapshot, 0, 0},
    {"snapshot-create-again", "cluster_size=64k", FILL PACK SNAP MORE, 512 * K, 0, change_snapshot,
     0, 0},
    {"snapshot-apply", "cluster_size=64k", FILL PACK SNAP MORE, 512 * K, 0, change_snapshot, 0, 0},
    {"snapshot-delete", "cluster_size=64k", FILL PACK SNAP MORE, 512 * K, 0, change_snapshot, 0, 0},
    {"snapshot-create-512", "cluster_size=512", FILL PACK, 512 * K, 0, change_snapshot, 0, 0},
    {"snapshot-create-again-512", "cluster_size=512", FILL PACK SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-apply-512", "cluster_size=512", FILL PACK SNAP MORE, 512 * K, 0, change_snapshot, 0,
     0},
    {"snapshot-delete-512", "cluster_size=512", FILL PACK SNAP MORE, 512 * K, 0, change_snapshot, 0,
     0},
    {"snapshot-create-v2", "cluster_size=4k,compat=0.10", FILL PACK, 512 * K, 0, change_snapshot, 0,
     0},
    {"snapshot-create-again-v2", "cluster_size=4k,compat=0.10", FILL PACK SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-apply-v2", "cluster_size=4k,compat=0.10", FILL PACK SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-delete-v2", "cluster_size=4k,compat=0.10", FILL PACK SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-create-extl2", "cluster_size=16k,extended_l2=on", FILL, 512 * K, 0, change_snapshot,
     0, 0},
    {"snapshot-create-again-extl2", "cluster_size=16k,extended_l2=on", FILL SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-apply-extl2", "cluster_size=16k,extended_l2=on", FILL SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-delete-extl2", "cluster_size=16k,extended_l2=on", FILL SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-create-refcount64", "cluster_size=512,refcount_bits=64", FILL PACK, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-apply-refcount64", "cluster_size=512,refcount_bits=64", FILL PACK SNAP MORE, 512 * K,
     0, change_snapshot, 0, 0},
    {"snapshot-delete-refcount64", "cluster_size=512,refcount_bits=64", FILL PACK SNAP MORE,
     512 * K, 0, change_snapshot, 0, 0},
    {"snapshot-create-refcount2", "cluster_size=4k,refcount_bits=2", FILL, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-create-again-refcount2", "cluster_size=4k,refcount_bits=2", FILL SNAP MORE, 512 * K,
     0, change_snapshot, 0, 0},
    {"snapshot-apply-refcount2", "cluster_size=4k,refcount_bits=2", FILL SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-delete-refcount2", "cluster_size=4k,refcount_bits=2", FILL SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"snapshot-apply-size", "cluster_size=4k", FILL SNAP "qemu-img resize -q image 9M;" MORE,
     512 * K, 0, change_snapshot, 0, 0},
    {"snapshot-delete-of-two", "cluster_size=4k", FILL SNAP MORE SNAP MORE, 512 * K, 0,
     change_snapshot, 0, 0},
    {"repair-refcounts", "cluster_size=4k", FILL PACK POKE(8192, "\\0\\3\\0\\1\\0\\7"), 512 * K, 0,
     REPAIR},
    {"repair-rebuild", "cluster_size=4k", FILL PACK SNAP MORE POKE(8194, "\\0\\0\\0\\0\\0\\0"),
     512 * K, 0, REPAIR},
    {"repair-rebuild-512", "cluster_size=512", FILL POKE(1024, "\\0\\0\\0\\0\\0\\0"), 512 * K, 0,
     REPAIR},
    {"repair-rebuild-refcount64", "cluster_size=512,refcount_bits=64", FILL POKE(520, "\\1"),
     512 * K, 0, REPAIR},
    {"repair-rebuild-v2", "cluster_size=4k,compat=0.10",
     "qemu-io -c 'write -q -P 1 0 100k' image;" POKE(8194, "\\0\\0\\0\\0\\0\\0"), 512 * K, 0,
     REPAIR},
    {"repair-flags", "cluster_size=4k",
     FILL POKE(12288, "\\0") POKE(16384, "\\0") POKE(16400, "\\0"), 512 * K, 0, REPAIR},
    {"repair-snapshot-shared", "cluster_size=4k", FILL SNAP POKE(8200, "\\0\\1\\0\\1\\0\\1"),
     512 * K, 0, REPAIR},
    {"repair-askew-zero", "cluster_size=4k", FILL POKE(17984, "\\0\\0\\0\\0\\0\\0\\112\\1"),
     512 * K, 0, REPAIR},
    {"repair-extl2", "cluster_size=16k,extended_l2=on", FILL POKE(32770, "\\0\\0\\0\\5"), 512 * K,
     0, REPAIR},
    {"repair-lazy", "cluster_size=4k,lazy_refcounts=on",
     FILL "qemu-io -c 'write -q -P 5 200k 100k' -c flush -c abort image 2>/dev/null || true;",
     512 * K, 0, REPAIR},
    {"empty", "cluster_size=64k", FILL PACK, 512 * K, 512 * K, change_empty, 0, 0},
    {"empty-512", "cluster_size=512", FILL PACK, 512 * K, 512 * K, change_empty, 0, 0},
    {"empty-l1-moved", "cluster_size=512", FILL "qemu-img resize -q image 5M;" MORE, 512 * K,
     512 * K, change_empty, 0, 0},
    {"empty-l1-moved-4k", "cluster_size=4k",
     FILL "qemu-img resize -q image 7G;" MORE "qemu-img resize -q --shrink image 3M;", 512 * K,
     512 * K, change_empty, 0, 0},
    {"empty-reftable-moved", "cluster_size=512,refcount_bits=64",
     FILL "qemu-img resize -q image 4M; qemu-io -c 'write -q -P 8 1M 2M' image;", 512 * K, 512 * K,
     change_empty, 0, 0},
    {"empty-refcount1", "cluster_size=4k,refcount_bits=1", FILL, 512 * K, 512 * K, change_empty, 0,
     0},
    {"empty-extl2", "cluster_size=16k,extended_l2=on", FILL, 512 * K, 512 * K, change_empty, 0, 0},
    {"empty-v2", "cluster_size=4k,compat=0.10", FILL PACK, 512 * K, 512 * K, change_empty, 0, 0},
    {"empty-snapshot", "cluster_size=4k", FILL PACK SNAP MORE, 512 * K, 512 * K, change_empty, 0,
     0},
    {"empty-bitmap", "cluster_size=4k", FILL "qemu-img bitmap --add image b0;", 512 * K, 512 * K,
     change_empty, 0, 0},
    {"empty-data-file", "cluster_size=4k,data_file=data", FILL, 512 * K, 512 * K, change_empty, 0,
     0},
    {"empty-nothing", "cluster_size=64k", NULL, 512 * K, 512 * K, change_empty, 0, 0},
    {"backing-change", "cluster_size=64k", FILL, 512 * K, 512 * K, change_backing, 0, 0},
    {"backing-change-512", "cluster_size=512", FILL, 512 * K, 512 * K, change_backing, 0, 0},
    {"backing-change-1k", "cluster_size=1k", FILL, 512 * K, 512 * K, change_backing, 0, 0},
    {"backing-change-v2", "cluster_size=4k,compat=0.10", FILL, 512 * K, 512 * K, change_backing, 0,
     0},
    {"backing-change-data-file", "cluster_size=4k,data_file=data", FILL, 512 * K, 512 * K,
     change_backing, 0, 0},
    {"backing-change-bitmap", "cluster_size=64k", FILL "qemu-img bitmap --add image b0;", 512 * K,
     512 * K, change_backing, 0, 0},
    {"backing-add", "cluster_size=64k", FILL, 512 * K, 0, change_backing, 0, 0},
    {"backing-add-512", "cluster_size=512", FILL, 512 * K, 0, change_backing, 0, 0},
    {"backing-add-v2", "cluster_size=64k,compat=0.10", FILL, 512 * K, 0, change_backing, 0, 0},
    {"backing-drop", "cluster_size=64k", FILL, 512 * K, 512 * K, change_backing, 0, 0},
    {"backing-drop-512", "cluster_size=512", FILL, 512 * K, 512 * K, change_backing, 0, 0},
    {"backing-drop-v2", "cluster_size=4k,compat=0.10", FILL, 512 * K, 512 * K, change_backing, 0,
     0},
    {"backing-drop-bitmap", "cluster_size=64k", FILL "qemu-img bitmap --add image b0;", 512 * K,
     512 * K, change_backing, 0, 0},
    {"rebase-change", "cluster_size=64k", FILL PACK, 512 * K, 512 * K, change_rebase, 0, 0},
    {"rebase-change-512", "cluster_size=512", FILL, 256 * K + 100 * K, 256 * K + 100 * K,
     change_rebase, 0, 0},
    {"rebase-drop", "cluster_size=4k", FILL, 512 * K, 512 * K, change_rebase, 0, 0},
    {"rebase-add", "cluster_size=4k", FILL, 512 * K, 0, change_rebase, 0, 0},
    {"rebase-add-v2", "cluster_size=4k,compat=0.10", FILL, 512 * K, 0, change_rebase, 0, 0},
    {"rebase-snapshot", "cluster_size=4k", FILL SNAP MORE, 512 * K, 512 * K, change_rebase, 0, 0},
    {"amend-upgrade", "cluster_size=64k,compat=0.10", FILL_V2, 512 * K, 0, change_amend, 0, 0},
    {"amend-upgrade-512", "cluster_size=512,compat=0.10", FILL_V2, 512 * K, 0, change_amend, 0, 0},
    {"amend-upgrade-backing", "cluster_size=8k,compat=0.10", FILL_V2, 512 * K, 512 * K,
     change_amend, 0, 0},
    {"amend-lazy", "cluster_size=64k", FILL, 512 * K, 0, change_amend, 0, 0},
    {"amend-downgrade", "cluster_size=64k", FILL MORE, 512 * K, 0, change_amend, 0, 0},
    {"amend-downgrade-512", "cluster_size=512", FILL MORE, 512 * K, 0, change_amend, 0, 0},
    {"amend-downgrade-backing", "cluster_size=4k", FILL MORE, 512 * K, 512 * K, change_amend, 0, 0},
    {"amend-downgrade-backing-512", "cluster_size=512", FILL MORE, 512 * K, 512 * K, change_amend,
     0, 0},
    {"amend-downgrade-snapshots", "cluster_size=4k", FILL SNAP MORE, 512 * K, 0, change_amend, 0,
     0},
    {"amend-downgrade-backing-snapshots", "cluster_size=4k", FILL SNAP MORE, 512 * K, 512 * K,
     change_amend, 0, 0},
    {"amend-64", "cluster_size=64k", FILL, 512 * K, 0, change_amend, 0, 0},
    {"amend-64-512", "cluster_size=512", FILL, 512 * K, 0, change_amend, 0, 0},
    {"amend-1-512", "cluster_size=512,refcount_bits=64", FILL, 512 * K, 0, change_amend, 0, 0},
    {"amend-4-snapshots", "cluster_size=4k", FILL SNAP MORE, 512 * K, 0, change_amend, 0, 0},
    {"amend-32-bitmaps", "cluster_size=4k", BITS, 512 * K, 0, change_amend, 0, 0},
    {"bitmap-add", "cluster_size=64k", FILL, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-add-merge", "cluster_size=64k", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-add-merge-512", "cluster_size=512", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-add-merge-1k", "cluster_size=1k", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-add-merge-8k", "cluster_size=8k", BITS, 512 * K, 512 * K, change_bitmap, 0, 0},
    {"bitmap-add-merge-refcount64", "cluster_size=512,refcount_bits=64", BITS, 512 * K, 0,
     change_bitmap, 0, 0},
    {"bitmap-merge", "cluster_size=64k", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-merge-512", "cluster_size=512", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-clear", "cluster_size=4k", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-disable", "cluster_size=64k", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-remove", "cluster_size=64k", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-remove-last", "cluster_size=64k", "qemu-img bitmap --add image b0;" FILL, 512 * K, 0,
     change_bitmap, 0, 0},
    {"bitmap-remove-last-backing", "cluster_size=64k", "qemu-img bitmap --add image b0;" FILL,
     512 * K, 512 * K, change_bitmap, 0, 0},
    {"bitmap-remove-512", "cluster_size=512", BITS, 512 * K, 0, change_bitmap, 0, 0},
    {"bitmap-snapshot", "cluster_size=4k", BITS SNAP, 512 * K, 0, change_bitmap, 0, 0},
    {"write-refcount1", "cluster_size=4k,refcount_bits=1", FILL, 512 * K, 0, change_write, 0, 0},
};

/* Images of other formats. */
static const struct format_case {
    const char *format;
    struct crash_case c;
} format_cases[] = {
    {"vdi", {"write-vdi", "static=off", FILL_VDI, 10 * M + 200 * K, 0, change_write, 0, 0}},
    {"vdi", {"write-vdi-static", "static=on", FILL_VDI, 10 * M, 0, change_write, 0, 0}},
    {"vdi", {"resize-vdi", "static=off", FILL_VDI, 5 * M + 200 * K, 0, change_resize, 9 * M, 0}},
    {"vdi", {"resize-vdi-static", "static=on", FILL_VDI, 6 * M, 0, change_resize, 9 * M, 0}},
    {"vdi", {"resize-vdi-full", "static=off", FILL_VDI, 6 * M, 0, change_resize, 8 * M, FULL}},
    {"vdi",
     {"resize-vdi-map-moves", "static=off", FILL_VDI, 128 * M, 0, change_resize, 131 * M, 0}},
    {"vdi",
     {"resize-vdi-map-moves-empty", "static=off", NULL, 127 * M, 0, change_resize, 131 * M, 0}},
    {"vdi", {"shrink-vdi", "static=off", FILL_VDI, 6 * M, 0, change_resize, 2 * M + 512, 0}},
    {"vdi", {"shrink-vdi-static", "static=on", FILL_VDI, 6 * M, 0, change_resize, 3 * M, 0}},
    {"vpc", {"write-vpc", "force_size=on", FILL_VPC, 4 * M, 0, change_write, 0, 0}},
    {"vpc",
     {"write-vpc-small-blocks", "force_size=on", SMALL_BLOCKS_VPC FILL_VPC, 4 * M, 0, change_write,
      0, 0}},
    {"vhdx", {"write-vhdx", "block_size=1M", FILL_VHDX, 3 * M, 0, change_write, 0, 0}},
    {"vhdx",
     {"write-vhdx-fixed", "subformat=fixed,block_state_zero=off", FILL_VHDX, M, 0, change_write, 0,
      0}},
    {"vpc", {"grow-vpc", "force_size=on", FILL_VPC, 3 * M, 0, change_resize, 3 * M + 5 * K, 0}},
    {"vpc",
     {"grow-vpc-table", "force_size=on", SMALL_BLOCKS_VPC FILL_VPC, 4 * M, 0, change_resize,
      5 * M + 300 * K, 0}},
    {"vpc",
     {"shrink-vpc", "force_size=on", SMALL_BLOCKS_VPC FILL_VPC, 4 * M, 0, change_resize, 310 * K,
      0}},
    {"vpc",
     {"grow-vpc-fixed", "subformat=fixed,force_size=on", FILL_VPC, M, 0, change_resize, 2 * M, 0}},
    {"vpc",
     {"shrink-vpc-fixed", "subformat=fixed,force_size=on", FILL_VPC, M, 0, change_resize, 310 * K,
      0}},
    {"vhdx", {"grow-vhdx", "block_size=1M", FILL_VHDX, 500 * K, 0, change_resize, 3 * M, 0}},
    {"vhdx",
     {"shrink-vhdx", "block_size=1M", FILL_VHDX FAR_VHDX, 3 * M, 0, change_resize, 310 * K, 0}},
    {"vhdx",
     {"grow-vhdx-fixed", "subformat=fixed,block_size=1M,block_state_zero=off", FILL_VHDX, 500 * K,
      0, change_resize, 2 * M + 5 * K, 0}},
    {"vpc",
     {"write-vpc-fixed", "subformat=fixed,force_size=on", FILL_VPC, M, 0, change_write, 0, 0}},
    {"vmdk", {"write-vmdk", "adapter_type=ide", FILL_VMDK, 3 * M, 0, change_write, 0, 0}},
    {"vmdk", {"write-vmdk-zeroed", "zeroed_grain=on", FILL_VMDK, 3 * M, 0, change_write, 0, 0}},
    {"parallels",
     {"write-parallels", "cluster_size=16k", FILL_PARALLELS, 600 * K, 0, change_write, 0, 0}},
    {"parallels",
     {"resize-parallels", "cluster_size=4k", FILL_PARALLELS, 600 * K, 0, change_resize, 7 * M, 0}},
    {"parallels",
     {"shrink-parallels", "cluster_size=4k", FILL_PARALLELS, 600 * K, 0, change_resize, 110 * K,
      0}},
    {"parallels",
     {"repair-parallels", "cluster_size=4k", FILL_PARALLELS HURT_PARALLELS, 600 * K, 0,
      change_repair, 0, 0}},
    {"qcow", {"write-qcow", NULL_OPTIONS, FILL_QCOW, 600 * K, 0, change_write, 0, 0}},
    {"qcow", {"write-qcow-backing", NULL_OPTIONS, FILL_QCOW, 200 * K, M, change_write, 0, 0}},
    {"qcow", {"empty-qcow", NULL_OPTIONS, FILL_QCOW, 200 * K, M, change_empty, 0, 0}},
    {"vmdk", {"resize-vmdk", "adapter_type=ide", FILL_VMDK, 1500 * K, 0, change_resize, 2 * M, 0}},
    {"vmdk",
     {"resize-vmdk-tables", "adapter_type=ide", FILL_VMDK, 1500 * K, 0, change_resize, 70 * M, 0}},
    {"vmdk", {"shrink-vmdk", "adapter_type=ide", FILL_VMDK, 3 * M, 0, change_resize, 200 * K, 0}},
    {"qed", {"write-qed", QED_SMALL, FILL_QED, 5 * M, 0, change_write, 0, 0}},
    {"qed", {"write-qed-backing", QED_SMALL, FILL_QED, M, M, change_write, 0, 0}},
    {"qed", {"write-qed-64k", "table_size=2", FILL_QED, M, 0, change_write, 0, 0}},
    {"qed", {"resize-qed", QED_SMALL, FILL_QED, 510 * K, 0, change_resize, 5 * M, 0}},
    {"qed", {"backing-change-qed", QED_SMALL, FILL_QED, M, M, change_backing, 0, 0}},
    {"qed", {"backing-change-long-qed", QED_SMALL, FILL_QED, M, M, change_backing, 0, 0}},
    {"qed", {"backing-change-long-qed-64k", "table_size=2", FILL_QED, M, M, change_backing, 0, 0}},
    {"qed", {"backing-add-long-qed", QED_SMALL, FILL_QED, M, 0, change_backing, 0, 0}},
    {"qed", {"backing-drop-qed", QED_SMALL, FILL_QED, M, M, change_backing, 0, 0}},
    {"qed", {"rebase-change-qed", QED_SMALL, FILL_QED, M, M, change_rebase, 0, 0}},
    {"qed", {"rebase-change-long-qed", QED_SMALL, FILL_QED, M, M, change_rebase, 0, 0}},
    {"qed", {"rebase-drop-qed", QED_SMALL, FILL_QED, M, M, change_rebase, 0, 0}},
    {"qed", {"repair-qed", QED_SMALL, FILL_QED HURT_QED, M, 0, change_repair, 0, 0}},
    {"qed", {"shrink-qed", QED_SMALL, FILL_QED, 5 * M, 0, change_resize, 150 * K, 0}},
    {"qed", {"shrink-qed-backing", QED_SMALL, FILL_QED, 5 * M, M, change_resize, 310 * K, 0}},
};

static void test_case(gconstpointer row)
{
    run_case(row, "qcow2");
}

static void test_format_case(gconstpointer data)
{
    const struct format_case *row = data;
    run_case(&row->c, row->format);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/crash/%s", cases[i].name);
        g_test_add_data_func(path, &cases[i], test_case);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(format_cases); i++) {
        g_autofree char *path = g_strdup_printf("/crash/%s", format_cases[i].c.name);
        g_test_add_data_func(path, &format_cases[i], test_format_case);
    }
    return g_test_run();
}
