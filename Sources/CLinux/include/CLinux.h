// Linux system calls for Swift.
//
// Thin wrappers that return -errno, so that Swift need not read the thread-local errno after a hot
// call; and flags that Swift cannot import because they are enums or casts. Functions, not inline:
// feature macros belong in the .c file, since in a header they make clang's modules disagree.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mesh_event {
    uint32_t events;
    uint32_t padding;
    uint64_t token;
};

enum {
    MESH_IN = 0x001,
    MESH_OUT = 0x004,
    MESH_ERR = 0x008,
    MESH_HUP = 0x010,
    MESH_RDHUP = 0x2000,
};
#define MESH_EDGE_TRIGGERED 0x80000000u

// An IPv4 or IPv6 address with port, as the kernel wants it.
struct mesh_address {
    uint32_t length;
    uint32_t padding;
    uint8_t bytes[32];
};

int mesh_epoll_create(void);
int mesh_epoll_add(int epoll, int fd, uint32_t events, uint64_t token);
int mesh_epoll_modify(int epoll, int fd, uint32_t events, uint64_t token);
int mesh_epoll_remove(int epoll, int fd);
// Fills at most `max` (<= 256) events; the count, or -errno (0 for EINTR).
int mesh_epoll_wait(int epoll, struct mesh_event *events, int max, int timeout_ms);

int mesh_eventfd(void);
int mesh_eventfd_signal(int fd);
int mesh_eventfd_drain(int fd);

// `address_bytes` is 4 or 16 bytes, network order.
void mesh_address_make(struct mesh_address *out, const uint8_t *address_bytes, int count, uint16_t port);
// Number of address bytes (4, 16, or 0 when neither), which are copied to `out16`.
int mesh_address_parts(const struct mesh_address *address, uint8_t *out16, uint16_t *port);

// A non-blocking stream socket bound with SO_REUSEADDR and, if asked, SO_REUSEPORT; listening.
int mesh_listen(const struct mesh_address *address, int backlog, int reuse_port);
int mesh_local_address(int fd, struct mesh_address *out);
int mesh_peer_address(int fd, struct mesh_address *out);
// Where the peer of an accepted socket meant to connect before a NAT rule sent it here; -ENOENT when
// no rule did.
int mesh_original_destination(int fd, struct mesh_address *out);
// A connected non-blocking socket with TCP_NODELAY and CLOEXEC, or -errno.
int mesh_accept(int listener, struct mesh_address *peer);
// A non-blocking socket whose connect is under way (*done = 0) or finished (*done = 1).
int mesh_connect(const struct mesh_address *address, int *done);
// Has the kernel ask a silent peer for life after `idle` seconds, then every `interval` seconds, and
// give it up after `count` questions without an answer.
int mesh_keep_alive(int fd, int idle, int interval, int count);
// The pending error of a socket as a positive errno, 0 for none.
int mesh_socket_error(int fd);

// A non-blocking datagram socket bound to `address`.
int mesh_datagram_bind(const struct mesh_address *address);
// A non-blocking datagram socket that sends to and receives from `peer` only, on a port of the
// kernel's choice, which is a random one.
int mesh_datagram_connect(const struct mesh_address *peer);
// One datagram and who sent it; what does not fit into `buffer` is lost.
ssize_t mesh_receive_from(int fd, void *buffer, size_t count, struct mesh_address *source);
// `destination` is null on a connected socket.
ssize_t mesh_send_to(int fd, const void *buffer, size_t count,
                     const struct mesh_address *destination);

ssize_t mesh_receive(int fd, void *buffer, size_t count);
ssize_t mesh_send(int fd, const void *buffer, size_t count);
// One send of two blocks.
ssize_t mesh_send2(int fd, const void *a, size_t a_count, const void *b, size_t b_count);
int mesh_shutdown_write(int fd);
int mesh_close(int fd);
// Closes with RST instead of FIN.
int mesh_reset(int fd);

// A descriptor that delivers these signals, which are blocked in the calling thread.
int mesh_signalfd(const int *signals, int count);
// The next signal number and its sender's pid, 0 when none is waiting.
int mesh_signalfd_next(int fd, int32_t *sender);
// Blocks the signals in the calling thread and those it starts later.
int mesh_block_signals(const int *signals, int count);
void mesh_ignore_sigpipe(void);

uint64_t mesh_monotonic_nanoseconds(void);
int64_t mesh_wall_nanoseconds(void);
int mesh_random(void *buffer, size_t count);

// Starts a thread named `name`; `body(context)` runs on it. 0 or -errno.
int mesh_thread_start(const char *name, void (*body)(void *), void *context);

// Raises the soft limit of open files to the hard one; the new soft limit.
uint64_t mesh_raise_file_limit(void);
// Makes the allocator keep up to `trim_bytes` of free memory instead of returning and faulting in
// the same pages again for every burst. 0 or -EINVAL.
int mesh_keep_free_memory(int trim_bytes);
// Unmaps the resident pages of all loaded code; what runs again is mapped again from the page cache.
// Start-up touches megabytes that are never needed after it. 0 or -errno of the last failure.
int mesh_release_code_pages(void);
// Starts a program found on PATH: unblocked signals, default dispositions. Its pid or -errno.
int mesh_spawn(char *const *argv);
// The pid of an ended child and its wait status, 0 when none has ended.
int mesh_reap(int *status);
int mesh_kill(int pid, int signal);
// Exit code for a wait status in the shell's convention (128 + signal).
int mesh_exit_code(int status);
