"""Opus as cameras and WebRTC gateways send it: to one Ogg stream without holes, which still has to be encoded.

Where packets are missing, or are not sent because nobody speaks, there is silence, so that a place in the stream is a
time.

Specification: RFC 7587, 4 (RTP), RFC 6716, 3.1 (what a packet holds), RFC 7845 (Opus in Ogg), RFC 3533, 6 (Ogg).
"""

from struct import pack
from zlib import crc32

from streamferry.media.tag import Tag
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.rtsp.plain_sound import MAX_GAP_S, MAX_WAITING_BYTES, StreamedSound
from streamferry.wire.rtsp.sdp import Media

#: Opus always counts in samples of 48 kHz.
RATE_HZ = 48_000
# Fullband CELT in stereo that decodes to nothing, of 20 ms and of 2.5 ms.
_SILENCES = ((960, b"\xfc\xff\xfe"), (120, b"\xe4\xff\xfe"))
_MOST_SAMPLES, _MAX_FRAME_BYTES = 5_760, 1_275
# A size of a frame from which on there is a second byte of it.
_TWO_BYTES = 252
# Of a page, 255 lacing values.
_MAX_PACKET_BYTES = 255 * 254
_FIRST_PAGE = 2
_HEAD = b"OpusHead\x01\x02" + pack("<HIHB", 0, RATE_HZ, 0, 0)
_COMMENTS = b"OpusTags" + bytes(8)
# The bits of each byte in the other order: the checksum of Ogg is that of zlib, seen in a mirror.
_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def samples_of(packet: bytes) -> int:
    """How many samples of 48 kHz are in a packet; 0 if it is none. From another no decoder makes any sound."""
    if not packet:
        return 0
    kind, code = packet[0] >> 3, packet[0] & 3
    if kind < 12:
        each = (480, 960, 1920, 2880)[kind & 3]
    else:
        each = (480, 960)[kind & 1] if kind < 16 else (120, 240, 480, 960)[kind & 3]
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[code]
    return each * count if 0 < each * count <= _MOST_SAMPLES and _has_frames(packet, code, count) else 0


def _has_frames(packet: bytes, code: int, count: int) -> bool:
    """Whether its frames are as long as it says (RFC 6716, 3.2.1 to 3.2.5)."""
    at, end, have_sizes = 1, len(packet), code == 2
    if code == 3:
        at, have_sizes, more = 2, packet[1] > 127, 255 * (packet[1] >> 6 & 1)
        while more == 255 and at < end:
            more = packet[at]
            at, end = at + 1, end - min(more, 254)
        if more == 255:
            return False
    if not have_sizes:
        each, rest = divmod(end - at, count)
        return 0 <= each <= _MAX_FRAME_BYTES and not rest
    total = 0
    for _ in range(count - 1):
        if at >= end:
            return False
        size, at = packet[at], at + 1
        if size >= _TWO_BYTES:
            if at >= end:
                return False
            size, at = size + 4 * packet[at], at + 1
        total += size
    return 0 <= end - at - total <= _MAX_FRAME_BYTES


class OpusSoundTrack(StreamedSound):
    """``stream``: Ogg, one page a packet."""

    input_words = ("-f", "ogg")

    def __init__(self, media: Media, out: list[Tag], *, is_ordered: bool) -> None:
        """Raises UnsupportedCodec for sound of another kind."""
        if media.encoding != "OPUS" or media.rate_hz != RATE_HZ:
            raise UnsupportedCodec(media.encoding or "sound of unknown format")
        super().__init__(media, out, is_ordered=is_ordered)
        self._next = self._pages = self._samples = 0

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, now: float) -> None:
        """See ``Track``."""
        samples = samples_of(payload)
        if not samples or len(payload) > _MAX_PACKET_BYTES:
            return
        gap = (stamp - self._next + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        at = self.clock.ticks(stamp, now)
        if self.begins_at is None or not -RATE_HZ < gap < MAX_GAP_S * RATE_HZ:
            self.stream.clear()
            self.begins_at, self.is_new = at, True
            self._next, self._pages, self._samples = stamp, 0, 0
            self._add(_HEAD, 0)
            self._add(_COMMENTS, 0)
        elif -gap >= samples / 2:
            # It is there already.
            return
        elif len(self.stream) <= MAX_WAITING_BYTES:
            for length, silence in _SILENCES:
                while gap >= length:
                    self._add(silence, length)
                    gap -= length
        self._add(payload, samples)

    def _add(self, packet: bytes, samples: int) -> None:
        """A page with this packet."""
        self._samples += samples
        self._next = self._next + samples & 0xFFFFFFFF
        full, rest = divmod(len(packet), 255)
        lacing = b"\xff" * full + bytes((rest,))
        flags = _FIRST_PAGE if not self._pages else 0
        head = b"OggS\0" + pack("<BqII", flags, self._samples, 1, self._pages)
        body = bytes((len(lacing),)) + lacing + packet
        checksum = crc32((head + bytes(4) + body).translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        self.stream += head + checksum.to_bytes(4, "big").translate(_MIRRORED) + body
        self._pages += 1
