/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new VMDK: one file, or a descriptor and its extents. The host has made the files, of whose
 * names the request tells the last components; what goes into each is planned here.
 *
 * A new stream is finished from the start: no grains, directory, footer. (Stock makes it like a
 * sparse extent, which no other program takes for a stream.)
 */
#include "guest/formats/create_options.h"
#include "guest/formats/vmdk_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define HEADS_IDE   16u
#define HEADS_OTHER 255u

enum subformat {
    MONOLITHIC_SPARSE,
    MONOLITHIC_FLAT,
    SPLIT_SPARSE,
    SPLIT_FLAT,
    STREAM,
};

static const char *const subformat_words[] = {"monolithicSparse", "monolithicFlat",
                                              "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
                                              "streamOptimized"};

struct vmdk_creation {
    struct plan plan;
    enum subformat subformat;
    uint32_t blob, first_extent_blob;
    uint64_t sectors, nr_extents, split_sectors;
    bool zero_grain;
    uint8_t *text;
    size_t text_len;

    /* where the plan is */
    uint64_t extent;
    struct vmdk_new_extent now;
};

static bool is_flat(const struct vmdk_creation *c)
{
    return c->subformat == MONOLITHIC_FLAT || c->subformat == SPLIT_FLAT;
}

static bool is_single(const struct vmdk_creation *c)
{
    return c->subformat == MONOLITHIC_SPARSE || c->subformat == STREAM;
}

/* ---- options ---- */

static enum guest_err parse_word(const Abi__CreateRequest *request, const char *key,
                                 const char *const *words, unsigned nr, unsigned *out,
                                 struct guest_err_detail *detail)
{
    struct span text;

    *out = 0;
    if (!create_option_text(request, key, &text))
        return GUEST_OK;
    for (*out = 0; *out < nr; (*out)++)
        if (span_equal_text(text, words[*out]))
            return GUEST_OK;
    return err_text(detail, (enum guest_err)VMDK_ERR_PARAMETER, text, 0);
}

static enum guest_err parse_versions(const Abi__CreateRequest *request, struct vmdk_description *d,
                                     struct guest_err_detail *detail)
{
    static const char tools[] = "2147483647", four[] = "4", six[] = "6";
    struct span hwversion;
    bool given = create_option_text(request, "hwversion", &hwversion) &&
                 !span_equal_text(hwversion, "undefined");

    if (create_option_number(request, "compat6", 0)) {
        if (given)
            return vmdk_error(detail, VMDK_ERR_COMPAT6, 0);
        hwversion = span_of(six, 1);
    } else if (!given) {
        hwversion = span_of(four, 1);
    }
    d->hwversion = hwversion;
    if (!create_option_text(request, "toolsversion", &d->toolsversion))
        d->toolsversion = span_of(tools, sizeof(tools) - 1);
    return GUEST_OK;
}

static enum guest_err parse_parent(const Abi__CreateRequest *request, const struct vmdk_creation *c,
                                   struct vmdk_description *d, struct guest_err_detail *detail)
{
    d->parent_cid = VMDK_NO_PARENT;
    if (!create_option_text(request, "backing_file", &d->parent) || !d->parent.len)
        return GUEST_OK;
    if (is_flat(c))
        return vmdk_error(detail, VMDK_ERR_FLAT_BACKING, 0);
    if (!request->has_parent_id)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    d->parent_cid = (uint32_t)request->parent_id;
    return GUEST_OK;
}

static enum guest_err parse_options(const Abi__CreateRequest *request, struct vmdk_creation *c,
                                    struct vmdk_description *d, struct guest_err_detail *detail)
{
    static const char *const adapters[] = {"ide", "buslogic", "lsilogic", "legacyESX"};
    unsigned adapter = 0, subformat = 0;
    enum guest_err err = parse_word(request, "adapter_type", adapters, 4, &adapter, detail);

    if (!err)
        err = parse_word(request, "subformat", subformat_words, 5, &subformat, detail);
    if (!err)
        err = parse_versions(request, d, detail);
    if (err)
        return err;
    c->subformat = (enum subformat)subformat;
    c->zero_grain = create_option_number(request, "zeroed_grain", 0);
    d->create_type = span_of(subformat_words[subformat], strlen(subformat_words[subformat]));
    d->adapter = span_of(adapters[adapter], strlen(adapters[adapter]));
    d->heads = adapter == 0 ? HEADS_IDE : HEADS_OTHER;
    d->flat = is_flat(c);
    err = parse_parent(request, c, d, detail);
    if (!err && is_flat(c) && c->zero_grain)
        err = vmdk_error(detail, VMDK_ERR_FLAT_ZEROED, 0);
    return err;
}

/* The extents there will be; the host has made a file for each. */
static enum guest_err split(const Abi__CreateRequest *request, struct vmdk_creation *c,
                            struct guest_err_detail *detail)
{
    bool splits = c->subformat == SPLIT_SPARSE || c->subformat == SPLIT_FLAT;
    struct vmdk_layout layout;

    c->sectors = div_round_up_u64(request->size, VMDK_SECTOR_BYTES);
    c->split_sectors = splits ? VMDK_SPLIT_SECTORS : UINT64_MAX;
    c->nr_extents = splits ? div_round_up_u64(c->sectors, c->split_sectors) : 1;
    if (c->sectors > INT64_MAX / VMDK_SECTOR_BYTES)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (is_single(c) ? request->n_extent_name != 0 : request->n_extent_name != c->nr_extents)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (!is_flat(c) && !vmdk_lay_out(min_u64(c->sectors, c->split_sectors), c->zero_grain,
                                     c->subformat == STREAM, &layout))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    return GUEST_OK;
}

/* ---- the plan ---- */

static uint64_t extent_sectors(const struct vmdk_creation *c)
{
    uint64_t before = c->extent ? c->extent * c->split_sectors : 0;

    return min_u64(c->sectors - before, c->split_sectors);
}

static uint32_t extent_blob(const struct vmdk_creation *c)
{
    return is_single(c) ? c->blob : c->first_extent_blob + (uint32_t)c->extent;
}

static void begin_extent(struct vmdk_creation *c)
{
    c->now = (struct vmdk_new_extent){
        .blob = extent_blob(c),
        .sectors = extent_sectors(c),
        .flat = is_flat(c),
        .zero_grain = c->zero_grain,
        .stream = c->subformat == STREAM,
    };
}

static enum guest_err creation_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                    struct guest_err_detail *detail)
{
    struct vmdk_creation *c = (struct vmdk_creation *)plan;

    (void)detail;
    while (c->extent < c->nr_extents) {
        if (!vmdk_make_extent(&c->now, sink))
            return GUEST_OK;
        if (++c->extent < c->nr_extents)
            begin_extent(c);
    }
    if (!plan_room(sink, 2, c->text_len))
        return GUEST_OK;
    if (!is_single(c))
        plan_simple(sink, CELL_OP_TRUNCATE, c->blob, c->text_len, 0, CELL_NOTE_FILE_SIZE);
    memcpy(plan_write(sink, c->blob, is_single(c) ? VMDK_DESCRIPTOR_OFFSET : 0, c->text_len,
                      CELL_NOTE_HEADER),
           c->text, c->text_len);
    *out_done = true;
    return GUEST_OK;
}

static void creation_free(struct plan *plan)
{
    free(((struct vmdk_creation *)plan)->text);
    free(plan);
}

static const struct plan_verbs creation_verbs = {.next = creation_next, .free = creation_free};

static enum guest_err prepare(const Abi__CreateRequest *request, struct vmdk_creation *c,
                              struct guest_err_detail *detail)
{
    struct vmdk_description d = {.request = request};
    enum guest_err err = parse_options(request, c, &d, detail);

    if (!err)
        err = split(request, c, detail);
    if (!err && request->random.len < sizeof(d.cid))
        err = err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (err)
        return err;
    memcpy(&d.cid, request->random.data, sizeof(d.cid));
    d.sectors = c->sectors;
    d.nr_extents = c->nr_extents;
    d.split_sectors = c->split_sectors;
    c->text = vmdk_make_text(&d, &c->text_len);
    if (!c->text)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (c->text_len >
        (is_single(c) ? VMDK_DESCRIPTOR_SECTORS * VMDK_SECTOR_BYTES : VMDK_DESCRIPTOR_MAX))
        return vmdk_error(detail, VMDK_ERR_TEXT_LONG, 0);
    return GUEST_OK;
}

enum guest_err vmdk_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    struct vmdk_creation *c = arena_array(1, sizeof(*c));
    enum guest_err err;

    if (!c)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    c->plan.verbs = &creation_verbs;
    c->blob = request->blob;
    c->first_extent_blob = request->first_extent_blob;
    err = prepare(request, c, detail);
    if (err) {
        creation_free(&c->plan);
        return err;
    }
    begin_extent(c);
    *out = &c->plan;
    return GUEST_OK;
}
