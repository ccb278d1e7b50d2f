"""What makes tags of the bytes of HLS segments, by what these are."""

from typing import Protocol

from streamferry.media.tag import Tag
from streamferry.wire.mp4 import Mp4Demuxer
from streamferry.wire.mpegts import TsDemuxer
from streamferry.wire.packed_audio import PackedAudio
from streamferry.wire.segment_kind import SegmentKind


class Demuxer(Protocol):
    """What makes tags of the bytes of segments."""

    @property
    def is_known(self) -> bool:
        """Whether it is known what it carries."""

    @property
    def has_sound(self) -> bool:
        """Whether it is known to carry sound."""

    @property
    def unsupported(self) -> str:
        """Name of what FLV cannot carry, empty if there is nothing."""

    @property
    def encrypted(self) -> str:
        """How its media is encrypted, empty if it is not."""

    @property
    def pending_ms(self) -> int | None:
        """The lowest stamp of what is told to come soon, None if nothing is told."""

    def begin_segment(self) -> None:
        """The next bytes are the beginning of a segment, or of what is needed before it."""

    def feed(self, data: bytes | memoryview, out: list[Tag]) -> None:
        """Append the tags of which all has come now."""

    def finish(self, out: list[Tag]) -> None:
        """Append what is held."""


#: What reads a segment.
DEMUXERS: "dict[SegmentKind, type[PackedAudio] | type[TsDemuxer] | type[Mp4Demuxer]]" = {
    SegmentKind.TS: TsDemuxer,
    SegmentKind.MP4: Mp4Demuxer,
    SegmentKind.PACKED_AUDIO: PackedAudio,
}
