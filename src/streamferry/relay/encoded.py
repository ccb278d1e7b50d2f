"""A live source that is encoded: for a watermark, a destination that takes only H.264 and AAC, or the form on air.

An ffmpeg child encodes, between two timelines:

    source ──► a separate timeline ──► FLV ──► ffmpeg ──► FLV ──► the run's timeline

The first timeline does for ffmpeg what the run's does for a destination: it starts at a keyframe, and time never goes
back, because ffmpeg would drop such frames. ``prepare.plan`` decides what is encoded and how, as for files; sound is
copied where FLV carries it, and the destination takes it. A first ffmpeg probes the beginning of the stream to find
that out.

The child lives as long as its session of the source, and when it ends that session ends: the run opens both again.
``docs/decisions/0010-watermarks-on-live-streams.md`` has the measurements.
"""

import asyncio
import os
import time
from contextlib import suppress

from streamferry.media.enhanced import FirstTracks
from streamferry.media.errors import (
    SourceCorrupt,
    SourceEnded,
    SourceReaderFailed,
    SourceUnreachable,
)
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, SCRIPT, VIDEO, LaidTag, Tag
from streamferry.media.url import MediaUrl
from streamferry.net.child import ChildError
from streamferry.net.ffmpeg import FLV_OUTPUT, Ffmpeg
from streamferry.net.sandbox import ENCODING, Sandbox
from streamferry.net.sealed_file import sealed_file
from streamferry.prepare.form import AudioForm
from streamferry.prepare.input_description import InputDescription, parse_input_description
from streamferry.prepare.plan import decide_plan
from streamferry.prepare.processing import Processing
from streamferry.push import Outlet
from streamferry.push.forms import ENHANCED, Forms
from streamferry.reasons import Code
from streamferry.relay.drift import Drift
from streamferry.relay.feed import LiveFeed
from streamferry.source import LiveInlet
from streamferry.source.flv import FlvReader
from streamferry.source.live import ConnectionInlet
from streamferry.timeline import Timeline
from streamferry.wire.flv import serialize_flv_header, serialize_tag

#: How long a source may take until its first keyframe is probed: keyframes are up to 10 s apart.
LOOK_S = 20.0
#: The child may be this far behind the source, and more only while it catches up: a server's first group of pictures
#: comes at once.
MAX_BEHIND_MS = 2_000
#: After this long without catching up it is given up.
BEHIND_S = 5.0

_LOOK_EVERY_S = 0.02
# Room of the child's pipes: a beat of 80 ms at 100 Mbps.
_PIPE_BYTES = 1 << 20
# An announced track is awaited this long, in media time; what was probed is encoded too, so nothing is lost.
# Each frame that the decoder handles in parallel is a frame of delay.
_INPUT = (
    *("-probesize", "75000000", "-analyzeduration", "1000000", "-fpsprobesize", "0"),
    *("-threads", "2", "-f", "flv", "-i", "pipe:0"),
)
# Slices of a picture are encoded in parallel, and each costs a little quality: no more than are useful.
_ENCODER_THREADS = ("-threads", "4")
# Lower priority than the relay, so that encoders which use all cores do not delay streams that need none.
_SANDBOX = Sandbox(limits=ENCODING, niceness=5)


class EncodedFeed:
    """One live session that is encoded; see ``relay.feed``. ``inlet`` and ``child`` are taken over."""

    #: What the child returns is of another clock than what the source sent: nothing of it is simple.
    fast_path = None

    def __init__(
        self,
        source: "_Source",
        child: Ffmpeg,
        timeline: Timeline,
        scratch: memoryview,
        now: float,
        *,
        silence: bool,
        silence_as: AudioForm | None,
    ) -> None:
        self._source = source
        #: For tests and diagnosis.
        self.child = child
        self._timeline = timeline
        inlet = ConnectionInlet(child, self._receive_into, FlvReader())
        inlet.is_mute = not source.has_sound
        # Drift is corrected before the child, which orders by stamp.
        self._encoded = LiveFeed(inlet, timeline, scratch, now, silence=silence, silence_as=silence_as)
        # How far the child has come on the source's timeline.
        self._encoded_ms = 0
        self._least_behind_ms = MAX_BEHIND_MS
        self._kept_up_at = now

    @property
    def bytes_in(self) -> int:
        """Bytes received from the source in this session."""
        return self._source.feed.bytes_in

    @property
    def has_laid(self) -> bool:
        """See ``relay.feed.LiveFeed``."""
        return self._encoded.has_laid

    @property
    def source_headers(self) -> list[Tag]:
        """What a viewer needs before the next frame, silence that was made among it."""
        return [(tag[0], 0, bytes(tag[2])) for tag in self._timeline.headers]

    def lay_apart(self) -> None:
        """It is off the air: from its next keyframe on it is laid on a timeline of its own."""
        headers, self._timeline = self.source_headers, Timeline()
        self._timeline.begin_live()
        self._timeline.lay(headers, [])
        self._encoded.lay_on(self._timeline)

    @property
    def media_at(self) -> float:
        """See ``relay.flow.Feed``."""
        return self._source.feed.media_at

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``RelayStatus``."""
        return self._source.feed.sound_drift_ms

    @property
    def lost_packets(self) -> int:
        """See ``relay.flow.Feed``."""
        return self._source.feed.lost_packets

    @property
    def behind_ms(self) -> int:
        """Media that the child has received, or is about to, and has not returned yet."""
        return self._source.timeline.position_ms - self._encoded_ms

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Pass on what the source sent and lay what the child made of it. Raises SourceError."""
        self._source.pull(now)
        self._source.hand_to(self.child)
        self._encoded.pull(now, laid)
        if laid and laid[-1][3] <= KEYFRAME:
            self._encoded_ms = laid[-1][1] - self._timeline.shift

    def check_liveness(self, now: float) -> None:
        """Raise SourceStalled when the source is silent, SourceReaderFailed when the child does not keep up."""
        self._source.feed.check_liveness(now)
        behind_ms = self.behind_ms
        if behind_ms < self._least_behind_ms or behind_ms <= MAX_BEHIND_MS:
            self._least_behind_ms = max(behind_ms, MAX_BEHIND_MS)
            self._kept_up_at = now
        elif now - self._kept_up_at >= BEHIND_S:
            raise SourceReaderFailed(Code.WATERMARK_TOO_SLOW, behind_s=behind_ms / 1000)

    def lead_to(self, outlet: Outlet) -> None:
        """See ``relay.flow.Feed``: it has no fast path."""

    def close(self) -> None:
        """Close the session and end the child."""
        self._source.feed.close()
        self._encoded.close()

    def _receive_into(self, view: memoryview) -> int | None:
        received = self.child.receive_into(view)
        if received == 0:
            raise SourceReaderFailed(Code.WATERMARK_FFMPEG_ENDED, words=self.child.complaint)
        return received


class _Source:
    """A live session as FLV for ffmpeg, on a clock that starts at 0."""

    def __init__(self, inlet: LiveInlet, scratch: memoryview, drift: Drift | None) -> None:
        self.timeline = Timeline()
        self.feed = LiveFeed(inlet, self.timeline, scratch, time.monotonic(), drift=drift)
        #: What was received and not passed on yet.
        self.unsent = serialize_flv_header(True, True)
        self._first_tracks = FirstTracks()
        # ffmpeg does not know AV1 by its number, 13.
        self._forms = Forms(ENHANCED)
        # Types of the tracks that ffmpeg knows; None before it has probed.
        self._tracks: set[int] | None = None

    @property
    def has_sound(self) -> bool:
        """Whether ffmpeg found sound when it probed."""
        return self._tracks is not None and AUDIO in self._tracks

    def pull(self, now: float) -> None:
        """Receive once. Raises SourceError."""
        laid: list[LaidTag] = []
        self.feed.pull(now, laid)
        pieces = [self.unsent]
        for tag_type, dts_ms, laid_body, _ in self._forms.write(laid):
            if tag_type == SCRIPT:  # ffmpeg probes by itself, and its muxer writes its own.
                continue
            body = self._first_tracks.take(tag_type, laid_body)
            if body is None:
                continue
            if self._tracks is not None and tag_type not in self._tracks:
                raise SourceEnded(Code.SOURCE_NEW_TRACK)
            pieces.append(serialize_tag(tag_type, to_wire_ms(dts_ms), body))
        self.unsent = b"".join(pieces)

    def hand_to(self, child: Ffmpeg) -> None:
        """Pass on what the child can take now."""
        if self.unsent:
            try:
                self.unsent = self.unsent[child.send([self.unsent]) :]
            except OSError:  # It has exited, and its status will say why.
                self.unsent = b""

    async def look(self, url: MediaUrl) -> InputDescription:
        """What ffmpeg finds in it; everything received is still to be passed on. Raises SourceError."""
        child = _start(_INPUT, url)
        handed_bytes = 0
        try:
            async with asyncio.timeout(LOOK_S):
                while not child.ended.done():
                    now = time.monotonic()
                    self.pull(now)
                    self.feed.check_liveness(now)
                    with suppress(OSError):  # It has seen enough.
                        handed_bytes += child.send([memoryview(self.unsent)[handed_bytes:]])
                    await asyncio.wait((child.ended,), timeout=_LOOK_EVERY_S)
        except TimeoutError:
            raise SourceUnreachable(Code.WATERMARK_NO_BEGINNING, url=url.redacted, seconds=LOOK_S) from None
        finally:
            child.close()
        inside = parse_input_description(list(child.last_words))
        if child.ended.result() < 0:
            raise SourceReaderFailed(Code.WATERMARK_LOOK_KILLED, signal=-child.ended.result())
        if (inside.video is None and inside.audio is None) or (inside.video and not inside.video.form.width):
            raise SourceCorrupt(Code.WATERMARK_NOTHING_TO_MARK, url=url.redacted)
        self._tracks = {track for track, found in ((VIDEO, inside.video), (AUDIO, inside.audio)) if found}
        return inside


async def open_encoded(
    inlet: LiveInlet,
    processing: Processing,
    url: MediaUrl,
    timeline: Timeline,
    scratch: memoryview,
    *,
    drift: Drift | None = None,
    silence: bool = False,
) -> EncodedFeed:
    """Encode what ``inlet`` gives, which is taken over; ``url`` is its address. Raises SourceError."""
    child = None
    try:
        source = _Source(inlet, scratch, drift)
        inside = await source.look(url)
        mark = processing.watermark
        pictures = () if mark is None else (sealed_file(mark.picture),)
        try:
            plan = decide_plan(inside, processing, *(f"/proc/self/fd/{picture}" for picture in pictures))
            arguments = [*plan.reading, *_INPUT, *plan.inputs, *plan.output, *_ENCODER_THREADS, *FLV_OUTPUT]
            child = _start(arguments, url, inherit=pictures)
        finally:
            for picture in pictures:
                os.close(picture)
        sound = None if processing.form is None else processing.form.audio
        now = time.monotonic()
        return EncodedFeed(source, child, timeline, scratch, now, silence=silence, silence_as=sound)
    except BaseException:
        inlet.close()
        raise


def _start(arguments: "list[str] | tuple[str, ...]", url: MediaUrl, inherit: tuple[int, ...] = ()) -> Ffmpeg:
    try:
        return Ffmpeg(arguments, url, sandbox=_SANDBOX, takes_stdin=True, pipe_bytes=_PIPE_BYTES, inherit=inherit)
    except ChildError as error:
        raise SourceReaderFailed(error.why) from error
