/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes between guard pages, for the harnesses.
 */
#include "fuzz/guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

struct guarded guarded_copy(const void *data, size_t len, enum guarded_edge edge)
{
    size_t body = (len + PAGE - 1) / PAGE * PAGE;
    struct guarded g = {.len = len, .map_len = body + 2 * PAGE};
    g.map = mmap(NULL, g.map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(g.map != MAP_FAILED, "mmap");
    uint8_t *start = (uint8_t *)g.map + PAGE;
    g.data = edge == GUARDED_START ? start : start + (body - len);
    if (len == 0)
        return g;
    must(mprotect(start, body, PROT_READ | PROT_WRITE) == 0, "mprotect");
    memcpy(g.data, data, len);
    must(mprotect(start, body, PROT_READ) == 0, "mprotect");
    return g;
}

void guarded_clear(struct guarded *g)
{
    munmap(g->map, g->map_len);
    memset(g, 0, sizeof(*g));
}
