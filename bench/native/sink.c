/* RTMP sink: takes any number of publishers, throws the media away, and knows of each whether it is publishing.
 *
 *     sink DRAIN_MS FRESH_MS [--events]
 *
 * Prints {"rtmp": port}. A publisher is read every DRAIN_MS, so that the sink wakes rarely; one whose key begins with
 * "probe" is read as its bytes come (with DRAIN_MS 0: every one), and its frames are timed. With --events the first
 * frame of each stream is printed as it comes, and the time of its last when it has gone. Line "report" prints the
 * counts since the last report:
 *
 *   streams         publishers connected that were told Publish.Start
 *   fresh           of these, how many gave a frame within the last FRESH_MS
 *   worst_gap_ms    the longest silence of any of them; new_streams, lost: joined and left since the last report
 *   min_frames, min_advance_ms    of the stream that gave fewest video frames / whose stamps advanced least
 *   backwards       video stamps that went back; uneven: that did not rise by 1 to EVEN_MS, one frame at 30
 *                   a second
 *   added_us        from a marked frame leaving the source to its last byte here: count, p50, p99, max
 *   late_us         unmarked probes: arrival against the stream's own stamps, the stream's first frame = 0: above 0 a
 *                   player that shows the first frame as it comes runs dry, below 0 the frame is ahead of its time
 *   jitter_us       the same, the earliest frame since the last report = 0
 */
#include "rtmp.h"

/* Streams are drained in SLICES turns a period, so that thousands of them do not keep a probe waiting. */
enum { READ_ROOM = 1 << 20, ACK_EVERY = 2500000, SLICES = 8, EVEN_MS = 50 };

typedef struct {
    Session session;
    bool probe, started, has_picture;
    int64_t bytes, acknowledged, last_ns, gap_ns;
    uint32_t frames, stamp_ms, first_stamp_ms;
    int64_t *offsets_us, first_offset_us; /* arrival minus stamp, of an unmarked probe */
    size_t offsets, offsets_room;
} Stream;

static Stream **streams;
static int count, room, new_streams, lost, backwards, uneven, epoll;
static int64_t bytes, messages, arrived_ns;
static int64_t *added;
static size_t added_size, added_room;
static bool events;
static int drain_ms, fresh_ms;
static uint8_t buffer[READ_ROOM];

static void keep_added(int64_t us)
{
    if (added_size == added_room && !(added = realloc(added, (added_room = added_room * 2 + 1024) * sizeof *added))) die("realloc");
    added[added_size++] = us;
}

static void keep_offset(Stream *s, int64_t us)
{
    if (s->offsets == s->offsets_room) {
        s->offsets_room = s->offsets_room * 2 + 64;
        if (!(s->offsets_us = realloc(s->offsets_us, s->offsets_room * sizeof *s->offsets_us))) die("realloc");
    }
    if (s->first_offset_us == 0) s->first_offset_us = us;
    s->offsets_us[s->offsets++] = us;
}

static void on_message(void *who, const ChunkStream *m)
{
    Stream *s = who;
    if (m->type == MSG_COMMAND) session_command(&s->session, m);
    if (!s->session.publishing || (m->type != MSG_AUDIO && m->type != MSG_VIDEO) || m->size < 2) return;
    messages++;
    if (m->head[1] == 0) return; /* a sequence header of AVC or AAC, the codecs used here, is no frame */
    if (!s->started) {
        s->started = true;
        new_streams++;
        if (events) printf("{\"first\": \"%s\", \"ns\": %lld}\n", s->session.key, (long long)arrived_ns);
    } else if (arrived_ns - s->last_ns > s->gap_ns) {
        s->gap_ns = arrived_ns - s->last_ns;
    }
    s->last_ns = arrived_ns;
    if (m->type != MSG_VIDEO) return;
    if (!s->frames++) s->first_stamp_ms = m->stamp_ms;
    if (s->has_picture) {
        int32_t step_ms = m->stamp_ms - s->stamp_ms;
        if (step_ms < 0) backwards++;
        if (step_ms <= 0 || step_ms > EVEN_MS) uneven++;
    }
    s->has_picture = true;
    s->stamp_ms = m->stamp_ms;
    if (!s->probe) return;
    if (memcmp(m->tail, MARK_MAGIC, sizeof MARK_MAGIC)) {
        keep_offset(s, arrived_ns / 1000 - m->stamp_ms * 1000LL);
    } else {
        int64_t sent_ns;
        memcpy(&sent_ns, m->tail + sizeof MARK_MAGIC, sizeof sent_ns);
        keep_added((arrived_ns - sent_ns) / 1000);
    }
}

/* Reads what has come. False when the publisher has gone or talks nonsense. */
static bool drain(Stream *s)
{
    for (;;) {
        ssize_t n = recv(s->session.fd, buffer, sizeof buffer, 0);
        if (n < 0) return errno == EAGAIN;
        if (n == 0) return false;
        arrived_ns = now_ns();
        bytes += n, s->bytes += n;
        if (!session_feed(&s->session, buffer, n, on_message, s)) {
            fprintf(stderr, "sink: %s sent what is not RTMP\n", s->session.key);
            return false;
        }
        if (s->bytes - s->acknowledged >= ACK_EVERY) {
            Bytes ack = {0};
            put_control(&ack, 3, s->acknowledged = s->bytes);
            send_all(s->session.fd, &ack);
            free(ack.data);
        }
        if (n < READ_ROOM) return true;
    }
}

static void forget(int i)
{
    Stream *s = streams[i];
    if (s->started) lost++;
    if (s->started && events) printf("{\"last\": \"%s\", \"ns\": %lld}\n", s->session.key, (long long)s->last_ns);
    close(s->session.fd);
    reader_free(&s->session.reader);
    free(s->offsets_us);
    free(s);
    streams[i] = streams[--count];
}

static int find(const Stream *s)
{
    for (int i = 0; i < count; i++)
        if (streams[i] == s) return i;
    return -1;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_spread(const char *name, int64_t *us, size_t n)
{
    qsort(us, n, sizeof *us, by_value);
    printf(", \"%s\": {\"count\": %zu, \"p50\": %lld, \"p99\": %lld, \"max\": %lld}", name, n,
           n ? (long long)us[n / 2] : 0, n ? (long long)us[n - 1 - n / 100] : 0, n ? (long long)us[n - 1] : 0);
}

static void report(void)
{
    int publishing = 0, fresh = 0;
    uint32_t min_frames = UINT32_MAX, min_advance = UINT32_MAX;
    int64_t now = now_ns(), gap = 0;
    int64_t *late = NULL, *jitter = NULL;
    size_t late_size = 0;
    for (int i = 0; i < count; i++) {
        Stream *s = streams[i];
        if (!s->session.publishing) continue;
        publishing++;
        if (s->started && now - s->last_ns > s->gap_ns) s->gap_ns = now - s->last_ns;
        if (s->started && now - s->last_ns < fresh_ms * 1000000LL) fresh++;
        if (s->gap_ns > gap) gap = s->gap_ns;
        if (s->frames < min_frames) min_frames = s->frames;
        uint32_t advance = s->frames ? s->stamp_ms - s->first_stamp_ms : 0;
        if (advance < min_advance) min_advance = advance;
        int64_t earliest = INT64_MAX;
        for (size_t k = 0; k < s->offsets; k++)
            if (s->offsets_us[k] < earliest) earliest = s->offsets_us[k];
        if (s->offsets && !(late = realloc(late, (late_size + s->offsets) * sizeof *late))) die("realloc");
        if (s->offsets && !(jitter = realloc(jitter, (late_size + s->offsets) * sizeof *late))) die("realloc");
        for (size_t k = 0; k < s->offsets; k++) {
            jitter[late_size] = s->offsets_us[k] - earliest;
            late[late_size++] = s->offsets_us[k] - s->first_offset_us;
        }
        s->offsets = 0, s->frames = 0, s->gap_ns = 0;
    }
    printf("{\"streams\": %d, \"fresh\": %d, \"worst_gap_ms\": %lld, \"new_streams\": %d, \"lost\": %d, \"backwards\": %d, "
           "\"uneven\": %d, \"min_frames\": %u, \"min_advance_ms\": %u, \"bytes\": %lld, \"messages\": %lld",
           publishing, fresh, (long long)gap / 1000000, new_streams, lost, backwards, uneven, publishing ? min_frames : 0,
           publishing ? min_advance : 0, (long long)bytes, (long long)messages);
    print_spread("added_us", added, added_size);
    print_spread("late_us", late, late_size);
    print_spread("jitter_us", jitter, late_size);
    printf("}\n");
    free(late);
    free(jitter);
    added_size = new_streams = lost = backwards = uneven = bytes = messages = 0;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        no_delay(fd);
        if (count == room && !(streams = realloc(streams, (room = room * 2 + 64) * sizeof *streams))) die("realloc");
        Stream *s = streams[count++] = calloc(1, sizeof *s);
        if (!s) die("calloc");
        s->session.fd = fd;
        s->probe = true; /* until it has published and said its key */
        watch(epoll, fd, EPOLLIN, s);
    }
}

int main(int argc, char **argv)
{
    begin_program();
    drain_ms = argc > 1 ? atoi(argv[1]) : 20;
    fresh_ms = argc > 2 ? atoi(argv[2]) : 1000;
    events = argc > 3 && !strcmp(argv[3], "--events");
    int port, listener = listen_on_any_port(&port);
    static int control;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, 0, EPOLLIN, &control);
    watch(epoll, listener, EPOLLIN, NULL);
    printf("{\"rtmp\": %d}\n", port);
    int64_t turn_ns = (drain_ms ? drain_ms : 100) * 1000000LL / SLICES, next = now_ns() + turn_ns;
    int slice = 0;
    for (;;) {
        struct epoll_event ready[256];
        int n = wait_until(epoll, ready, 256, next);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr == NULL) {
                accept_all(listener);
            } else if (ready[i].data.ptr == &control) {
                if (!strcmp(read_command(), "report")) report();
            } else {
                Stream *s = ready[i].data.ptr;
                if (!drain(s)) {
                    forget(find(s));
                } else if (drain_ms && s->session.publishing && strncmp(s->session.key, "probe", 5)) {
                    s->probe = s->session.reader.keep_tails = false;
                    epoll_ctl(epoll, EPOLL_CTL_DEL, s->session.fd, NULL);
                } else {
                    s->session.reader.keep_tails = true;
                }
            }
        }
        if (now_ns() < next) continue;
        while (next <= now_ns()) next += turn_ns;
        slice = (slice + 1) % SLICES;
        for (int i = slice; i < count; i += SLICES)
            if (!streams[i]->probe && !drain(streams[i])) forget(i);
    }
}
