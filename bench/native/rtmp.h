/* The part of RTMP that the programs here need: reading chunks, answering commands, writing messages.
 *
 * Not a general implementation: it trusts that it talks to the programs of this benchmark on one machine.
 * It does not trust them to be publishing, so the reader follows every chunk header (RTMP 1.0, section 5.3).
 */
#ifndef BENCH_RTMP_H
#define BENCH_RTMP_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MSG_CHUNK_SIZE = 1, MSG_ABORT = 2, MSG_AUDIO = 8, MSG_VIDEO = 9, MSG_DATA = 18, MSG_COMMAND = 20 };
enum { HANDSHAKE = 1536, COMMAND_MAX = 4096, OUT_CHUNK = 4096, MARK = 16 };

/* A marked frame ends with these 8 bytes and then the sender's monotonic clock in ns, as the machine stores it. */
static const uint8_t MARK_MAGIC[8] = {'s', 'e', 'n', 't', '@', 'n', 's', ':'};

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline uint32_t be24(const uint8_t *p) { return p[0] << 16 | p[1] << 8 | p[2]; }
static inline uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | be24(p + 1); }
static inline void put24(uint8_t *p, uint32_t v) { p[0] = v >> 16, p[1] = v >> 8, p[2] = v; }
static inline void put32(uint8_t *p, uint32_t v) { p[0] = v >> 24, put24(p + 1, v); }

/* ---- growing byte buffer ---- */

typedef struct { uint8_t *data; size_t size, room; } Bytes;

static inline uint8_t *bytes_add(Bytes *b, const void *data, size_t size)
{
    if (b->size + size > b->room) {
        b->room = (b->size + size) * 2;
        b->data = realloc(b->data, b->room);
        if (!b->data) die("realloc");
    }
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
    return b->data + b->size - size;
}

/* ---- sockets ---- */

static inline int listen_on_any_port(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (void *)&at, size) || listen(fd, 4096) || getsockname(fd, (void *)&at, &size)) die("listen");
    *port = ntohs(at.sin_port);
    return fd;
}

static inline void no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline int connect_to(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (void *)&at, sizeof at)) die("connect");
    no_delay(fd);
    return fd;
}

static inline void watch(int epoll, int fd, uint32_t events, void *who)
{
    struct epoll_event e = {.events = events, .data.ptr = who};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}

/* Sleeps until the time or an event, to a fraction of a millisecond. */
static inline int wait_until(int epoll, struct epoll_event *events, int room, int64_t until_ns)
{
    int64_t left = until_ns - now_ns();
    if (left < 0) left = 0;
    struct timespec t = {left / 1000000000, left % 1000000000};
    return epoll_pwait2(epoll, events, room, &t, NULL);
}

/* One command a line on standard input; its end is the order to leave. Returns the line or NULL. */
static inline char *read_command(void)
{
    static char line[1024];
    ssize_t n = read(0, line, sizeof line - 1);
    if (n <= 0) exit(0);
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    return line;
}

static inline void begin_program(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* the benchmark that started us decides when we end */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1000);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/* ---- writing ---- */

static inline void put_message(Bytes *out, int chunk_stream, int type, uint32_t stream_id, uint32_t stamp_ms,
                               const uint8_t *body, size_t size, size_t chunk_size)
{
    uint8_t head[12] = {chunk_stream, 0, 0, 0, 0, 0, 0, type, stream_id, stream_id >> 8};
    uint8_t go_on = 0xc0 | chunk_stream;
    put24(head + 1, stamp_ms);
    put24(head + 4, size);
    bytes_add(out, head, sizeof head);
    for (size_t at = 0; at < size; at += chunk_size) {
        if (at) bytes_add(out, &go_on, 1);
        bytes_add(out, body + at, size - at < chunk_size ? size - at : chunk_size);
    }
}

static inline void put_control(Bytes *out, int type, uint32_t value)
{
    uint8_t body[4];
    put32(body, value);
    put_message(out, 2, type, 0, 0, body, sizeof body, OUT_CHUNK);
}

static inline void amf_text(Bytes *out, const char *text)
{
    uint8_t head[3] = {2, strlen(text) >> 8, strlen(text)};
    bytes_add(out, head, 3);
    bytes_add(out, text, strlen(text));
}

static inline void amf_number(Bytes *out, double number)
{
    uint64_t bits;
    uint8_t b[9] = {0};
    memcpy(&bits, &number, 8);
    put32(b + 1, bits >> 32);
    put32(b + 5, bits);
    bytes_add(out, b, 9);
}

/* Pairs of key and text, ended by NULL. */
static inline void amf_object(Bytes *out, const char *const *pairs)
{
    bytes_add(out, "\3", 1);
    for (; *pairs; pairs += 2) {
        uint8_t head[2] = {0, strlen(pairs[0])};
        bytes_add(out, head, 2);
        bytes_add(out, pairs[0], strlen(pairs[0]));
        amf_text(out, pairs[1]);
    }
    bytes_add(out, "\0\0\11", 3);
}

static inline void amf_null(Bytes *out) { bytes_add(out, "\5", 1); }

/* All that a publisher says after S1, in one write: the receivers used here answer createStream with stream 1. */
static inline void put_publish(Bytes *out, const uint8_t *s1, const char *app, const char *key)
{
    Bytes body = {0};
    char tc_url[128];
    snprintf(tc_url, sizeof tc_url, "rtmp://127.0.0.1/%s", app);
    bytes_add(out, s1, HANDSHAKE); /* C2 repeats S1 */
    put_message(out, 2, MSG_CHUNK_SIZE, 0, 0, (const uint8_t *)"\0\0\20\0", 4, 128);
    amf_text(&body, "connect");
    amf_number(&body, 1);
    amf_object(&body, (const char *[]){"app", app, "type", "nonprivate", "flashVer", "FMLE/3.0", "tcUrl", tc_url, NULL});
    put_message(out, 3, MSG_COMMAND, 0, 0, body.data, body.size, OUT_CHUNK);
    body.size = 0;
    amf_text(&body, "createStream");
    amf_number(&body, 2);
    amf_null(&body);
    put_message(out, 3, MSG_COMMAND, 0, 0, body.data, body.size, OUT_CHUNK);
    body.size = 0;
    amf_text(&body, "publish");
    amf_number(&body, 3);
    amf_null(&body);
    amf_text(&body, key);
    amf_text(&body, "live");
    put_message(out, 4, MSG_COMMAND, 1, 0, body.data, body.size, OUT_CHUNK);
    free(body.data);
}

/* ---- reading ---- */

typedef struct {
    uint32_t stamp_ms, delta_ms, size, got;
    uint8_t type;
    bool extended;
    uint8_t head[2], tail[MARK]; /* of a media message: its first two bytes and, if asked for, its last ones */
    uint8_t *command;            /* of any other: its first COMMAND_MAX bytes */
} ChunkStream;

typedef struct {
    uint32_t chunk_size, chunk_left;
    ChunkStream *current, *streams[64];
    uint8_t kept[18];
    int kept_size;
    bool keep_tails;
} ChunkReader;

typedef void (*OnMessage)(void *who, const ChunkStream *message);

static inline void reader_free(ChunkReader *r)
{
    for (int i = 0; i < 64; i++) {
        if (r->streams[i]) free(r->streams[i]->command);
        free(r->streams[i]);
    }
}

/* Length of the chunk header at p if it is whole and understood, 0 if more bytes are needed, -1 if it makes no sense. */
static inline int parse_chunk_header(ChunkReader *r, const uint8_t *p, int size)
{
    static const int sizes[4] = {11, 7, 3, 0};
    if (size < 1) return 0;
    int format = p[0] >> 6, id = p[0] & 63, n = 1 + sizes[format];
    if (id < 2) return -1; /* ids above 63: none of the programs here uses them */
    if (size < n) return 0;
    ChunkStream *s = r->streams[id];
    if (!s) {
        if (format == 3) return -1;
        s = r->streams[id] = calloc(1, sizeof *s);
        if (!s) die("calloc");
    }
    if (format < 3 && s->got) return -1;
    bool extended = format < 3 ? be24(p + 1) == 0xffffff : s->extended;
    if (extended && size < n + 4) return 0;
    if (format < 3) {
        uint32_t stamp = extended ? be32(p + n) : be24(p + 1);
        s->extended = extended;
        if (format == 0) s->stamp_ms = stamp, s->delta_ms = 0;
        else s->stamp_ms += s->delta_ms = stamp;
        if (format < 2) s->size = be24(p + 4), s->type = p[7];
    } else if (!s->got) {
        s->stamp_ms += s->delta_ms;
    }
    r->current = s;
    r->chunk_left = s->size - s->got < r->chunk_size ? s->size - s->got : r->chunk_size;
    return n + (extended ? 4 : 0);
}

static inline void take_body(ChunkReader *r, ChunkStream *s, const uint8_t *p, uint32_t n)
{
    if (s->type != MSG_AUDIO && s->type != MSG_VIDEO) {
        if (!s->command && !(s->command = malloc(COMMAND_MAX))) die("malloc");
        if (s->got < COMMAND_MAX) memcpy(s->command + s->got, p, s->got + n > COMMAND_MAX ? COMMAND_MAX - s->got : n);
        return;
    }
    for (uint32_t i = s->got; i < 2 && i - s->got < n; i++) s->head[i] = p[i - s->got];
    if (!r->keep_tails) return;
    if (n >= MARK) {
        memcpy(s->tail, p + n - MARK, MARK);
    } else {
        memmove(s->tail, s->tail + n, MARK - n);
        memcpy(s->tail + MARK - n, p, n);
    }
}

/* Takes bytes split anywhere, calls back for every whole message. Returns false on bytes that are not RTMP. */
static inline bool reader_feed(ChunkReader *r, const uint8_t *p, size_t size, OnMessage on_message, void *who)
{
    const uint8_t *end = p + size;
    while (p < end || (r->current && !r->chunk_left)) {
        if (!r->current) {
            uint8_t head[sizeof r->kept];
            int fresh = end - p < (int)sizeof head - r->kept_size ? end - p : (int)sizeof head - r->kept_size;
            memcpy(head, r->kept, r->kept_size);
            memcpy(head + r->kept_size, p, fresh);
            int used = parse_chunk_header(r, head, r->kept_size + fresh);
            if (used < 0) return false;
            if (used == 0) {
                memcpy(r->kept, head, r->kept_size += fresh);
                return true;
            }
            p += used - r->kept_size;
            r->kept_size = 0;
            continue;
        }
        ChunkStream *s = r->current;
        uint32_t n = end - p < r->chunk_left ? end - p : r->chunk_left;
        take_body(r, s, p, n);
        p += n, s->got += n, r->chunk_left -= n;
        if (r->chunk_left) continue;
        r->current = NULL;
        if (s->got < s->size) continue;
        if (s->type == MSG_CHUNK_SIZE && s->size == 4) r->chunk_size = be32(s->command) & 0x7fffffff;
        else on_message(who, s);
        s->got = 0;
    }
    return true;
}

/* A text at p as a C string; returns what follows it, or NULL. */
static inline const uint8_t *amf_read_text(const uint8_t *p, const uint8_t *end, char *text, size_t room)
{
    if (end - p < 3 || p[0] != 2) return NULL;
    size_t n = p[1] << 8 | p[2];
    if (end - p < (long)n + 3) return NULL;
    size_t kept = n < room - 1 ? n : room - 1;
    memcpy(text, p + 3, kept);
    text[kept] = 0;
    return p + 3 + n;
}

/* ---- the server's side of a session, up to publish or play ---- */

typedef struct {
    int fd;
    uint64_t seen; /* handshake bytes so far: C0, C1 and C2 are 1 + 2 x 1536 */
    uint8_t first[1 + HANDSHAKE];
    ChunkReader reader;
    bool playing, publishing; /* set by the command; the caller may answer a play with media */
    char app[64], key[64];
} Session;

static inline bool send_all(int fd, const Bytes *out)
{
    return send(fd, out->data, out->size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)out->size;
}

static inline void session_status(Bytes *out, const char *code)
{
    Bytes body = {0};
    amf_text(&body, "onStatus");
    amf_number(&body, 0);
    amf_null(&body);
    amf_object(&body, (const char *[]){"level", "status", "code", code, "description", "ok", NULL});
    put_message(out, 5, MSG_COMMAND, 1, 0, body.data, body.size, OUT_CHUNK);
    free(body.data);
}

static inline void session_result(Bytes *out, const uint8_t *transaction, bool is_connect)
{
    Bytes body = {0};
    amf_text(&body, "_result");
    bytes_add(&body, transaction, 9);
    if (is_connect) {
        amf_object(&body, (const char *[]){"fmsVer", "FMS/3,0,1,123", NULL});
        amf_object(&body, (const char *[]){"level", "status", "code", "NetConnection.Connect.Success", NULL});
    } else {
        amf_null(&body);
        amf_number(&body, 1);
    }
    put_message(out, 3, MSG_COMMAND, 0, 0, body.data, body.size, OUT_CHUNK);
    free(body.data);
}

/* Answers one command. */
static inline void session_command(Session *s, const ChunkStream *m)
{
    char name[32];
    const uint8_t *end = m->command + (m->size < COMMAND_MAX ? m->size : COMMAND_MAX);
    const uint8_t *p = amf_read_text(m->command, end, name, sizeof name);
    Bytes out = {0};
    if (!p || end - p < 9) return;
    if (!strcmp(name, "connect")) {
        const uint8_t *app = memmem(p, end - p, "\0\3app", 5);
        if (app) amf_read_text(app + 5, end, s->app, sizeof s->app);
        put_control(&out, 5, 2500000);
        put_message(&out, 2, 6, 0, 0, (const uint8_t *)"\0\x26\x25\xa0\2", 5, OUT_CHUNK);
        put_control(&out, MSG_CHUNK_SIZE, OUT_CHUNK);
        session_result(&out, p, true);
    } else if (!strcmp(name, "createStream")) {
        session_result(&out, p, false);
    } else if (!strcmp(name, "publish") || !strcmp(name, "play")) {
        if (end - p < 10 || !amf_read_text(p + 10, end, s->key, sizeof s->key)) return;
        s->key[strcspn(s->key, "?\"\\")] = 0;
        s->publishing = name[1] == 'u';
        s->playing = !s->publishing;
        if (s->playing) put_message(&out, 2, 4, 0, 0, (const uint8_t *)"\0\0\0\0\0\1", 6, OUT_CHUNK);
        session_status(&out, s->publishing ? "NetStream.Publish.Start" : "NetStream.Play.Start");
    }
    if (out.size) send_all(s->fd, &out);
    free(out.data);
}

/* Feeds bytes split anywhere to the handshake and then to the reader. */
static inline bool session_feed(Session *s, const uint8_t *p, size_t size, OnMessage on_message, void *who)
{
    while (size && s->seen < 1 + 2 * HANDSHAKE) {
        size_t until = s->seen < 1 + HANDSHAKE ? 1 + HANDSHAKE : 1 + 2 * HANDSHAKE;
        size_t n = size < until - s->seen ? size : until - s->seen;
        if (s->seen < 1 + HANDSHAKE) memcpy(s->first + s->seen, p, n);
        p += n, size -= n, s->seen += n;
        if (s->seen == 1 + HANDSHAKE) {
            if (s->first[0] != 3) return false;
            uint8_t answer[1 + 2 * HANDSHAKE] = {3}; /* S1 with version 0: the plain handshake */
            memcpy(answer + 1 + HANDSHAKE, s->first + 1, HANDSHAKE);
            if (send(s->fd, answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) return false;
            s->reader.chunk_size = 128;
        }
    }
    return !size || reader_feed(&s->reader, p, size, on_message, who);
}

#endif
