"""RTP made of a clip, packet by packet, as a camera sends it; the same packets through ffmpeg are in the clip's FLV."""

import struct
from base64 import b64encode
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamferry.media.tag import AUDIO, VIDEO, Tag, kind_of_audio, kind_of_video
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.parameter_sets import SequenceHeader

_HEADER = 3
MTU = 1400
#: Seconds from 1900 to 1970, as RTCP counts them.
NTP_OFFSET_S = 2_208_988_800


def frames_of(tags: list[Tag], tag_type: int) -> list[tuple[int, bytes]]:
    """(stamp, body) of the frames of a track."""
    kind_of = kind_of_video if tag_type == VIDEO else kind_of_audio
    return [(stamp, bytes(body)) for kind, stamp, body in tags if kind == tag_type and kind_of(body) < _HEADER]


def headers_of(tags: list[Tag], tag_type: int) -> list[bytes]:
    """Bodies of the headers of a track."""
    kind_of = kind_of_video if tag_type == VIDEO else kind_of_audio
    return [bytes(body) for kind, _, body in tags if kind == tag_type and kind_of(body) == _HEADER]


@dataclass(frozen=True)
class Packet:
    """``at_s``: when it is sent, from the beginning of the clip."""

    at_s: float
    data: bytes


@dataclass
class RtpSender:
    """A track: numbers and stamps as they begin, and who sends."""

    payload_type: int
    rate_hz: int
    source: int = 0x11223344
    number: int = 65_500
    first_stamp: int = 0xFFFF_F000
    packets: list[Packet] = field(default_factory=list)

    def stamp(self, media_s: float) -> int:
        return round(media_s * self.rate_hz) + self.first_stamp & 0xFFFFFFFF

    def add(
        self, at_s: float, media_s: float, payload: bytes, *, marker: bool, extra: bytes = b"", flags: int = 0
    ) -> None:
        head = struct.pack(
            ">BBHII",
            0x80 | flags,
            self.payload_type | (0x80 if marker else 0),
            self.number,
            self.stamp(media_s),
            self.source,
        )
        self.number = self.number + 1 & 0xFFFF
        self.packets.append(Packet(at_s, head + extra + payload))

    def report(self, media_s: float, day_s: float) -> bytes:
        """A sender report that says what time of day a moment of the media was."""
        seconds = day_s + NTP_OFFSET_S
        fraction = round((seconds % 1) * 2**32) & 0xFFFFFFFF
        return struct.pack(">BBHIIIIII", 0x80, 200, 6, self.source, int(seconds), fraction, self.stamp(media_s), 0, 0)

    def bye(self) -> bytes:
        return struct.pack(">BBHI", 0x81, 203, 1, self.source)


class RtpClip:
    """Of the FLV of a clip: what a camera would send of it. ``codec``: H264 or H265."""

    def __init__(
        self, flv: Path, *, aggregate: bool = False, marker_on_each: bool = False, repeat_sets: bool = False
    ) -> None:
        self.tags: list[Tag] = []
        self.other_sound = ""
        data = memoryview(flv.read_bytes())
        scan_tags(data, FLV_HEADER_BYTES, len(data), self.tags)
        self.pictures, self.sounds = frames_of(self.tags, VIDEO), frames_of(self.tags, AUDIO)
        header = next(iter(headers_of(self.tags, VIDEO)), b"")
        read = SequenceHeader.parse(header)
        self.sets = read.sets if read is not None else ()
        self.codec = "H265" if header[:1] and header[0] & 0x80 else "H264"
        self.config = next(iter(headers_of(self.tags, AUDIO)), b"")[2:]
        self.video = RtpSender(96, 90_000)
        self.audio_rate_hz = self._audio_rate()
        self.audio = RtpSender(97, self.audio_rate_hz, source=0x55667788)
        self._aggregate, self._marker_on_each = aggregate, marker_on_each
        for stamp, body in self.pictures:
            self._add_picture(stamp, body, repeat_sets=repeat_sets)
        for number in range(0, len(self.sounds), 2):
            self._add_sounds(number, [body[2:] for _, body in self.sounds[number : number + 2]])

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return max((self.pictures or self.sounds)[-1][0], 1) / 1000 + 0.04

    def _audio_rate(self) -> int:
        rates = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
        return rates[(self.config[0] & 7) << 1 | self.config[1] >> 7] if self.config else 48_000

    def pts_ms(self, stamp: int, body: bytes) -> int:
        at = 5 if body[0] & 0x80 else 2
        if body[0] & 0x80 and body[0] & 0x0F == 3:
            return stamp
        return stamp + int.from_bytes(body[at : at + 3], signed=True)

    def units_of(self, body: bytes) -> list[bytes]:
        at = 8 if body[0] & 0x80 and body[0] & 0x0F == 1 else 5
        units = []
        while at + 4 <= len(body):
            size = int.from_bytes(body[at : at + 4])
            units.append(body[at + 4 : at + 4 + size])
            at += 4 + size
        return units

    def _add_picture(self, stamp: int, body: bytes, *, repeat_sets: bool) -> None:
        units = self.units_of(body)
        if repeat_sets and body[0] >> 4 & 7 == 1:
            units = [*self.sets, *units]
        media_s = self.pts_ms(stamp, body) / 1000
        payloads: list[tuple[bytes, bool]] = []
        small: list[bytes] = []
        for unit in units:
            if self._aggregate and len(unit) < 200:
                small.append(unit)
                continue
            payloads += [(one, False) for one in self._joined(small)]
            small = []
            payloads += self._cut(unit)
        payloads += [(one, False) for one in self._joined(small)]
        for number, (payload, ends_unit) in enumerate(payloads):
            is_last = number == len(payloads) - 1
            self.video.add(stamp / 1000, media_s, payload, marker=is_last or (self._marker_on_each and ends_unit))

    def _joined(self, units: list[bytes]) -> list[bytes]:
        if len(units) < 2:
            return units
        head = b"\x78" if self.codec == "H264" else b"\x60\x01"
        return [head + b"".join(len(unit).to_bytes(2) + unit for unit in units)]

    def _cut(self, unit: bytes) -> list[tuple[bytes, bool]]:
        if len(unit) <= MTU:
            return [(unit, True)]
        head_bytes = 1 if self.codec == "H264" else 2
        pieces = [unit[at : at + MTU] for at in range(head_bytes, len(unit), MTU)]
        found = []
        for number, piece in enumerate(pieces):
            flags = (0x80 if number == 0 else 0) | (0x40 if number == len(pieces) - 1 else 0)
            if self.codec == "H264":
                head = bytes((unit[0] & 0xE0 | 28, flags | unit[0] & 31))
            else:
                head = bytes((unit[0] & 0x81 | 49 << 1, unit[1], flags | unit[0] >> 1 & 63))
            found.append((head + piece, number == len(pieces) - 1))
        return found

    def _add_sounds(self, number: int, units: list[bytes]) -> None:
        """Two access units in a packet, behind headers of 16 bits."""
        stamp = self.sounds[number][0]
        heads = b"".join((len(unit) << 3).to_bytes(2) for unit in units)
        payload = (16 * len(units)).to_bytes(2) + heads + b"".join(units)
        # Exactly on the clock of the sound, and not on the milliseconds of FLV.
        self.audio.add(
            stamp / 1000, number * 1024 / self.audio_rate_hz + self.sounds[0][0] / 1000, payload, marker=True
        )

    def replace_sound(self, form: str, rtpmap: str, data: bytes, *, packet_bytes: int, packet_ticks: int) -> None:
        """Other sound beside the picture, in packets of so many bytes and ticks; ``form``: its payload type."""
        rate_hz = int(rtpmap.split("/")[1])
        self.audio_rate_hz = rate_hz
        self.audio = RtpSender(int(form), rate_hz, source=0x55667788)
        self.other_sound = f"m=audio 0 RTP/AVP {form}\r\na=rtpmap:{form} {rtpmap}\r\na=control:trackID=1"
        for number, at in enumerate(range(0, len(data) - packet_bytes + 1, packet_bytes)):
            media_s = number * packet_ticks / rate_hz
            self.audio.add(media_s, media_s, data[at : at + packet_bytes], marker=number == 0)

    def description(self, *, has_sets: bool = True, video: bool = True, audio: bool = True) -> str:
        """As a camera describes it."""
        lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=cam", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
        if video and self.pictures:
            coded = [b64encode(one).decode() for one in self.sets]
            lines += ["m=video 0 RTP/AVP 96", f"a=rtpmap:96 {self.codec}/90000", "a=control:trackID=0"]
            if self.codec == "H264":
                sets = f";sprop-parameter-sets={','.join(coded)}" if has_sets else ""
                lines.append("a=fmtp:96 packetization-mode=1" + sets)
            elif has_sets:
                names = ("sprop-vps", "sprop-sps", "sprop-pps")
                lines.append("a=fmtp:96 " + "; ".join(f"{n}={c}" for n, c in zip(names, coded, strict=True)))
        if audio and self.other_sound:
            lines.append(self.other_sound)
        elif audio and self.sounds:
            channels = self.config[1] >> 3 & 15
            lines += [
                "m=audio 0 RTP/AVP 97",
                f"a=rtpmap:97 mpeg4-generic/{self.audio_rate_hz}/{channels}",
                "a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;"
                f"config={self.config.hex()}",
                "a=control:trackID=1",
            ]
        return "\r\n".join(lines) + "\r\n"

    def packets(self) -> list[tuple[int, Packet]]:
        """(channel, packet) of both tracks in the order of sending."""
        both = [(0, one) for one in self.video.packets] + [(2, one) for one in self.audio.packets]
        return sorted(both, key=lambda one: one[1].at_s)


def later(packet: Packet, seconds: float) -> Packet:
    """The same packet, sent later."""
    return replace(packet, at_s=packet.at_s + seconds)
