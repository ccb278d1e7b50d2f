"""Live HLS: we read the playlist, choose the variant, and leave the segments to ffmpeg.

So a playlist that is refused is reported with our own messages and deadlines. ffmpeg fetches what the playlist names,
mostly segments, over http and https through an ``EgressProxy``: its sandbox lets it reach nothing else.

Specification: RFC 8216.
"""

from typing import Unpack
from urllib.parse import urljoin

from streamferry.media.errors import (
    PeerUnreachable,
    RemoteProtocolError,
    SourceCorrupt,
    SourceForbidden,
    SourceStalled,
    SourceUnsupported,
)
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines, DialOptions, step
from streamferry.net.egress_proxy import EgressProxy
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.ffmpeg_options import HLS_CONTAINERS, HLS_PROTOCOLS, hls_options
from streamferry.net.http import WEB_SCHEMES, HttpBody, HttpStream, open_get
from streamferry.reasons import Code, InvalidValue, Reason
from streamferry.source.ffmpeg_inlet import PEER_SILENCE_S, FfmpegInlet, FfmpegInput, open_ffmpeg
from streamferry.source.hls_played_segments import HlsPlayedSegments
from streamferry.source.live import SILENCE_S
from streamferry.wire.hls import MAX_PLAYLIST_BYTES, Playlist, Variant, scheme_of


async def open_hls(
    url: MediaUrl,
    stream: HttpStream,
    played_segments: HlsPlayedSegments | None = None,
    **network: Unpack[DialOptions],
) -> FfmpegInlet:
    """``stream``: the answer to a GET of ``url``, taken over. Raises SourceError, PeerError and RemoteProtocolError.

    It begins after the last of ``played_segments``.
    """
    played_segments = HlsPlayedSegments() if played_segments is None else played_segments
    playlist, variant = await read_media_playlist(url, stream, **network)
    if playlist.is_finished:
        raise SourceUnsupported(Code.SOURCE_HLS_FINISHED, url=url.redacted)
    addresses = playlist.segment_addresses(variant.url)
    unseen = played_segments.unseen(addresses, playlist.media_sequence + len(addresses))
    if not unseen:
        raise SourceStalled(Code.SOURCE_HLS_NO_SEGMENT, url=url.redacted)
    arguments = [
        # At the start there are three segments, and more come one at a time: ffmpeg reads them as they come.
        *("-readrate", "1", "-rw_timeout", str(round(PEER_SILENCE_S * 1e6))),
        # One segment at a time, so that the last one requested is the one being played.
        *("-live_start_index", str(-unseen), "-http_multiple", "0"),
        *("-f", "hls", *hls_options(ffmpeg_program()), "-format_whitelist", HLS_CONTAINERS),
        *("-protocol_whitelist", HLS_PROTOCOLS),
    ]
    source = FfmpegInput(
        arguments,
        stdin_data=variant.as_master().encode(),
        # At the live edge nothing comes until the next segment is complete.
        silence_s=SILENCE_S + playlist.target_duration,
        egress_proxy=await EgressProxy(
            network.get("allow"), network["deadlines"], network.get("options", NO_OPTIONS)
        ).open(),
        segments=played_segments,
    )
    return await open_ffmpeg(url, source, tls=network.get("tls"))


async def read_media_playlist(
    url: MediaUrl, stream: HttpStream, **network: Unpack[DialOptions]
) -> tuple[Playlist, Variant]:
    """The media playlist to play, and its address: the one at ``url``, or the best variant of a master playlist.

    ``stream``: the answer to a GET of ``url``, taken over. Raises SourceError, PeerError and RemoteProtocolError.
    """
    playlist = await _read_playlist(stream, network["deadlines"])
    # Relative addresses are relative to the redirect's target, and reloads go there too, as in players.
    base = stream.final_url.reveal()
    _judge(url, playlist, base)
    named = playlist.best_variant(base)
    if named is None:
        return playlist, Variant(base)
    try:
        media_url = MediaUrl.parse(named.url)
    except InvalidValue as error:
        raise SourceCorrupt(Code.SOURCE_HLS_BAD_VARIANT, url=url.redacted, why=error.why) from None
    stream = await open_get(media_url, given_for=url, **network)
    playlist = await _read_playlist(stream, network["deadlines"])
    base = stream.final_url.reveal()
    _judge(url, playlist, base)
    return playlist, Variant(base, named.audio_url)


def _judge(url: MediaUrl, playlist: Playlist, base: str) -> None:
    """Raise SourceForbidden or SourceCorrupt for a playlist that names anything but http and https.

    If a later version of the playlist does, ffmpeg does not open it either, by its whitelist, but gives no reason.
    """
    for reference in playlist.references():
        if scheme_of(reference) not in WEB_SCHEMES | {""}:
            raise SourceForbidden(Code.SOURCE_HLS_OFF_WEB, url=url.redacted)
        try:
            urljoin(base, reference)
        except ValueError:
            raise SourceCorrupt(Code.SOURCE_HLS_BAD_ADDRESS, url=url.redacted) from None


async def _read_playlist(stream: HttpStream, deadlines: Deadlines) -> Playlist:
    """The answer, which is closed. Raises PeerUnreachable, RemoteProtocolError."""
    try:
        async with step(Reason.of(Code.STEP_PLAYLIST, peer=stream.connection.peer), deadlines.response):
            data = await HttpBody(stream).read_all(MAX_PLAYLIST_BYTES)
    finally:
        stream.connection.close()
    if not data:
        raise PeerUnreachable(Code.SOURCE_HLS_EMPTY, peer=stream.connection.peer)
    try:
        return Playlist.parse(data)
    except InvalidValue as error:
        raise RemoteProtocolError(error.why) from None
