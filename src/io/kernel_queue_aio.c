/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux aio. Requests are gathered and handed over in one call before the next wait.
 */
#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/io/kernel_queue_ops.h"

#define ENDS_MAX 64u

struct aio_queue {
    struct kernel_queue queue;
    aio_context_t context;
    unsigned depth;
    struct iocb *iocbs;     /* depth of them */
    struct iocb **free;     /* those not under way: a stack */
    struct iocb **gathered; /* handed to us, not to the kernel */
    unsigned nr_free, nr_gathered;
};

static void aio_free(struct kernel_queue *queue)
{
    struct aio_queue *aio = (struct aio_queue *)queue;

    syscall(SYS_io_destroy, aio->context);
    g_free(aio->iocbs);
    g_free(aio->free);
    g_free(aio->gathered);
    g_free(aio);
}

static int aio_add(struct kernel_queue *queue, const struct kernel_request *request)
{
    struct aio_queue *aio = (struct aio_queue *)queue;
    struct iocb *iocb;

    if (aio->nr_free == 0) {
        return EBUSY;
    }
    iocb = aio->free[--aio->nr_free];
    *iocb = (struct iocb){
        .aio_data = request->user,
        .aio_lio_opcode = request->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
        .aio_fildes = (uint32_t)request->fd,
        .aio_buf = (uintptr_t)request->buf,
        .aio_nbytes = request->len,
        .aio_offset = (int64_t)request->offset,
    };
    aio->gathered[aio->nr_gathered++] = iocb;
    return 0;
}

/* Hands over what was gathered, as much as the kernel takes at once. */
static int submit(struct aio_queue *aio)
{
    unsigned done = 0;

    while (done < aio->nr_gathered) {
        long n = syscall(SYS_io_submit, aio->context, (long)(aio->nr_gathered - done),
                         aio->gathered + done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && !(errno == EAGAIN && aio->nr_free + aio->nr_gathered < aio->depth + done)) {
            return errno;
        }
        if (n <= 0) {
            break; /* some are under way: their end makes room */
        }
        done += (unsigned)n;
    }
    for (unsigned i = done; i < aio->nr_gathered; i++) {
        aio->gathered[i - done] = aio->gathered[i];
    }
    aio->nr_gathered -= done;
    return 0;
}

static int aio_wait(struct kernel_queue *queue, struct kernel_end *ends, unsigned most,
                    unsigned *out_nr)
{
    struct aio_queue *aio = (struct aio_queue *)queue;
    struct io_event events[ENDS_MAX];
    int err = submit(aio);
    long n;

    *out_nr = 0;
    if (err != 0) {
        return err;
    }
    do {
        n = syscall(SYS_io_getevents, aio->context, 1L, (long)MIN(most, ENDS_MAX), events, NULL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno;
    }
    for (long i = 0; i < n; i++) {
        ends[i] = (struct kernel_end){.user = events[i].data, .result = events[i].res};
        aio->free[aio->nr_free++] = (struct iocb *)(uintptr_t)events[i].obj;
    }
    *out_nr = (unsigned)n;
    return 0;
}

static const struct kernel_queue_ops aio_ops = {
    .free = aio_free,
    .add = aio_add,
    .wait = aio_wait,
};

struct kernel_queue *kernel_queue_new_aio(unsigned depth, GError **error)
{
    struct aio_queue *aio;
    aio_context_t context = 0;

    if (syscall(SYS_io_setup, depth, &context) != 0) {
        wording_fail(error, "Unable to use native AIO: failed to create linux AIO context: %s",
                     g_strerror(errno));
        return NULL;
    }
    aio = g_new0(struct aio_queue, 1);
    aio->queue.ops = &aio_ops;
    aio->context = context;
    aio->depth = depth;
    aio->iocbs = g_new0(struct iocb, depth);
    aio->free = g_new(struct iocb *, depth);
    aio->gathered = g_new(struct iocb *, depth);
    for (unsigned i = 0; i < depth; i++) {
        aio->free[aio->nr_free++] = &aio->iocbs[i];
    }
    return &aio->queue;
}
