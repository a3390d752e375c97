/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of bits behind an array of pointers.
 */
#include "guest/formats/cluster_set.h"

#include "guest/lib/arena.h"

#define PAGE_BITS 15u /* log2 of the clusters of a page: 4 KiB */
#define WORD_BITS 6u
#define IN_PAGE   ((1ull << PAGE_BITS) - 1)

bool cluster_set_init(struct cluster_set *set, uint64_t nr)
{
    *set = (struct cluster_set){.nr = nr};
    set->pages = arena_array((nr >> PAGE_BITS) + 1, sizeof(*set->pages));
    return set->pages != NULL;
}

void cluster_set_clear(struct cluster_set *set)
{
    for (uint64_t i = 0; set->pages && i <= set->nr >> PAGE_BITS; i++)
        free(set->pages[i]);
    free(set->pages);
    *set = (struct cluster_set){0};
}

static uint64_t bit_of(uint64_t cluster)
{
    return 1ull << (cluster & ((1u << WORD_BITS) - 1));
}

bool cluster_set_add(struct cluster_set *set, uint64_t cluster, bool *out_new)
{
    uint64_t **page = &set->pages[cluster >> PAGE_BITS];
    uint64_t *word;

    if (!*page)
        *page = arena_array(1ull << (PAGE_BITS - WORD_BITS), sizeof(**page));
    if (!*page)
        return false;
    word = &(*page)[(cluster & IN_PAGE) >> WORD_BITS];
    *out_new = !(*word & bit_of(cluster));
    *word |= bit_of(cluster);
    set->nr_in += *out_new;
    return true;
}

bool cluster_set_has(const struct cluster_set *set, uint64_t cluster)
{
    const uint64_t *page = set->pages[cluster >> PAGE_BITS];

    return page && (page[(cluster & IN_PAGE) >> WORD_BITS] & bit_of(cluster));
}

bool cluster_set_has_any(const struct cluster_set *set, uint64_t first, uint64_t nr)
{
    uint64_t end = first < set->nr ? first + (nr < set->nr - first ? nr : set->nr - first) : first;

    while (first < end) {
        if (!set->pages[first >> PAGE_BITS])
            first |= IN_PAGE; /* on to the next page */
        else if (cluster_set_has(set, first))
            return true;
        first++;
    }
    return false;
}
