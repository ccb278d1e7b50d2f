/* Live source: gives one looped clip to any number of takers, cheaply, with stamps that rise for ever.
 *
 *     source CLIP.flv GROUPS
 *
 * Prints {"http": port, "rtmp": port} and serves http://127.0.0.1:port/RHYTHM/any and rtmp://127.0.0.1:port/RHYTHM/any.
 * RHYTHM is "bursts", what is due each 33 ms in one write (a frame or two), or "pieces", at most 1,448 bytes each 5 ms,
 * the way segments arrive from a real network. A taker starts at the last keyframe, as from a server with a GOP cache.
 *
 * Takers are dealt to GROUPS groups, each with its own place in the GOP and its own moment in the period: streams of a network
 * do not come in step, and if they did, one wake-up of a relay that waits for sockets would serve many of them. The
 * bytes of a group are made once and sent to each of its takers. The last 16 bytes of every inter frame are replaced by a mark
 * and the time it is sent (bursts only): relays that copy do not look there, and the sink reads it back.
 *
 * Commands, one a line: "publish RHYTHM PORT APP FIRST COUNT" connects COUNT publishers to rtmp://127.0.0.1:PORT/APP/N;
 * "report" prints {"takers", "joined", "dropped", "worst_late_ms"} since the last report. The end of input is the end.
 */
#include "clip.h"

enum { GROUPS_MAX = 1000, PIECE = 1448, BACKLOG_MAX = 8 << 20 };

typedef enum { HTTP, PLAYER, PUBLISHER } Kind;

typedef struct {
    Kind kind;
    Session session; /* of a PLAYER; the fd of all */
    Bytes inbox;     /* what came before the media: request or answers */
    Bytes unsent;
    struct Rhythm *rhythm;
    char app[64], key[64];
    bool asked, started; /* a PUBLISHER's commands are sent; media has begun */
} Taker;

/* The same media in the two wire forms; what lies before `sent` has gone to every taker. */
typedef struct { Bytes bytes, gop; size_t sent; } Form;

typedef struct {
    int64_t start_ns;
    uint32_t loop;
    int next_tag;
    Form flv, rtmp;
    Taker **takers;
    int count, room;
} Group;

typedef struct Rhythm {
    const char *name;
    int64_t period_ns, next_ns;
    size_t most; /* bytes a period, 0: all that is due */
    bool marks, in_use;
    int turn; /* the group whose moment is next */
    Group groups[GROUPS_MAX];
    int next_group;
} Rhythm;

static Rhythm rhythms[2] = {
    {.name = "bursts", .period_ns = 33333333, .marks = true},
    {.name = "pieces", .period_ns = 5000000, .most = PIECE},
};
static int group_count;
static int epoll, taker_count, joined, dropped;
static int64_t worst_late_ns;

/* ---- media in both forms ---- */

static void put_flv(Bytes *out, const Tag *t, uint32_t stamp_ms, const uint8_t *body)
{
    uint8_t head[11] = {t->type}, back[4];
    put24(head + 1, t->size);
    put24(head + 4, stamp_ms);
    head[7] = stamp_ms >> 24;
    put32(back, t->size + 11);
    bytes_add(out, head, 11);
    bytes_add(out, body, t->size);
    bytes_add(out, back, 4);
}

static void put_rtmp(Bytes *out, const Tag *t, uint32_t stamp_ms, const uint8_t *body)
{
    int chunk_stream = t->type == MSG_VIDEO ? 6 : t->type == MSG_AUDIO ? 4 : 5;
    put_message(out, chunk_stream, t->type, 1, stamp_ms, body, t->size, OUT_CHUNK);
}

static uint32_t stamp_of(const Group *g, const Tag *t) { return g->loop * loop_ms + t->stamp_ms; }

/* Brings the group up to now: what has become due goes behind what is unsent, and into the GOP cache. */
static void make_due(Rhythm *r, Group *g, int64_t now)
{
    static uint8_t body[1 << 20];
    for (Form *f = &g->flv; f <= &g->rtmp; f++) {
        if (f->sent < f->bytes.size && f->sent < 1 << 20) continue;
        memmove(f->bytes.data, f->bytes.data + f->sent, f->bytes.size -= f->sent);
        f->sent = 0;
    }
    while (stamp_of(g, &tags[g->next_tag]) * 1000000LL <= now - g->start_ns) {
        const Tag *t = &tags[g->next_tag];
        uint32_t stamp = stamp_of(g, t);
        if (t->size > sizeof body) die("frame too large");
        memcpy(body, clip.data + t->at, t->size);
        if (r->marks && t->type == MSG_VIDEO && !t->keyframe && t->size >= 64) {
            memcpy(body + t->size - 16, MARK_MAGIC, 8);
            memcpy(body + t->size - 8, &now, 8);
        }
        if (t->keyframe) g->flv.gop.size = g->rtmp.gop.size = 0;
        put_flv(&g->flv.bytes, t, stamp, body);
        put_flv(&g->flv.gop, t, stamp, body);
        put_rtmp(&g->rtmp.bytes, t, stamp, body);
        put_rtmp(&g->rtmp.gop, t, stamp, body);
        if (++g->next_tag == tag_count) g->next_tag = head_count, g->loop++;
    }
}

/* ---- takers ---- */

static void close_taker(Taker *t)
{
    close(t->session.fd);
    reader_free(&t->session.reader);
    free(t->inbox.data);
    free(t->unsent.data);
    free(t);
    taker_count--;
}

/* Sends, keeping what the peer does not take now. False when the taker is lost. */
static bool give(Taker *t, const uint8_t *p, size_t size)
{
    int fd = t->session.fd;
    if (t->unsent.size) {
        ssize_t n = send(fd, t->unsent.data, t->unsent.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return false;
        if (n > 0) memmove(t->unsent.data, t->unsent.data + n, t->unsent.size -= n);
    }
    if (!t->unsent.size && size) {
        ssize_t n = send(fd, p, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return false;
        if (n > 0) p += n, size -= n;
    }
    if (t->unsent.size + size > BACKLOG_MAX) return false;
    if (size) bytes_add(&t->unsent, p, size);
    return true;
}

/* Gives a new taker headers and GOP cache. False when it is lost. */
static bool start(Taker *t, Group *g)
{
    bool flv = t->kind == HTTP;
    Form *f = flv ? &g->flv : &g->rtmp;
    size_t later = f->bytes.size - f->sent;
    /* The cache ends with the newest byte made; what a slow rhythm has yet to send comes with the others' bytes.
       More of that than one GOP: the cache does not hold the byte to start from, so this taker waits a little. */
    if (later > f->gop.size) return true;
    Bytes out = {0};
    if (flv) {
        static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n";
        bytes_add(&out, ok, sizeof ok - 1);
        bytes_add(&out, clip.data, 13);
    }
    uint32_t stamp = stamp_of(g, &tags[g->next_tag]);
    for (const Tag *head = tags; head < tags + head_count; head++)
        (flv ? put_flv : put_rtmp)(&out, head, stamp, clip.data + head->at);
    bytes_add(&out, f->gop.data, f->gop.size - later);
    t->started = give(t, out.data, out.size);
    free(out.data);
    joined += t->started;
    return t->started;
}

/* Before its first taker a rhythm is idle: its groups are brought up to now with nothing left to send. */
static void begin(Rhythm *r)
{
    r->in_use = true;
    r->next_ns = now_ns();
    for (Group *g = r->groups; g < r->groups + group_count; g++) {
        make_due(r, g, r->next_ns);
        g->flv.sent = g->flv.bytes.size;
        g->rtmp.sent = g->rtmp.bytes.size;
    }
}

static void add_to_group(Taker *t)
{
    Rhythm *r = t->rhythm;
    if (!r->in_use) begin(r);
    Group *g = &r->groups[r->next_group++ % group_count];
    if (!start(t, g)) {
        close_taker(t);
        return;
    }
    if (g->count == g->room && !(g->takers = realloc(g->takers, (g->room = g->room * 2 + 16) * sizeof *g->takers))) die("realloc");
    g->takers[g->count++] = t;
}

static void send_due(Rhythm *r, Group *g, Form *f, bool flv)
{
    size_t size = f->bytes.size - f->sent;
    if (r->most && size > r->most) size = r->most;
    if (!size) return;
    for (int i = 0; i < g->count; i++) {
        Taker *t = g->takers[i];
        if ((t->kind == HTTP) != flv) continue;
        bool kept = t->started || start(t, g);
        if (kept && t->started) kept = give(t, f->bytes.data + f->sent, size);
        if (kept) continue;
        if (t->unsent.size > BACKLOG_MAX / 2) dropped++;
        close_taker(t);
        g->takers[i--] = g->takers[--g->count];
    }
    f->sent += size;
}

static void run_turn(Rhythm *r)
{
    Group *g = &r->groups[r->turn];
    int64_t now = now_ns();
    if (now - r->next_ns > worst_late_ns) worst_late_ns = now - r->next_ns;
    make_due(r, g, now);
    send_due(r, g, &g->flv, true);
    send_due(r, g, &g->rtmp, false);
    r->turn = (r->turn + 1) % group_count;
    r->next_ns += r->period_ns / group_count;
}

/* ---- setting up ---- */

static Rhythm *rhythm_named(const char *name)
{
    for (Rhythm *r = rhythms; r < rhythms + 2; r++)
        if (!strncmp(name, r->name, strlen(r->name))) return r;
    return NULL;
}

static void on_message(void *who, const ChunkStream *m)
{
    if (m->type == MSG_COMMAND) session_command(&((Taker *)who)->session, m);
}

/* Takes what a peer said while it is set up: 1 ready for media, 0 more to come, -1 lost. */
static int set_up(Taker *t)
{
    uint8_t part[8192];
    ssize_t n = recv(t->session.fd, part, sizeof part, 0);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    if (n == 0 || t->inbox.size > 1 << 16) return -1;
    if (t->kind == PLAYER) {
        if (!session_feed(&t->session, part, n, on_message, t)) return -1;
        t->rhythm = rhythm_named(t->session.app);
        return t->session.playing ? (t->rhythm ? 1 : -1) : 0;
    }
    bytes_add(&t->inbox, part, n);
    if (t->kind == HTTP) {
        if (!memmem(t->inbox.data, t->inbox.size, "\r\n\r\n", 4)) return 0;
        t->rhythm = memcmp(t->inbox.data, "GET /", 5) ? NULL : rhythm_named((char *)t->inbox.data + 5);
        return t->rhythm ? 1 : -1;
    }
    if (!t->asked && t->inbox.size >= 1 + 2 * HANDSHAKE) {
        Bytes out = {0};
        put_publish(&out, t->inbox.data + 1, t->app, t->key);
        t->asked = send_all(t->session.fd, &out);
        free(out.data);
    }
    return memmem(t->inbox.data, t->inbox.size, "NetStream.Publish.Start", 23) != NULL;
}

static Taker *new_taker(int fd, Kind kind)
{
    Taker *t = calloc(1, sizeof *t);
    if (!t) die("calloc");
    no_delay(fd);
    t->kind = kind;
    t->session.fd = fd;
    watch(epoll, fd, EPOLLIN, t);
    taker_count++;
    return t;
}

static void publish(const char *rhythm, int port, const char *app, int number)
{
    uint8_t hello[1 + HANDSHAKE] = {3};
    int fd = connect_to(port);
    if (send(fd, hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello) die("publish");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    Taker *t = new_taker(fd, PUBLISHER);
    t->rhythm = rhythm_named(rhythm);
    if (!t->rhythm) die(rhythm);
    snprintf(t->app, sizeof t->app, "%s", app);
    snprintf(t->key, sizeof t->key, "%d", number);
}

static void obey(const char *line)
{
    char rhythm[16], app[64];
    int port, first, count;
    if (sscanf(line, "publish %15s %d %63s %d %d", rhythm, &port, app, &first, &count) == 5) {
        for (int i = 0; i < count; i++) publish(rhythm, port, app, first + i);
    } else if (!strcmp(line, "report")) {
        printf("{\"takers\": %d, \"joined\": %d, \"dropped\": %d, \"worst_late_ms\": %.1f}\n", taker_count, joined, dropped,
               worst_late_ns / 1e6);
        joined = dropped = worst_late_ns = 0;
    }
}

int main(int argc, char **argv)
{
    begin_program();
    if (argc != 3) return 2;
    group_count = atoi(argv[2]);
    if (group_count < 1 || group_count > GROUPS_MAX) return 2;
    load_clip(argv[1]);
    int http_port, rtmp_port, http = listen_on_any_port(&http_port), rtmp = listen_on_any_port(&rtmp_port);
    static int control;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, 0, EPOLLIN, &control);
    watch(epoll, http, EPOLLIN, &http);
    watch(epoll, rtmp, EPOLLIN, &rtmp);
    int64_t start_ns = now_ns();
    for (Rhythm *r = rhythms; r < rhythms + 2; r++) {
        r->next_ns = INT64_MAX;
        for (int i = 0; i < group_count; i++) {
            r->groups[i].next_tag = head_count;
            r->groups[i].start_ns = start_ns - i * 2000000000LL / group_count;
        }
    }
    printf("{\"http\": %d, \"rtmp\": %d}\n", http_port, rtmp_port);
    for (;;) {
        struct epoll_event ready[64];
        Rhythm *r = rhythms[0].next_ns < rhythms[1].next_ns ? &rhythms[0] : &rhythms[1];
        int n = wait_until(epoll, ready, 64, r->next_ns);
        for (int i = 0; i < n; i++) {
            void *who = ready[i].data.ptr;
            if (who == &control) {
                obey(read_command());
            } else if (who == &http || who == &rtmp) {
                int fd = accept4(*(int *)who, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd >= 0) new_taker(fd, who == &http ? HTTP : PLAYER);
            } else {
                int ready_for_media = set_up(who);
                if (ready_for_media == 0) continue;
                epoll_ctl(epoll, EPOLL_CTL_DEL, ((Taker *)who)->session.fd, NULL);
                if (ready_for_media > 0) add_to_group(who);
                else close_taker(who);
            }
        }
        if (now_ns() >= r->next_ns) run_turn(r);
    }
}
