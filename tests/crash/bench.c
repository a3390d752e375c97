/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/bench.h"

#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/lib/arena.h"

/* Whole images come and go by the thousand: their pages are kept, not faulted in each time. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 256 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

void bench_init(struct bench *bench)
{
    keep_memory();
    *bench = (struct bench){.fds = {-1, -1}};
    bench->dir = g_dir_make_tmp("instar-bench-XXXXXX", NULL);
    g_assert_nonnull(bench->dir);
    bench->image = g_build_filename(bench->dir, "image", NULL);
    bench->data = g_build_filename(bench->dir, "data", NULL);
    bench->format = "qcow2";
}

void bench_clear(struct bench *bench)
{
    bench_close(bench);
    bench_shell(bench, "rm -f -- *");
    g_assert_cmpint(rmdir(bench->dir), ==, 0);
    g_free(bench->dir);
    g_free(bench->image);
    g_free(bench->data);
}

/* With these flags, and no folder for the child, glib does not fork a process full of images. */
static int run(struct bench *bench, const char *command)
{
    g_autofree char *dir = g_shell_quote(bench->dir);
    g_autofree char *there = g_strdup_printf("cd %s && %s", dir, command);
    const char *argv[] = {"/bin/sh", "-c", there, NULL};
    int status = 0;
    g_autofree char *err = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL,
                               G_SPAWN_LEAVE_DESCRIPTORS_OPEN | G_SPAWN_STDOUT_TO_DEV_NULL, NULL,
                               NULL, NULL, &err, &status, NULL));
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3))
        g_test_message("%s: status %d, %s", command, status, err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int bench_status(struct bench *bench, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *command = g_strdup_vprintf(format, ap);
    va_end(ap);
    return run(bench, command);
}

void bench_shell(struct bench *bench, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *command = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_assert_cmpint(run(bench, command), ==, 0);
}

void bench_open_files(struct bench *bench)
{
    bench->fds[BENCH_IMAGE_BLOB] = open(bench->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bench->fds[BENCH_DATA_BLOB] = open(bench->data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(bench->fds[0], >=, 0);
    g_assert_cmpint(bench->fds[1], >=, 0);
}

static enum guest_err file_read(struct source *src, const struct source_piece *pieces,
                                unsigned nr_pieces, struct guest_err_detail *detail)
{
    int fd = *(int *)src->state;
    for (unsigned i = 0; i < nr_pieces; i++) {
        gssize got = pread(fd, pieces[i].dst, pieces[i].len, (off_t)pieces[i].offset);
        if (got != (gssize)pieces[i].len)
            return err_numbers(detail, GUEST_ERR_RANGE, pieces[i].offset, pieces[i].len, 0, 0);
    }
    return GUEST_OK;
}

static struct node *open_node(int *fd, uint32_t blob, const char *format, bool for_check)
{
    struct source *src = arena_array(1, sizeof(*src));
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    struct guest_err_detail detail;
    struct node *node = NULL;
    *src = (struct source){.blob = blob,
                           .size_bytes = (uint64_t)lseek(*fd, 0, SEEK_END),
                           .read = file_read,
                           .state = fd};
    request.format = (char *)format;
    request.read_write = true;
    request.for_check = for_check;
    g_assert_cmpint(node_open(src, &request, &node, &detail), ==, GUEST_OK);
    return node;
}

void bench_open_node(struct bench *bench)
{
    bench->node =
        open_node(&bench->fds[BENCH_IMAGE_BLOB], BENCH_IMAGE_BLOB, bench->format, bench->for_check);
    for (unsigned i = 0; i < bench->node->nr_refs; i++) {
        if (bench->node->refs[i]->role != ABI__ROLE__ROLE_DATA_FILE)
            continue;
        bench->data_node = open_node(&bench->fds[BENCH_DATA_BLOB], BENCH_DATA_BLOB, "raw", false);
        bench->node->data_file = bench->data_node;
    }
}

struct node *bench_open_raw(const char *path, int *out_fd)
{
    *out_fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(*out_fd, >=, 0);
    return open_node(out_fd, 2, "raw", false);
}

void bench_close(struct bench *bench)
{
    node_free(bench->node);
    node_free(bench->data_node);
    bench->node = bench->data_node = NULL;
    for (unsigned i = 0; i < 2; i++) {
        if (bench->fds[i] >= 0)
            close(bench->fds[i]);
        bench->fds[i] = -1;
    }
}

void bench_apply(struct bench *bench, struct plan *plan, unsigned max_ops)
{
    gboolean done = FALSE;
    while (!done) {
        g_autoptr(GArray) steps = steps_new();
        done = steps_batch(steps, plan, max_ops);
        steps_apply(steps, bench->fds);
    }
}

uint8_t *bench_content(struct bench *bench, const char *image, uint64_t *out_len)
{
    char *content = NULL;
    gsize len = 0;
    g_autofree char *raw = g_build_filename(bench->dir, "content", NULL);
    bench_shell(bench, "qemu-img convert -f %s -O raw '%s' content", bench->format, image);
    g_assert_true(g_file_get_contents(raw, &content, &len, NULL));
    unlink(raw);
    *out_len = len;
    return (uint8_t *)content;
}

void bench_assert_sound(struct bench *bench, gboolean leaks_allowed, const char *what)
{
    int status = bench_status(bench, "qemu-img check -f %s image", bench->format);
    if ((status == 3 && leaks_allowed) || status == BENCH_NO_CHECK)
        return;
    if (status != 0)
        g_test_message("%s", what);
    g_assert_cmpint(status, ==, 0);
}

gboolean bench_has_stock(void)
{
    g_autofree char *stock = g_find_program_in_path("qemu-img");
    g_autofree char *io = g_find_program_in_path("qemu-io");
    if (stock != NULL && io != NULL)
        return TRUE;
    g_test_skip("qemu-img and qemu-io are not installed");
    return FALSE;
}
