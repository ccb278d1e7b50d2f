"""Live HLS: we read the playlist, choose the variant, and leave the segments to ffmpeg.

So a playlist that is refused says so in our words, with the deadlines of any other connection. What the playlist names,
segments above all, ffmpeg fetches by itself, by http and https, through an ``EgressProxy``:
its sandbox lets it reach nothing else.

Specification: RFC 8216.
"""

import ssl
from urllib.parse import urljoin

from streamferry.media.errors import (
    PeerUnreachable,
    RemoteProtocolError,
    SourceCorrupt,
    SourceForbidden,
    SourceStalled,
    SourceUnsupported,
)
from streamferry.media.url import MediaUrl
from streamferry.net.dial import AllowAddress, Deadlines, step
from streamferry.net.egress_proxy import EgressProxy
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.ffmpeg_options import HLS_CONTAINERS, HLS_PROTOCOLS, hls_options
from streamferry.net.http import WEB_SCHEMES, HttpBody, HttpStream, open_get
from streamferry.source.ffmpeg import PEER_SILENCE_S, FfmpegInlet, FfmpegInput, open_ffmpeg
from streamferry.source.hls_played_segments import HlsPlayedSegments
from streamferry.source.live import SILENCE_S
from streamferry.wire.hls import (
    Variant,
    best_variant,
    is_finished,
    is_playlist,
    media_sequence,
    playlist_lines,
    references,
    scheme_of,
    segment_addresses,
    target_duration,
)

# A playlist of a day's DVR window in 2 s segments has 5 MB.
_MAX_PLAYLIST_BYTES = 8 << 20


async def open_hls(
    url: MediaUrl,
    stream: HttpStream,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: AllowAddress | None = None,
    played_segments: HlsPlayedSegments | None = None,
) -> FfmpegInlet:
    """``stream``: the answer to a GET of ``url``, taken over. Raises SourceError, PeerError and RemoteProtocolError.

    With a ``played_segments`` it begins behind what was played before.
    """
    played_segments = HlsPlayedSegments() if played_segments is None else played_segments
    lines = await _read_playlist(stream, deadlines)
    # Relative addresses are relative to where redirects led, and reloads go there, too, as players do it.
    base = stream.final_url.reveal()
    _judge(url, lines, base)
    variant = best_variant(lines, base)
    if variant is not None:
        try:
            media_url = MediaUrl.parse(variant.url)
        except ValueError as error:
            raise SourceCorrupt(f"{url.redacted} names a variant that is no address: {error}") from None
        stream = await open_get(media_url, deadlines=deadlines, tls=tls, allow=allow)
        lines = await _read_playlist(stream, deadlines)
        _judge(url, lines, stream.final_url.reveal())
        variant = Variant(stream.final_url.reveal(), variant.audio_url)
    else:
        variant = Variant(stream.final_url.reveal())
    if is_finished(lines):
        raise SourceUnsupported(f"{url.redacted} is a finished HLS playlist, a file and not a live source")
    addresses = segment_addresses(lines, variant.url)
    unseen = played_segments.unseen(addresses, media_sequence(lines) + len(addresses))
    if not unseen:
        raise SourceStalled(f"{url.redacted} is a playlist to which no segment was added since the last was played")
    arguments = [
        # Three segments are there at the start, and more come one at a time: they are read at their own pace.
        *("-readrate", "1", "-rw_timeout", str(round(PEER_SILENCE_S * 1e6))),
        # One segment at a time, so that what was asked for last is what is being played.
        *("-live_start_index", str(-unseen), "-http_multiple", "0"),
        *("-f", "hls", *hls_options(ffmpeg_program()), "-format_whitelist", HLS_CONTAINERS),
        *("-protocol_whitelist", HLS_PROTOCOLS),
    ]
    source = FfmpegInput(
        arguments,
        brief=variant.as_master().encode(),
        # At the live edge nothing comes for as long as a segment takes to be made.
        silence_s=SILENCE_S + target_duration(lines),
        egress_proxy=await EgressProxy(allow, deadlines).open(),
        segments=played_segments,
    )
    return await open_ffmpeg(url, source, tls=tls)


def _judge(url: MediaUrl, lines: list[str], base: str) -> None:
    """Raise SourceForbidden or SourceCorrupt for a playlist that leads out of the web.

    What it names later ffmpeg does not open either: its whitelist has no other protocol. Then nobody can say why.
    """
    for reference in references(lines):
        if scheme_of(reference) not in WEB_SCHEMES | {""}:
            raise SourceForbidden(f"{url.redacted} names an address that is neither http:// nor https://")
        try:
            urljoin(base, reference)
        except ValueError:
            raise SourceCorrupt(f"{url.redacted} names something that is no address") from None


async def _read_playlist(stream: HttpStream, deadlines: Deadlines) -> list[str]:
    """The lines of the answer, which is closed. Raises PeerUnreachable, RemoteProtocolError."""
    try:
        async with step(f"reading a playlist of {stream.connection.peer}", deadlines.response):
            data = await HttpBody(stream).read_all(_MAX_PLAYLIST_BYTES)
    finally:
        stream.connection.close()
    if not data:
        raise PeerUnreachable(f"{stream.connection.peer} answered with an empty playlist")
    lines = playlist_lines(data.decode("utf-8", "replace"))
    if not is_playlist(lines):
        raise RemoteProtocolError("it is no HLS playlist")
    return lines
