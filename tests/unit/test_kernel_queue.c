/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both kinds of kernel queue on a real file. A kernel that lacks one, or forbids it, is a skip.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "src/io/kernel_queue.h"

#define DEPTH 8u
#define BLOCK 512u

static int temporary_file(void)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("instar-queue-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_unlink(path);
    return fd;
}

static struct kernel_queue *open_queue(gconstpointer kind)
{
    GError *error = NULL;
    struct kernel_queue *queue =
        kernel_queue_new((enum kernel_queue_kind)GPOINTER_TO_INT(kind), DEPTH, &error);

    if (queue == NULL) {
        g_test_skip(error->message);
        g_error_free(error);
    }
    return queue;
}

static void add(struct kernel_queue *queue, int fd, gboolean write, void *buf, guint block)
{
    struct kernel_request request = {
        .fd = fd, .write = write, .buf = buf, .offset = block * BLOCK, .len = BLOCK, .user = block};

    g_assert_cmpint(kernel_queue_add(queue, &request), ==, 0);
}

/* Waits for `nr` ends; each must have `result`, and each block must end once. */
static void expect_ends(struct kernel_queue *queue, guint nr, gint64 result)
{
    guint64 seen = 0;

    for (guint done = 0; done < nr;) {
        struct kernel_end ends[3];
        unsigned got = 0;

        g_assert_cmpint(kernel_queue_wait(queue, ends, G_N_ELEMENTS(ends), &got), ==, 0);
        g_assert_cmpuint(got, >, 0);
        for (unsigned i = 0; i < got; i++) {
            g_assert_cmpint(ends[i].result, ==, result);
            g_assert_false(seen >> ends[i].user & 1);
            seen |= 1ull << ends[i].user;
        }
        done += got;
    }
    g_assert_cmpuint(seen, ==, (1ull << nr) - 1);
}

static void what_is_written_is_read(gconstpointer kind)
{
    struct kernel_queue *queue = open_queue(kind);
    guint8 out[DEPTH][BLOCK], in[DEPTH][BLOCK];
    int fd = temporary_file();

    for (guint i = 0; queue != NULL && i < DEPTH; i++) {
        memset(out[i], (int)i + 1, BLOCK);
        add(queue, fd, TRUE, out[i], i);
    }
    if (queue != NULL) {
        expect_ends(queue, DEPTH, BLOCK);
        for (guint i = 0; i < DEPTH; i++) {
            add(queue, fd, FALSE, in[i], i);
        }
        expect_ends(queue, DEPTH, BLOCK);
        g_assert_cmpmem(in, sizeof(in), out, sizeof(out));
    }
    kernel_queue_free(queue);
    close(fd);
}

static void slots_come_back(gconstpointer kind)
{
    struct kernel_queue *queue = open_queue(kind);
    guint8 buf[BLOCK] = {0};
    int fd = temporary_file();

    for (guint i = 0; queue != NULL && i < 20 * DEPTH; i++) {
        add(queue, fd, TRUE, buf, 0);
        expect_ends(queue, 1, BLOCK);
    }
    kernel_queue_free(queue);
    close(fd);
}

static void short_reads_are_told(gconstpointer kind)
{
    struct kernel_queue *queue = open_queue(kind);
    guint8 buf[BLOCK];
    int fd = temporary_file();

    g_assert_cmpint(ftruncate(fd, 100), ==, 0);
    if (queue != NULL) {
        add(queue, fd, FALSE, buf, 0);
        expect_ends(queue, 1, 100);
    }
    kernel_queue_free(queue);
    close(fd);
}

static void add_tests(const char *name, enum kernel_queue_kind kind)
{
    static const struct {
        const char *name;
        GTestDataFunc run;
    } tests[] = {
        {"what_is_written_is_read", what_is_written_is_read},
        {"slots_come_back", slots_come_back},
        {"short_reads_are_told", short_reads_are_told},
    };

    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/kernel_queue/%s/%s", name, tests[i].name);

        g_test_add_data_func(path, GINT_TO_POINTER((int)kind), tests[i].run);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_tests("aio", KERNEL_QUEUE_AIO);
    add_tests("io_uring", KERNEL_QUEUE_URING);
    return g_test_run();
}
