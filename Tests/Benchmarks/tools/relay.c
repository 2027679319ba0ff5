// The floor of the benchmark: carries bytes between its callers and an upstream on loopback without
// looking at them. What it costs is the kernel's, and no proxy of sockets and epoll can cost less: one
// receive and one send per message and direction, no call to learn that a socket is drained, and
// nothing registered twice.
//
//   relay LISTEN_PORT UPSTREAM_PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROOM = 1 << 16, EVENTS = 256 };

// One direction's source. Ends are found by descriptor; `peer` is the descriptor to which it goes.
struct end {
    int peer, is_ending;
    unsigned char *held;  // what the peer's socket did not take
    size_t held_from, held_to;
};

static struct end *ends;
static unsigned char room[ROOM];

static void check(int is_fine, const char *what) {
    if (is_fine) return;
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// Later events of the same batch may name a closed end: its peer is -1.
static void close_both(int fd) {
    int both[] = {fd, ends[fd].peer};
    for (int i = 0; i < 2; i++) {
        close(both[i]);
        free(ends[both[i]].held);
        ends[both[i]] = (struct end){.peer = -1};
    }
}

static int flush_held(int fd) {
    struct end *e = &ends[fd];
    while (e->held_from < e->held_to) {
        ssize_t n = send(e->peer, e->held + e->held_from, e->held_to - e->held_from, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) close_both(fd);
            return 0;
        }
        e->held_from += (size_t)n;
    }
    return 1;
}

static void carry(int fd) {
    if (ends[fd].peer < 0 || !flush_held(fd)) return;
    for (struct end *e = &ends[fd];;) {
        ssize_t n = recv(fd, room, ROOM, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return close_both(fd);
        ssize_t taken = send(e->peer, room, (size_t)n, MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN) return close_both(fd);
        if (taken < n) {
            size_t done = taken < 0 ? 0 : (size_t)taken;
            if (!e->held) check((e->held = malloc(ROOM)) != 0, "malloc");
            e->held_from = 0;
            e->held_to = (size_t)n - done;
            memcpy(e->held, room + done, e->held_to);
            return;
        }
        if (n < ROOM && !e->is_ending) return;
    }
}

static void adopt(int poll, int fd, int peer) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ends[fd] = (struct end){.peer = peer};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    check(epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 1 << 20 ? files.rlim_max : 1 << 20;
    setrlimit(RLIMIT_NOFILE, &files);
    check((ends = calloc(files.rlim_cur, sizeof *ends)) != 0, "calloc");

    struct sockaddr_in here = loopback(atoi(argv[1])), there = loopback(atoi(argv[2]));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    check(bind(listener, (struct sockaddr *)&here, sizeof here) == 0, "bind");
    check(listen(listener, 4096) == 0, "listen");
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.fd = listener}};
    check(epoll_ctl(poll, EPOLL_CTL_ADD, listener, events) == 0, "epoll_ctl");

    for (;;) {
        int n = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd, what = (int)events[i].events;
            if (fd == listener) {
                for (int down; (down = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
                    int up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
                    check(up >= 0, "socket");
                    check(!connect(up, (struct sockaddr *)&there, sizeof there) || errno == EINPROGRESS,
                          "connect");
                    adopt(poll, up, down);
                    adopt(poll, down, up);
                }
                continue;
            }
            if (what & ~(EPOLLIN | EPOLLOUT)) ends[fd].is_ending = 1;
            if (what & ~EPOLLOUT) carry(fd);
            int peer = ends[fd].peer;
            if (what & EPOLLOUT && peer >= 0 && ends[peer].held_from < ends[peer].held_to) carry(peer);
        }
    }
}
