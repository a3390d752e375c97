/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the requests of a benchmark go and after which of them it flushes.
 */
#ifndef INSTAR_SRC_COPY_BENCH_PLAN_H
#define INSTAR_SRC_COPY_BENCH_PLAN_H

#include "src/copy/bench.h"

/*
 * The offset of request `number`, from 0 on. The first is where it was asked for, even behind the
 * end; each later one is a step further, modulo wrap_bytes.
 */
static inline guint64 bench_offset(const struct bench_options *options, guint64 number)
{
    guint64 wrap = options->wrap_bytes;

    if (number == 0) {
        return options->offset;
    }
    return wrap == 0 ? 0 : (options->offset % wrap + options->step_bytes * number % wrap) % wrap;
}

/*
 * How many requests have been issued when flush `number` is due, from 0 on; more than there are:
 * there is no such flush. Stock counts from the end: what is left to issue is a multiple of the
 * interval. While it issues its first requests, up to the depth, it does not look.
 */
static inline guint64 bench_flush_at(const struct bench_options *options, guint64 number)
{
    guint64 first = MIN(options->depth, options->count);
    guint64 left = (options->count - first) / options->flush_interval * options->flush_interval;

    return options->count - left + number * options->flush_interval;
}

/* How many flushes are due before request `number` is issued. */
static inline guint64 bench_flushes_before(const struct bench_options *options, guint64 number)
{
    guint64 first;

    if (options->flush_interval == 0) {
        return 0;
    }
    first = bench_flush_at(options, 0);
    return number < first ? 0 : (number - first) / options->flush_interval + 1;
}

#endif
