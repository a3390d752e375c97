/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's libc against the host's: same results for random input, every small length and
 * overlap.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

void *guest_memcpy(void *dst, const void *src, size_t len);
void *guest_memmove(void *dst, const void *src, size_t len);
void *guest_memset(void *dst, int byte, size_t len);
int guest_memcmp(const void *a, const void *b, size_t len);
void *guest_memchr(const void *s, int byte, size_t len);
size_t guest_strlen(const char *s);
size_t guest_strnlen(const char *s, size_t max);
int guest_strcmp(const char *a, const char *b);
int guest_strncmp(const char *a, const char *b, size_t max);
char *guest_strchr(const char *s, int c);
void guest_qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void fill(guint8 *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (guint8)g_test_rand_int();
}

static void test_moves(void)
{
    guint8 a[600], b[600];
    for (unsigned round = 0; round < 5000; round++) {
        fill(a, sizeof(a));
        memcpy(b, a, sizeof(a));
        size_t len = (size_t)g_test_rand_int_range(0, 200);
        size_t from = (size_t)g_test_rand_int_range(0, 300);
        size_t to = (size_t)g_test_rand_int_range(0, 300);
        g_assert_true(guest_memmove(a + to, a + from, len) == a + to);
        memmove(b + to, b + from, len);
        g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
        guest_memset(a + from, (int)round, len);
        memset(b + from, (int)round, len);
        g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
        guest_memcpy(a, b + 300, len);
        memcpy(b, b + 300, len);
        g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
    }
}

static void test_compares(void)
{
    char a[40], b[40];
    for (unsigned round = 0; round < 5000; round++) {
        size_t len = (size_t)g_test_rand_int_range(0, 20);
        for (size_t i = 0; i < sizeof(a); i++) {
            a[i] = "ab\xff"[g_test_rand_int_range(0, 3)];
            b[i] = g_test_rand_int_range(0, 8) ? a[i] : 'c';
        }
        a[g_test_rand_int_range(20, 39)] = 0;
        b[g_test_rand_int_range(20, 39)] = 0;
        a[39] = b[39] = 0;
        g_assert_cmpint(sign(guest_memcmp(a, b, len)), ==, sign(memcmp(a, b, len)));
        g_assert_cmpint(sign(guest_strcmp(a, b)), ==, sign(strcmp(a, b)));
        g_assert_cmpint(sign(guest_strncmp(a, b, len)), ==, sign(strncmp(a, b, len)));
        g_assert_cmpuint(guest_strlen(a), ==, strlen(a));
        g_assert_cmpuint(guest_strnlen(a, len), ==, strnlen(a, len));
        g_assert_true(guest_memchr(a, 'c', len) == memchr(a, 'c', len));
        g_assert_true(guest_strchr(b, 'c') == strchr(b, 'c'));
        g_assert_true(guest_strchr(b, 0) == strchr(b, 0));
    }
}

/* Long and alike up to one byte, at any place. */
static void test_compares_far(void)
{
    guint8 a[300], b[300];
    for (unsigned round = 0; round < 5000; round++) {
        size_t from = (size_t)g_test_rand_int_range(0, 16);
        size_t len = (size_t)g_test_rand_int_range(1, 280);
        size_t at = (size_t)g_test_rand_int_range(0, (int)len);
        fill(a, sizeof(a));
        memcpy(b, a + from, len);
        g_assert_cmpint(guest_memcmp(a + from, b, len), ==, 0);
        b[at] ^= (guint8)g_test_rand_int_range(1, 256);
        g_assert_cmpint(sign(guest_memcmp(a + from, b, len)), ==, sign(memcmp(a + from, b, len)));
        g_assert_cmpint(guest_memcmp(a + from, b, at), ==, 0);
    }
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;
    return (x > y) - (x < y);
}

static void test_sort(void)
{
    int a[300], b[300];
    for (unsigned count = 0; count < 300; count++) {
        for (unsigned i = 0; i < count; i++)
            a[i] = b[i] = g_test_rand_int_range(-50, 50);
        guest_qsort(a, count, sizeof(a[0]), compare_ints);
        qsort(b, count, sizeof(b[0]), compare_ints);
        g_assert_cmpmem(a, count * sizeof(a[0]), b, count * sizeof(b[0]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest-libc/moves", test_moves);
    g_test_add_func("/guest-libc/compares", test_compares);
    g_test_add_func("/guest-libc/compares-far", test_compares_far);
    g_test_add_func("/guest-libc/sort", test_sort);
    return g_test_run();
}
