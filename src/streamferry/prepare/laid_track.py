"""Where a track of a prepared file ends, for what joins it: by when its pictures are shown, not decoded."""

from streamferry.media.tag import EX_VIDEO_HEADER

# A longer step between frames may be a pause.
_MAX_FRAME_MS = 1_000
# H.264 and HEVC, in FLV's numbers and in those of Enhanced RTMP, tell when a picture is shown.
_WITH_LAG = (7, 12)
_WITH_LAG_NAMES = (b"avc1", b"hvc1")


class LaidTrack:
    """What was laid of a track of a prepared file: its last frame, and where the next one would be."""

    __slots__ = ("_before_ms", "_first_lag_ms", "_latest_ms", "frame_ms", "last_ms", "stamp_ms", "step_ms")

    def __init__(self, lone_frame_ms: int) -> None:
        self.last_ms = -1
        self.step_ms = self.frame_ms = lone_frame_ms
        #: Of its last message, frame or header.
        self.stamp_ms = 0
        # How long after its decoding the first frame is shown; when the last two are, in the order of showing.
        self._first_lag_ms = 0
        self._before_ms = self._latest_ms = -1

    @property
    def end_ms(self) -> int:
        """Where its next frame would be decoded, so that it is shown when the last one shown has been."""
        if self.last_ms < 0:
            return 0
        step_ms = min(self._latest_ms - self._before_ms, self.frame_ms)
        if self._before_ms < 0 or step_ms > _MAX_FRAME_MS:
            return self.last_ms + self.frame_ms
        # Pictures out of order are decoded at another distance than they are shown where their rate varies.
        return max(self.last_ms + 1, self._latest_ms + step_ms - self._first_lag_ms)

    def advance(self, dts_ms: int, lag_ms: int = 0) -> None:
        """A frame is laid there, and shown so much later.

        Its length is the step to it; of a long one, which may be a pause, only if two are.
        """
        shown_ms = dts_ms + lag_ms
        if self.last_ms >= 0:
            step_ms = dts_ms - self.last_ms
            self.frame_ms = step_ms if step_ms <= _MAX_FRAME_MS else min(step_ms, self.step_ms)
            self.step_ms = step_ms
        else:
            self._first_lag_ms = lag_ms
        self.last_ms = dts_ms
        if shown_ms > self._latest_ms:
            self._before_ms, self._latest_ms = self._latest_ms, shown_ms
        else:
            self._before_ms = max(self._before_ms, shown_ms)


def lag_ms(body: "bytes | memoryview") -> int:
    """How long after its decoding a picture is shown (FLV E.4.3.2, Enhanced RTMP CodedFrames)."""
    if not body[0] & EX_VIDEO_HEADER:
        return int.from_bytes(body[2:5], signed=True) if body[0] & 0x0F in _WITH_LAG else 0
    has_lag = body[0] & 0x0F == 1 and bytes(body[1:5]) in _WITH_LAG_NAMES
    return int.from_bytes(body[5:8], signed=True) if has_lag else 0
