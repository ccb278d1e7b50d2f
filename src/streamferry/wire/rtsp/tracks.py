"""Tracks of an RTSP session: their packets to tags.

What a description says of a track is not believed where its packets say it better: parameter sets in band replace those
of the description, and are waited for where it has none.

Specification: RFC 6184, 8.1, and RFC 7798, 7.1 (parameters of H.264 and H.265); FLV, annex E.4.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from struct import Struct

from streamferry.media.tag import AUDIO, Tag
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.mpegts.pictures import Pictures, tells_recovery
from streamferry.wire.mpegts.sounds import Sounds
from streamferry.wire.rtsp.aac import AacUnits, LatmUnits, Unit
from streamferry.wire.rtsp.clocks import TICKS, TrackClock
from streamferry.wire.rtsp.message import Piece
from streamferry.wire.rtsp.order import PictureOrder, avc_depth, hevc_depth
from streamferry.wire.rtsp.pictures import PIECE_BYTES, AvcUnits, HevcUnits, UnitReader
from streamferry.wire.rtsp.rtcp import REPORT_TYPES
from streamferry.wire.rtsp.rtp import Packet, RtpReceiver
from streamferry.wire.rtsp.sdp import Media

_MAX_SETS = 16
_START = b"\0\0\1"
_AVC_SPS, _AVC_PPS, _AVC_IDR, _AVC_SEI = 7, 8, 5, 6
_HEVC_KEYS, _HEVC_SPS = range(16, 24), 33
# An RTP header with nothing but itself, and the first byte of its payload.
_read_begin = Struct(">BBHIIB").unpack_from
_PLAIN, _LOOK_BYTES = 0x80, 15
# A mask of the payload's first byte, what is under it, and where the head of the fragment lies in the packet.
_AVC_FRAGMENT, _HEVC_FRAGMENT = (31, 28, 13), (0x7E, 49 << 1, 14)
_READ_PICTURES = ("H264", "H265")
_AAC, _LATM, _MPEG = "MPEG4-GENERIC", "MP4A-LATM", "MPA"


class Track:
    """One track. ``out`` gets the tags."""

    kind = ""

    def __init__(self, media: Media, out: list[Tag], *, is_ordered: bool) -> None:
        self.media = media
        self.receiver = RtpReceiver(media.payload_type, media.rate_hz, is_ordered=is_ordered)
        self.clock = TrackClock(media.rate_hz)
        self.out = out
        self._packets: list[Packet] = []
        #: When its last packet came.
        self._now = 0.0

    def receive(self, data: bytes, now: float) -> None:
        """A packet of RTP. Raises UnsupportedCodec for what only then shows not to be readable."""
        packets = self._packets
        self._now = now
        self.receiver.put(data, now, packets)
        if self.receiver.has_restarted:
            self.receiver.has_restarted = False
            self.clock.restart()
            self._restart()
        for is_marked, stamp, payload, is_broken in packets:
            self._put(is_marked, stamp, payload, is_broken)
        packets.clear()

    def _put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool) -> None:
        raise NotImplementedError

    def _restart(self) -> None:
        """What is held has no end."""


class PictureTrack(Track):
    """H.264 or H.265."""

    kind = "video"

    def __init__(self, media: Media, out: list[Tag], *, is_ordered: bool) -> None:
        """Raises UnsupportedCodec."""
        super().__init__(media, out, is_ordered=is_ordered)
        self._is_avc = media.encoding == "H264"
        if media.encoding not in _READ_PICTURES:
            raise UnsupportedCodec(media.encoding or "a picture of unknown format")
        self._pictures = Pictures("h264" if self._is_avc else "hevc")
        step = round(TICKS / media.pictures_a_second) if media.pictures_a_second else 0
        self._order = PictureOrder(self._lay, step)
        self._sequence = b""
        self._has_begun = False
        self._units: UnitReader = AvcUnits(self._take)
        if not self._is_avc:
            self._units = HevcUnits(self._take, has_order=media.parameters.get("sprop-max-don-diff", "0") != "0")
        # Of a packet that goes on with a unit: its second byte, the same with the marker, unless reports have that one
        # (RFC 5761), what its payload begins with, and where the head of the fragment lies.
        plain = media.payload_type
        marked = -1 if plain | 0x80 in REPORT_TYPES else plain | 0x80
        self._go_on = (plain, marked, *(_AVC_FRAGMENT if self._is_avc else _HEVC_FRAGMENT))
        if media.parameters.get("packetization-mode") == "2":
            raise UnsupportedCodec("H.264 with interleaved units")
        sets = parameter_sets(media)
        self._look(sets)
        self._pictures.put_units(sets, 0, 0, out)

    def receive_run(self, pieces: Sequence[Piece], at: int, number: int) -> int:
        """Take those of ``pieces`` from ``at`` on that go on with a unit, which most do: as ``receive`` takes them.

        ``number``: the track's channel. Returns where something else is.
        """
        receiver, units = self.receiver, self._units
        fragment, left = units.fragment, units.left_bytes
        if not fragment or receiver.held or units.has_marker:
            return at
        plain, marked, mask, code, head_at = self._go_on
        stamp, source, following = units.stamp, receiver.source, receiver.highest + 1
        while at < len(pieces):
            piece = pieces[at]
            if not isinstance(piece, tuple) or piece[0] != number or len(data := piece[1]) <= _LOOK_BYTES:
                break
            first, second, came, of, by, kind = _read_begin(data)
            head = data[head_at]
            if (
                first != _PLAIN
                or came != following & 0xFFFF
                or of != stamp
                or by != source
                or kind & mask != code
                or head >= 0x80
                or (second != plain and second != marked)
                or left < len(data)
            ):
                break
            at, following = at + 1, following + 1
            if head < 0x40 and second == plain:
                fragment.append(data[head_at + 1 :])
                left -= len(data) + PIECE_BYTES
                continue
            units.left_bytes = left
            units.add_piece(data[head_at + 1 :], is_last=head >= 0x40, is_marked=second == marked)
            left = units.left_bytes
            if not fragment or units.has_marker:
                break
        receiver.highest, units.left_bytes = following - 1, left
        return at

    def _put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool) -> None:
        self._units.put(is_marked, stamp, payload, is_broken, self._now)
        if self._units.unsupported:
            raise UnsupportedCodec(self._units.unsupported)

    def _restart(self) -> None:
        self._units.flush()
        self._order.flush()
        self._has_begun = False

    def _look(self, units: list[bytes]) -> bool:
        """Read what the units say of the order of pictures; returns whether a viewer may begin with them."""
        is_start = False
        for unit in units:
            if self._is_avc:
                kind = unit[0] & 31
                if kind > _AVC_SPS or kind < _AVC_IDR:
                    continue
                is_start |= kind != _AVC_SEI or tells_recovery(unit)
                is_set = kind == _AVC_SPS
            else:
                kind = unit[0] >> 1 & 63
                is_start |= kind in _HEVC_KEYS
                is_set = kind == _HEVC_SPS
            if is_set and unit != self._sequence:
                self._sequence = unit
                self._order.tell_depth(avc_depth(unit) if self._is_avc else hevc_depth(unit))
        return is_start

    def _take(self, units: list[bytes], stamp: int, now: float) -> None:
        """An access unit has come."""
        first = units[0]
        if len(units) == 1 and (first[0] & 31 == 1 if self._is_avc else first[0] >> 1 & 63 < 2):
            is_start, has_slice = False, True  # Most are one slice of a picture that needs others.
        else:
            is_start = self._look(units)
            if self._is_avc:
                has_slice = any(1 <= unit[0] & 31 <= 5 for unit in units)
            else:
                has_slice = any(unit[0] >> 1 & 63 < 32 for unit in units)
        if not has_slice:
            # Parameter sets before their picture.
            self._pictures.put_units(units, 0, 0, self.out)
            return
        pts = self.clock.ticks(stamp, now)
        if not self._has_begun:
            if not is_start:
                return
            self._has_begun = True
        self._order.take(units, pts)

    def _lay(self, units: list[bytes], pts: int, dts: int) -> None:
        self._pictures.put_units(units, pts, dts, self.out)


class SoundTrack(Track):
    """AAC or MP3."""

    kind = "audio"

    def __init__(self, media: Media, out: list[Tag], *, is_ordered: bool) -> None:
        """Raises UnsupportedCodec."""
        super().__init__(media, out, is_ordered=is_ordered)
        self._aac: AacUnits | LatmUnits | None = None
        self._mpeg: Sounds | None = None
        if media.encoding == _AAC:
            self._aac = AacUnits(media.parameters, media.rate_hz)
        elif media.encoding == _LATM:
            self._aac = LatmUnits(media.parameters, media.rate_hz)
        elif media.encoding == _MPEG:
            self._mpeg = Sounds("mpeg")
        else:
            raise UnsupportedCodec(media.encoding or "sound of unknown format")
        self._told = b""
        self._found: list[Unit] = []

    def _put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool) -> None:
        if self._mpeg is not None:
            self._put_mpeg(self._mpeg, stamp, payload, is_broken)
            return
        aac, found = self._aac, self._found
        assert aac is not None
        aac.put(is_marked, stamp, payload, is_broken, found)
        for at, unit in found:
            ms = self.clock.ticks(at & 0xFFFFFFFF, self._now) // 90 & 0xFFFFFFFF
            if aac.config != self._told:
                self._told = aac.config
                self.out.append((AUDIO, ms, b"\xaf\0" + aac.config))
            self.out.append((AUDIO, ms, b"\xaf\1" + unit))
        found.clear()

    def _put_mpeg(self, sounds: Sounds, stamp: int, payload: bytes, is_broken: bool) -> None:
        """A frame may lie in several packets: the offset of the part comes before it (RFC 2250, 3.5)."""
        if len(payload) <= 4:
            return
        if is_broken:
            sounds.lose()
        is_begin = not (payload[2] << 8 | payload[3])
        sounds.put(payload[4:], self.clock.ticks(stamp, self._now) if is_begin else None, self.out)
        if sounds.unsupported:
            raise UnsupportedCodec(sounds.unsupported)


def parameter_sets(media: Media) -> list[bytes]:
    """Those that a description has; what is no base64 is passed over, and so are start codes in it."""
    is_avc = media.encoding == "H264"
    names = ("sprop-parameter-sets",) if is_avc else ("sprop-vps", "sprop-sps", "sprop-pps")
    sets: list[bytes] = []
    for name in names:
        for text in media.parameters.get(name, "").split(",")[:_MAX_SETS]:
            try:
                unit = b64decode(text.strip() + "=" * (-len(text.strip()) % 4))
            except (Base64Error, ValueError):
                continue
            if unit.lstrip(b"\0")[:1] == b"\1" and _START in unit[:4]:
                unit = unit.lstrip(b"\0")[1:]
            if len(unit) > 3:
                sets.append(unit)
    return sets


def chosen(media: list[Media]) -> list[Media]:
    """The picture and the sound to play: the first of each kind that is sent to us."""
    tracks: list[Media] = []
    for kind in ("video", "audio"):
        found = [one for one in media if one.kind == kind and one.payload_type >= 0]
        # A loudspeaker is no source, unless it is all there is and called so by mistake.
        found.sort(key=lambda one: one.is_sendonly)
        tracks += found[:1]
    return tracks
