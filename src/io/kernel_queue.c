/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of a kernel queue, whichever kind it is.
 */
#include "src/io/kernel_queue_ops.h"

struct kernel_queue *kernel_queue_new(enum kernel_queue_kind kind, unsigned depth, GError **error)
{
    depth = CLAMP(depth, 1, KERNEL_QUEUE_DEPTH_MAX);
    return kind == KERNEL_QUEUE_AIO ? kernel_queue_new_aio(depth, error)
                                    : kernel_queue_new_uring(depth, error);
}

void kernel_queue_free(struct kernel_queue *queue)
{
    if (queue != NULL) {
        queue->ops->free(queue);
    }
}

int kernel_queue_add(struct kernel_queue *queue, const struct kernel_request *request)
{
    return queue->ops->add(queue, request);
}

int kernel_queue_wait(struct kernel_queue *queue, struct kernel_end *ends, unsigned most,
                      unsigned *out_nr)
{
    return queue->ops->wait(queue, ends, most, out_nr);
}
