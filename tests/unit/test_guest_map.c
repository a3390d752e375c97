/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattening chains: depth, shorter backing files, layers, joining, and errors behind extents.
 *
 * The layers are made of letters, one for each 512 bytes: D data, Z zeros, C compressed, E an
 * error, and . nothing.
 */
#include <glib.h>
#include <string.h>

#include "guest/plan/map.h"

#define UNIT 512u

static enum guest_err letters_map(struct node *node, uint64_t start, uint64_t length,
                                  struct layer_extent *out, struct guest_err_detail *detail)
{
    const char *letters = node->state;
    char letter = letters[start / UNIT];

    *out =
        (struct layer_extent){.source = node->source, .length = MIN(length, UNIT - start % UNIT)};
    switch (letter) {
    case 'D':
        out->kind = CELL_EXTENT_DATA;
        out->flags = CELL_EXTENT_HAS_OFFSET;
        out->offset = start + 1000;
        return GUEST_OK;
    case 'Z':
        out->kind = CELL_EXTENT_ZERO;
        return GUEST_OK;
    case 'C':
        out->kind = CELL_EXTENT_COMPRESSED;
        out->unit_len = UNIT;
        out->skip = (uint32_t)(start % UNIT);
        return GUEST_OK;
    case 'E':
        return err_plain(detail, GUEST_ERR_IO);
    default:
        return GUEST_OK;
    }
}

static const struct format_driver letters_driver = {.name = "letters", .map = letters_map};

struct chain {
    struct node nodes[3];
    struct source sources[3];
    struct cell_extent records[64];
    uint32_t nr;
    uint64_t next;
};

/* Makes a chain, top first, NULL where there is no layer, and maps all of it. */
static enum guest_err map(struct chain *c, const char *top, const char *middle, const char *base,
                          uint32_t layers, uint32_t max_records)
{
    const char *letters[] = {top, middle, base};

    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < 3 && letters[i]; i++) {
        c->sources[i].blob = i;
        c->nodes[i].driver = &letters_driver;
        c->nodes[i].source = &c->sources[i];
        c->nodes[i].state = (void *)letters[i];
        c->nodes[i].virtual_size = strlen(letters[i]) * UNIT;
        if (i > 0)
            c->nodes[i - 1].backing = &c->nodes[i];
    }
    return plan_map(&c->nodes[0], 0, c->nodes[0].virtual_size, layers, c->records, max_records,
                    &c->nr, &c->next, NULL);
}

/* One character a unit: the kind, and its depth. */
static void expect(const struct chain *c, const char *kinds, const char *depths)
{
    static const char letters[] = {[CELL_EXTENT_HOLE] = '.',
                                   [CELL_EXTENT_ZERO] = 'Z',
                                   [CELL_EXTENT_DATA] = 'D',
                                   [CELL_EXTENT_COMPRESSED] = 'C'};
    g_autoptr(GString) got_kinds = g_string_new(NULL);
    g_autoptr(GString) got_depths = g_string_new(NULL);
    uint64_t at = 0;

    for (uint32_t i = 0; i < c->nr; i++) {
        const struct cell_extent *e = &c->records[i];
        g_assert_cmpuint(e->start, ==, at);
        for (uint64_t n = 0; n < e->length / UNIT; n++) {
            g_string_append_c(got_kinds, letters[e->kind]);
            g_string_append_c(got_depths, (char)('0' + e->depth));
        }
        at += e->length;
    }
    g_assert_cmpuint(at, ==, c->next);
    g_assert_cmpstr(got_kinds->str, ==, kinds);
    g_assert_cmpstr(got_depths->str, ==, depths);
}

static void test_depth(void)
{
    struct chain c;

    g_assert_cmpint(map(&c, "D..Z.", ".D.D.", "DDD..", 0, 64), ==, GUEST_OK);
    expect(&c, "DDDZ.", "01202");
    g_assert_cmpuint(c.records[0].blob, ==, 0);
    g_assert_cmpuint(c.records[1].blob, ==, 1);
}

/* What lies past a shorter backing file belongs to the layer above it. */
static void test_shorter(void)
{
    struct chain c;

    g_assert_cmpint(map(&c, ".....", "..D", "D", 0, 64), ==, GUEST_OK);
    expect(&c, "D.D..", "21100");
    g_assert_cmpint(map(&c, "..", "DDDDD", NULL, 0, 64), ==, GUEST_OK);
    expect(&c, "DD", "11");
    g_assert_cmpint(map(&c, "..", "", NULL, 0, 64), ==, GUEST_OK);
    expect(&c, "..", "00");
}

static void test_layers(void)
{
    struct chain c;

    g_assert_cmpint(map(&c, "D...", ".D..", "..D.", 1, 64), ==, GUEST_OK);
    expect(&c, "D...", "0000");
    g_assert_cmpint(map(&c, "D...", ".D..", "..D.", 2, 64), ==, GUEST_OK);
    expect(&c, "DD..", "0111");
}

static void test_joining(void)
{
    struct chain c;

    g_assert_cmpint(map(&c, "DDDZZ..CC", NULL, NULL, 0, 64), ==, GUEST_OK);
    g_assert_cmpuint(c.nr, ==, 5); /* compressed units stay apart */
    g_assert_cmpuint(c.records[0].length, ==, 3 * UNIT);
    /* records that do not fit are for the next call, but what continues the last one does */
    g_assert_cmpint(map(&c, "DDDZZ..CC", NULL, NULL, 0, 2), ==, GUEST_OK);
    g_assert_cmpuint(c.nr, ==, 2);
    g_assert_cmpuint(c.next, ==, 5 * UNIT);
}

static void test_error(void)
{
    struct chain c;

    g_assert_cmpint(map(&c, "DZ.D", "..E.", NULL, 0, 64), ==, GUEST_ERR_IO);
    expect(&c, "DZ", "00");
    g_assert_cmpint(map(&c, "E", NULL, NULL, 0, 64), ==, GUEST_ERR_IO);
    g_assert_cmpuint(c.nr, ==, 0);
}

static void test_ranges(void)
{
    struct chain c;
    struct cell_extent record;
    uint32_t nr;
    uint64_t next;

    g_assert_cmpint(map(&c, "CD", NULL, NULL, 0, 64), ==, GUEST_OK);
    g_assert_cmpint(plan_map(&c.nodes[0], 100, 50, 0, &record, 1, &nr, &next, NULL), ==, GUEST_OK);
    g_assert_cmpuint(record.skip, ==, 100);
    g_assert_cmpuint(record.length, ==, 50);
    g_assert_cmpint(plan_map(&c.nodes[0], 1024, 0, 0, &record, 1, &nr, &next, NULL), ==, GUEST_OK);
    g_assert_cmpuint(nr, ==, 0);
    g_assert_cmpint(plan_map(&c.nodes[0], 1000, 25, 0, &record, 1, &nr, &next, NULL), ==,
                    GUEST_ERR_BAD_REQUEST);
    g_assert_cmpint(plan_map(&c.nodes[0], 512, UINT64_MAX, 0, &record, 1, &nr, &next, NULL), ==,
                    GUEST_ERR_BAD_REQUEST);
}

/* The host links nodes; were it to make a loop, a map would still end. */
static void test_loop(void)
{
    struct chain c;
    struct cell_extent record;
    uint32_t nr;
    uint64_t next;

    (void)map(&c, ".", ".", NULL, 0, 1);
    c.nodes[1].backing = &c.nodes[0];
    g_assert_cmpint(plan_map(&c.nodes[0], 0, 512, 0, &record, 1, &nr, &next, NULL), ==,
                    GUEST_ERR_TOO_MUCH_WORK);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/map/depth", test_depth);
    g_test_add_func("/guest/map/shorter", test_shorter);
    g_test_add_func("/guest/map/layers", test_layers);
    g_test_add_func("/guest/map/joining", test_joining);
    g_test_add_func("/guest/map/error", test_error);
    g_test_add_func("/guest/map/ranges", test_ranges);
    g_test_add_func("/guest/map/loop", test_loop);
    return g_test_run();
}
