/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring: two rings shared with the kernel. We own the tail of the first (requests) and the head
 * of the second (ends); the kernel owns the other two.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/io/kernel_queue_ops.h"

struct shared {
    void *at; /* NULL: not mapped */
    size_t bytes;
};

struct uring_queue {
    struct kernel_queue queue;
    int fd;
    struct shared requests, ends, entries;

    uint32_t *request_tail, *request_array;
    uint32_t request_mask;
    struct io_uring_sqe *sqes;
    uint32_t to_submit;

    uint32_t *end_head, *end_tail;
    uint32_t end_mask;
    struct io_uring_cqe *cqes;
};

static void unmap(struct shared *shared)
{
    if (shared->at != NULL) {
        munmap(shared->at, shared->bytes);
    }
}

static void uring_free(struct kernel_queue *queue)
{
    struct uring_queue *uring = (struct uring_queue *)queue;

    unmap(&uring->requests);
    unmap(&uring->ends);
    unmap(&uring->entries);
    if (uring->fd >= 0) {
        close(uring->fd);
    }
    g_free(uring);
}

static int uring_add(struct kernel_queue *queue, const struct kernel_request *request)
{
    struct uring_queue *uring = (struct uring_queue *)queue;
    uint32_t tail = *uring->request_tail, index = tail & uring->request_mask;
    struct io_uring_sqe *sqe = &uring->sqes[index];

    if (uring->to_submit > uring->request_mask) {
        return EBUSY;
    }
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = request->write ? IORING_OP_WRITE : IORING_OP_READ;
    sqe->fd = request->fd;
    sqe->off = request->offset;
    sqe->addr = (uintptr_t)request->buf;
    sqe->len = (uint32_t)request->len;
    sqe->user_data = request->user;
    uring->request_array[index] = index;
    __atomic_store_n(uring->request_tail, tail + 1, __ATOMIC_RELEASE);
    uring->to_submit++;
    return 0;
}

static unsigned take_ends(struct uring_queue *uring, struct kernel_end *ends, unsigned most)
{
    uint32_t head = *uring->end_head;
    uint32_t tail = __atomic_load_n(uring->end_tail, __ATOMIC_ACQUIRE);
    unsigned nr = 0;

    for (; head != tail && nr < most; head++) {
        const struct io_uring_cqe *cqe = &uring->cqes[head & uring->end_mask];

        ends[nr++] = (struct kernel_end){.user = cqe->user_data, .result = cqe->res};
    }
    __atomic_store_n(uring->end_head, head, __ATOMIC_RELEASE);
    return nr;
}

static int uring_wait(struct kernel_queue *queue, struct kernel_end *ends, unsigned most,
                      unsigned *out_nr)
{
    struct uring_queue *uring = (struct uring_queue *)queue;

    *out_nr = 0;
    for (;;) {
        long n = syscall(SYS_io_uring_enter, uring->fd, uring->to_submit, 1u,
                         IORING_ENTER_GETEVENTS, NULL, (size_t)0);

        if (n > 0) {
            uring->to_submit -= MIN((uint32_t)n, uring->to_submit);
        } else if (n < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY) {
            return errno;
        }
        *out_nr = take_ends(uring, ends, most);
        if (*out_nr > 0) {
            return 0;
        }
    }
}

static const struct kernel_queue_ops uring_ops = {
    .free = uring_free,
    .add = uring_add,
    .wait = uring_wait,
};

static gboolean map_shared(struct uring_queue *uring, struct shared *shared, size_t bytes,
                           uint64_t which)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, uring->fd,
                    (off_t)which);

    if (at == MAP_FAILED) {
        return FALSE;
    }
    shared->at = at;
    shared->bytes = bytes;
    return TRUE;
}

static gboolean map_rings(struct uring_queue *uring, const struct io_uring_params *params)
{
    const struct io_sqring_offsets *sq = &params->sq_off;
    const struct io_cqring_offsets *cq = &params->cq_off;

    if (!map_shared(uring, &uring->requests, sq->array + params->sq_entries * sizeof(uint32_t),
                    IORING_OFF_SQ_RING) ||
        !map_shared(uring, &uring->ends,
                    cq->cqes + params->cq_entries * sizeof(struct io_uring_cqe),
                    IORING_OFF_CQ_RING) ||
        !map_shared(uring, &uring->entries, params->sq_entries * sizeof(struct io_uring_sqe),
                    IORING_OFF_SQES)) {
        return FALSE;
    }
    char *requests = uring->requests.at, *ends = uring->ends.at;
    uring->request_tail = (uint32_t *)(requests + sq->tail);
    uring->request_array = (uint32_t *)(requests + sq->array);
    uring->request_mask = *(uint32_t *)(requests + sq->ring_mask);
    uring->sqes = uring->entries.at;
    uring->end_head = (uint32_t *)(ends + cq->head);
    uring->end_tail = (uint32_t *)(ends + cq->tail);
    uring->end_mask = *(uint32_t *)(ends + cq->ring_mask);
    uring->cqes = (struct io_uring_cqe *)(ends + cq->cqes);
    return TRUE;
}

struct kernel_queue *kernel_queue_new_uring(unsigned depth, GError **error)
{
    struct uring_queue *uring = g_new0(struct uring_queue, 1);
    struct io_uring_params params = {0};

    uring->queue.ops = &uring_ops;
    uring->fd = (int)syscall(SYS_io_uring_setup, depth, &params);
    if (uring->fd < 0 || !map_rings(uring, &params)) {
        wording_fail(error, "Unable to use io_uring: failed to init linux io_uring ring: %s",
                     g_strerror(errno));
        uring_free(&uring->queue);
        return NULL;
    }
    return &uring->queue;
}
