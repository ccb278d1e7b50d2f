/* The floor: what relaying costs when nothing is done but the system calls, on a beat like that of the relay.
 *
 *     floor BEAT_MS SLOTS SINK_PORT                     live: prints {"rtmp": port}, and passes on whoever publishes there
 *     floor BEAT_MS SLOTS SINK_PORT CLIP.flv COUNT      list: prints {"rtmp": 0}, and publishes COUNT loops of the clip
 *
 * A beat is cut into SLOTS turns, and every stream is visited in one of them. A visit to a live stream is one recv and
 * one send of the same bytes. A visit to a list is one sendfile: the file holds the media as RTMP chunks whose headers
 * have time deltas, so that its bytes are those of the wire in every loop. No byte of media is looked at. What the sink
 * says (answers, acknowledgements) is passed to the publisher as it comes. The end of input is the end; so are 30 minutes.
 */
#include "clip.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { ROOM = 1 << 20, FILE_CHUNK = 65536, MOST_SECONDS = 1800 };

typedef struct {
    int from, to; /* from: -1 for a list */
    Bytes unsent; /* of a live stream */
    int64_t start_ns;
    uint32_t loop;
    int next_tag; /* the first that is not due yet */
    off_t at;     /* what lies before it in the file has been sent */
} Stream;

static Stream **streams;
static int count, room, epoll, sink_port, file = -1;
static off_t *begins; /* where each tag begins in the file, and behind the last one where the file ends */
static uint8_t buffer[ROOM];

/* ---- visits ---- */

static bool visit_live(Stream *s)
{
    if (s->unsent.size) {
        ssize_t n = send(s->to, s->unsent.data, s->unsent.size, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN;
        memmove(s->unsent.data, s->unsent.data + n, s->unsent.size -= n);
        if (s->unsent.size) return true;
    }
    ssize_t size = recv(s->from, buffer, sizeof buffer, 0);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    ssize_t sent = send(s->to, buffer, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) sent = 0;
    if (sent < size) bytes_add(&s->unsent, buffer + sent, size - sent);
    return true;
}

static bool visit_list(Stream *s, int64_t now)
{
    for (;;) {
        int64_t ms = (now - s->start_ns) / 1000000 - (int64_t)s->loop * loop_ms;
        while (s->next_tag < tag_count && tags[s->next_tag].stamp_ms <= ms) s->next_tag++;
        off_t end = begins[s->next_tag];
        if (s->at < end && sendfile(s->to, file, &s->at, end - s->at) < 0) return errno == EAGAIN;
        if (s->at < end || ms < loop_ms) return true;
        s->loop++;
        s->at = 0;
        s->next_tag = head_count;
    }
}

static void forget(int i)
{
    Stream *s = streams[i];
    close(s->to);
    if (s->from >= 0) close(s->from);
    free(s->unsent.data);
    free(s);
    streams[i] = streams[--count];
}

/* ---- streams ---- */

static Stream *add(int from, int to)
{
    Stream *s = calloc(1, sizeof *s);
    if (count == room) streams = realloc(streams, (room = room * 2 + 64) * sizeof *streams);
    if (!s || !streams) die("add");
    s->from = from, s->to = to;
    fcntl(to, F_SETFL, O_NONBLOCK);
    watch(epoll, to, EPOLLIN, s);
    return streams[count++] = s;
}

/* Passes on what the sink said. False when it has gone. */
static bool pass_back(Stream *s)
{
    ssize_t n = recv(s->to, buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN;
    return n > 0 && (s->from < 0 || send(s->from, buffer, n, MSG_NOSIGNAL) == n);
}

/* Lays the media out as chunks. A header of type 1 has what must be added to the stamp of the message before it of the
 * same chunk stream; that of a track's first message is counted from its last one, which is right in every loop. */
static void lay_out_file(void)
{
    Bytes out = {0};
    uint32_t last[2] = {0};
    begins = calloc(tag_count + 1, sizeof *begins);
    for (int i = head_count; i < tag_count; i++) last[tags[i].type == MSG_VIDEO] = tags[i].stamp_ms;
    last[0] -= loop_ms, last[1] -= loop_ms;
    for (int i = head_count; i < tag_count; i++) {
        const Tag *t = &tags[i];
        int video = t->type == MSG_VIDEO, chunk_stream = video ? 6 : 4;
        uint8_t head[8] = {1 << 6 | chunk_stream, 0, 0, 0, 0, 0, 0, t->type}, go_on = 3 << 6 | chunk_stream;
        begins[i] = out.size;
        put24(head + 1, t->stamp_ms - last[video]);
        put24(head + 4, t->size);
        bytes_add(&out, head, sizeof head);
        for (uint32_t at = 0; at < t->size; at += FILE_CHUNK) {
            if (at) bytes_add(&out, &go_on, 1);
            bytes_add(&out, clip.data + t->at + at, t->size - at < FILE_CHUNK ? t->size - at : FILE_CHUNK);
        }
        last[video] = t->stamp_ms;
    }
    begins[tag_count] = out.size;
    file = memfd_create("list", MFD_CLOEXEC);
    if (file < 0 || write(file, out.data, out.size) != (ssize_t)out.size) die("file");
    free(out.data);
}

/* Publishes one list, up to its headers. Waits for the answers of the sink, which is on this machine. */
static void publish_list(int number)
{
    int fd = connect_to(sink_port);
    uint8_t hello[1 + HANDSHAKE] = {3}, answer[1 + 2 * HANDSHAKE];
    char key[16];
    Bytes out = {0};
    snprintf(key, sizeof key, "%d", number);
    if (send(fd, hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello) die("hello");
    if (recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer) die("answer");
    put_publish(&out, answer + 1, "bench", key);
    if (send(fd, out.data, out.size, MSG_NOSIGNAL) != (ssize_t)out.size) die("commands");
    size_t said = 0;
    while (!memmem(buffer, said, "NetStream.Publish.Start", 23)) {
        ssize_t n = recv(fd, buffer + said, sizeof buffer - said, 0);
        if (n <= 0) die("publish");
        said += n;
    }
    out.size = 0;
    for (const Tag *t = tags; t < tags + head_count; t++)
        put_message(&out, t->type == MSG_VIDEO ? 6 : t->type == MSG_AUDIO ? 4 : 5, t->type, 1, 0, clip.data + t->at, t->size, OUT_CHUNK);
    put_control(&out, MSG_CHUNK_SIZE, FILE_CHUNK);
    if (send(fd, out.data, out.size, MSG_NOSIGNAL) != (ssize_t)out.size) die("headers");
    free(out.data);
    Stream *s = add(-1, fd);
    s->start_ns = now_ns();
    s->next_tag = head_count;
}

int main(int argc, char **argv)
{
    begin_program();
    alarm(MOST_SECONDS);
    if (argc != 4 && argc != 6) return 2;
    int beat_ms = atoi(argv[1]), slots = atoi(argv[2]), port = 0, listener = -1;
    if (beat_ms < 1 || slots < 1) return 2;
    sink_port = atoi(argv[3]);
    static int control;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, 0, EPOLLIN, &control);
    if (argc == 6) {
        load_clip(argv[4]);
        lay_out_file();
        for (int i = 0; i < atoi(argv[5]); i++) publish_list(i);
        free(clip.data);
    } else {
        listener = listen_on_any_port(&port);
        watch(epoll, listener, EPOLLIN, NULL);
    }
    printf("{\"rtmp\": %d}\n", port);
    int64_t turn_ns = beat_ms * 1000000LL / slots, next = now_ns() + turn_ns;
    int slot = 0;
    for (;;) {
        struct epoll_event ready[256];
        int n = wait_until(epoll, ready, 256, next);
        for (int i = 0; i < n; i++) {
            Stream *s = ready[i].data.ptr;
            if (ready[i].data.ptr == &control) {
                read_command();
            } else if (!s) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0) continue;
                no_delay(fd);
                add(fd, connect_to(sink_port));
            } else if (!pass_back(s)) {
                for (int k = count - 1; k >= 0; k--)
                    if (streams[k] == s) forget(k);
            }
        }
        int64_t now = now_ns();
        if (now < next) continue;
        while (next <= now) next += turn_ns; /* a turn that was late is not made up for */
        slot = (slot + 1) % slots;
        for (int i = slot; i < count; i += slots)
            if (!(streams[i]->from < 0 ? visit_list(streams[i], now) : visit_live(streams[i]))) forget(i);
    }
}
