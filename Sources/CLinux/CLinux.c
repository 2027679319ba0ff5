#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
// After the C library's own headers, some of whose names they define when these come first.
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

extern char **environ;

_Static_assert(MESH_IN == EPOLLIN && MESH_OUT == EPOLLOUT && MESH_ERR == EPOLLERR &&
               MESH_HUP == EPOLLHUP && MESH_RDHUP == EPOLLRDHUP, "epoll flags");
_Static_assert(sizeof(struct sockaddr_in6) <= 32, "address storage");

static int result(int value) { return value < 0 ? -errno : value; }

int mesh_epoll_create(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

int mesh_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
    struct epoll_event e = {.events = events, .data.u64 = token};
    return result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
}

int mesh_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token) {
    struct epoll_event e = {.events = events, .data.u64 = token};
    return result(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e));
}

int mesh_epoll_remove(int epoll, int fd) {
    return result(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
}

int mesh_epoll_wait(int epoll, struct mesh_event *events, int max, int timeout_ms) {
    struct epoll_event raw[256];
    if (max > 256) max = 256;
    // epoll_pwait, as newer architectures have no other. No wrapper of glibc: see mesh_receive.
    int count = (int)syscall(SYS_epoll_pwait, epoll, raw, max, timeout_ms, NULL, (size_t)0);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        events[i].events = raw[i].events;
        events[i].token = raw[i].data.u64;
    }
    return count;
}

int mesh_eventfd(void) { return result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int mesh_eventfd_signal(int fd) {
    uint64_t one = 1;
    return write(fd, &one, sizeof one) < 0 ? -errno : 0;
}

int mesh_eventfd_drain(int fd) {
    uint64_t count;
    return read(fd, &count, sizeof count) < 0 ? -errno : 0;
}

void mesh_address_make(struct mesh_address *out, const uint8_t *address_bytes, int count,
                       uint16_t port) {
    memset(out, 0, sizeof *out);
    if (count == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in.sin_addr, address_bytes, 4);
        memcpy(out->bytes, &in, sizeof in);
        out->length = sizeof in;
    } else {
        struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&in.sin6_addr, address_bytes, 16);
        memcpy(out->bytes, &in, sizeof in);
        out->length = sizeof in;
    }
}

int mesh_address_parts(const struct mesh_address *address, uint8_t *out16, uint16_t *port) {
    sa_family_t family;
    memcpy(&family, address->bytes, sizeof family);
    if (family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address->bytes, sizeof in);
        memcpy(out16, &in.sin_addr, 4);
        *port = ntohs(in.sin_port);
        return 4;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address->bytes, sizeof in);
        memcpy(out16, &in.sin6_addr, 16);
        *port = ntohs(in.sin6_port);
        return 16;
    }
    return 0;
}

static int family_of(const struct mesh_address *address) {
    sa_family_t family;
    memcpy(&family, address->bytes, sizeof family);
    return family;
}

int mesh_listen(const struct mesh_address *address, int backlog, int reuse_port) {
    int one = 1;
    int fd = socket(family_of(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0) ||
        bind(fd, (const struct sockaddr *)address->bytes, address->length) < 0 ||
        listen(fd, backlog) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

// Copies an address out of the kernel's form. An IPv4 peer of a dual-stack socket comes as
// ::ffff:a.b.c.d and leaves as a.b.c.d, so that one address has one form above this file.
static int store_address(struct mesh_address *out, const struct sockaddr_storage *storage,
                         socklen_t length) {
    memset(out, 0, sizeof *out);
    if (length > sizeof out->bytes) return -EAFNOSUPPORT;
    if (storage->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, storage, sizeof in);
        if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
            mesh_address_make(out, in.sin6_addr.s6_addr + 12, 4, ntohs(in.sin6_port));
            return 0;
        }
    }
    memcpy(out->bytes, storage, length);
    out->length = length;
    return 0;
}

static int get_address(int fd, struct mesh_address *out,
                       int (*call)(int, struct sockaddr *, socklen_t *)) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (call(fd, (struct sockaddr *)&storage, &length) < 0) return -errno;
    return store_address(out, &storage, length);
}

static int call_getsockname(int fd, struct sockaddr *a, socklen_t *l) { return getsockname(fd, a, l); }
static int call_getpeername(int fd, struct sockaddr *a, socklen_t *l) { return getpeername(fd, a, l); }

int mesh_local_address(int fd, struct mesh_address *out) {
    return get_address(fd, out, call_getsockname);
}

int mesh_peer_address(int fd, struct mesh_address *out) {
    return get_address(fd, out, call_getpeername);
}

int mesh_original_destination(int fd, struct mesh_address *out) {
    struct mesh_address local;
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int code = mesh_local_address(fd, &local);
    if (code < 0) return code;
    // The level is the family of the connection, not of the socket: a dual-stack socket knows where
    // an IPv4 connection went only as IPv4.
    int is_ipv4 = family_of(&local) == AF_INET;
    if (getsockopt(fd, is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
                   is_ipv4 ? SO_ORIGINAL_DST : IP6T_SO_ORIGINAL_DST, &storage, &length) < 0)
        return -errno;
    // Unlike other calls this one does not say how much it wrote.
    length = is_ipv4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    code = store_address(out, &storage, length);
    if (code < 0) return code;
    // Where connections are tracked, the kernel answers for every one of them.
    uint8_t here[16], there[16];
    uint16_t here_port, there_port;
    int count = mesh_address_parts(&local, here, &here_port);
    int is_same = mesh_address_parts(out, there, &there_port) == count &&
                  memcmp(here, there, (size_t)count) == 0 && here_port == there_port;
    return is_same ? -ENOENT : 0;
}

int mesh_accept(int listener, struct mesh_address *peer) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int one = 1;
    int fd = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return -errno;
    // Failure is harmless here: the socket works, only with Nagle's delay.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    store_address(peer, &storage, length);
    return fd;
}

int mesh_connect(const struct mesh_address *address, int *done) {
    int one = 1;
    int fd = socket(family_of(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)address->bytes, address->length) == 0) {
        *done = 1;
        return fd;
    }
    if (errno == EINPROGRESS || errno == EINTR) {
        *done = 0;
        return fd;
    }
    int error = -errno;
    close(fd);
    return error;
}

int mesh_keep_alive(int fd, int idle, int interval, int count) {
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) < 0)
        return -errno;
    return 0;
}

int mesh_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return errno;
    return error;
}

static int datagram_socket(const struct mesh_address *address,
                           int (*call)(int, const struct sockaddr *, socklen_t)) {
    int fd = socket(family_of(address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (call(fd, (const struct sockaddr *)address->bytes, address->length) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int call_bind(int fd, const struct sockaddr *a, socklen_t l) { return bind(fd, a, l); }
static int call_connect(int fd, const struct sockaddr *a, socklen_t l) { return connect(fd, a, l); }

int mesh_datagram_bind(const struct mesh_address *address) {
    return datagram_socket(address, call_bind);
}

int mesh_datagram_connect(const struct mesh_address *peer) {
    return datagram_socket(peer, call_connect);
}

ssize_t mesh_receive_from(int fd, void *buffer, size_t count, struct mesh_address *source) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    ssize_t n = recvfrom(fd, buffer, count, 0, (struct sockaddr *)&storage, &length);
    if (n < 0) return -errno;
    memset(source, 0, sizeof *source);
    if (length <= sizeof source->bytes) {
        memcpy(source->bytes, &storage, length);
        source->length = length;
    }
    return n;
}

ssize_t mesh_send_to(int fd, const void *buffer, size_t count,
                     const struct mesh_address *destination) {
    ssize_t n = destination
        ? sendto(fd, buffer, count, MSG_NOSIGNAL,
                 (const struct sockaddr *)destination->bytes, destination->length)
        : send(fd, buffer, count, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

// The calls of every request go past glibc's wrappers: those make each call a cancellation point,
// which costs two locked instructions before and after it, and no thread of ours is ever cancelled.

ssize_t mesh_receive(int fd, void *buffer, size_t count) {
    ssize_t n = syscall(SYS_recvfrom, fd, buffer, count, 0, NULL, NULL);
    return n < 0 ? -errno : n;
}

ssize_t mesh_send(int fd, const void *buffer, size_t count) {
    ssize_t n = syscall(SYS_sendto, fd, buffer, count, MSG_NOSIGNAL, NULL, 0);
    return n < 0 ? -errno : n;
}

ssize_t mesh_send2(int fd, const void *a, size_t a_count, const void *b, size_t b_count) {
    struct iovec blocks[2] = {{(void *)a, a_count}, {(void *)b, b_count}};
    struct msghdr message = {.msg_iov = blocks, .msg_iovlen = 2};
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

int mesh_shutdown_write(int fd) { return result(shutdown(fd, SHUT_WR)); }

int mesh_close(int fd) { return result(close(fd)); }

int mesh_reset(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return result(close(fd));
}

static void make_set(sigset_t *set, const int *signals, int count) {
    sigemptyset(set);
    for (int i = 0; i < count; i++) sigaddset(set, signals[i]);
}

int mesh_block_signals(const int *signals, int count) {
    sigset_t set;
    make_set(&set, signals, count);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int mesh_signalfd(const int *signals, int count) {
    sigset_t set;
    make_set(&set, signals, count);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error) return -error;
    return result(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int mesh_signalfd_next(int fd, int32_t *sender) {
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != sizeof info) return 0;
    *sender = (int32_t)info.ssi_pid;
    return (int)info.ssi_signo;
}

void mesh_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

uint64_t mesh_monotonic_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t mesh_wall_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_nsec;
}

int mesh_random(void *buffer, size_t count) {
    uint8_t *at = buffer;
    while (count > 0) {
        ssize_t n = getrandom(at, count, 0);
        if (n < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        at += n;
        count -= (size_t)n;
    }
    return 0;
}

struct thread_start {
    void (*body)(void *);
    void *context;
    char name[16];
};

static void *thread_main(void *argument) {
    struct thread_start start = *(struct thread_start *)argument;
    __builtin_free(argument);
    pthread_setname_np(pthread_self(), start.name);
    start.body(start.context);
    return NULL;
}

int mesh_thread_start(const char *name, void (*body)(void *), void *context) {
    struct thread_start *start = __builtin_malloc(sizeof *start);
    if (!start) return -ENOMEM;
    start->body = body;
    start->context = context;
    strncpy(start->name, name, sizeof start->name - 1);
    start->name[sizeof start->name - 1] = 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    // Deep recursion happens nowhere on a worker; the default of 8 MiB is only address space.
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, thread_main, start);
    pthread_attr_destroy(&attributes);
    if (error) __builtin_free(start);
    return -error;
}

uint64_t mesh_raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return before;
    }
    return limit.rlim_cur;
}

int mesh_keep_free_memory(int trim_bytes) {
    // A fixed mmap threshold as well, since setting either one ends glibc's own adjusting.
    return mallopt(M_TRIM_THRESHOLD, trim_bytes) && mallopt(M_MMAP_THRESHOLD, trim_bytes) ? 0 : -EINVAL;
}

static int release_segments(struct dl_phdr_info *info, size_t size, void *result) {
    (void)size;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        // Never a writable one: its private pages hold data that exists nowhere else.
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) || !(segment->p_flags & PF_X))
            continue;
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        uintptr_t first = (start + page - 1) & ~(page - 1);
        uintptr_t last = (start + segment->p_filesz) & ~(page - 1);
        if (first < last && madvise((void *)first, last - first, MADV_DONTNEED) < 0)
            *(int *)result = -errno;
    }
    return 0;
}

int mesh_release_code_pages(void) {
    int result = 0;
    dl_iterate_phdr(release_segments, &result);
    return result;
}

int mesh_spawn(char *const *argv) {
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid = 0;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawnp(&pid, argv[0], NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    return error ? -error : pid;
}

int mesh_reap(int *status) {
    pid_t pid = waitpid(-1, status, WNOHANG);
    return pid > 0 ? pid : 0;
}

int mesh_kill(int pid, int signal) { return result(kill(pid, signal)); }

int mesh_exit_code(int status) {
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
    return 1;
}
