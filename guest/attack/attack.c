/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that an image has taken over: the worst it can try, one thing at a time.
 *
 * Linked only into the image that tests/attack runs. An image whose first bytes, or bytes at 32768
 * (free room in a qcow2 header cluster), read "INSTAR-ATTACK nn mm" makes the guest carry out
 * attack nn when method mm is called. tests/attack/attack.sh says what has to come of each.
 */
#include "guest/attack/attack.h"

#include <string.h>

#include "guest/abi/map.pb-c.h"
#include "guest/abi/open.pb-c.h"
#include "guest/arch/doorbell.h"
#include "guest/lib/arena.h"
#include "guest/lib/panic.h"

#define MARK "INSTAR-ATTACK "

enum attack {
    ATTACK_NONE = 0,
    ATTACK_WRITE_TEXT = 1,
    ATTACK_EXECUTE_DATA = 2,
    ATTACK_READ_NULL = 3,
    ATTACK_JUMP_OUTSIDE = 4,
    ATTACK_RECURSE = 5,
    ATTACK_LOOP = 6,
    ATTACK_ALLOCATE = 7,
    ATTACK_RING_NONSENSE = 8,
    ATTACK_READ_OUTSIDE_BLOB = 9,
    ATTACK_READ_INTO_TEXT = 10,
    ATTACK_READ_OVERFLOW = 11,
    ATTACK_READ_COUNT = 12,
    ATTACK_RESPONSE_MALFORMED = 13,
    ATTACK_RESPONSE_OVERSIZED = 14,
    ATTACK_EMIT_TYPE = 15,
    ATTACK_EMIT_COUNT = 16,
    ATTACK_SYSTEM_CALL = 17,
    ATTACK_OTHER_PORT = 18,
    ATTACK_READ_UNKNOWN_BLOB = 19,
    ATTACK_PRIVILEGED = 20,
    ATTACK_INT80 = 21,
    ATTACK_CLOCK = 22,
    ATTACK_WRITE_RODATA = 23,
    ATTACK_WRITE_BOOT = 24,
    ATTACK_LEAVE = 25,
    ATTACK_SMASH_STACK = 26,
    ATTACK_READ_HIGH = 27,
    ATTACK_READ_APIC = 28,
    ATTACK_APIC_REGISTER = 29,
    ATTACK_MAP_COUNT = 30,
    ATTACK_MAP_BLOB = 31,
    ATTACK_MAP_OFFSET = 32,
    ATTACK_MAP_ORDER = 33,
    ATTACK_MAP_EMPTY = 34,
    ATTACK_MAP_NEXT = 35,
    ATTACK_MAP_KIND = 36,
    ATTACK_MAP_NO_PROGRESS = 37,
    ATTACK_OPEN_FORMAT = 40,
    ATTACK_OPEN_SIZE = 41,
    ATTACK_OPEN_REFS = 42,
    ATTACK_ERROR_CODE = 43,
};

static const char read_only_text[] = "constant";
static char data_code[16] = {(char)0xc3}; /* ret */
static volatile uint64_t sink;

/* One read through the doorbell; whether the host carried it out. */
static bool try_read(uint32_t blob, uint64_t offset, uint64_t len, cell_gva dst)
{
    struct cell_doorbell *page = doorbell_page();
    page->reads[0] =
        (struct cell_read){.blob = blob, .offset_bytes = offset, .len_bytes = len, .dst = dst};
    page->count = 1;
    doorbell_ring(CELL_RING_READ);
    return page->reads[0].status == CELL_READ_OK;
}

/* A protection that answers instead of killing: say which way it went. */
static void report(bool carried_out)
{
    PANIC(carried_out ? "attack carried out" : "attack refused");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline)) static uint64_t recurse(uint64_t n)
{
    volatile char frame[4096];
    frame[n % sizeof(frame)] = (char)n;
    return recurse(n + 1) + (uint64_t)frame[0]; /* NOLINT: what comes back never does */
}
#pragma GCC diagnostic pop

__attribute__((noinline)) static void smash(size_t len)
{
    char small[16];
    memset(small, 0x41, len);
    __asm__ volatile("" : : "r"(small) : "memory");
}

static void allocate_without_end(void)
{
    for (;;) {
        volatile char *p = malloc(1u << 20);
        for (size_t i = 0; i < 1u << 20; i += 4096)
            p[i] = 1; /* unchecked, as a careless parser would */
    }
}

static void answer(const ProtobufCMessage *reply)
{
    struct cell_doorbell *page = doorbell_page();
    page->response_len = (uint32_t)protobuf_c_message_pack(reply, (uint8_t *)CELL_RESPONSE_GVA);
    for (;;)
        doorbell_ring(CELL_RING_RETURN);
}

static void lie_about_map(enum attack attack)
{
    struct cell_extent *records = (struct cell_extent *)doorbell_records();
    Abi__MapReply reply = ABI__MAP_REPLY__INIT;
    reply.nr_records = 1;
    reply.next = 65536;
    records[0] = (struct cell_extent){
        .length = 65536, .kind = CELL_EXTENT_DATA, .flags = CELL_EXTENT_HAS_OFFSET};
    switch (attack) {
    case ATTACK_MAP_COUNT:
        reply.nr_records = 0xffffffffu;
        break;
    case ATTACK_MAP_BLOB:
        records[0].blob = 77;
        break;
    case ATTACK_MAP_OFFSET:
        records[0].offset = UINT64_MAX - 4096;
        break;
    case ATTACK_MAP_ORDER:
        records[0].start = 4096;
        break;
    case ATTACK_MAP_EMPTY:
        records[0].length = 0;
        break;
    case ATTACK_MAP_NEXT:
        records[0].length = UINT64_MAX;
        reply.next = UINT64_MAX;
        break;
    case ATTACK_MAP_KIND:
        records[0].kind = 99;
        break;
    default: /* ATTACK_MAP_NO_PROGRESS */
        reply.nr_records = 0;
        reply.next = 0;
        break;
    }
    answer(&reply.base);
}

static void lie_about_open(enum attack attack)
{
    Abi__OpenReply reply = ABI__OPEN_REPLY__INIT;
    Abi__FileRef ref = ABI__FILE_REF__INIT;
    Abi__FileRef *refs[100];
    Abi__Error error = ABI__ERROR__INIT;
    reply.format = "qcow2";
    reply.virtual_size = 1u << 20;
    switch (attack) {
    case ATTACK_OPEN_FORMAT:
        reply.format = "\x1b[2J\nqcow2%n%s";
        break;
    case ATTACK_OPEN_SIZE:
        reply.virtual_size = UINT64_MAX;
        break;
    case ATTACK_OPEN_REFS:
        ref.role = ABI__ROLE__ROLE_BACKING;
        ref.protocol = "file";
        ref.path = (ProtobufCBinaryData){.len = 11, .data = (uint8_t *)"/etc/passwd"};
        for (unsigned i = 0; i < 100; i++)
            refs[i] = &ref;
        reply.n_ref = 100;
        reply.ref = refs;
        break;
    default: /* ATTACK_ERROR_CODE */
        error.code = 60000;
        error.text = (ProtobufCBinaryData){.len = 10, .data = (uint8_t *)"\x1b[2J\n%n%s\x80"};
        reply.error = &error;
        break;
    }
    answer(&reply.base);
}

static void carry_out(enum attack attack)
{
    struct cell_doorbell *page = doorbell_page();
    switch (attack) {
    case ATTACK_WRITE_TEXT:
        *(volatile char *)(uintptr_t)&attack_hook = 0;
        break;
    case ATTACK_EXECUTE_DATA:
        ((void (*)(void))(uintptr_t)data_code)();
        break;
    case ATTACK_READ_NULL:
        sink = *(volatile uint64_t *)(uintptr_t)sink;
        break;
    case ATTACK_JUMP_OUTSIDE:
        ((void (*)(void))(uintptr_t)0x03f00000)();
        break;
    case ATTACK_RECURSE:
        sink = recurse(1);
        break;
    case ATTACK_LOOP:
        for (;;)
            sink++;
    case ATTACK_ALLOCATE:
        allocate_without_end();
        break;
    case ATTACK_RING_NONSENSE:
        doorbell_ring((enum cell_ring)0x12345678);
        break;
    case ATTACK_READ_OUTSIDE_BLOB:
        report(try_read(0, 1ull << 60, 512, CELL_WINDOW_GVA));
        break;
    case ATTACK_READ_INTO_TEXT:
        report(try_read(0, 0, 16, (cell_gva)(uintptr_t)&attack_hook));
        break;
    case ATTACK_READ_OVERFLOW:
        report(try_read(0, 512, UINT64_MAX - 100, CELL_WINDOW_GVA) ||
               try_read(0, 0, 512, CELL_WINDOW_GVA + doorbell_boot()->window_bytes - 1) ||
               try_read(0, 0, 512, UINT64_MAX - 100));
        break;
    case ATTACK_READ_COUNT:
        page->count = CELL_READS_MAX + 1;
        doorbell_ring(CELL_RING_READ);
        break;
    case ATTACK_RESPONSE_MALFORMED:
        memset((void *)CELL_RESPONSE_GVA, 0xff, 64);
        page->response_len = 64;
        doorbell_ring(CELL_RING_RETURN);
        break;
    case ATTACK_RESPONSE_OVERSIZED:
        page->response_len = CELL_RESPONSE_SIZE + 1;
        doorbell_ring(CELL_RING_RETURN);
        break;
    case ATTACK_EMIT_TYPE:
        page->arg = 1000;
        page->count = 1;
        doorbell_ring(CELL_RING_EMIT);
        break;
    case ATTACK_EMIT_COUNT:
        page->arg = CELL_EMIT_FINDINGS;
        page->count = 0xffffffffu;
        doorbell_ring(CELL_RING_EMIT);
        break;
    case ATTACK_SYSTEM_CALL: /* open("/etc/passwd", O_RDONLY) */
        __asm__ volatile("syscall" : : "a"(2), "D"("/etc/passwd"), "S"(0) : "rcx", "r11", "memory");
        break;
    case ATTACK_OTHER_PORT:
        __asm__ volatile("outb %%al, $0x80" : : "a"(1));
        break;
    case ATTACK_READ_UNKNOWN_BLOB:
        report(try_read(1, 0, 512, CELL_WINDOW_GVA) || try_read(UINT32_MAX, 0, 1, CELL_WINDOW_GVA));
        break;
    case ATTACK_PRIVILEGED:
        __asm__ volatile("mov %0, %%cr3" : : "r"(0ull) : "memory");
        break;
    case ATTACK_INT80:
        __asm__ volatile("int $0x80" : : "a"(5), "b"(0), "c"(0) : "memory");
        break;
    case ATTACK_CLOCK:
        __asm__ volatile("rdtsc" : : : "rax", "rdx");
        break;
    case ATTACK_WRITE_RODATA:
        *(volatile char *)(uintptr_t)read_only_text = 0;
        break;
    case ATTACK_WRITE_BOOT:
        *(volatile uint32_t *)CELL_BOOT_GVA = 0;
        break;
    case ATTACK_LEAVE: /* exit(0): all that a process cell may still do */
        __asm__ volatile("syscall" : : "a"(60), "D"(0) : "rcx", "r11", "memory");
        break;
    case ATTACK_SMASH_STACK:
        smash((size_t)sink + 64);
        break;
    case ATTACK_READ_HIGH:
        sink = *(volatile uint64_t *)0x7ffff0000000ull;
        break;
    case ATTACK_READ_APIC: /* where a processor has its local APIC */
        sink = *(volatile uint32_t *)0xfee00020ull;
        break;
    case ATTACK_APIC_REGISTER: /* IA32_APIC_BASE */
        __asm__ volatile("rdmsr" : : "c"(0x1b) : "rax", "rdx");
        break;
    case ATTACK_MAP_COUNT ... ATTACK_MAP_NO_PROGRESS:
        lie_about_map(attack);
        break;
    case ATTACK_OPEN_FORMAT ... ATTACK_ERROR_CODE:
        lie_about_open(attack);
        break;
    default:
        PANIC("unknown attack");
    }
    PANIC("attack carried out");
}

static unsigned two_digits(const uint8_t *p)
{
    return (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
}

void attack_hook(uint32_t method)
{
    static enum attack attack;
    static uint32_t at_method;
    static uint8_t head[32];
    if (method == CELL_METHOD_OPEN && attack == ATTACK_NONE) {
        for (uint64_t offset = 0; offset <= 32768; offset += 32768) {
            if (try_read(0, offset, sizeof(head), (cell_gva)(uintptr_t)head) &&
                memcmp(head, MARK, sizeof(MARK) - 1) == 0) {
                attack = two_digits(head + sizeof(MARK) - 1);
                at_method = two_digits(head + sizeof(MARK) + 2);
            }
        }
    }
    if (attack != ATTACK_NONE && method == at_method)
        carry_out(attack);
}
