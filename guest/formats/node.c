/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a node: finding its driver, and keeping the references that the driver finds.
 */
#include "guest/formats/fileref.h"
#include "guest/formats/format.h"
#include "guest/formats/tar.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/plan.h"

#define PROBE_BYTES_MIN 512u

static enum guest_err probe_source(struct source *src, const struct format_driver **out,
                                   struct guest_err_detail *detail)
{
    uint8_t head[FORMAT_PROBE_BYTES];
    uint64_t len = min_u64(max_u64(src->size_bytes, PROBE_BYTES_MIN), sizeof(head));
    enum guest_err err;

    if (src->size_bytes == 0) {
        *out = &format_raw;
        return GUEST_OK;
    }
    err = source_read_padded(src, 0, len, head, detail);
    if (!err)
        *out = format_probe(span_of(head, len));
    return err;
}

static enum guest_err choose_driver(struct source *src, const Abi__OpenRequest *request,
                                    const struct format_driver **out,
                                    struct guest_err_detail *detail)
{
    struct span name = span_of(request->format, strlen(request->format));
    enum guest_err err = GUEST_OK;

    if (name.len == 0)
        err = probe_source(src, out, detail);
    else
        *out = format_by_name(name);
    if (err)
        return err;
    if (name.len == 0 && *out == &format_raw && request->named_dmg && src->size_bytes != 0)
        *out = format_by_name(span_of("dmg", 3));
    if (!*out)
        return err_text(detail, GUEST_ERR_UNKNOWN_FORMAT, name, 0);
    if (!(*out)->open)
        return err_text(detail, GUEST_ERR_FORMAT_NOT_BUILT,
                        span_of((*out)->name, strlen((*out)->name)), 0);
    return GUEST_OK;
}

enum guest_err node_open(struct source *src, const Abi__OpenRequest *request, struct node **out,
                         struct guest_err_detail *detail)
{
    const struct format_driver *driver = NULL;
    struct node *node;
    enum guest_err err = choose_driver(src, request, &driver, detail);

    if (err)
        return err;
    node = arena_array(1, sizeof(*node));
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->driver = driver;
    node->source = src;
    err = driver->open(node, request, detail);
    if (!err && request->look_inside && driver == &format_raw && request->format[0] == '\0')
        err = tar_find_disk(src, &node->inside_offset, &node->inside_size, detail);
    if (err) {
        node->source = NULL; /* still the caller's */
        node_free(node);
        return err;
    }
    *out = node;
    return GUEST_OK;
}

void node_free(struct node *node)
{
    if (!node)
        return;
    if (node->repair)
        node->repair->verbs->free(node->repair);
    if (node->driver->close)
        node->driver->close(node);
    for (unsigned i = 0; i < node->nr_refs; i++)
        abi__file_ref__free_unpacked(node->refs[i], NULL);
    if (node->wants)
        abi__derivation__free_unpacked(node->wants, NULL);
    free(node->refs);
    free(node->extents);
    if (node->source)
        source_free(node->source);
    free(node);
}

enum guest_err node_add_ref(struct node *node, Abi__Role role, struct span text, struct span format,
                            uint32_t index, struct guest_err_detail *detail)
{
    Abi__FileRef *ref;
    enum guest_err err;

    err = fileref_parse(role, text, format, &ref, detail);
    if (err)
        return err;
    ref->index = index;
    return node_take_ref(node, ref, detail);
}

/* Room for one more pointer in a list that doubles. */
static bool make_room(void **list, unsigned nr)
{
    void *grown;

    if (nr & (nr - 1))
        return true; /* not full: it holds the next power of two */
    grown = realloc(*list, (nr ? 2 * nr : 1) * sizeof(void *));
    if (!grown)
        return false;
    *list = grown;
    return true;
}

enum guest_err node_take_ref(struct node *node, Abi__FileRef *ref, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    if (node->nr_refs == NODE_REFS_MAX)
        err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    else if (!make_room((void **)&node->refs, node->nr_refs))
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (err)
        abi__file_ref__free_unpacked(ref, NULL);
    else
        node->refs[node->nr_refs++] = ref;
    return err;
}

enum guest_err node_add_extent(struct node *node, struct node *child,
                               struct guest_err_detail *detail)
{
    if (node->nr_extents == NODE_REFS_MAX)
        return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    if (!make_room((void **)&node->extents, node->nr_extents))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->extents[node->nr_extents++] = child;
    return GUEST_OK;
}
