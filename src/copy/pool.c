/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: a ring of jobs, one lock, and a condition for each thing that is waited for.
 */
#include "src/copy/pool.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#define STACK_BYTES (256u << 10)

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;   /* workers: a job was queued, or the end */
    pthread_cond_t news;   /* feeder */
    pthread_cond_t answer; /* workers: the feeder did something */
    pthread_t feeder;

    pool_run_fn run;
    void *user;

    void **queue; /* a ring */
    unsigned depth, head, queued, running;
    guint64 next_number;
    gboolean told, ending;

    struct worker {
        struct pool *pool;
        unsigned index;
        pthread_t thread;
    } * workers;
    unsigned nr_workers, nr_started;
};

struct pool *pool_new(unsigned nr_workers, unsigned depth, pool_run_fn run, void *user)
{
    struct pool *pool = g_new0(struct pool, 1);

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->news, NULL);
    pthread_cond_init(&pool->answer, NULL);
    pool->feeder = pthread_self();
    pool->run = run;
    pool->user = user;
    pool->nr_workers = MAX(nr_workers, 1);
    pool->depth = MAX(depth, 1);
    pool->queue = g_new0(void *, pool->depth);
    pool->workers = g_new0(struct worker, pool->nr_workers);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pool_lock(pool);
    pool->ending = TRUE;
    pthread_cond_broadcast(&pool->work);
    pool_unlock(pool);
    for (unsigned i = 0; i < pool->nr_started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->news);
    pthread_cond_destroy(&pool->answer);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool->workers);
    g_free(pool->queue);
    g_free(pool);
}

/* Bytes of address space that this process has mapped, from the first field of statm (pages). */
static guint64 mapped_bytes(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL)) {
        return 0;
    }
    return g_ascii_strtoull(text, NULL, 10) * (guint64)sysconf(_SC_PAGESIZE);
}

unsigned pool_default_workers(unsigned most, guint64 addresses)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        guint64 mapped = mapped_bytes();
        guint64 left = limit.rlim_cur > mapped ? limit.rlim_cur - mapped : 0;

        most = (unsigned)MIN(most, left / addresses);
    }
    return CLAMP((unsigned)count, 1, MAX(most, 1));
}

/* Lock held. Runs the oldest job; the lock is released meanwhile. */
static void run_one(struct pool *pool, unsigned worker)
{
    void *job = pool->queue[pool->head];
    guint64 number = pool->next_number - pool->queued;

    pool->head = (pool->head + 1) % pool->depth;
    pool->queued--;
    pool->running++;
    pool_unlock(pool);
    pool->run(pool->user, worker, job, number);
    pool_lock(pool);
    pool->running--;
    /* A feeder that was woken for every job would be a third thread on two processors. */
    if (pool->queued <= pool->depth / 2) {
        pool->told = TRUE;
        pthread_cond_signal(&pool->news);
    }
}

static void *worker_main(void *data)
{
    struct worker *worker = data;
    struct pool *pool = worker->pool;

    pool_lock(pool);
    while (pool->queued > 0 || !pool->ending) {
        if (pool->queued > 0) {
            run_one(pool, worker->index);
        } else {
            pthread_cond_wait(&pool->work, &pool->lock);
        }
    }
    pool_unlock(pool);
    return NULL;
}

/* Lock held. A thread that cannot be made is done without, if there is another. */
static void start_worker(struct pool *pool)
{
    struct worker *worker = &pool->workers[pool->nr_started];
    pthread_attr_t attr;

    worker->pool = pool;
    worker->index = pool->nr_started;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (pthread_create(&worker->thread, &attr, worker_main, worker) == 0) {
        pool->nr_started++;
    }
    pthread_attr_destroy(&attr);
}

gboolean pool_push(struct pool *pool, void *job)
{
    gboolean room;

    pool_lock(pool);
    room = pool->queued < pool->depth;
    if (room) {
        pool->queue[(pool->head + pool->queued) % pool->depth] = job;
        pool->queued++;
        pool->next_number++;
        pthread_cond_signal(&pool->work);
    }
    /* The first job waits for company before it gets a thread. */
    if (pool->nr_started < pool->nr_workers && pool->queued + pool->running > 1 &&
        pool->queued + pool->running > pool->nr_started) {
        start_worker(pool);
    }
    pool_unlock(pool);
    if (!room && pool->nr_started == 0) {
        pool_run_alone(pool);
    }
    return room;
}

gboolean pool_wait(struct pool *pool)
{
    gboolean busy;

    if (pool->nr_started == 0) {
        return FALSE;
    }
    pool_lock(pool);
    while (!pool->told && pool->queued + pool->running > 0) {
        pthread_cond_wait(&pool->news, &pool->lock);
    }
    busy = pool->told || pool->queued + pool->running > 0;
    pool->told = FALSE;
    pool_unlock(pool);
    return busy;
}

void pool_run_alone(struct pool *pool)
{
    pool_lock(pool);
    while (pool->nr_started == 0 && pool->queued > 0) {
        run_one(pool, 0);
    }
    pool_unlock(pool);
}

void pool_tell(struct pool *pool)
{
    pool->told = TRUE;
    pthread_cond_signal(&pool->news);
}

void pool_lock(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
}

void pool_unlock(struct pool *pool)
{
    pthread_mutex_unlock(&pool->lock);
}

void pool_wait_answer(struct pool *pool)
{
    pthread_cond_wait(&pool->answer, &pool->lock);
}

void pool_answer(struct pool *pool)
{
    pool_lock(pool);
    pool_answer_locked(pool);
    pool_unlock(pool);
}

void pool_answer_locked(struct pool *pool)
{
    pthread_cond_broadcast(&pool->answer);
}

void pool_adopt(struct pool *pool)
{
    pool->feeder = pthread_self();
}

gboolean pool_is_feeder(const struct pool *pool)
{
    return pthread_equal(pool->feeder, pthread_self());
}
