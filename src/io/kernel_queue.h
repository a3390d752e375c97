/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the kernel carries out while we go on: Linux aio or io_uring, by their system
 * calls. For one thread.
 */
#ifndef INSTAR_SRC_IO_KERNEL_QUEUE_H
#define INSTAR_SRC_IO_KERNEL_QUEUE_H

#include <glib.h>
#include <stdint.h>

enum kernel_queue_kind {
    KERNEL_QUEUE_AIO,
    KERNEL_QUEUE_URING,
};

#define KERNEL_QUEUE_DEPTH_MAX 4096u

struct kernel_queue;

struct kernel_request {
    int fd;
    gboolean write;
    void *buf; /* stays valid until the request has ended */
    uint64_t offset, len;
    uint64_t user; /* comes back with the end */
};

struct kernel_end {
    uint64_t user;
    int64_t result; /* bytes, or -errno */
};

/*
 * Makes a queue.
 *
 * in:      depth: requests under way at once, 1 .. KERNEL_QUEUE_DEPTH_MAX
 * returns: NULL with *error naming what the kernel does not have or allow
 */
struct kernel_queue *kernel_queue_new(enum kernel_queue_kind kind, unsigned depth, GError **error);

/* Nothing may be under way. */
void kernel_queue_free(struct kernel_queue *queue);

/*
 * Hands a request over; it begins at the latest with the next kernel_queue_wait.
 *
 * in:      fewer than depth are under way
 * returns: 0 or an errno
 */
int kernel_queue_add(struct kernel_queue *queue, const struct kernel_request *request);

/*
 * Waits until at least one request has ended.
 *
 * out:     at most `most` ends, *out_nr of them
 * returns: 0 or an errno
 */
int kernel_queue_wait(struct kernel_queue *queue, struct kernel_end *ends, unsigned most,
                      unsigned *out_nr);

#endif
