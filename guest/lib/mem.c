/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory and string functions of the guest's libc.
 *
 * Copies and fills use the processor's string instructions, which are as fast as anything for the
 * sizes that matter here (tables and clusters). Only in the cell: hosted builds have a C library.
 */
#include <stdint.h>
#include <string.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t len)
{
    void *to = dst;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(len) : : "memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t len)
{
    if ((uintptr_t)dst - (uintptr_t)src >= len)
        return memcpy(dst, src, len);
    const uint8_t *from = src;
    uint8_t *to = dst;
    for (size_t i = len; i > 0; i--)
        to[i - 1] = from[i - 1];
    return dst;
}

void *memset(void *dst, int byte, size_t len)
{
    void *to = dst;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(byte) : "memory");
    return dst;
}

/* Eight bytes at a time as long as they are equal: tables are compared a megabyte at once. */
int memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    size_t i = 0;
    for (uint64_t v, w; len - i >= sizeof(v); i += sizeof(v)) {
        __builtin_memcpy(&v, &x[i], sizeof(v));
        __builtin_memcpy(&w, &y[i], sizeof(w));
        if (v != w)
            break;
    }
    for (; i < len; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

void *memchr(const void *s, int byte, size_t len)
{
    const uint8_t *p = s;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == (uint8_t)byte)
            return (void *)(uintptr_t)(p + i);
    }
    return NULL;
}

size_t strlen(const char *s)
{
    size_t len = 0;
    while (s[len])
        len++;
    return len;
}

size_t strnlen(const char *s, size_t max)
{
    size_t len = 0;
    while (len < max && s[len])
        len++;
    return len;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        uint8_t x = (uint8_t)a[i];
        uint8_t y = (uint8_t)b[i];
        if (x != y)
            return x < y ? -1 : 1;
        if (!x)
            break;
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}
