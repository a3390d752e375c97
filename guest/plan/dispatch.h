/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of the cell: each takes a decoded request and fills a reply.
 *
 * guest/main.c unpacks the request, calls the row's handler and packs the reply. A handler is plain
 * code over struct session, so that the hosted build can call it as well.
 */
#ifndef INSTAR_GUEST_PLAN_DISPATCH_H
#define INSTAR_GUEST_PLAN_DISPATCH_H

#include <protobuf-c/protobuf-c.h>

#include "guest/formats/format.h"
#include "guest/plan/plan.h"

#define SESSION_NODES_MAX 4096

/* Everything one cell knows between calls. */
struct session {
    struct node *nodes[SESSION_NODES_MAX];
    uint32_t nr_nodes;
    struct plan *plan;           /* being drained by PLAN_NEXT, or NULL */
    struct image_writer *writer; /* of the copy under way, or NULL */
    uint8_t *records;            /* the records area */
    uint64_t records_bytes;
    uint32_t nr_records; /* IN: records that came with the call */
    uint8_t *window;     /* the data window */
    uint64_t window_bytes;
    /* Makes a source for a blob; differs between cell and hosted builds. */
    struct source *(*new_source)(struct session *session, uint32_t blob, uint64_t size_bytes);
    /* Hands `count` records in the records area to the host. */
    void (*emit)(struct session *session, enum cell_emit_type type, uint32_t count);
    void *user;
};

/* One method: how to unpack its request, how to fill its reply. */
struct method {
    uint32_t id;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    /*
     * in:  request of the row's type
     * out: reply, initialised; strings from malloc, freed with the reply
     * returns: what goes into the reply's error field
     */
    enum guest_err (*run)(struct session *session, const ProtobufCMessage *request,
                          ProtobufCMessage *reply, struct guest_err_detail *detail);
};

/* Rows live beside their concern: open in dispatch_open.c, plans in dispatch_plan.c ... A table
 * ends with a row of zeros. */
extern const struct method methods_open[];
extern const struct method methods_plan[];
extern const struct method methods_writer[];
extern const struct method methods_codec[];
extern const struct method methods_bitmap[];
extern const struct method methods_derive[];

/*
 * Runs one call from packed request to packed reply.
 *
 * in:      request bytes; out: at most out_size bytes
 * out:     *out_len bytes of the packed reply
 * returns: false when the method is unknown, the request does not unpack or the reply does not fit
 */
bool session_call(struct session *session, uint32_t method, struct span request, uint8_t *out,
                  size_t out_size, size_t *out_len);

/*
 * The node with that id, or NULL.
 */
struct node *session_node(struct session *session, uint32_t id);

/*
 * Makes a plan the one that PLAN_NEXT drains. dispatch_plan.c.
 *
 * returns: the file size when it is done, bytes
 */
uint64_t session_start_plan(struct session *session, struct plan *plan);

#endif
