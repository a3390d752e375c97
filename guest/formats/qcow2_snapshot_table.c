/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot table with one entry more or less. Entries that stay keep their bytes, with whatever
 * extra data they have; each starts on a multiple of 8.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_snapshot_plan.h"
#include "guest/lib/arena.h"

#define EXTRA_BYTES  24u /* vm_state_size_large, disk_size, icount */
#define ID_BYTES_MAX 21u

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 7) & ~7ull;
}

/* Bytes of the entry at `at`: its fields, extra data and names. The table was parsed before. */
static uint64_t entry_bytes(struct span table, uint64_t at)
{
    struct span rest;
    if (!span_sub(table, at, QCOW2_SNAPSHOT_HEADER_BYTES, &rest))
        return 0;
    struct cursor c = cur_of(rest);
    cur_skip(&c, 12);
    uint64_t names = cur_be16(&c);
    names += cur_be16(&c);
    cur_skip(&c, 20);
    return QCOW2_SNAPSHOT_HEADER_BYTES + names + cur_be32(&c);
}

/* The table as it is, with room for `more` bytes behind its last entry. */
static enum guest_err load(struct snap_plan *p, uint64_t more, struct guest_err_detail *detail)
{
    uint64_t old = p->q->nr_snapshots ? p->q->snapshots_bytes : 0;
    p->table_bytes = aligned(old);
    p->table = arena_array(1, p->table_bytes + more);
    if (!p->table)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!old)
        return GUEST_OK;
    return source_read_padded(p->q->source, p->q->header.snapshots_offset, old, p->table, detail);
}

/* The number behind the largest that starts an id, in decimal. */
static unsigned make_id(const struct qcow2 *q, char *out)
{
    uint64_t largest = 0;
    char digits[ID_BYTES_MAX];
    unsigned nr = 0;
    for (uint32_t i = 0; i < q->nr_snapshots; i++) {
        struct span id = q->snapshots[i].id_str;
        uint64_t value = 0;
        for (size_t k = 0; k < id.len && id.data[k] >= '0' && id.data[k] <= '9'; k++) {
            if (!mul_u64(value, 10, &value) || !add_u64(value, id.data[k] - '0', &value)) {
                value = UINT64_MAX;
                break;
            }
        }
        largest = max_u64(largest, value);
    }
    largest++;
    do {
        digits[nr++] = (char)('0' + largest % 10);
        largest /= 10;
    } while (largest);
    for (unsigned i = 0; i < nr; i++)
        out[i] = digits[nr - 1 - i];
    return nr;
}

/* The old active L1 table is the snapshot's from now on. */
static void store_entry(const struct snap_plan *p, uint8_t *at, const Abi__SnapshotRequest *request,
                        const char *id, unsigned id_len)
{
    const struct qcow2_header *h = &p->q->header;
    store_be64(at, h->l1_table_offset);
    store_be32(&at[8], h->l1_size);
    store_be16(&at[12], (uint16_t)id_len);
    store_be16(&at[14], (uint16_t)request->name.len);
    store_be32(&at[16], request->date_sec);
    store_be32(&at[20], request->date_nsec);
    store_be64(&at[24], 0); /* vm_clock_nsec */
    store_be32(&at[32], 0); /* vm_state_size */
    store_be32(&at[36], EXTRA_BYTES);
    store_be64(&at[40], 0); /* vm_state_size_large */
    store_be64(&at[48], qcow2_virtual_size(p->q));
    store_be64(&at[56], 0); /* icount: what stock puts there, though nothing was counted */
    memcpy(&at[64], id, id_len);
    if (request->name.len)
        memcpy(&at[64 + id_len], request->name.data, request->name.len);
}

enum guest_err snap_table_add(struct snap_plan *p, const Abi__SnapshotRequest *request,
                              struct guest_err_detail *detail)
{
    char id[ID_BYTES_MAX];
    unsigned id_len = make_id(p->q, id);
    if (request->name.len > UINT16_MAX)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (p->q->nr_snapshots >= QCOW2_SNAPSHOTS_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_SNAPSHOTS_FULL);
    uint64_t more = QCOW2_SNAPSHOT_HEADER_BYTES + EXTRA_BYTES + id_len + request->name.len;
    enum guest_err err = load(p, more, detail);
    if (err)
        return err;
    store_entry(p, &p->table[p->table_bytes], request, id, id_len);
    p->table_bytes += more;
    p->nr_snapshots = p->q->nr_snapshots + 1;
    return p->table_bytes > QCOW2_SNAPSHOT_TABLE_MAX
               ? err_plain(detail, GUEST_ERR_PLAN_SNAPSHOTS_FULL)
               : GUEST_OK;
}

enum guest_err snap_table_remove(struct snap_plan *p, uint32_t index,
                                 struct guest_err_detail *detail)
{
    uint64_t at = 0;
    enum guest_err err = load(p, 0, detail);
    if (err)
        return err;
    struct span table = span_of(p->table, p->table_bytes);
    for (uint32_t i = 0; i < index; i++)
        at = aligned(at + entry_bytes(table, at));
    uint64_t next = aligned(at + entry_bytes(table, at));
    if (next > p->table_bytes)
        return err_plain(detail, GUEST_ERR_PLAN_CORRUPT);
    memmove(&p->table[at], &p->table[next], p->table_bytes - next);
    p->table_bytes -= next - at;
    p->nr_snapshots = p->q->nr_snapshots - 1;
    return GUEST_OK;
}
