"""Sound of a fixed number of bits a sample, as cameras without AAC send it: to one stream of bytes without holes.

Where packets are missing there is silence, so that a place in the stream is a time. It still has to be encoded: this
module does not know by whom.

Specification: RFC 3551, 4.5 (G.711, G.722, G.726, L16 and their packing).
"""

from dataclasses import dataclass

from streamferry.media.tag import Tag
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.rtsp.sdp import Media
from streamferry.wire.rtsp.tracks import Track

#: A longer gap begins the stream anew.
MAX_GAP_S = 4.0
#: With so much waiting to be encoded, holes are no longer filled: whoever encodes gives up.
MAX_WAITING_BYTES = 1 << 20
_MAX_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class PlainForm:
    """``name``: of the raw format in ffmpeg. ``rate_hz``: of the sound, which G.722 tells otherwise (RFC 3551, 4.5.2).

    ``tick_bits``: bits a tick of the RTP clock. ``silence``: a byte of it.
    """

    name: str
    rate_hz: int
    channels: int
    tick_bits: int
    silence: int
    #: Bits a sample of G.726, 0 for others.
    code_bits: int = 0


def plain_form(media: Media) -> PlainForm:
    """Raises UnsupportedCodec for sound of another kind."""
    name, rate_hz, channels = media.encoding, media.rate_hz, media.channels
    if not 1 <= channels <= _MAX_CHANNELS or not 4000 <= rate_hz <= 192_000:
        raise UnsupportedCodec(f"{name} with {channels} channels of {rate_hz} Hz")
    if name in ("PCMU", "PCMA"):
        silence = 0xFF if name == "PCMU" else 0xD5
        return PlainForm("mulaw" if name == "PCMU" else "alaw", rate_hz, channels, 8 * channels, silence)
    if name == "L16":
        return PlainForm("s16be", rate_hz, channels, 16 * channels, 0)
    if channels == 1 and name == "G722":
        return PlainForm("g722", 2 * rate_hz, 1, 8, 0xFF)
    kind, _, kbps = name.rpartition("-")
    if channels == 1 and kind in ("G726", "AAL2-G726") and kbps in ("16", "24", "32", "40"):
        bits = int(kbps) // 8
        return PlainForm("g726le" if kind == "G726" else "g726", rate_hz, 1, bits, 0xFF, bits)
    raise UnsupportedCodec(name or "sound of unknown format")


class StreamedSound(Track):
    """Sound as one stream that is to be encoded: ``stream``; whoever takes it clears it."""

    kind = "audio"
    #: How ffmpeg is told what the stream is.
    input_words: tuple[str, ...] = ()

    def __init__(self, media: Media, out: list[Tag], *, is_ordered: bool) -> None:
        super().__init__(media, out, is_ordered=is_ordered)
        self.stream = bytearray()
        #: Where the stream begins, in ticks of 90 kHz; None before there is any.
        self.begins_at: int | None = None
        #: Set when the stream begins anew, at ``begins_at``; whoever encodes clears it.
        self.is_new = False
        self._next = 0

    def begin_anew(self) -> None:
        """What comes next begins the stream."""
        self.begins_at = None

    def _restart(self) -> None:
        self.begin_anew()


class PlainSoundTrack(StreamedSound):
    """``stream``: as it came, with silence where something is missing."""

    def __init__(self, media: Media, out: list[Tag], *, is_ordered: bool) -> None:
        """Raises UnsupportedCodec."""
        super().__init__(media, out, is_ordered=is_ordered)
        self.form = form = plain_form(media)
        self.input_words = ("-f", form.name)
        if form.code_bits:
            self.input_words += ("-code_size", str(form.code_bits), "-ar", str(form.rate_hz))
        elif form.name != "g722":  # Whose rate is given.
            self.input_words += ("-ar", str(form.rate_hz), "-ac", str(form.channels))

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, now: float) -> None:
        """See ``Track``."""
        form, rate_hz = self.form, self.media.rate_hz
        gap = (stamp - self._next + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        at = self.clock.ticks(stamp, now)
        if self.begins_at is None or not -rate_hz < gap < MAX_GAP_S * rate_hz:
            self.stream.clear()
            self.begins_at, self.is_new = at, True
        elif gap > 0 and len(self.stream) <= MAX_WAITING_BYTES:
            # A packet of twelve bytes may tell of megabytes.
            self.stream += bytes((form.silence,)) * (gap * form.tick_bits // 8)
        elif gap < 0:
            # What is already there; cameras count a little wrongly.
            payload = payload[-gap * form.tick_bits // 8 :]
            stamp = stamp - gap
        self.stream += payload
        self._next = stamp + len(payload) * 8 // form.tick_bits & 0xFFFFFFFF
