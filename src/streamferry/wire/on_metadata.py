"""``onMetaData`` by what the headers and frames of a stream say: what a source claims of itself is not passed on.

Sources tell keys, names of machines, sizes that were true before the encoder was restarted, and megabytes of indexes.
What cannot be read in a header is left out: fields are advice. Codecs have the numbers of FLV, or the FourCC as a
number where the tags have one (Enhanced RTMP v2, "Defining Additional Metadata").

Specification: Adobe Video File Format 10.1, annex E.5.
"""

from collections.abc import Iterable
from contextlib import suppress

from streamferry.media.enhanced import codec_of, unwrap
from streamferry.media.tag import AUDIO, NESTED, VIDEO, kind_of_audio, kind_of_video
from streamferry.wire.amf0 import Amf0Value
from streamferry.wire.codecs import UnsupportedCodec, avc_frame_rate, parse_sound, parse_video_header
from streamferry.wire.flv import serialize_metadata

_AVC = b"\x07"
_ENHANCED_AVC = b"avc1"


def on_metadata(headers: Iterable[tuple[int, bytes]], frames: Iterable[tuple[int, bytes]] = ()) -> bytes:
    """Body of the script tag for the sequence headers in force: (tag type, body), the leading track of a type first.

    ``frames``: the same of tracks without a header, whose codec any frame names. Empty if nothing is known.
    """
    values: dict[str, Amf0Value] = {}
    for is_header, bodies in ((True, headers), (False, frames)):
        for tag_type, body in bodies:
            name = "videocodecid" if tag_type == VIDEO else "audiocodecid"
            if tag_type in (AUDIO, VIDEO) and name not in values and (codec := codec_of(tag_type, body)):
                values[name] = float(int.from_bytes(codec, "big"))
                if is_header:
                    values |= _of_picture(body, codec) if tag_type == VIDEO else _of_sound(body)
    return serialize_metadata(values) if values else b""


def _of_picture(body: bytes, codec: bytes) -> dict[str, Amf0Value]:
    body = _alone(VIDEO, body)
    values: dict[str, Amf0Value] = {}
    with suppress(UnsupportedCodec, ValueError, IndexError):
        form = parse_video_header(body)
        values |= {"width": float(form.width), "height": float(form.height)}
        if codec in (_AVC, _ENHANCED_AVC) and (rate := avc_frame_rate(body)):
            values["framerate"] = round(rate, 3)
    return values


def _of_sound(body: bytes) -> dict[str, Amf0Value]:
    try:
        rate_hz, channels = parse_sound(_alone(AUDIO, body))
    except (UnsupportedCodec, ValueError, IndexError):
        return {}
    values: dict[str, Amf0Value] = {"audiosamplerate": float(rate_hz), "audiosamplesize": 16.0}
    return values | {"audiochannels": float(channels), "stereo": channels > 1} if channels else values


def _alone(tag_type: int, body: bytes) -> bytes:
    """A header without what is around it."""
    if (kind_of_video if tag_type == VIDEO else kind_of_audio)(body) != NESTED:
        return body
    packet = unwrap(tag_type, body)
    return packet.alone(packet.parts[0]) if packet.parts else body
