/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's main loop: wait for a call, run it, ring.
 *
 * Only in the cell. Everything it calls is also built hosted and tested there.
 */
#include "guest/arch/doorbell.h"
#include "guest/attack/attack.h"
#include "guest/lib/panic.h"
#include "guest/plan/dispatch.h"

_Noreturn void guest_main(void);

static struct session session;

static struct source *new_source(struct session *s, uint32_t blob, uint64_t size_bytes)
{
    (void)s;
    return source_new_hypercall(blob, size_bytes);
}

static void emit(struct session *s, enum cell_emit_type type, uint32_t count)
{
    (void)s;
    doorbell_page()->arg = type;
    doorbell_page()->count = count;
    doorbell_ring(CELL_RING_EMIT);
}

__attribute__((weak)) void attack_hook(uint32_t method)
{
    (void)method;
}

_Noreturn void guest_main(void)
{
    session.records = doorbell_records();
    session.records_bytes = CELL_RECORDS_SIZE;
    session.window = (uint8_t *)CELL_WINDOW_GVA;
    session.window_bytes = doorbell_boot()->window_bytes;
    session.new_source = new_source;
    session.emit = emit;

    struct cell_doorbell *page = doorbell_page();
    page->response_len = 0;
    for (;;) {
        doorbell_ring(CELL_RING_RETURN);
        struct span request = span_of((const void *)CELL_REQUEST_GVA, page->request_len);
        uint32_t method = page->method;
        session.nr_records = page->nr_records;
        attack_hook(method);
        size_t len = 0;
        if (!session_call(&session, method, request, (uint8_t *)CELL_RESPONSE_GVA,
                          CELL_RESPONSE_SIZE, &len))
            PANIC("call could not be answered");
        page->response_len = (uint32_t)len;
    }
}
