"""Standby: a live session that is open and not on air. The last group of its pictures is kept, so that it can come on
air at once, from a keyframe on.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from streamferry.media.enhanced import HeaderKey, headers_in, tag_kind
from streamferry.media.errors import SourceStalled
from streamferry.media.stamps import signed_delta_ms
from streamferry.media.tag import AUDIO, KEPT_TAG_BYTES, KEYFRAME, SCRIPT, SEQUENCE_HEADER, SIDE_DATA, VIDEO, Tag
from streamferry.reasons import Code
from streamferry.relay.header_forms import Check
from streamferry.relay.silence import SOUND_PATIENCE_MS
from streamferry.source.live import LiveInlet
from streamferry.timeline.timeline import AUDIO_ONLY_AFTER_MS

#: A longer group is not kept: two of the longest keyframe intervals in use, or 32 MiB (``push.queue``).
MOST_KEPT_MS = 20_000
MOST_KEPT_BYTES = 32 << 20
#: Of a source without a picture so much sound is kept.
SOUND_KEPT_MS = 500
# Sound that was sent before its picture is among the last so many tags: servers interleave within a second or two.
_MOST_BEFORE = 300
_HEADERS = (SEQUENCE_HEADER, SIDE_DATA)


class Standby:
    """Pulls its inlet, which stays its owner's.

    ``first_media_s``: for so long its first media is waited for, if that is longer than the inlet's own patience.
    ``check``: see ``relay.feed.LiveFeed``. ``headers``: of a session that was on the air, which sends them once.
    """

    __slots__ = (
        "_began_at",
        "_check",
        "_first_media_s",
        "_first_picture_ms",
        "_group",
        "_group_bytes",
        "_has_keyframe",
        "_has_sound",
        "_headers",
        "_inlet",
        "_scratch",
        "_sound_since",
        "bytes_in",
        "media_at",
    )

    def __init__(
        self,
        inlet: LiveInlet,
        scratch: memoryview,
        now: float,
        *,
        first_media_s: float = 0.0,
        check: Check | None = None,
        headers: Sequence[Tag] = (),
    ) -> None:
        self._inlet = inlet
        self._scratch = scratch
        self._began_at = now
        self._first_media_s = first_media_s
        self._check = check
        self._headers: dict[tuple[int, HeaderKey], Tag] = {}
        self._group: deque[Tag] = deque()
        self._group_bytes = 0
        self._has_keyframe = False
        # Whether sound has come, and the stamp of the first picture.
        self._has_sound = False
        self._first_picture_ms: int | None = None
        # Stamp of the first sound of a source that has shown no picture.
        self._sound_since: int | None = None
        #: When media last came; and the bytes received.
        self.media_at = now
        self.bytes_in = 0
        for tag in headers:
            self._keep(tag, now)

    @property
    def has_start(self) -> bool:
        """Whether it has something to begin with: a keyframe, or sound alone that has lasted."""
        if self._has_keyframe:
            return True
        if self._sound_since is None or not self._group:
            return False
        return signed_delta_ms(self._group[-1][1], self._sound_since) >= AUDIO_ONLY_AFTER_MS

    @property
    def is_mute(self) -> bool:
        """Whether it has shown pictures for so long that sound would have come."""
        if self._has_sound or self._first_picture_ms is None or not self._group:
            return False
        return signed_delta_ms(self._group[-1][1], self._first_picture_ms) >= SOUND_PATIENCE_MS

    @property
    def kept_ms(self) -> int:
        """How much media is kept: it would be given at once."""
        return signed_delta_ms(self._group[-1][1], self._group[0][1]) if self._group else 0

    @property
    def headers(self) -> list[Tag]:
        """Those that have come."""
        return list(self._headers.values())

    def read_from(self, inlet: LiveInlet) -> None:
        """Go on with what comes from there: the same stream, without a gap."""
        self._inlet = inlet

    def pull(self, now: float) -> None:
        """Receive once. Raises SourceError."""
        tags: list[Tag] = []
        try:
            self.bytes_in += self._inlet.pull(self._scratch, tags)
        finally:
            if self._check is not None:
                self._check(tags)
            for tag in tags:
                self._keep(tag, now)
        silence_s = self._inlet.silence_s
        if self.media_at == self._began_at:
            silence_s = max(silence_s, self._first_media_s)
        if now - self.media_at >= silence_s:
            raise SourceStalled(Code.SOURCE_SILENT, seconds=silence_s)

    def take(self) -> list[Tag]:
        """The headers, and the group that is kept; bodies are copies."""
        return [*self._headers.values(), *self._group]

    def _keep(self, tag: Tag, now: float) -> None:
        tag_type, stamp, body = tag
        kind = tag_kind(tag_type, body)
        if kind in _HEADERS:
            for key, header in headers_in(tag_type, body).items():
                self._headers[tag_type, key] = (tag_type, stamp, bytes(header))
            return
        if tag_type == SCRIPT or kind > KEYFRAME:
            return
        self.media_at = now
        if tag_type == VIDEO:
            self._sound_since = None
            self._first_picture_ms = stamp if self._first_picture_ms is None else self._first_picture_ms
            if kind == KEYFRAME:
                self._begin_group(stamp)
                self._has_keyframe = True
            elif not self._has_keyframe:
                return
        else:
            self._has_sound = True
            if not self._has_keyframe:
                self._sound_since = stamp if self._sound_since is None else self._sound_since
                while self._group and signed_delta_ms(self._group[0][1], stamp) < -SOUND_KEPT_MS:
                    self._group_bytes -= len(self._group.popleft()[2]) + KEPT_TAG_BYTES
        self._group.append((tag_type, stamp, bytes(body)))
        self._group_bytes += len(body) + KEPT_TAG_BYTES
        if self._group_bytes > MOST_KEPT_BYTES or self.kept_ms > MOST_KEPT_MS:
            self._group.clear()
            self._group_bytes = 0
            self._has_keyframe = False

    def _begin_group(self, stamp: int) -> None:
        """Sound may have been sent before the picture that it belongs to."""
        last = reversed(list(islice(reversed(self._group), _MOST_BEFORE)))
        self._group = deque(one for one in last if one[0] == AUDIO and signed_delta_ms(one[1], stamp) >= 0)
        self._group_bytes = sum(len(one[2]) + KEPT_TAG_BYTES for one in self._group)
