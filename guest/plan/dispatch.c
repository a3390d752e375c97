/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a packed request to a packed reply: finds the method's row, unpacks, runs, packs.
 */
#include "guest/plan/dispatch.h"

#include <stdlib.h>

#include "guest/abi/cell.pb-c.h"
#include "guest/lib/arena.h"

/* Every reply message starts with its error field (number 1 in each proto). */
struct any_reply {
    ProtobufCMessage base;
    Abi__Error *error;
};

static const struct method *find_in(const struct method *rows, uint32_t id)
{
    for (; rows->run; rows++) {
        if (rows->id == id)
            return rows;
    }
    return NULL;
}

static const struct method *find_method(uint32_t id)
{
    static const struct method *const tables[] = {methods_open,  methods_plan,   methods_writer,
                                                  methods_codec, methods_bitmap, methods_derive};
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        const struct method *row = find_in(tables[i], id);
        if (row)
            return row;
    }
    return NULL;
}

struct node *session_node(struct session *session, uint32_t id)
{
    return id < session->nr_nodes ? session->nodes[id] : NULL;
}

bool session_call(struct session *session, uint32_t method, struct span request, uint8_t *out,
                  size_t out_size, size_t *out_len)
{
    const struct method *row = find_method(method);
    if (!row)
        return false;
    ProtobufCMessage *in = protobuf_c_message_unpack(row->request, NULL, request.len, request.data);
    ProtobufCMessage *reply = calloc(1, row->reply->sizeof_message);
    if (!in || !reply)
        return false;
    protobuf_c_message_init(row->reply, reply);

    struct guest_err_detail *detail = calloc(1, sizeof(*detail));
    if (!detail)
        return false;
    enum guest_err err = row->run(session, in, reply, detail);
    Abi__Error error = ABI__ERROR__INIT;
    if (err) {
        error.code = err;
        error.n_number = GUEST_ERR_NUMBERS;
        error.number = detail->number;
        error.text = (ProtobufCBinaryData){.len = detail->text_len, .data = detail->text};
        ((struct any_reply *)reply)->error = &error;
    }
    bool fits = protobuf_c_message_get_packed_size(reply) <= out_size;
    if (fits)
        *out_len = protobuf_c_message_pack(reply, out);
    ((struct any_reply *)reply)->error = NULL;
    protobuf_c_message_free_unpacked(reply, NULL);
    protobuf_c_message_free_unpacked(in, NULL);
    free(detail);
    return fits;
}
