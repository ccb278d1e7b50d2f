"""A camera: tags as a live source sends them, 25 pictures and 50 sounds a second, each body with its own number."""

from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import to_wire_ms
from streamferry.media.starts import Starts
from streamferry.media.tag import AUDIO, KEYFRAME, SCRIPT, VIDEO, LaidTag, Tag
from streamferry.wire.flv import serialize_metadata

AVC_HEADER = b"\x17\x00\x00\x00\x00avc one"
OTHER_AVC_HEADER = b"\x17\x00\x00\x00\x00avc two"
AAC_HEADER = b"\xaf\x00\x12\x10"
METADATA_BODY = serialize_metadata({"width": 1280.0, "height": 720.0, "videocodecid": 7.0})
FRAME_MS = 40
SOUND_MS = 20


def picture(number: int, size_bytes: int = 100, *, is_key: bool = False) -> bytes:
    """Body of an AVC frame that tells its number."""
    head = (b"\x17" if is_key else b"\x27") + b"\x01\x00\x00\x00" + number.to_bytes(4, "big")
    return head + bytes(size_bytes - len(head))


def sound(number: int) -> bytes:
    """Body of an AAC frame that tells its number."""
    return b"\xaf\x01" + number.to_bytes(4, "big")


def number_of(tag: Tag | LaidTag) -> int:
    """The number in a frame's body."""
    at = 5 if tag[0] == VIDEO else 2
    return int.from_bytes(tag[2][at : at + 4], "big")


def laid(tags: list[Tag]) -> list[LaidTag]:
    """The tags with their kind, as a timeline that had nothing to change would give them; sound alone can begin."""
    starts = Starts()
    starts.begin(has_picture=any(tag_type == VIDEO for tag_type, _, _ in tags))
    marked: list[LaidTag] = []
    for tag_type, stamp_ms, body in tags:
        kind = tag_kind(tag_type, body)
        if kind <= KEYFRAME:
            kind = starts.mark_picture(kind) if tag_type == VIDEO else starts.sound
        marked.append((tag_type, stamp_ms, body, kind))
    return marked


def frames(tags: list[Tag], tag_type: int) -> list[Tag]:
    """The frames of one track."""
    return [tag for tag in tags if tag[0] == tag_type and tag_kind(tag_type, tag[2]) <= KEYFRAME]


class Camera:
    """Gives the next 40 ms of a stream at each call of :meth:`shoot`."""

    def __init__(self, stamp_ms: int = 0, *, gop: int = 10, frame_bytes: int = 400, slow: float = 0.0) -> None:
        self.stamp_ms = stamp_ms
        #: By which part of time its clock of sound is slower.
        self.slow = slow
        self.gop = gop
        self.frame_bytes = frame_bytes
        self.video_header = AVC_HEADER
        #: Pictures made so far; the number of the next.
        self.pictures = 0
        #: Whether it gives sound alone.
        self.is_blind = False
        self._since_key = 0

    def headers(self) -> list[Tag]:
        """What a server sends to whoever comes."""
        stamp = to_wire_ms(self.stamp_ms)
        return [(SCRIPT, stamp, METADATA_BODY), (VIDEO, stamp, self.video_header), (AUDIO, stamp, AAC_HEADER)]

    def start_over(self) -> None:
        """Make the next picture a keyframe, as for a viewer who has just come."""
        self._since_key = 0

    def change_header(self, header: bytes) -> list[Tag]:
        """The encoder restarts: its new header, and a keyframe next."""
        self.video_header = header
        self.start_over()
        return [(VIDEO, to_wire_ms(self.stamp_ms), header)]

    def shoot(self) -> list[Tag]:
        """One picture and the sound beside it."""
        stamp, number = self.stamp_ms, self.pictures
        body = picture(number, self.frame_bytes, is_key=self._since_key % self.gop == 0)
        self.stamp_ms += FRAME_MS
        self.pictures += 1
        self._since_key += 1
        return [
            *([] if self.is_blind else [(VIDEO, to_wire_ms(stamp), body)]),
            *self._sounds(stamp, number),
        ]

    def _sounds(self, stamp: int, number: int) -> list[Tag]:
        behind_ms = round(self.slow * number * FRAME_MS)
        return [
            (AUDIO, to_wire_ms(stamp - behind_ms), sound(2 * number)),
            (AUDIO, to_wire_ms(stamp - behind_ms + SOUND_MS), sound(2 * number + 1)),
        ]

    def film(self, seconds: float) -> list[Tag]:
        """That much of it at once."""
        return [tag for _ in range(round(seconds * 1000 / FRAME_MS)) for tag in self.shoot()]
