/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a QED image: the header with the backing file's name in its cluster, then an empty L1
 * table. source: QED specification, "Header"; refusals as stock's.
 */
#include "guest/formats/qed.h"

#include "guest/formats/create_options.h"
#include "guest/lib/arena.h"

#define CLUSTER_SIZE_DEFAULT 65536u
#define TABLE_SIZE_DEFAULT   4u

struct qed_create_plan {
    struct plan base;
    uint32_t blob;
    struct qed_header header;
    struct span backing; /* the name; behind this struct in memory */
    uint8_t name[];
};

void qed_encode_header(const struct qed_header *h, uint8_t *at)
{
    store_le32(&at[0], h->magic);
    store_le32(&at[4], h->cluster_size);
    store_le32(&at[8], h->table_size);
    store_le32(&at[12], h->header_size);
    store_le64(&at[16], h->features);
    store_le64(&at[24], h->compat_features);
    store_le64(&at[32], h->autoclear_features);
    store_le64(&at[40], h->l1_table_offset);
    store_le64(&at[48], h->image_size);
    store_le32(&at[56], h->backing_filename_offset);
    store_le32(&at[60], h->backing_filename_size);
}

static enum guest_err create_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct qed_create_plan *p = (struct qed_create_plan *)plan;
    uint8_t *at;

    plan_simple(sink, CELL_OP_TRUNCATE, p->blob, plan->file_size, 0, CELL_NOTE_FILE_SIZE);
    at = plan_write(sink, p->blob, 0, QED_HEADER_BYTES + p->backing.len, CELL_NOTE_HEADER);
    qed_encode_header(&p->header, at);
    if (p->backing.len)
        memcpy(&at[QED_HEADER_BYTES], p->backing.data, p->backing.len);
    plan_simple(sink, CELL_OP_FILL, p->blob, p->header.l1_table_offset,
                plan->file_size - p->header.l1_table_offset, CELL_NOTE_L1_TABLE);
    *out_done = true;
    return GUEST_OK;
}

static void create_free(struct plan *plan)
{
    free(plan);
}

static const struct plan_verbs create_verbs = {.next = create_next, .free = create_free};

static bool is_digit_of(uint8_t c, unsigned base, unsigned *out)
{
    uint8_t lower = c | 0x20;

    *out = base;
    if (c >= '0' && c <= '9')
        *out = c - (unsigned)'0';
    else if (lower >= 'a' && lower <= 'f')
        *out = lower - (unsigned)'a' + 10u;
    return *out < base;
}

/*
 * The number that a text is as C writes integers; the host took it as a size, which is more than
 * stock takes.
 */
static bool parse_integer(struct span text, uint64_t *out)
{
    size_t at = 0;
    unsigned base = 10, digit;

    while (at < text.len && (text.data[at] == ' ' || text.data[at] == '\t'))
        at++;
    at += at < text.len && text.data[at] == '+';
    if (text.len - at > 2 && text.data[at] == '0' && (text.data[at + 1] | 0x20) == 'x') {
        base = 16;
        at += 2;
    } else if (text.len - at > 1 && text.data[at] == '0') {
        base = 8;
    }
    if (at == text.len)
        return false;
    for (*out = 0; at < text.len; at++) {
        if (!is_digit_of(text.data[at], base, &digit) || *out > UINT32_MAX)
            return false;
        *out = *out * base + digit;
    }
    return true;
}

static enum guest_err validate(const struct qed_header *h, struct guest_err_detail *detail)
{
    uint64_t max = qed_max_image_size(h->cluster_size, h->table_size);

    if (!qed_cluster_size_ok(h->cluster_size))
        return qed_error(detail, QED_ERR_CREATE_CLUSTER_SIZE, 0);
    if (!qed_table_size_ok(h->table_size))
        return qed_error(detail, QED_ERR_CREATE_TABLE_SIZE, 0);
    if (h->image_size % QED_SECTOR_BYTES != 0 || h->image_size > max)
        return qed_error(detail, QED_ERR_CREATE_IMAGE_SIZE, max);
    return GUEST_OK;
}

enum guest_err qed_create(const Abi__CreateRequest *request, struct plan **out,
                          struct guest_err_detail *detail)
{
    struct span backing = {0}, format = {0};
    bool has_backing = create_option_text(request, "backing_file", &backing) && backing.len;
    struct qed_header header = {.magic = QED_MAGIC, .header_size = 1};
    uint64_t cluster_size = create_option_number(request, "cluster_size", CLUSTER_SIZE_DEFAULT);
    uint64_t table_size = TABLE_SIZE_DEFAULT;
    struct span table_size_text;
    struct qed_create_plan *p;
    enum guest_err err;

    if (create_option_text(request, "table_size", &table_size_text) &&
        !parse_integer(table_size_text, &table_size))
        return qed_error(detail, QED_ERR_CREATE_TABLE_SIZE_INTEGER, 0);
    /* What does not fit the fields is no valid value either. */
    header.cluster_size = (uint32_t)min_u64(cluster_size, UINT32_MAX);
    header.table_size = (uint32_t)min_u64(table_size, UINT32_MAX);
    header.l1_table_offset = header.cluster_size;
    if (!align_up_u64(request->size, QED_SECTOR_BYTES, &header.image_size))
        header.image_size = UINT64_MAX;
    err = validate(&header, detail);
    if (err)
        return err;
    if (has_backing) {
        header.features = QED_F_BACKING_FILE;
        header.backing_filename_offset = QED_HEADER_BYTES;
        header.backing_filename_size = (uint32_t)backing.len;
        if (create_option_text(request, "backing_fmt", &format) && span_equal_text(format, "raw"))
            header.features |= QED_F_BACKING_NO_PROBE;
        if (backing.len > header.cluster_size - QED_HEADER_BYTES)
            return qed_error(detail, QED_ERR_CREATE_BACKING_NAME, 0);
    }
    p = arena_array(1, sizeof(*p) + backing.len);
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &create_verbs;
    p->base.file_size = header.l1_table_offset + (uint64_t)header.table_size * header.cluster_size;
    p->blob = request->blob;
    p->header = header;
    if (has_backing) {
        memcpy(p->name, backing.data, backing.len);
        p->backing = span_of(p->name, backing.len);
    }
    *out = &p->base;
    return GUEST_OK;
}
