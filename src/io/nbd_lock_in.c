/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system call filter of who talks to an NBD server. The libraries are loaded where they are
 * needed: nobody else waits for the linker.
 */
#include <dlfcn.h>
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "src/io/nbd_peer.h"

/* To talk, to wait, to get memory, to lock, to end. None of them names a file or a process. */
static const int allowed[] = {
    SCMP_SYS(read),        SCMP_SYS(write),         SCMP_SYS(readv),
    SCMP_SYS(writev),      SCMP_SYS(recvfrom),      SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),      SCMP_SYS(sendmsg),       SCMP_SYS(shutdown),
    SCMP_SYS(close),       SCMP_SYS(poll),          SCMP_SYS(ppoll),
    SCMP_SYS(fcntl),       SCMP_SYS(getsockopt),    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername),   SCMP_SYS(munmap),
    SCMP_SYS(mremap),      SCMP_SYS(brk),           SCMP_SYS(madvise),
    SCMP_SYS(futex),       SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit),        SCMP_SYS(exit_group),    SCMP_SYS(restart_syscall),
    SCMP_SYS(getrandom),   SCMP_SYS(gettid),        SCMP_SYS(getpid),
};

struct library {
    scmp_filter_ctx (*init)(uint32_t action);
    int (*add)(scmp_filter_ctx ctx, uint32_t action, int call, unsigned nr, ...);
    int (*load)(const scmp_filter_ctx ctx);
};

static gboolean find_library(struct library *library)
{
    void *handle = dlopen("libseccomp.so.2", RTLD_NOW);

    if (handle == NULL) {
        return FALSE;
    }
    *(void **)&library->init = dlsym(handle, "seccomp_init");
    *(void **)&library->add = dlsym(handle, "seccomp_rule_add");
    *(void **)&library->load = dlsym(handle, "seccomp_load");
    return library->init != NULL && library->add != NULL && library->load != NULL;
}

gboolean nbd_lock_in(void)
{
    struct library library;
    scmp_filter_ctx filter;
    gboolean ok;

    if (!find_library(&library)) {
        return FALSE;
    }
    filter = library.init(SCMP_ACT_KILL_PROCESS);
    ok = filter != NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(allowed) && ok; i++) {
        ok = library.add(filter, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
    }
    /* memory that is not a file's and that nobody runs */
    ok = ok && library.add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                           SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)) == 0;
    ok = ok && library.add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
    return ok && library.load(filter) == 0;
}
