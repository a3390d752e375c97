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
 * INSTAR_CRASH_POINTS: how many random states each case has; `./dev soak crash` asks for 10,000.
 * Half of them are subsets of a stage, half are the same with some of the writes torn.
 *
 * The rows are in cases_FORMAT.c, whoever changes an image in changes.c, the judges in judge.c.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/judge.h"

#define STOCK_CHECKS  8 /* results of one case that stock looks at; of a soak, one in so many: */
#define STOCK_SOAKED  100
#define TORN_PER_STEP 3  /* torn states of a step of several sectors */
#define SUBSETS       40 /* random states of one case, unless the environment says how many */

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

static unsigned random_states(void)
{
    const char *text = g_getenv("INSTAR_CRASH_POINTS");
    return text ? (unsigned)g_ascii_strtoull(text, NULL, 10) : SUBSETS;
}

/* Carries out a step, or, torn, some of its sectors. */
static void do_step(struct disk *disk, const struct step *step, GRand *rand, gboolean torn)
{
    uint64_t sectors = step->length / SECTOR;
    if (!torn || sectors < 2 || (step->kind != STEP_WRITE && step->kind != STEP_ZERO)) {
        disk_step(disk, step, 0, step->length);
        return;
    }
    uint64_t from = (uint64_t)g_rand_int_range(rand, 0, (gint32)sectors);
    uint64_t to = (uint64_t)g_rand_int_range(rand, (gint32)from, (gint32)sectors + 1);
    disk_step(disk, step, from * SECTOR, to == sectors ? step->length : to * SECTOR);
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
        do_step(&disk, step_at(t, order[i]), rand, turn % 2 == 1 && g_rand_boolean(rand));
    judge(t, &disk, "stage at step %u, subset %u", from, turn);
    disk_free(&disk);
}

static void judge_subsets(struct trial *t, const struct disk *start)
{
    GRand *rand = g_rand_new_with_seed(20);
    for (unsigned turn = 0; turn < random_states() && !g_test_failed(); turn++) {
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
    struct disk disk;
    if (!is_child(t))
        return bench_content(&t->bench, "image", out_len);
    disk_new(&disk);
    disk_load(&disk, &t->bench);
    uint8_t *content = content_of(t, &disk, out_len);
    disk_free(&disk);
    return content;
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
    if (is_child(t))
        make_child(b, c);
    else if (c->options)
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
    b->for_check = t->c->change == change_repair;
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
    if (!is_child(&t))
        bench_assert_sound(&t.bench, FALSE, t.c->name);
    t.new_content = content_now(&t, &t.new_len);
    if (!t.c->options)
        t.old_len = t.new_len, t.old_content = g_memdup2(t.new_content, t.new_len);
    if (t.c->change == change_rebase)
        g_assert_cmpmem(t.old_content, t.old_len, t.new_content, t.new_len);
    t.stock_every = MAX(1, t.steps->len * 2 / STOCK_CHECKS);
    if (random_states() > SUBSETS)
        t.stock_every = STOCK_SOAKED;
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

static const struct crash_cases *const formats[] = {
    &crash_cases_qcow2, &crash_cases_parallels, &crash_cases_qcow, &crash_cases_qed,
    &crash_cases_vdi,   &crash_cases_vhdx,      &crash_cases_vmdk, &crash_cases_vpc,
};

/* One test: a row of a format. */
struct subject {
    const char *format;
    const struct crash_case *c;
};

static void test_case(gconstpointer data)
{
    const struct subject *subject = data;
    run_case(subject->c, subject->format);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned f = 0; f < G_N_ELEMENTS(formats); f++) {
        for (unsigned i = 0; i < formats[f]->nr; i++) {
            struct subject *subject = g_new(struct subject, 1);
            g_autofree char *path = g_strdup_printf("/crash/%s", formats[f]->rows[i].name);
            subject->format = formats[f]->format;
            subject->c = &formats[f]->rows[i];
            g_test_add_data_func_full(path, subject, test_case, g_free);
        }
    }
    return g_test_run();
}
