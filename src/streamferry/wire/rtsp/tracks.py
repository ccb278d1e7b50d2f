"""Tracks of an RTSP session: their packets to tags.

What a description says of a track is not believed where its packets say it better: parameter sets in band replace those
of the description, and are waited for where it has none.

Specification: RFC 6184, 8.1, and RFC 7798, 7.1 (parameters of H.264 and H.265); FLV, annex E.4.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from functools import partial

from streamferry.media.tag import AUDIO, Tag
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.mpegts.pictures import Pictures, tells_recovery
from streamferry.wire.mpegts.sounds import Sounds
from streamferry.wire.rtsp.aac import AacUnits, LatmUnits, Unit
from streamferry.wire.rtsp.clocks import TICKS, TrackClock
from streamferry.wire.rtsp.message import PACKET_HEAD_BYTES
from streamferry.wire.rtsp.order import PictureOrder, avc_depth, hevc_depth
from streamferry.wire.rtsp.pictures import AvcUnits, HevcUnits, UnitReader
from streamferry.wire.rtsp.rtcp import REPORT_TYPES
from streamferry.wire.rtsp.rtp import HEAD_BYTES, Packet, RtpReceiver, read_head
from streamferry.wire.rtsp.sdp import Media

_MAX_SETS = 16
_START_CODE = b"\0\0\1"
# What a NAL unit is: a slice, what a viewer may begin with, a message that may say so, a set that tells of the order.
_SLICE, _START, _MESSAGE, _SEQUENCE_SET = 1, 2, 4, 8
_AVC_KINDS = {**dict.fromkeys(range(1, 5), _SLICE), 5: _SLICE | _START, 6: _MESSAGE, 7: _SEQUENCE_SET | _START}
_HEVC_KINDS = {**dict.fromkeys(range(32), _SLICE), **dict.fromkeys(range(16, 24), _SLICE | _START), 33: _SEQUENCE_SET}
# By the first byte.
_AVC_ROLES = bytes(_AVC_KINDS.get(byte & 31, 0) for byte in range(256))
_HEVC_ROLES = bytes(_HEVC_KINDS.get(byte >> 1 & 63, 0) for byte in range(256))
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

    def receive(self, data: bytes, now: float) -> None:
        """A packet of RTP. Raises UnsupportedCodec for what only then shows not to be readable."""
        packets = self._packets
        self.receiver.put(data, now, packets)
        if self.receiver.has_restarted:
            self.receiver.has_restarted = False
            self.clock.restart()
            self._restart()
        for is_marked, stamp, payload, is_broken in packets:
            self.put(is_marked, stamp, payload, is_broken, now)
        packets.clear()

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, now: float) -> None:
        """The next packet in its order. Raises UnsupportedCodec."""
        raise NotImplementedError

    def take_run(self, data: bytes, at: int, end: int, now: float) -> int:
        """Take what is simple of the interleaved packets that lie in ``data``, the first of them from ``at`` on.

        ``end``: of the first. Returns where one is that is for ``receive``. Raises UnsupportedCodec.
        """
        begin = at + PACKET_HEAD_BYTES
        if end - begin < HEAD_BYTES:
            return at
        first, second, number, stamp, source = read_head(data, begin)
        if second in REPORT_TYPES or not self.receiver.takes_next(first, second, number, stamp, source, now):
            return at
        self.put(second > 127, stamp, data[begin + HEAD_BYTES : end], False, now)
        return end

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
        self._roles = _AVC_ROLES if self._is_avc else _HEVC_ROLES
        self._pictures = Pictures("h264" if self._is_avc else "hevc")
        step = round(TICKS / media.pictures_a_second) if media.pictures_a_second else 0
        self._order = PictureOrder(partial(self._pictures.put_units, out=out), step)
        self._sequence = b""
        self._has_begun = False
        self._units: UnitReader = AvcUnits(self._take)
        if not self._is_avc:
            self._units = HevcUnits(self._take, has_order=media.parameters.get("sprop-max-don-diff", "0") != "0")
        if media.parameters.get("packetization-mode") == "2":
            raise UnsupportedCodec("H.264 with interleaved units")
        sets = parameter_sets(media)
        self._tell_depth(sets)
        self._pictures.put_units(sets, 0, 0, out)

    def take_run(self, data: bytes, at: int, end: int, now: float) -> int:
        """See ``Track``."""
        following = self._units.take_run(self.receiver, data, at, now)
        return following if following > at else super().take_run(data, at, end, now)

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, now: float) -> None:
        """See ``Track``."""
        self._units.put(is_marked, stamp, payload, is_broken, now)
        if self._units.unsupported:
            raise UnsupportedCodec(self._units.unsupported)

    def _restart(self) -> None:
        self._units.flush()
        self._order.flush()
        self._has_begun = False

    def _tell_depth(self, units: list[bytes]) -> None:
        """Read what parameter sets among the units say of the order of pictures."""
        for unit in units:
            if self._roles[unit[0]] & _SEQUENCE_SET and unit != self._sequence:
                self._sequence = unit
                self._order.tell_depth(avc_depth(unit) if self._is_avc else hevc_depth(unit))

    def _is_start(self, units: list[bytes]) -> bool:
        """Whether a viewer may begin with them."""
        roles = self._roles
        return any(roles[one[0]] & _START or (roles[one[0]] & _MESSAGE and tells_recovery(one)) for one in units)

    def _take(self, units: list[bytes], stamp: int, now: float) -> None:
        """An access unit has come."""
        roles, found = self._roles, 0
        for unit in units:
            found |= roles[unit[0]]
        if found & _SEQUENCE_SET:
            self._tell_depth(units)
        if not found & _SLICE:
            # Parameter sets before their picture.
            self._pictures.put_units(units, 0, 0, self.out)
            return
        pts = self.clock.ticks(stamp, now)
        if not self._has_begun:
            if not self._is_start(units):
                return
            self._has_begun = True
        self._order.take(units, pts)


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

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, now: float) -> None:
        """See ``Track``."""
        if self._mpeg is not None:
            self._put_mpeg(self._mpeg, stamp, payload, is_broken, now)
            return
        aac, found = self._aac, self._found
        assert aac is not None
        aac.put(is_marked, stamp, payload, is_broken, found)
        ticks, put = self.clock.ticks, self.out.append
        for at, unit in found:
            ms = ticks(at & 0xFFFFFFFF, now) // 90 & 0xFFFFFFFF
            if aac.config != self._told:
                self._told = aac.config
                put((AUDIO, ms, b"\xaf\0" + aac.config))
            put((AUDIO, ms, b"\xaf\1" + unit))
        found.clear()

    def _put_mpeg(self, sounds: Sounds, stamp: int, payload: bytes, is_broken: bool, now: float) -> None:
        """A frame may lie in several packets: the offset of the part comes before it (RFC 2250, 3.5)."""
        if len(payload) <= 4:
            return
        if is_broken:
            sounds.lose()
        is_begin = not (payload[2] << 8 | payload[3])
        sounds.put(payload[4:], self.clock.ticks(stamp, now) if is_begin else None, self.out)
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
            if unit.lstrip(b"\0")[:1] == b"\1" and _START_CODE in unit[:4]:
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
