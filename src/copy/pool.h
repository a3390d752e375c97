/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small pool of threads over a bounded queue, with one thread that feeds it.
 *
 * The feeder (the thread that made the pool) pushes jobs and waits for news; workers run jobs.
 * Threads are started when there is work for them: a copy of one buffer runs on the feeder alone.
 * Jobs are numbered in the order they were pushed.
 *
 * One lock guards the pool and whatever its users hang on it. Stacks are small, since all of this
 * must fit into callers' address space limits.
 */
#ifndef INSTAR_SRC_COPY_POOL_H
#define INSTAR_SRC_COPY_POOL_H

#include <glib.h>

struct pool;

/*
 * Runs one job, on any worker.
 *
 * in:      worker: 0 .. nr_workers - 1, never two jobs at once with the same number
 */
typedef void (*pool_run_fn)(void *user, unsigned worker, void *job, guint64 number);

/*
 * Makes a pool without threads.
 *
 * in:      depth: jobs that may wait in the queue
 */
struct pool *pool_new(unsigned nr_workers, unsigned depth, pool_run_fn run, void *user);

/* Joins the threads, after every job that was pushed has run. */
void pool_free(struct pool *pool);

/*
 * How many workers suit this machine and this process.
 *
 * in:      most: an upper bound; addresses: address space that a worker may take, in bytes
 * returns: the processors that may be used, but no more than fit under RLIMIT_AS; at least 1
 */
unsigned pool_default_workers(unsigned most, guint64 addresses);

/* Feeder: queues a job. FALSE: the queue is full; wait, try again. */
gboolean pool_push(struct pool *pool, void *job);

/*
 * Feeder: waits until a job ended or a worker called pool_tell, since the last wait.
 *
 * returns: FALSE when nothing will happen: no job is queued or running, or none has a thread
 */
gboolean pool_wait(struct pool *pool);

/*
 * Feeder: runs what is queued on its own thread, while no other has been started.
 */
void pool_run_alone(struct pool *pool);

/* Worker: wakes the feeder. On the feeder's own thread (pool_run_alone) it does nothing. */
void pool_tell(struct pool *pool);

/* The lock, and the condition that workers wait on for what the feeder or each other provide. */
void pool_lock(struct pool *pool);
void pool_unlock(struct pool *pool);
void pool_wait_answer(struct pool *pool);   /* lock held: until somebody answers */
void pool_answer(struct pool *pool);        /* wakes all that wait for an answer */
void pool_answer_locked(struct pool *pool); /* the same, lock held */

/* Makes the calling thread the feeder. Nothing else uses the pool meanwhile. */
void pool_adopt(struct pool *pool);

/* Whether the calling thread is the feeder. */
gboolean pool_is_feeder(const struct pool *pool);

#endif
