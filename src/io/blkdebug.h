/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endpoint that fails on purpose ("blkdebug"): rules say at which event which requests fail.
 *
 * An event makes the rules that wait for it the active ones; a request then fails with the first
 * active rule that fits it. Data that a guest sees is read at the event read_aio and written at
 * write_aio; the tables of an image are read and written by other parts of this program than in
 * stock, and at no event but those of every write (pwritev, pwritev_done, pwritev_zero), so rules
 * for single tables (l2_load ...) are accepted and never become active.
 */
#ifndef INSTAR_SRC_IO_BLKDEBUG_H
#define INSTAR_SRC_IO_BLKDEBUG_H

#include "src/io/endpoint.h"

/* Events that happen here. */
enum blkdebug_event {
    BLKDEBUG_NONE, /* when the file is opened */
    BLKDEBUG_READ_AIO,
    BLKDEBUG_WRITE_AIO,
    BLKDEBUG_FLUSH_TO_OS,
    BLKDEBUG_FLUSH_TO_DISK,
    BLKDEBUG_PWRITEV,
    BLKDEBUG_PWRITEV_DONE,
    BLKDEBUG_PWRITEV_ZERO,
    BLKDEBUG_NEVER, /* any other event that stock knows */
};

/* Kinds of requests, to be or-ed. */
enum blkdebug_io {
    BLKDEBUG_IO_READ = 1,
    BLKDEBUG_IO_WRITE = 2,
    BLKDEBUG_IO_ZERO = 4,
    BLKDEBUG_IO_DISCARD = 8,
    BLKDEBUG_IO_FLUSH = 16,
    BLKDEBUG_IO_STATUS = 32,
    BLKDEBUG_IO_ANY = 31, /* all but asking for block status */
};

struct blkdebug_rule {
    enum blkdebug_event event;
    const char *untold; /* BLKDEBUG_NEVER: the event's name, static; else NULL */
    uint64_t state;     /* the state in which it applies, 0: any */
    gboolean set_state;
    uint64_t new_state;  /* set_state */
    int error_number;    /* else */
    gboolean once;       /* forgotten when it has failed a request */
    gboolean has_offset; /* only requests that touch this offset */
    uint64_t offset;     /* bytes */
    unsigned io;         /* enum blkdebug_io */
};

/* An event by its name. FALSE: stock does not know it. */
gboolean blkdebug_event_find(const char *name, enum blkdebug_event *out);

/* A kind of requests by its name ("read", "block-status" ...). FALSE: stock does not know it. */
gboolean blkdebug_io_find(const char *name, unsigned *out);

/*
 * Puts rules over an endpoint.
 *
 * in:      rules: array of struct blkdebug_rule, copied; alignment: 0, or what requests are aligned
 *          to as far as callers are told
 */
struct endpoint *endpoint_new_blkdebug(struct endpoint *base, const GArray *rules,
                                       uint32_t alignment);

/*
 * Says that what this thread reads and writes until the next call are tables of an image, at whose
 * reading and writing no event happens.
 *
 * returns: what was said before
 */
gboolean blkdebug_say_tables(gboolean tables);

#endif
