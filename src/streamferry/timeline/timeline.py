"""The timeline of a live source: lays the tags of one segment after another on one output clock.

Theory of operation. A *segment* is a stretch of tags whose stamps belong together: one live session.
Within a segment ``DTS on the output clock = stamp + shift`` with one shift for all tracks, which is what keeps the
offset between sound and picture; only a track whose own clock restarts gets another. A new segment gets the shift that
puts its first tag where the last one ended: at the latest end over the tracks (last DTS + last frame's duration).
Nothing else moves stamps, except the repairs below, each of which is counted.

Stamps cannot be trusted. A segment starts at its first keyframe; sound that came before it in the stream but belongs
after it in time is held and kept. Sound alone is taken for a stream without picture after AUDIO_ONLY_AFTER_MS of it, or
after PICTURE_PATIENCE_MS if metadata, a header or a frame promised a picture. Prepared files need none of this: see
``timeline.joins``.

A *track* is a tag type and a track id (Enhanced RTMP multitrack); stamps, order and headers are each track's own.
Where a viewer can begin is marked on the tag (``media.starts``). A picture that is missing for PICTURE_PATIENCE_MS
while sound continues is considered lost: sound continues alone until the picture's next keyframe.

    stamp + shift is ...                                   then
    after the track's last DTS, at most MAX_STEP_MS        the normal case
    the same, with 2^32 ms added                           the 32-bit stamp wrapped: new shift, no repair
    the same, with 2^32 ms less                            it stepped back to before its wrap: the same
    the same, with the shift before the last change        a straggler of the old stretch: laid where it belongs
    the same, with another track's shift                   the clock of both restarted, and the other came first
    that of the last frame: a picture in several tags      1 ms after it, as long as they come: no repair
    at most MAX_REGRESS_MS back                            repair: 1 ms after the last DTS
    anything else                                          repair: a jump; a new shift of this track, see below

A jump goes to where the other tracks are, because its clock alone may have restarted, after a loss. It is closed up
without waiting for a keyframe: the frames themselves are in order, only their stamps moved. When the encoder really
restarted it sends new sequence headers, and after those a keyframe is awaited.

Specification: FLV E.4.1 (stamps are 32-bit ms), RTMP 5.3.1.3.
"""

from collections.abc import Iterable

from streamferry.media.enhanced import headers_in, same_meaning, unwrap
from streamferry.media.stamps import WRAP_MS, signed_delta_ms
from streamferry.media.starts import Starts
from streamferry.media.tag import (
    AUDIO,
    FRAME,
    KEYFRAME,
    METADATA,
    NESTED,
    OTHER,
    SCRIPT,
    SEQUENCE_HEADER,
    START,
    VIDEO,
    LaidTag,
    Tag,
    kind_of_audio,
    kind_of_script,
    kind_of_video,
    metadata_tells_picture,
)
from streamferry.timeline.headers import HeadersInForce
from streamferry.timeline.tracks import MAX_FRAME_MS, Track, Tracks
from streamferry.wire.flv import is_script

#: A larger step forward is a jump. Twice the longest keyframe interval platforms accept (YouTube and Twitch: 4 s)
#: leaves room for a source that pauses; a source silent for 5 s is rebuilt before it can reach this honestly.
MAX_STEP_MS = 10_000
#: A smaller step back is disorder at the source (encoders that stamp with jitter), not a new clock.
MAX_REGRESS_MS = 500
#: A track that jumps and ends no further before the others than this has lost nothing: servers interleave like that.
MAX_INTERLEAVE_MS = 200
#: A live stream with this much sound and no sign of a picture is treated as one without picture.
AUDIO_ONLY_AFTER_MS = 3_000
#: How long sound waits for an announced picture: nginx-rtmp without a GOP cache sends none of it before the next
#: keyframe, and encoders by default set those 10 s apart (x264: 250 frames).
PICTURE_PATIENCE_MS = 15_000
#: Sound held while a live segment waits for its keyframe: servers interleave within a second or two.
_MAX_HELD_TAGS = 300
#: So often in a call what takes long is done: metadata is made, or a script looked into.
_MAX_LOOKS = 10


class Timeline:
    """See the module's docstring. Not safe to share between runs; ``lay`` is called at each beat."""

    __slots__ = (
        "_expects_video",
        "_headers",
        "_held",
        "_joining_since",
        "_looks_left",
        "_segment_ms",
        "is_joining",
        "lead",
        "reads_sets",
        "repairs",
        "starts",
        "tracks",
    )

    def __init__(self, start_ms: int = 0) -> None:
        """An output clock whose first tag gets ``start_ms``."""
        #: Where the tracks are, and the judge of where a viewer can begin: ``relay.fast_path`` reads them, too.
        self.tracks = Tracks(start_ms)
        self.starts = Starts()
        #: The leading picture track, almost always the first.
        self.lead = self.tracks.video
        self._headers = HeadersInForce()
        self._held: list[Tag] = []
        #: Whether a live segment waits for the frame it begins with.
        self.is_joining = False
        self._joining_since: int | None = None
        self._expects_video = False
        self._segment_ms = start_ms
        self._looks_left = _MAX_LOOKS
        #: Whether the picture has no header, so that its keyframes are looked into for parameter sets.
        self.reads_sets = False
        #: Stamps that had to be changed since the run began.
        self.repairs = 0

    @property
    def position_ms(self) -> int:
        """End of the laid media: where the next segment will join."""
        return self.tracks.end_ms

    @property
    def headers(self) -> list[LaidTag]:
        """What a destination must have before the next frame: metadata, then the headers of all tracks in force."""
        return self._headers.tags(self.position_ms)

    @property
    def header_changes(self) -> int:
        """How often those have changed."""
        return self._headers.changes

    @property
    def shift(self) -> int:
        """What is added to the stamps of the leading picture, and but for restarts to all, in ms."""
        return self.lead.shift

    def begin_live(self) -> None:
        """The next tags come from a new live session."""
        self._begin(self.position_ms)
        self._headers.begin()
        self.starts.begin()
        self.is_joining = True
        self._joining_since = None
        self._expects_video = self.reads_sets = False

    def _begin(self, segment_ms: int) -> None:
        self._segment_ms = segment_ms
        self._held.clear()
        self.tracks.begin(segment_ms)
        self.lead = self.tracks.video

    def lay(self, tags: Iterable[Tag], out: list[LaidTag]) -> None:
        """Append the tags with their DTS on the output clock and their kind; per track the DTS of frames rise strictly.

        Headers come before the first frame of a segment, or where they change, with metadata of our own before them.
        Dropped without a count: frames of a segment before its start, headers that repeat those in force, video before
        the keyframe it needs, what the source says of itself. Bodies are passed on as they are (views stay views),
        except held ones, which are copied.
        """
        audio, video, starts = self.tracks.audio, self.tracks.video, self.starts
        append, max_step_ms = out.append, MAX_STEP_MS
        if audio.last_ms - self.lead.last_ms > PICTURE_PATIENCE_MS and starts.sound != START:
            self._lose_picture()
        for tag in tags:
            tag_type, stamp, body = tag
            if tag_type == VIDEO:
                track = video
                kind = kind_of_video(body)
                if kind != FRAME:
                    if kind != KEYFRAME:
                        self._lay_other(tag, kind, out)
                        continue
                    kind = starts.mark_picture(KEYFRAME)
                    self.lead = video
                    if not video.is_open:
                        if self._open([video], tag, kind, out):
                            continue
                    elif self.reads_sets and self._headers.read_sets(body):
                        self._lay_new_headers(self.tracks.place_of_header(video), out)
                elif not video.is_open:
                    self._expects_video = True
                    continue
            elif tag_type == AUDIO:
                track = audio
                kind = kind_of_audio(body)
                if kind != FRAME:
                    self._lay_other(tag, kind, out)
                    continue
                if not audio.is_open and self._open_sound(tag, out):
                    continue
                kind = starts.sound
            else:
                self._lay_other(tag, kind_of_script(body), out)
                continue
            dts_ms = stamp + track.shift
            step_ms = dts_ms - track.last_ms
            if not 0 < step_ms <= max_step_ms:
                repaired_ms = self._repair(track, stamp)
                if repaired_ms is None:
                    continue
                dts_ms = repaired_ms
                step_ms = dts_ms - track.last_ms
            # Track.advance, written out: this runs for each frame of each stream.
            if step_ms <= MAX_FRAME_MS:
                track.frame_ms = step_ms
            track.last_ms = dts_ms
            append((tag_type, dts_ms, body, kind))
        self._looks_left = _MAX_LOOKS

    def _open(self, tracks: list[Track], tag: Tag, kind: int, out: list[LaidTag]) -> bool:
        """A keyframe opens these tracks. Gives whether the segment joins with it: then it is laid."""
        for track in tracks:
            track.is_open = True
        if tracks[0] is self.tracks.video and self._headers.lacks_sets(tag[2]):
            self.reads_sets = True
        if self.reads_sets:
            self._headers.read_sets(tag[2])
        self._headers.note_codec(VIDEO, tag[2])
        if not self.is_joining:
            self._headers.forget_unrepeated()
            self._lay_new_headers(self.tracks.place_of_header(tracks[0]), out)
            return False
        self._join_at(tag[1], out)
        out.append((VIDEO, self._segment_ms, tag[2], kind))
        for track in tracks:
            track.advance(self._segment_ms)
        self._release_held(out)
        return True

    def _open_sound(self, tag: Tag, out: list[LaidTag]) -> bool:
        """Sound begins. Gives whether it has to wait for the segment to join."""
        if self.is_joining:
            self._hold(tag, out)
            return True
        self.tracks.audio.is_open = True
        self._headers.note_codec(AUDIO, tag[2])
        self._lay_new_headers(self.tracks.place_of_header(self.tracks.audio), out)
        return False

    def _lose_picture(self) -> None:
        """Continue with sound alone; when the picture returns it has to begin with a keyframe."""
        self.starts.lose_picture()
        self.tracks.close_pictures()

    def _lay_nested(self, tag: Tag, out: list[LaidTag]) -> None:
        """A packet of other tracks than 0, or of several, or with a ModEx around it. It is laid as it came."""
        tag_type, stamp, body = tag
        packet = unwrap(tag_type, body)
        if packet.kind > KEYFRAME:
            self._lay_other(tag, packet.kind, out)
            return
        tracks: dict[int, Track] = {}
        for part in packet.parts:
            if (found := self.tracks.of(tag_type, part.track_id)) is not None:
                tracks[part.track_id] = found
        if not tracks:
            return
        known = list(tracks.values())
        kind = packet.kind
        if tag_type == AUDIO:
            if self.is_joining:
                self._hold(tag, out)
                return
            kind = self.starts.sound
        else:
            track_id = min(tracks)
            self._announce(tracks[track_id], track_id)
            kind = self.starts.mark_picture(kind, track_id)
            if packet.kind == FRAME or (self.is_joining and kind != START):
                self._expects_video = True
                if not any(track.is_open for track in known):
                    return
            elif not all(track.is_open for track in known) and self._open(known, tag, kind, out):
                return
        # One stamp for all its tracks: it has to come after the last of each.
        latest = max(known, key=lambda track: track.last_ms)
        dts_ms = stamp + latest.shift
        if not 0 < dts_ms - latest.last_ms <= MAX_STEP_MS:
            repaired_ms = self._repair(latest, stamp)
            if repaired_ms is None:
                return
            dts_ms = repaired_ms
        for track in known:
            track.shift = latest.shift
            track.advance(dts_ms)
        out.append((tag_type, dts_ms, body, kind))

    def _announce(self, track: Track, track_id: int) -> None:
        """Note a picture track, which may be the leading one."""
        if self.starts.leads(track_id):
            self.starts.announce(track_id)
            self.lead = track

    def _lay_other(self, tag: Tag, kind: int, out: list[LaidTag]) -> None:
        tag_type, stamp, body = tag
        if kind == NESTED:
            self._lay_nested(tag, out)
        elif kind == METADATA:
            # What the source claims promises a picture, and goes no further.
            self._expects_video = self._expects_video or metadata_tells_picture(body)
        elif kind != OTHER:
            self._lay_header(tag, kind, out)
        elif tag_type == SCRIPT and not self.is_joining and self._looks_left:
            # Cue points, captions and the like are passed on unchanged; anything else of kind OTHER carries nothing.
            self._looks_left -= 1
            if is_script(body):
                latest_ms = self.position_ms
                place_ms = min(max(stamp + self.lead.shift, self.tracks.place_of_header(None)), latest_ms)
                out.append((SCRIPT, place_ms, body, OTHER))

    def _lay_header(self, tag: Tag, kind: int, out: list[LaidTag]) -> None:
        """A sequence header or side data, perhaps of several tracks: laid when the segment joins, if it is new."""
        tag_type, _, body = tag
        place: Track | None = None
        for key, header in headers_in(tag_type, body).items():
            track = self.tracks.of(tag_type, key[1])
            if track is None:
                continue
            is_needed = tag_type == VIDEO and kind == SEQUENCE_HEADER
            if is_needed:
                self._expects_video, self.reads_sets = True, False
                self._announce(track, key[1])
            before = self._headers.put(key, header)
            if before is None or not same_meaning(tag_type, before, header):
                place = place or track
                if is_needed and before is not None:
                    track.is_open = False
                elif tag_type == AUDIO and kind == SEQUENCE_HEADER:
                    # What was held before it needs the other one.
                    self._held.clear()
        if place is not None and not self.is_joining:
            self._lay_new_headers(self.tracks.place_of_header(place), out)

    def _lay_new_headers(self, dts_ms: int, out: list[LaidTag]) -> None:
        self._looks_left -= self._looks_left > 0
        out += self._headers.take_new(dts_ms, described=self._looks_left > 0)

    def _hold(self, tag: Tag, out: list[LaidTag]) -> None:
        """Keep sound that came before the first keyframe; without any sign of a picture, start with the sound."""
        tag_type, stamp, body = tag
        held = self._held
        held.append((tag_type, stamp, bytes(body)))
        if len(held) > _MAX_HELD_TAGS:
            del held[0]
        if self._joining_since is None:
            self._joining_since = stamp
        patience_ms = PICTURE_PATIENCE_MS if self._expects_video else AUDIO_ONLY_AFTER_MS
        if signed_delta_ms(stamp, self._joining_since) >= patience_ms:
            self._join_at(held[0][1], out)
            self._release_held(out)

    def _join_at(self, stamp: int, out: list[LaidTag]) -> None:
        self.tracks.move(self._segment_ms - stamp)
        self.is_joining = False
        self._headers.forget_unrepeated()
        self._lay_new_headers(self._segment_ms, out)

    def _release_held(self, out: list[LaidTag]) -> None:
        held, self._held = self._held, []
        self.lay(held, out)

    def _repair(self, track: Track, stamp: int) -> int | None:
        """DTS for a stamp that is out of sequence, or None when the tag is before its segment's start."""
        shift = track.shift
        # Also where its stamp is from before a wrap and that of the segment's start is not.
        before_ms = signed_delta_ms(self._segment_ms - shift, stamp)
        if track.last_ms < self._segment_ms and 0 < before_ms <= MAX_STEP_MS:
            return None
        position_ms = self.position_ms
        wrapped = (shift + WRAP_MS, track.previous_shift, shift - WRAP_MS)
        for candidate in (shift, *wrapped, *self.tracks.other_shifts(track)):
            if candidate is None:
                continue
            dts_ms = stamp + candidate
            # In step with its own track, or with the others after a pause of it.
            if any(-MAX_REGRESS_MS <= dts_ms - ms <= MAX_STEP_MS for ms in (track.last_ms, position_ms)):
                if candidate not in (shift, track.previous_shift):
                    track.restart(candidate)
                if dts_ms <= track.last_ms:
                    self.repairs += not track.is_tied(dts_ms)
                    return track.last_ms + 1
                return dts_ms
        self.repairs += 1
        others_ms = self.tracks.last_of_others_ms(track)
        dts_ms = track.end_ms if others_ms - track.end_ms <= MAX_INTERLEAVE_MS else others_ms
        track.restart(dts_ms - stamp)
        return dts_ms
