/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cell as a forked child, for hosts without a usable /dev/kvm.
 *
 * The child moves the shared memory to the guest's addresses, closes every descriptor but two pipes
 * and jumps into the guest image, which unmaps all else and enters seccomp strict mode
 * (start_x86_64.S) before it sees the first byte of an image. Between fork and that jump only bare
 * system calls are made: other threads may have held any lock. No exec, no file: a profile that
 * lets callers run this one binary is enough.
 */
#include "src/sandbox/cell_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct process_cell {
    pid_t child;
    int to_child;
    int from_child;
    gboolean started; /* the first run only waits: the child rings by itself */
};

/* The end of what user space can map without asking for more than 47 bits. */
#define USER_SPACE_END 0x7ffffffff000ull

#define CHILD_FAILED 111 /* exit status of a child that could not lock itself in */

static _Noreturn void child_fail(void)
{
    for (;;)
        syscall(SYS_exit, CHILD_FAILED);
}

/* glibc lets the kernel write to a per-thread area that is about to be unmapped: stop that. */
static void child_unregister_rseq(void)
{
#ifdef RSEQ_SIG
    if (__rseq_size) {
        char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
        syscall(SYS_rseq, area, 32, 1 /* RSEQ_FLAG_UNREGISTER */, RSEQ_SIG);
    }
#endif
}

static void child_move_memory(const struct cell_memory *m)
{
    for (unsigned i = 0; i < NR_REGIONS; i++) {
        const struct region *r = &m->region[i];
        if (r->len == 0)
            continue;
        long at = syscall(SYS_mremap, m->base + r->offset, r->len, r->len,
                          MREMAP_MAYMOVE | MREMAP_FIXED, r->gva);
        if (at != (long)r->gva || syscall(SYS_mprotect, r->gva, r->len, r->prot) != 0)
            child_fail();
    }
    /* the gaps between the low regions stay gaps */
    cell_gva end = CELL_IMAGE_GVA;
    for (unsigned i = 0; i < REGION_WINDOW; i++) {
        const struct region *r = &m->region[i];
        if (r->gva > end && syscall(SYS_munmap, end, r->gva - end) != 0)
            child_fail();
        end = r->gva + r->len;
    }
}

/*
 * Descriptors 0 and 1 become the pipes, all others are closed. The pipe ends may be 0 or 1 already
 * (a caller with stdin closed): both are first moved above 1.
 */
static void child_keep_pipes(int in, int out)
{
    long high_in = syscall(SYS_fcntl, in, F_DUPFD, 3);
    long high_out = syscall(SYS_fcntl, out, F_DUPFD, 3);
    if (high_in < 0 || high_out < 0 || syscall(SYS_dup2, high_in, CELL_PIPE_IN) < 0 ||
        syscall(SYS_dup2, high_out, CELL_PIPE_OUT) < 0)
        child_fail();
    if (syscall(SYS_close_range, 2u, ~0u, 0u) == 0)
        return;
    struct rlimit limit;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0)
        child_fail();
    for (rlim_t fd = 2; fd < limit.rlim_cur && fd < (1u << 20); fd++)
        syscall(SYS_close, (int)fd);
}

typedef void (*start_process_fn)(uint64_t arena_end, uint64_t window_start, uint64_t window_end,
                                 uint64_t space_end);

static _Noreturn void child_main(const struct cell_memory *m, int in, int out, pid_t parent)
{
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (syscall(SYS_getppid) != parent)
        child_fail();
    syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    child_keep_pipes(in, out);
    /* handlers of the parent point at code that will be gone */
    for (int i = 1; i < _NSIG; i++) {
        uint64_t default_action[4] = {0};
        syscall(SYS_rt_sigaction, i, default_action, NULL, 8);
    }
    uint64_t no_signals = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, 8);
    child_move_memory(m);
    child_unregister_rseq();
    const struct region *arena = &m->region[REGION_ARENA];
    const struct region *window = &m->region[REGION_WINDOW];
    start_process_fn start = (start_process_fn)(uintptr_t)m->entry_process;
    start(arena->gva + arena->len, window->gva, window->gva + window->len, USER_SPACE_END);
    child_fail();
}

static gboolean process_start(struct cell_memory *m, gboolean codec, void **out_state,
                              GError **error)
{
    (void)codec; /* a process sees the whole processor anyway */
    int to_child[2], from_child[2];
    if (pipe2(to_child, O_CLOEXEC) != 0) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP, "Could not make a pipe: %s",
                    g_strerror(errno));
        return FALSE;
    }
    if (pipe2(from_child, O_CLOEXEC) != 0) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP, "Could not make a pipe: %s",
                    g_strerror(errno));
        close(to_child[0]);
        close(to_child[1]);
        return FALSE;
    }
    pid_t parent = getpid();
    pid_t child = _Fork();
    if (child == 0)
        child_main(m, to_child[0], from_child[1], parent);
    int saved = errno;
    close(to_child[0]);
    close(from_child[1]);
    if (child < 0) {
        close(to_child[1]);
        close(from_child[0]);
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP, "Could not start the sandbox process: %s",
                    g_strerror(saved));
        return FALSE;
    }
    struct process_cell *c = g_new0(struct process_cell, 1);
    c->child = child;
    c->to_child = to_child[1];
    c->from_child = from_child[0];
    *out_state = c;
    return TRUE;
}

/*
 * A child that a resource limit has killed: the caller set the limit for this program, so this
 * program dies the same way, and the caller sees it.
 */
static void die_like_the_child(int signal_number)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(signal_number, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), signal_number);
}

static gboolean used_up_cpu(const struct rusage *usage)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CPU, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return FALSE;
    uint64_t used_ms = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000 +
                       (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1000;
    /* the kernel looks once a tick */
    return used_ms + 50 >= (uint64_t)limit.rlim_cur * 1000;
}

/* The child is gone: why. */
static gboolean judge_end(struct process_cell *c, GError **error)
{
    int status = 0;
    struct rusage usage = {0};
    while (wait4(c->child, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    c->child = -1;
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        if (number == SIGXCPU || (number == SIGKILL && used_up_cpu(&usage)))
            die_like_the_child(number);
        const char *how = "it was killed";
        if (number == SIGKILL || number == SIGSYS)
            how = "forbidden system call";
        else if (number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
                 number == SIGTRAP)
            how = "processor fault";
        g_set_error(error, CELL_ERROR, CELL_ERROR_CRASHED,
                    "The image crashed the sandboxed parser (%s)", how);
        return FALSE;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_FAILED)
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP,
                    "The sandbox process could not lock itself in");
    else
        g_set_error(error, CELL_ERROR, CELL_ERROR_CRASHED,
                    "The image crashed the sandboxed parser (it exited)");
    return FALSE;
}

/* Waits for the child's byte; FALSE with errno ETIMEDOUT, or EPIPE when the child is gone. */
static gboolean wait_ring(struct process_cell *c, unsigned timeout_seconds)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_seconds * G_USEC_PER_SEC;
    for (;;) {
        gint64 left = deadline - g_get_monotonic_time();
        if (left <= 0) {
            errno = ETIMEDOUT;
            return FALSE;
        }
        struct pollfd pfd = {.fd = c->from_child, .events = POLLIN};
        int ready = poll(&pfd, 1, (int)(left / 1000 + 1));
        if (ready < 0 && errno != EINTR)
            return FALSE;
        if (ready <= 0)
            continue;
        char byte;
        ssize_t n = read(c->from_child, &byte, 1);
        if (n == 1)
            return TRUE;
        if (n < 0 && errno == EINTR)
            continue;
        errno = EPIPE;
        return FALSE;
    }
}

/* Writes the byte that wakes the child, without dying of SIGPIPE when it is gone. */
static gboolean wake(struct process_cell *c)
{
    sigset_t pipe_set, old;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    char byte = 1;
    ssize_t n;
    do {
        n = write(c->to_child, &byte, 1);
    } while (n < 0 && errno == EINTR);
    gboolean broken = n < 0 && errno == EPIPE;
    if (broken) {
        struct timespec zero = {0, 0};
        sigtimedwait(&pipe_set, NULL, &zero);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return n == 1;
}

static gboolean process_run(void *state, unsigned timeout_seconds, GError **error)
{
    struct process_cell *c = state;
    if (c->started && !wake(c))
        return judge_end(c, error);
    c->started = TRUE;
    if (wait_ring(c, timeout_seconds))
        return TRUE;
    if (errno != ETIMEDOUT)
        return judge_end(c, error);
    g_set_error(error, CELL_ERROR, CELL_ERROR_TIMEOUT,
                "The image kept the sandboxed parser busy for %u seconds without progress",
                timeout_seconds);
    return FALSE;
}

static void process_stop(void *state)
{
    struct process_cell *c = state;
    close(c->to_child);
    close(c->from_child);
    if (c->child > 0) {
        kill(c->child, SIGKILL);
        while (waitpid(c->child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    g_free(c);
}

const struct cell_verbs cell_process = {
    .name = "process",
    .kind = CELL_PROCESS,
    .word = CELL_KIND_PROCESS,
    .shared_memory = TRUE,
    .start = process_start,
    .run = process_run,
    .stop = process_stop,
};
