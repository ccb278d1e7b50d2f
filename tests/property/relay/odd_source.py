"""Odd live sources by a generator: what encoders, servers and networks do, in any mixture.

Each body tells which frame it is, so that a player can judge what it gets: see ``Mark``.
"""

import random
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, SCRIPT, SEQUENCE_HEADER, VIDEO
from streamferry.wire.amf0 import serialize_amf0
from streamferry.wire.flv import serialize_flv_header, serialize_metadata, serialize_tag

SECRET = "SECRET-OF-THE-SOURCE"
_MARK = Struct(">4siHHI?")
_MAGIC = b"mark"

#: Name -> what a frame, a keyframe and a header begin with; a header that is empty: there is none.
PICTURES = {
    "avc": (b"\x27\x01\0\0\0", b"\x17\x01\0\0\0", b"\x17\0\0\0\0"),
    "hevc, id 12": (b"\x2c\x01\0\0\0", b"\x1c\x01\0\0\0", b"\x1c\0\0\0\0"),
    "hvc1": (b"\xa1hvc1\0\0\0", b"\x91hvc1\0\0\0", b"\x90hvc1"),
    "avc1, FrameX": (b"\xa3avc1", b"\x93avc1", b"\x90avc1"),
    "av01": (b"\xa1av01", b"\x91av01", b"\x90av01"),
    "H.263": (b"\x22", b"\x12", b""),
}
SOUNDS = {
    "aac": (b"\xaf\x01", b"\xaf\0"),
    "mp4a": (b"\x91mp4a", b"\x90mp4a"),
    "opus": (b"\x91Opus", b"\x90Opus"),
    "mp3": (b"\x2f", b""),
    "g711": (b"\x72", b""),
}
FOREIGN = [
    (VIDEO, b""),
    (VIDEO, b"\x17"),
    (VIDEO, b"\x17\0\0\0\0"),
    (VIDEO, b"\x17\x01\0\0\0"),
    (VIDEO, b"\x17\x02\0\0\0"),
    (VIDEO, b"\x57\0"),
    (VIDEO, b"\xd0\0"),
    (AUDIO, b""),
    (AUDIO, b"\xaf\0"),
    (AUDIO, b"\xaf\x01"),
    (SCRIPT, b""),
    (SCRIPT, b"\x02"),
    (SCRIPT, b"\x02\xff\xff"),
    (SCRIPT, serialize_metadata({"width": 1.0, "token": SECRET, "videocodecid": 2.0})),
    (SCRIPT, serialize_amf0("onCuePoint", {"name": "ad"})),
    (15, b"\0\x02\0\1x"),
    (31, b"x" * 40),
]


#: When it arrives, stamp, tag type, body.
_Event = tuple[int, int, int, bytes]


class Mark(NamedTuple):
    """Of a frame: when it was made (ms), in which session, with which header of its track, in which group.

    ``is_odd``: its stamp is not what it should be. Of a header only ``header`` counts.
    """

    true_ms: int
    session: int
    header: int
    group: int
    is_odd: bool

    def bytes(self) -> bytes:
        return _MARK.pack(_MAGIC, *self)

    @classmethod
    def of(cls, body: "bytes | memoryview") -> "Mark | None":
        """That of a body; None if it is none of ours."""
        at = bytes(body).find(_MAGIC)
        if at < 0:
            return None
        return cls._make(_MARK.unpack_from(body, at)[1:])


@dataclass
class Session:
    """One connection: (arrives after ms, bytes), and what there is to tell of it."""

    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    about: str = ""
    #: What was never lost before it left: numbers of headers, and of groups of pictures with their keyframe.
    headers: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)


@dataclass
class Stream:
    """What an encoder made, in the order in which it arrives; ``lost``: what never left it."""

    events: list[_Event]
    lost: list[_Event]
    begun_ms: int
    about: str

    def session(self, head: bytes, events: list[_Event], burst_ms: int = 0, until_ms: int = 0) -> Session:
        """One that has these of its events; what was made before ``until_ms``, or within the burst, comes at once."""
        session = Session(about=self.about)
        session.pieces.append((0, head))
        for at_ms, stamp, tag_type, body in events:
            if mark := Mark.of(body):
                kind = tag_kind(tag_type, body)
                if kind == SEQUENCE_HEADER:
                    session.headers.add(mark.header)
                elif tag_type == VIDEO and kind == KEYFRAME:
                    session.groups.add(mark.group)
            arrives_ms = max(0, at_ms - max(self.begun_ms + burst_ms, until_ms))
            session.pieces.append((arrives_ms, serialize_tag(tag_type, to_wire_ms(stamp), body)))
        for _, _, tag_type, body in self.lost:
            if tag_kind(tag_type, body) == SEQUENCE_HEADER and (mark := Mark.of(body)):
                session.headers.discard(mark.header)
        return session


class OddSource:
    """Makes sessions; all that it does follows from its seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._headers = 0
        self._groups = 0
        self._true_ms = 0

    def sessions(self) -> list[Session]:
        return [self._session(number) for number in range(self._chance.randint(1, 3))]

    def repeated(self) -> list[Session]:
        """One stream that is read in several: what was sent is sent again, from a keyframe on, or some of it is missed.

        Its clock is one that no encoder begins with, no stamp is odd, no header changes, and sound is hardly ahead:
        where some of the picture is missed, a new segment has all sound after its first keyframe.
        """
        chance = self._chance
        base_ms = chance.choice([20_000, 3_600_000, (1 << 24) - 2000, (1 << 31) - 2000])
        stream = self._stream(0, base_ms=base_ms, seconds=chance.choice([2, 4]), is_even=True)
        head = serialize_flv_header(True, True)
        made = stream.events
        keys = [at for at, one in enumerate(made) if one[2] == VIDEO and tag_kind(VIDEO, one[3]) == KEYFRAME] or [0]
        breaks = sorted(chance.sample(range(1, len(made)), chance.randint(1, 3)))
        sessions, begin, until_ms = list[Session](), 0, stream.begun_ms
        for end in (*breaks, len(made)):
            headers = {
                (kind, tag_kind(kind, body)): (at_ms, stamp, kind, body)
                for at_ms, stamp, kind, body in made[:begin]
                if tag_kind(kind, body) == SEQUENCE_HEADER and Mark.of(body)
            }
            sessions.append(stream.session(head, [*headers.values(), *made[begin:end]], until_ms=until_ms))
            # It comes back a little later, and the server has kept up to all of it, or nothing.
            until_ms = made[end - 1][0] + chance.choice([0, 100, 600])
            before = [at for at in keys if at < end] or [0]
            later = [at for at in keys if at >= end and made[at][0] >= until_ms]
            begin = later[0] if later and self._odds(0.25) else chance.choice(before)
        return sessions

    def _odds(self, probability: float) -> bool:
        return self._chance.random() < probability

    def _session(self, number: int) -> Session:
        chance = self._chance
        base_ms = chance.choice([0, 0, 1000, (1 << 24) - 2000, (1 << 31) - 2000, (1 << 32) - 2000, 1_814_400_000])
        stream = self._stream(number, base_ms=base_ms, seconds=chance.choice([1, 1, 2, 4]))
        head = serialize_flv_header(self._odds(0.5), self._odds(0.5))
        return stream.session(head, stream.events, burst_ms=chance.choice([0, 0, 500, 3000]))

    def _stream(self, number: int, *, base_ms: int, seconds: int, is_even: bool = False) -> Stream:
        """``is_even``: as ``repeated`` has it."""
        chance = self._chance
        picture = chance.choice(list(PICTURES)) if is_even or self._odds(0.85) else ""
        sound = chance.choice(list(SOUNDS)) if self._odds(0.85) or not picture else ""
        begun_ms, self._true_ms = self._true_ms, self._true_ms + seconds * 1000 + 500
        events, lost = list[_Event](), list[_Event]()
        if picture:
            late_ms = chance.choice([0, 0, 0, 300, 1500])
            events += self._pictures(
                number, picture, begun_ms + late_ms, begun_ms + seconds * 1000, base_ms - begun_ms, is_even
            )
        if sound:
            late_ms = chance.choice([0, 0, 0, 300, 1500])
            events += self._sounds(
                number, sound, begun_ms + late_ms, begun_ms + seconds * 1000, base_ms - begun_ms, is_even
            )
        for _ in range(chance.choice([0, 0, 3, 20])):
            at_ms = chance.randrange(begun_ms, begun_ms + seconds * 1000)
            events.append((at_ms, at_ms + base_ms - begun_ms, *chance.choice(FOREIGN)))
        if not is_even and self._odds(0.15):
            # All that is sent for some time, or all of one track.
            lost_ms = chance.randrange(begun_ms, begun_ms + seconds * 1000)
            until_ms, tracks = lost_ms + chance.choice([100, 1000, 3000]), chance.choice([(8,), (9,), (8, 9)])
            lost = [event for event in events if lost_ms <= event[0] < until_ms and event[2] in tracks]
            events = [event for event in events if event not in lost]
        events.sort(key=lambda event: event[0])
        return Stream(events, lost, begun_ms, f"{picture}/{sound} from {base_ms}")

    def _header(self, begin: bytes) -> bytes:
        self._headers += 1
        return begin + Mark(0, 0, self._headers, 0, is_odd=False).bytes() if begin else b""

    def _pictures(self, number: int, codec: str, from_ms: int, to_ms: int, shift: int, is_even: bool) -> list[_Event]:
        chance = self._chance
        inter, key, begin = PICTURES[codec]
        step_ms, gop = chance.choice([16, 40, 67, 100]), chance.choice([1, 5, 25, 60])
        repeats, changes, wobbles = self._odds(0.3), not is_even and self._odds(0.2), not is_even and self._odds(0.2)
        begins_inside = self._odds(0.4)
        header = self._header(begin)
        events = [(from_ms, from_ms + shift, VIDEO, header)] if header else []
        self._groups += 1
        for count, at_ms in enumerate(range(from_ms, to_ms, step_ms)):
            is_key = count % gop == 0 and (count > 0 or not begins_inside or gop == 1)
            if is_key and count:
                self._groups += 1
                if header and changes and self._odds(0.5):
                    header = self._header(begin)
                    events.append((at_ms, at_ms + shift, VIDEO, header))
                elif header and repeats:
                    events.append((at_ms, at_ms + shift, VIDEO, header))
            odd_ms = chance.choice([-20, -step_ms, 0, 3]) if wobbles and self._odds(0.05) else 0
            mark = Mark(at_ms, number, self._headers_of(header), self._groups, is_odd=odd_ms != 0)
            body = (key if is_key else inter) + mark.bytes() + bytes(chance.randrange(40))
            events.append((at_ms, at_ms + shift + odd_ms, VIDEO, body))
        return events

    def _sounds(self, number: int, codec: str, from_ms: int, to_ms: int, shift: int, is_even: bool) -> list[_Event]:
        chance = self._chance
        begin, head = SOUNDS[codec]
        step_ms = chance.choice([21, 43, 64])
        changes = not is_even and self._odds(0.2)
        # Servers interleave within some hundred milliseconds, either way.
        early_ms = chance.choice([-200, 0, 0, 200])
        # Its own distance from the picture, of which nobody knows whether it is right.
        own_ms = chance.choice([0, 0, -1200, -130, 40, *(() if is_even else (900, 2000))])
        header = self._header(head)
        events = [(from_ms, from_ms + shift, AUDIO, header)] if header else []
        for at_ms in range(from_ms, to_ms, step_ms):
            arrives_ms = max(from_ms, at_ms + early_ms)
            if header and changes and self._odds(0.01):
                header = self._header(head)
                events.append((arrives_ms, at_ms + shift, AUDIO, header))
            # What it is stamped with counts.
            mark = Mark(at_ms + own_ms, number, self._headers_of(header), 0, is_odd=False)
            events.append((arrives_ms, at_ms + own_ms + shift, AUDIO, begin + mark.bytes()))
        return [(max(0, at), stamp, kind, body) for at, stamp, kind, body in events]

    @staticmethod
    def _headers_of(header: bytes) -> int:
        mark = Mark.of(header)
        return mark.header if mark else 0
