/* The clip that every program here sends: an FLV file, its tags, and how long one loop of it lasts. */
#ifndef BENCH_CLIP_H
#define BENCH_CLIP_H

#include "rtmp.h"

enum { HEAD_TAGS = 3 };

typedef struct { uint32_t at, size, stamp_ms; uint8_t type; bool keyframe; } Tag; /* at, size: of the body */

static Bytes clip;
static Tag *tags;                  /* the headers first: metadata and a sequence header of each track */
static int tag_count, head_count;
static uint32_t loop_ms;

static inline void load_clip(const char *path)
{
    FILE *f = fopen(path, "rb");
    static uint8_t part[1 << 16];
    size_t n;
    if (!f) die(path);
    while ((n = fread(part, 1, sizeof part, f))) bytes_add(&clip, part, n);
    fclose(f);
    tags = calloc(clip.size / 16, sizeof *tags);
    uint32_t last[2] = {0}, step[2] = {0};
    for (size_t p = 13; p + 15 <= clip.size;) {
        const uint8_t *d = clip.data + p;
        Tag t = {p + 11, be24(d + 1), be24(d + 4) | (uint32_t)d[7] << 24, d[0], d[0] == MSG_VIDEO && d[11] >> 4 == 1};
        p += 15 + t.size;
        if (t.type == MSG_VIDEO && d[12] == 2) continue; /* end of sequence: this one has no end */
        bool head = t.type == MSG_DATA || d[12] == 0;
        if (head && head_count != tag_count) continue;
        head_count += head;
        tags[tag_count++] = t;
        if (head) continue;
        int track = t.type == MSG_VIDEO;
        step[track] = t.stamp_ms - last[track];
        last[track] = t.stamp_ms;
    }
    if (head_count != HEAD_TAGS) fprintf(stderr, "the clip has %d headers, not %d\n", head_count, HEAD_TAGS), exit(1);
    for (int track = 0; track < 2; track++)
        if (last[track] + step[track] > loop_ms) loop_ms = last[track] + step[track];
}

#endif
