"""The last keyframe that was on air, held: a picture five times a second, and silence.

It is the keyframe itself, sent again and again. So it is of whatever codec and form is on air, without any encoding,
and there at once. Between keyframes a picture may have moved: what is held is up to a group of pictures old.
"""

import math
import time

from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, SEQUENCE_HEADER, START, VIDEO, LaidTag, Tag
from streamferry.push import Outlet
from streamferry.relay.flow import Feed
from streamferry.relay.silence import Silence
from streamferry.timeline import Timeline

#: Keyframes of 1080p have 100 KB and more: five a second are what such a stream has anyway.
FRAME_MS = 200


class HeldPicture:
    """Keeps the last keyframe that was laid."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._keyframe = b""
        self._headers: list[Tag] = []

    @property
    def is_there(self) -> bool:
        """Whether there was one."""
        return bool(self._keyframe)

    def note(self, laid: list[LaidTag]) -> None:
        """Look at what was laid."""
        for tag_type, _, body, kind in reversed(laid):
            if tag_type == VIDEO and kind == START:
                self._keyframe = bytes(body)
                headers = [tag for tag in self._timeline.headers if tag[3] == SEQUENCE_HEADER]
                self._headers = [(header_type, 0, bytes(header)) for header_type, _, header, _ in headers]
                return

    def begin_with(self, tags: list[Tag]) -> bool:
        """Until one was laid: the keyframe of what an input that is not on air keeps (``standby``), if that has one."""
        for tag_type, _, body in tags:
            if tag_type == VIDEO and tag_kind(tag_type, body) == KEYFRAME:
                self._keyframe = bytes(body)
                self._headers = [tag for tag in tags if tag_kind(tag[0], tag[2]) == SEQUENCE_HEADER]
                return True
        return False

    def inlet(self, now: float) -> "HeldInlet":
        """It, from now on."""
        return HeldInlet(self._headers, self._keyframe, now)


class WatchedFeed:
    """A feed whose keyframes are noted. It has no fast path, in which they would pass unseen."""

    fast_path = None

    def __init__(self, feed: Feed, held: HeldPicture) -> None:
        self._feed = feed
        self._held = held

    @property
    def bytes_in(self) -> int:
        """See ``relay.flow.Feed``."""
        return self._feed.bytes_in

    @property
    def lost_packets(self) -> int:
        """See ``relay.flow.Feed``."""
        return self._feed.lost_packets

    @property
    def media_at(self) -> float:
        """See ``relay.flow.Feed``."""
        return self._feed.media_at

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``relay.flow.Feed``."""
        return self._feed.sound_drift_ms

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """See ``relay.flow.Feed``."""
        self._feed.pull(now, laid)
        self._held.note(laid)

    def check_liveness(self, now: float) -> None:
        """See ``relay.flow.Feed``."""
        self._feed.check_liveness(now)

    def lead_to(self, outlet: Outlet) -> None:
        """See ``relay.flow.Feed``."""
        self._feed.lead_to(outlet)

    def close(self) -> None:
        """See ``relay.flow.Feed``."""
        self._feed.close()


class HeldInlet:
    """A LiveInlet."""

    silence_s = math.inf
    is_mute = False
    lost_packets = 0

    def __init__(self, headers: list[Tag], keyframe: bytes, now: float) -> None:
        self._first: list[Tag] = headers
        self._keyframe = keyframe
        self._began_at = now
        self._stamp_ms = 0
        sound = next((bytes(body) for tag_type, _, body in headers if tag_type == AUDIO), None)
        self._silence = None if sound is None else Silence.after(sound, 0)

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See ``LiveInlet``."""
        tags, self._first = list(self._first), []
        passed_ms = (time.monotonic() - self._began_at) * 1000
        if passed_ms - self._stamp_ms > 10 * FRAME_MS:
            # The machine was asleep.
            self._began_at += (passed_ms - self._stamp_ms) / 1000
            passed_ms = self._stamp_ms
        while self._stamp_ms <= passed_ms:
            tags.append((VIDEO, to_wire_ms(self._stamp_ms), self._keyframe))
            self._stamp_ms += FRAME_MS
        out += tags if self._silence is None else self._silence.fill(tags)
        return 0

    def close(self) -> None:
        """See ``LiveInlet``: there is nothing to close."""
