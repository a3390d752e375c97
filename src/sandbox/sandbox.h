/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cell: a place where image bytes may be interpreted, because nothing can happen there but
 * computing.
 *
 * Two kinds run the same guest image behind this one interface: a KVM virtual machine without a
 * kernel (cell_kvm.c) and a forked child in seccomp strict mode (cell_process.c). A cell belongs to
 * one thread at a time. Work on several processors takes several cells (codec workers), which share
 * nothing.
 *
 * Nothing that a cell hands back is trusted: counts and lengths are checked here, messages are
 * unpacked by src/wire, records are copied out before they are looked at.
 */
#ifndef INSTAR_SRC_SANDBOX_SANDBOX_H
#define INSTAR_SRC_SANDBOX_SANDBOX_H

#include <glib.h>
#include <protobuf-c/protobuf-c.h>

#include "guest/abi/hypercall.h"

struct cell;

enum cell_kind {
    CELL_AUTO, /* kvm when a virtual machine can be made, otherwise process */
    CELL_KVM,
    CELL_PROCESS,
};

struct cell_config {
    enum cell_kind kind;
    uint64_t memory_bytes;    /* arena limit */
    gboolean memory_chosen;   /* by INSTAR_CELL_MEMORY: not to be made smaller */
    uint64_t window_bytes;    /* data window, a multiple of 2 MiB; touched only when used */
    unsigned timeout_seconds; /* wall time without progress */
    gboolean codec;           /* a worker that decodes: may use what the processor can do */
    const uint8_t *image;     /* NULL: the guest image this program carries */
    size_t image_len;         /* bytes */
};

#define CELL_ERROR (cell_error_quark())
GQuark cell_error_quark(void);

enum cell_error {
    CELL_ERROR_SETUP,    /* the cell could not be made */
    CELL_ERROR_CRASHED,  /* the image crashed the parser: fault, forbidden call, bad ring */
    CELL_ERROR_TIMEOUT,  /* no progress within the time limit */
    CELL_ERROR_PROTOCOL, /* the answer is not what the interface allows */
    CELL_ERROR_PANIC,    /* the guest found a bug of ours */
};

/*
 * Reads what INSTAR_SANDBOX, INSTAR_CELL_MEMORY and INSTAR_CELL_TIMEOUT say.
 *
 * out:     *out filled with defaults (auto, 256 MiB, 64 MiB window, 60 s) where they say nothing
 * returns: FALSE with a clear error on a word or number that means nothing
 */
gboolean cell_config_from_environment(struct cell_config *out, GError **error);

/*
 * Makes a cell and starts its guest up to the point where it waits for a call.
 *
 * returns: NULL with CELL_ERROR_SETUP; kind CELL_KVM never falls back
 */
struct cell *cell_new(const struct cell_config *config, GError **error);
void cell_free(struct cell *cell);
typedef struct cell Cell; /* for g_autoptr, which wants one word */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cell, cell_free)

/*
 * How the cell reads a blob. Called while a call runs, on the calling thread.
 *
 * in:      [offset, offset + len) lies inside the size given at cell_add_blob
 * returns: 0, or an errno
 */
typedef int (*cell_read_fn)(void *user, uint64_t offset, void *buf, size_t len);

/*
 * Lets the guest read a blob.
 *
 * out:     its id, the small integer by which extents and plans name it
 */
uint32_t cell_add_blob(struct cell *cell, uint64_t size_bytes, cell_read_fn read, void *user);

/*
 * Tells the cell that a blob has grown or shrunk. One that it cannot read (a target that is only
 * created) is nothing to it.
 */
void cell_set_blob_size(struct cell *cell, uint32_t blob, uint64_t size_bytes);

/*
 * Receives records that the guest emits while a call runs. They are a copy, aligned for any type.
 */
typedef void (*cell_emit_fn)(void *user, uint32_t type, const void *records, uint32_t count,
                             size_t record_size);
void cell_set_emit(struct cell *cell, cell_emit_fn emit, void *user);

/*
 * Calls the guest.
 *
 * in:      request: packed into the request area; records: nr_records of record_size bytes, copied
 *          into the records area, may be NULL
 * out:     *out_reply: unpacked from a private copy of the response, freed by the caller with
 *          protobuf_c_message_free_unpacked; its strings are bounded by CELL_RESPONSE_SIZE
 * returns: FALSE with a CELL_ERROR; the cell can only be freed then
 */
gboolean cell_call(struct cell *cell, enum cell_method method, const ProtobufCMessage *request,
                   const void *records, uint32_t nr_records, size_t record_size,
                   const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **out_reply,
                   GError **error);

/*
 * Copies records out of the records area after a call.
 *
 * in:      count as the reply claims it
 * returns: FALSE with CELL_ERROR_PROTOCOL when count * record_size does not fit the area
 */
gboolean cell_take_records(struct cell *cell, void *out, uint32_t count, size_t record_size,
                           GError **error);

/*
 * Bytes of the data window.
 *
 * returns: NULL unless [offset, offset + len) lies inside the window. The guest may change the
 *          bytes at any time while a call runs: they are data to be moved, not to be interpreted
 */
void *cell_window(struct cell *cell, uint64_t offset, uint64_t len);
uint64_t cell_window_size(const struct cell *cell);

/*
 * Which kind it is, after CELL_AUTO was settled.
 */
enum cell_kind cell_kind_of(const struct cell *cell);

/*
 * INSTAR_TRACE=cell: one line to stderr when the cell ends (kind, calls, upcalls, bytes in and out,
 * pages touched, peak memory, time).
 */
void cell_trace_at_exit(gboolean on);

#endif
