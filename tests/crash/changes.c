/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who changes an image of the crash tests: each planner, called as the cell calls it.
 */
#include "tests/crash/changes.h"

#include <string.h>

#include "guest/abi/check.pb-c.h"
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
#include "tests/crash/case.h"

static void ignore_finding(struct finding_sink *sink, const struct cell_finding *finding)
{
    (void)sink;
    (void)finding;
}

void log_plan(struct bench *b, struct plan *plan, GArray *log)
{
    for (gboolean done = FALSE; !done;) {
        unsigned from = log->len;
        done = steps_batch(log, plan, 6);
        for (unsigned i = from; i < log->len; i++)
            step_apply(&g_array_index(log, struct step, i), b->fds);
    }
}

void log_write(struct bench *b, GArray *log, uint32_t blob, uint64_t offset, const uint8_t *bytes,
               uint64_t len)
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

void change_create(struct bench *b, const struct crash_case *c, GArray *log)
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

void change_resize(struct bench *b, const struct crash_case *c, GArray *log)
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
void change_snapshot(struct bench *b, const struct crash_case *c, GArray *log)
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

struct plan *plan_repair_all(struct node *node)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    struct finding_sink sink = {.add = ignore_finding};
    struct guest_err_detail detail;
    request.fix_leaks = request.fix_errors = true;
    g_assert_cmpint(node->driver->check(node, &request, &sink, &reply, &detail), ==, GUEST_OK);
    g_assert_cmpuint(reply.corruptions + reply.check_errors, ==, 0);
    /* Room that nobody uses stays in a VHD. */
    if (node->driver != &format_vpc)
        g_assert_cmpuint(reply.leaks, ==, 0);
    struct plan *plan = node->repair;
    node->repair = NULL;
    return plan;
}

void change_repair(struct bench *b, const struct crash_case *c, GArray *log)
{
    struct plan *plan = plan_repair_all(b->node);
    (void)c;
    g_assert_nonnull(plan);
    log_plan(b, plan, log);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

/* The name says what is done: bitmap-add... adds b9 and merges b0 into it, and so on. */
void change_bitmap(struct bench *b, const struct crash_case *c, GArray *log)
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
void change_amend(struct bench *b, const struct crash_case *c, GArray *log)
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
    else if (g_str_has_prefix(what, "tidy"))
        request.step = ABI__AMEND_STEP__AMEND_TIDY;
    g_assert_cmpint(plan_amend(b->node, &request, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

/* A copy into an existing image: data, zeros, gaps; reported in order, as a host does. */
void change_write(struct bench *b, const struct crash_case *c, GArray *log)
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

void change_empty(struct bench *b, const struct crash_case *c, GArray *log)
{
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    g_assert_cmpint(plan_empty(b->node, &plan, &detail), ==, GUEST_OK);
    log_plan(b, plan, log);
}

/* A name that fills a good part of a small header. */
#define DOTS "./././././././././././././././././././././"

#define NEW_BASE DOTS DOTS DOTS DOTS DOTS DOTS DOTS "new"
/* One that does not fit a sector together with a header. */
#define LONG_BASE DOTS DOTS DOTS DOTS DOTS NEW_BASE

const char *new_base(const struct crash_case *c)
{
    if (strstr(c->name, "-child"))
        return "new";
    return strstr(c->name, "-long") ? LONG_BASE : NEW_BASE;
}

/* What a child knows its parent by; nobody looks. */
static ProtobufCBinaryData child_guid(void)
{
    return bytes_of("0123456789abcdef");
}

/* The name says what is done: backing-drop..., or another backing file. */
void change_backing(struct bench *b, const struct crash_case *c, GArray *log)
{
    Abi__BackingRequest request = ABI__BACKING_REQUEST__INIT;
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    request.has_backing = strstr(c->name, "-drop") == NULL;
    request.name = bytes_of(new_base(c));
    request.format = bytes_of(strstr(c->name, "-child") ? b->format : "raw");
    request.parent_guid = child_guid();
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
void change_rebase(struct bench *b, const struct crash_case *c, GArray *log)
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

void make_child(struct bench *b, const struct crash_case *c)
{
    Abi__CreateOption rows[2] = {ABI__CREATE_OPTION__INIT, ABI__CREATE_OPTION__INIT};
    Abi__CreateOption *list[] = {&rows[0], &rows[1]};
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    static uint8_t random[64];
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    g_autoptr(GArray) ignored = steps_new();
    rows[0].key = (char *)"backing_file";
    rows[0].has_text = TRUE;
    rows[0].text = bytes_of("base");
    rows[1].key = (char *)"block_size";
    rows[1].has_text = TRUE;
    rows[1].number = M;
    request.format = (char *)b->format;
    request.size = c->size;
    request.blob = BENCH_IMAGE_BLOB;
    request.option = list;
    request.n_option = G_N_ELEMENTS(list);
    request.random = (ProtobufCBinaryData){.len = sizeof(random), .data = random};
    request.parent_guid = child_guid();
    bench_open_files(b);
    g_assert_cmpint(plan_create(&request, &plan, &detail), ==, GUEST_OK);
    bench_apply(b, plan, 64);
    if (strstr(c->name, "-filled")) {
        bench_open_node(b);
        change_write(b, c, ignored);
    }
    bench_close(b);
}
