/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workbench for planners: images as files in a folder of their own, opened in this process,
 * changed by plans, judged by stock qemu-img.
 */
#ifndef INSTAR_TESTS_CRASH_BENCH_H
#define INSTAR_TESTS_CRASH_BENCH_H

#include <glib.h>

#include "guest/formats/format.h"
#include "guest/plan/plan.h"
#include "tests/crash/replay.h"

#define BENCH_IMAGE_BLOB 0u
#define BENCH_DATA_BLOB  1u

/* qemu-img check of a format that has none. */
#define BENCH_NO_CHECK 63

struct bench {
    const char *format; /* of the image under test, "qcow2" unless changed */
    gboolean for_check; /* the next node is opened as check opens it */
    char *dir;          /* removed with what is in it */
    char *image;        /* path of the image under test */
    char *data;         /* path of its data file */
    int fds[2];         /* by blob; -1: not open */
    struct node *node;
    struct node *data_node;
};

/* Makes the folder; nothing in it yet. */
void bench_init(struct bench *bench);
void bench_clear(struct bench *bench);

/* Runs a shell command in the folder: it must succeed. Output is discarded. */
void bench_shell(struct bench *bench, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Runs one, and gives its exit status. */
int bench_status(struct bench *bench, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Opens the files, making them if they do not exist. */
void bench_open_files(struct bench *bench);

/* Opens the image as a node, with its data file; read-write. */
void bench_open_node(struct bench *bench);
void bench_close(struct bench *bench);

/* Opens a file as a raw node of its own; *out_fd outlives it. */
struct node *bench_open_raw(const char *path, int *out_fd);

/* Carries out a plan in batches of at most max_ops ops, as the host does: batch, then the next. */
void bench_apply(struct bench *bench, struct plan *plan, unsigned max_ops);

/* What the guest sees in an image, according to stock. */
uint8_t *bench_content(struct bench *bench, const char *image, uint64_t *out_len);

/* Stock finds nothing wrong; with leaks_allowed, nothing but leaks. */
void bench_assert_sound(struct bench *bench, gboolean leaks_allowed, const char *what);

/* Whether stock is there; otherwise the test is skipped. */
gboolean bench_has_stock(void);

#endif
