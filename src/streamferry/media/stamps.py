"""Arithmetic of 32-bit millisecond stamps, which wrap every 49.7 days (RTMP specification, section 4: Definitions)."""

from streamferry.media.tag import KEYFRAME

WRAP_MS = 1 << 32
_HALF_MS = 1 << 31


def signed_delta_ms(later: int, earlier: int) -> int:
    """Distance from one 32-bit stamp to another, in -2^31 .. 2^31-1 ms (serial number arithmetic, RFC 1982)."""
    return (later - earlier + _HALF_MS) % WRAP_MS - _HALF_MS


def to_wire_ms(stamp_ms: int) -> int:
    """A stamp of the output clock as it is sent: modulo 2^32."""
    return stamp_ms % WRAP_MS


class SessionClock:
    """Defines where the stamps of one publish session are 0: at its first frame, for both tracks.

    So after a lost connection a destination sees a stream that begins at 0, with sound and picture in sync.
    ``dts_ms - zero_ms`` is a tag's stamp; where that is negative ``leaves_out`` tells what to do.
    """

    __slots__ = ("zero_ms",)

    _NOT_BEGUN_MS = 1 << 62

    def __init__(self) -> None:
        #: On the output clock. Before the first frame it is so large that every stamp is negative.
        self.zero_ms = self._NOT_BEGUN_MS

    @property
    def has_begun(self) -> bool:
        """Whether there was a frame."""
        return self.zero_ms != self._NOT_BEGUN_MS

    def leaves_out(self, dts_ms: int, kind: int) -> bool:
        """Whether a tag before ``zero_ms`` is left out of the session; otherwise its stamp is 0.

        The first frame sets ``zero_ms``. Frames that arrive later but lie before it (mostly sound) are left out;
        headers and metadata are kept, because what follows needs them.
        """
        if kind > KEYFRAME:
            return False
        if self.has_begun:
            return True
        self.zero_ms = dts_ms
        return False
