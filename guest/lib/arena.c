/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc over the arena.
 *
 * A block is a 16-byte header and its bytes. Sizes are rounded up to one of four steps per power of
 * two; a freed block goes to the list of its size and is handed out again from there. Blocks are
 * never split or merged: the cell lives for one command, and what matters is that nothing here can
 * be slow or loop. Leaves out: returning memory to the host, alignment above 16.
 */
#include "guest/lib/arena.h"

#include <string.h>

#include "guest/abi/hypercall.h"
#include "guest/arch/doorbell.h"
#include "guest/lib/panic.h"

#define NR_CLASSES  160
#define BLOCK_MAGIC 0x61726e61u

struct block {
    uint32_t magic;
    uint32_t class;
    uint64_t size; /* usable bytes */
};
_Static_assert(sizeof(struct block) == 16, "blocks keep 16-byte alignment");

static struct block *free_lists[NR_CLASSES];
static uint64_t used_bytes; /* from CELL_ARENA_GVA */

/* The class of a request and the size that class hands out: 16, 20, 24, 28, 32, 40 ... times 4. */
static unsigned class_of(uint64_t want, uint64_t *out_size)
{
    uint64_t units = want <= 64 ? 4 : (want + 15) / 16;
    unsigned log = 63 - (unsigned)__builtin_clzll(units);
    uint64_t step = 1ull << (log - 2);
    uint64_t steps = (units + step - 1) / step; /* 4 .. 8 */
    *out_size = steps * step * 16;
    return (log - 2) * 4 + (unsigned)(steps - 4);
}

static struct block *next_free(const struct block *b)
{
    struct block *next;
    memcpy(&next, b + 1, sizeof(next));
    return next;
}

/*
 * malloc and calloc share this under a name of its own: a compiler that sees malloc and memset
 * together makes a call of calloc of them.
 */
static void *take(size_t want)
{
    uint64_t size;
    if (want > CELL_ARENA_MAX)
        return NULL;
    unsigned class = class_of(want, &size);
    struct block *b = free_lists[class];
    if (b) {
        free_lists[class] = next_free(b);
        return b + 1;
    }
    uint64_t total = size + sizeof(*b);
    if (total > doorbell_boot()->arena_bytes - used_bytes)
        return NULL;
    b = (struct block *)(uintptr_t)(CELL_ARENA_GVA + used_bytes);
    used_bytes += total;
    *b = (struct block){.magic = BLOCK_MAGIC, .class = class, .size = size};
    doorbell_page()->arena_used = used_bytes;
    return b + 1;
}

void *malloc(size_t want)
{
    return take(want);
}

void free(void *p)
{
    if (!p)
        return;
    struct block *b = (struct block *)p - 1;
    PANIC_UNLESS(b->magic == BLOCK_MAGIC && b->class < NR_CLASSES);
    memcpy(p, &free_lists[b->class], sizeof(free_lists[0]));
    free_lists[b->class] = b;
}

void *calloc(size_t count, size_t size)
{
    uint64_t bytes;
    if (!mul_u64(count, size, &bytes))
        return NULL;
    uint64_t fresh_from = CELL_ARENA_GVA + used_bytes;
    void *p = take(bytes);
    /* Memory never handed out before is zero already: do not touch it for nothing. */
    if (p && (uint64_t)(uintptr_t)p < fresh_from)
        memset(p, 0, bytes);
    return p;
}

void *realloc(void *old, size_t size)
{
    if (!old)
        return take(size);
    const struct block *b = (const struct block *)old - 1;
    PANIC_UNLESS(b->magic == BLOCK_MAGIC);
    if (size <= b->size)
        return old;
    void *p = take(size);
    if (!p)
        return NULL;
    memcpy(p, old, b->size);
    free(old);
    return p;
}

uint64_t arena_left_bytes(void)
{
    return doorbell_boot()->arena_bytes - used_bytes;
}
