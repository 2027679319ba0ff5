// The latency client of the benchmark. One thread; prints one line of JSON.
//
//   load --port P [--proto h1|h2c] [--path /x] [--body BYTES] [--conns N]
//        --rate R --seconds S      open loop: request i is due at start + i/R, and its latency counts
//                                  from then, whether or not a connection was free to send it
//        --seconds S               closed loop: each connection asks again when it is answered
//        --requests N              the same, N requests in all
//
// A request with a body is a gRPC-like POST. Latencies come as counts per bucket; bucket b ends at
// 1.02^b microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS_MAX = 64, BUCKETS = 1024, INPUT_MAX = 1 << 17, HEAD_MAX = 16384 };
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

struct connection {
    int fd;
    unsigned open;                   // requests in flight
    unsigned char input[INPUT_MAX];  // what has come and could not be used yet
    size_t length;
    uint64_t body_left;              // h1: of the answer being received
    uint64_t due[STREAMS_MAX];       // h1: due[0]; h2: by stream
    uint32_t stream[STREAMS_MAX];    // h2: 0 is a free place
    uint32_t next_stream;
    uint64_t unacknowledged;         // h2: bytes since the last WINDOW_UPDATE
    int in_body;
};

static const char *path = "/";
static int is_h2, port, connection_count = 1;
static size_t body_size;
static double rate, seconds;
static uint64_t requests_max = UINT64_MAX;
static struct connection **connections;
static uint64_t buckets[BUCKETS], answered, failed, issued, sent;
static unsigned char request[65536];
static size_t request_length;
static uint64_t start_time, end_time;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void count_answer(struct connection *c, uint64_t due, int is_error) {
    double microseconds = (double)(now() - due) / 1e3;
    int bucket = microseconds <= 1 ? 0 : (int)ceil(log(microseconds) / log(1.02));
    buckets[bucket < BUCKETS ? bucket : BUCKETS - 1] += 1;
    answered += 1;
    failed += is_error;
    c->open -= 1;
}

static void send_all(struct connection *c, const void *bytes, size_t length) {
    // Requests are small beside a socket's buffer, so a full one means that nothing is read.
    if (send(c->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) fail("cannot send: %m");
}

// ---------------------------------------------------------------- HTTP/1.1

static void prepare_h1(void) {
    int n = snprintf((char *)request, sizeof request,
                     body_size ? "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n"
                               : "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     path, body_size);
    if (n < 0 || (size_t)n + body_size > sizeof request) fail("the request is too large");
    memset(request + n, 'x', body_size);
    request_length = (size_t)n + body_size;
}

static uint64_t content_length(const char *head) {
    const char *line = strcasestr(head, "\r\ncontent-length:");
    if (!line) fail("an answer without Content-Length: %.200s", head);
    return strtoull(line + 17, 0, 10);
}

static void take_h1(struct connection *c) {
    size_t used = 0;
    int is_error = 0;
    while (used < c->length) {
        if (!c->in_body) {
            unsigned char *end = memmem(c->input + used, c->length - used, "\r\n\r\n", 4);
            if (!end) {
                if (c->length - used > HEAD_MAX) fail("an endless head");
                break;
            }
            *end = 0;
            char *head = (char *)c->input + used;
            is_error = strncmp(head + 8, " 200", 4) != 0;
            c->body_left = content_length(head);
            c->in_body = 1;
            used = (size_t)(end + 4 - c->input);
        }
        uint64_t part = c->length - used < c->body_left ? c->length - used : c->body_left;
        used += part;
        c->body_left -= part;
        if (c->body_left == 0) {
            c->in_body = 0;
            count_answer(c, c->due[0], is_error);
        }
    }
    memmove(c->input, c->input + used, c->length - used);
    c->length -= used;
}

// ---------------------------------------------------------------- HTTP/2, as much as a client must say

static unsigned char *put_frame(unsigned char *at, int type, int flags, uint32_t stream, size_t length) {
    *at++ = (unsigned char)(length >> 16);
    *at++ = (unsigned char)(length >> 8);
    *at++ = (unsigned char)length;
    *at++ = (unsigned char)type;
    *at++ = (unsigned char)flags;
    stream = htonl(stream);
    memcpy(at, &stream, 4);
    return at + 4;
}

static unsigned char *put_text(unsigned char *at, const char *text) {
    size_t length = strlen(text);
    if (length > 126) fail("too long for HPACK's short form: %s", text);
    *at++ = (unsigned char)length;
    memcpy(at, text, length);
    return at + length;
}

// Fields come from HPACK's static table or as literals without indexing, so all blocks are the same bytes.
static void prepare_h2(void) {
    unsigned char block[1024], *at = block;
    *at++ = body_size ? 0x83 : 0x82;  // :method POST or GET
    *at++ = 0x86;                     // :scheme http
    *at++ = 0x04;                     // :path
    at = put_text(at, path);
    *at++ = 0x01;                     // :authority
    at = put_text(at, "localhost");
    if (body_size) {
        *at++ = 0x00, at = put_text(at, "content-type"), at = put_text(at, "application/grpc");
        *at++ = 0x00, at = put_text(at, "te"), at = put_text(at, "trailers");
    }
    size_t length = (size_t)(at - block);
    if (length + body_size + 64 > sizeof request) fail("the request is too large");
    at = put_frame(request, HEADERS, END_HEADERS | (body_size ? 0 : END_STREAM), 0, length);
    memcpy(at, block, length);
    at += length;
    if (body_size) {
        at = put_frame(at, DATA, END_STREAM, 0, body_size);
        memset(at, 'x', body_size);
        at += body_size;
    }
    request_length = (size_t)(at - request);
}

static void set_stream(unsigned char *frame, uint32_t stream) {
    stream = htonl(stream);
    memcpy(frame + 5, &stream, 4);
}

static void greet_h2(struct connection *c) {
    static const unsigned char settings[] = {0, 4, 0x40, 0, 0, 0};  // INITIAL_WINDOW_SIZE 2^30
    unsigned char hello[128], *at = hello;
    memcpy(at, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    at = put_frame(at + 24, SETTINGS, 0, 0, sizeof settings);
    memcpy(at, settings, sizeof settings);
    at = put_frame(at + sizeof settings, WINDOW_UPDATE, 0, 0, 4);
    memcpy(at, "\x40\0\0\0", 4);
    send_all(c, hello, (size_t)(at + 4 - hello));
    c->next_stream = 1;
}

static void finish_stream(struct connection *c, uint32_t stream, int is_error) {
    for (int i = 0; i < STREAMS_MAX; i++) {
        if (c->stream[i] != stream) continue;
        c->stream[i] = 0;
        return count_answer(c, c->due[i], is_error);
    }
}

static void take_frame(struct connection *c, int type, int flags, uint32_t stream,
                       const unsigned char *payload, size_t length) {
    unsigned char answer[32];
    int ends = (type == DATA || type == HEADERS) && flags & END_STREAM;
    if (type == HEADERS && !ends) {
        // The head of an answer: :status 200 is one byte, after any change of the table's size.
        while (length && (payload[0] & 0xE0) == 0x20) {
            size_t skip = (payload[0] & 0x1F) == 0x1F ? 2 : 1;
            while (skip > 1 && skip < length && payload[skip - 1] & 0x80) skip += 1;
            if (skip > length) break;
            payload += skip, length -= skip;
        }
        if (!length || payload[0] != 0x88) failed += 1;
    } else if (type == DATA) {
        c->unacknowledged += length;
        if (c->unacknowledged > 1 << 28) {
            uint32_t credit = htonl((uint32_t)c->unacknowledged);
            memcpy(put_frame(answer, WINDOW_UPDATE, 0, 0, 4), &credit, 4);
            send_all(c, answer, 13);
            c->unacknowledged = 0;
        }
    } else if (type == SETTINGS && !(flags & ACK)) {
        put_frame(answer, SETTINGS, ACK, 0, 0);
        send_all(c, answer, 9);
    } else if (type == PING && !(flags & ACK) && length == 8) {
        memcpy(put_frame(answer, PING, ACK, 0, 8), payload, 8);
        send_all(c, answer, 17);
    } else if (type == RST_STREAM) {
        finish_stream(c, stream, 1);
    } else if (type == GOAWAY) {
        fail("the server went away");
    }
    if (ends) finish_stream(c, stream, 0);
}

static void take_h2(struct connection *c) {
    size_t used = 0;
    while (c->length - used >= 9) {
        const unsigned char *at = c->input + used;
        size_t length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        if (length > 16384) fail("a frame of %zu bytes", length);
        if (c->length - used < 9 + length) break;
        uint32_t stream;
        memcpy(&stream, at + 5, 4);
        take_frame(c, at[3], at[4], ntohl(stream) & 0x7FFFFFFF, at + 9, length);
        used += 9 + length;
    }
    memmove(c->input, c->input + used, c->length - used);
    c->length -= used;
}

// ---------------------------------------------------------------- the loop

static void ask(struct connection *c, uint64_t due) {
    if (is_h2) {
        int place = 0;
        while (c->stream[place]) place += 1;
        c->due[place] = due;
        c->stream[place] = c->next_stream;
        set_stream(request, c->next_stream);
        if (body_size) set_stream(request + request_length - body_size - 9, c->next_stream);
        c->next_stream += 2;
    } else {
        c->due[0] = due;
    }
    c->open += 1;
    sent += 1;
    send_all(c, request, request_length);
}

static void receive(struct connection *c) {
    ssize_t n = recv(c->fd, c->input + c->length, INPUT_MAX - c->length, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail("a connection was closed after %llu answers", (unsigned long long)answered);
    c->length += (size_t)n;
    if (is_h2) take_h2(c);
    else take_h1(c);
}

static struct connection *make_connection(int poll) {
    struct connection *c = calloc(1, sizeof *c);
    if (!c) fail("no memory");
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&there, sizeof there)) fail("cannot connect: %m");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl: %m");
    if (is_h2) greet_h2(c);
    return c;
}

static void set_alarm(int timer, uint64_t at) {
    struct itimerspec when = {.it_value = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, 0)) fail("timerfd_settime: %m");
}

static uint64_t due_time(uint64_t index) {
    return start_time + (uint64_t)((double)index * 1e9 / rate);
}

// Sends what is due on the connections with the least in flight, each in its turn.
static void send_due(int timer) {
    static int next;
    unsigned room = is_h2 ? STREAMS_MAX : 1;
    while (issued < requests_max && due_time(issued) <= now()) issued += 1;
    for (int tried = 0; sent < issued && tried < connection_count; tried++) {
        struct connection *c = connections[next];
        next = (next + 1) % connection_count;
        if (c->open >= room) continue;
        ask(c, due_time(sent));
        tried = -1;
    }
    if (issued < requests_max) set_alarm(timer, due_time(issued));
}

static void run(void) {
    int poll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (poll < 0 || timer < 0) fail("epoll or timerfd: %m");
    connections = calloc((size_t)connection_count, sizeof *connections);
    for (int i = 0; i < connection_count; i++) connections[i] = make_connection(poll);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = 0}, events[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, timer, &event);

    int is_open_loop = rate > 0;
    start_time = now() + (is_open_loop ? 20000000u : 0);
    uint64_t length = (uint64_t)(seconds * 1e9), patience = 10000000000u;
    end_time = start_time + (seconds > 0 ? length : 1000 * patience);
    if (is_open_loop) {
        requests_max = (uint64_t)(rate * seconds);
        set_alarm(timer, start_time);
    } else {
        for (int i = 0; i < connection_count && sent < requests_max; i++) ask(connections[i], now());
    }
    while (is_open_loop ? answered < requests_max : answered < sent) {
        int n = epoll_wait(poll, events, 64, (int)(patience / 1000000));
        if (n <= 0) fail("nothing came for 10 s; %llu of %llu answered", (unsigned long long)answered,
                         (unsigned long long)sent);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                uint64_t expirations;
                if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) fail("timer: %m");
                continue;
            }
            unsigned before = c->open;
            receive(c);
            if (is_open_loop) continue;
            for (; before > c->open && sent < requests_max && now() < end_time; before--) ask(c, now());
        }
        if (is_open_loop) send_due(timer);
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"port", 1, 0, 'p'}, {"proto", 1, 0, 'x'}, {"path", 1, 0, 'u'}, {"body", 1, 0, 'b'},
        {"conns", 1, 0, 'c'}, {"rate", 1, 0, 'r'}, {"seconds", 1, 0, 's'}, {"requests", 1, 0, 'n'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, 0)) != -1;) {
        switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'x': is_h2 = strcmp(optarg, "h2c") == 0; break;
        case 'u': path = optarg; break;
        case 'b': body_size = (size_t)atoi(optarg); break;
        case 'c': connection_count = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'n': requests_max = strtoull(optarg, 0, 10); break;
        default: return 64;
        }
    }
    if (!port || connection_count < 1 || (seconds <= 0 && requests_max == UINT64_MAX)) {
        fail("--port, and --seconds or --requests are needed");
    }
    if (is_h2) prepare_h2();
    else prepare_h1();
    run();
    printf("{\"requests\":%llu,\"failed\":%llu,\"seconds\":%.6f,\"buckets\":{",
           (unsigned long long)answered, (unsigned long long)failed, (double)(now() - start_time) / 1e9);
    for (int b = 0, first = 1; b < BUCKETS; b++) {
        if (!buckets[b]) continue;
        printf("%s\"%d\":%llu", first ? "" : ",", b, (unsigned long long)buckets[b]);
        first = 0;
    }
    puts("}}");
}
