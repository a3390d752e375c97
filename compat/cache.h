/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache words: `-t none` and its kin, and what each of them asks for.
 */
#ifndef COMPAT_CACHE_H
#define COMPAT_CACHE_H

#include <glib.h>

struct cache_mode {
    gboolean direct;       /* O_DIRECT */
    gboolean no_flush;     /* unsafe: flushes do nothing */
    gboolean writethrough; /* every write is durable when it returns */
};

#define CACHE_WRITEBACK ((struct cache_mode){FALSE, FALSE, FALSE})
#define CACHE_UNSAFE    ((struct cache_mode){FALSE, TRUE, FALSE})

/*
 * Decodes a cache word.
 *
 * in:      word none, off, writeback, unsafe, writethrough or directsync, in lower case
 * out:     *out, untouched on failure
 * returns: FALSE for any other word. The sentence is the caller's affair: see wording_bad_cache.
 */
gboolean cache_mode_parse(const char *word, struct cache_mode *out);

#endif
