/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind of kernel queue provides. Only src/io/kernel_queue*.c include this; see
 * kernel_queue.h for each verb.
 */
#ifndef INSTAR_SRC_IO_KERNEL_QUEUE_OPS_H
#define INSTAR_SRC_IO_KERNEL_QUEUE_OPS_H

#include "src/io/kernel_queue.h"

struct kernel_queue_ops {
    void (*free)(struct kernel_queue *queue);
    int (*add)(struct kernel_queue *queue, const struct kernel_request *request);
    int (*wait)(struct kernel_queue *queue, struct kernel_end *ends, unsigned most,
                unsigned *out_nr);
};

/* The first member of each kind. */
struct kernel_queue {
    const struct kernel_queue_ops *ops;
};

struct kernel_queue *kernel_queue_new_aio(unsigned depth, GError **error);
struct kernel_queue *kernel_queue_new_uring(unsigned depth, GError **error);

#endif
