/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qsort by heapsort: O(n log n) whatever the input, no recursion, no memory. An image can choose
 * the order of what is sorted, so a worst case must not exist.
 */
#include <stdint.h>
#include <stdlib.h>

static void swap_bytes(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

static void sift_down(uint8_t *base, size_t root, size_t count, size_t size,
                      int (*compare)(const void *, const void *))
{
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count && compare(base + child * size, base + (child + 1) * size) < 0)
            child++;
        if (compare(base + root * size, base + child * size) >= 0)
            return;
        swap_bytes(base + root * size, base + child * size, size);
        root = child;
    }
}

void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    uint8_t *bytes = base;
    for (size_t i = count / 2; i > 0; i--)
        sift_down(bytes, i - 1, count, size, compare);
    for (size_t end = count; end > 1; end--) {
        swap_bytes(bytes, bytes + (end - 1) * size, size);
        sift_down(bytes, 0, end - 1, size, compare);
    }
}
