"""Live HLS: which playlists are followed, and by whom.

Mostly we fetch the segments and read them: see ``hls_inlet``. What has to be encoded, or is in a container that we do
not read, goes through ffmpeg, which fetches what the playlist names over http and https through an ``EgressProxy``: its
sandbox lets it reach nothing else.

Specification: RFC 8216.
"""

import asyncio
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Unpack
from urllib.parse import urljoin

from streamferry.media.errors import (
    SourceCorrupt,
    SourceEnded,
    SourceForbidden,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
    SourceUnsupported,
)
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.net.egress_proxy import EgressProxy
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.ffmpeg_options import HLS_CONTAINERS, HLS_PROTOCOLS, hls_options, live_pace
from streamferry.net.http import WEB_SCHEMES, HttpStream
from streamferry.reasons import Code, InvalidValue
from streamferry.source.ffmpeg_inlet import PEER_SILENCE_S, FfmpegInlet, FfmpegInput, open_ffmpeg
from streamferry.source.hls_inlet import HlsInlet
from streamferry.source.hls_reader import NeedsFfmpeg
from streamferry.source.hls_rendition import Rendition, listed, read_playlist
from streamferry.source.hls_variants import REFUSALS, Offer
from streamferry.source.live import SILENCE_S
from streamferry.source.memory import SourceMemory
from streamferry.wire.hls import Playlist, Variant, scheme_of

# Judged in some 5 ms.
_REFERENCES_AT_ONCE = 1_000


async def open_hls(
    url: MediaUrl, stream: HttpStream, memory: SourceMemory | None = None, **network: Unpack[DialOptions]
) -> FfmpegInlet | HlsInlet:
    """``stream``: the answer to a GET of ``url``, taken over. Raises SourceError, PeerError and RemoteProtocolError.

    It goes on after what ``memory`` knows to be played.
    """
    memory = SourceMemory() if memory is None else memory
    now = asyncio.get_running_loop().time
    asked_at = now()
    playlist, offered = await _read_offer(url, stream, **network)
    if not offered.variants:
        return await _open(url, playlist, Variant(offered.base), memory, asked_at, **network)
    followers = memory.followers
    for variant in offered.in_order(memory, now()):
        # Of what another variant could not give nothing has been played.
        memory.followers = deepcopy(followers)
        try:
            asked_at = now()
            playlist, found = await _read_variant(url, variant, **network)
            return await _open(url, playlist, found, memory, asked_at, **network)
        except (*REFUSALS, SourceRejected, SourceUnreachable) as error:
            offered.note(variant, error, memory, now())
    raise offered.error


async def _open(
    url: MediaUrl,
    playlist: Playlist,
    variant: Variant,
    memory: SourceMemory,
    asked_at: float,
    **network: Unpack[DialOptions],
) -> FfmpegInlet | HlsInlet:
    if playlist.is_finished:
        # That of the last show, as long as the next has not begun.
        raise SourceEnded(Code.SOURCE_HLS_FINISHED, url=url.redacted)
    if not memory.needs_ffmpeg:
        try:
            return await _open_segments(url, playlist, variant, memory, asked_at, **network)
        except NeedsFfmpeg:
            memory.needs_ffmpeg = True
    return await _open_ffmpeg(url, playlist, variant, memory, **network)


async def _open_segments(
    url: MediaUrl,
    playlist: Playlist,
    variant: Variant,
    memory: SourceMemory,
    asked_at: float,
    **network: Unpack[DialOptions],
) -> HlsInlet:
    """Raises NeedsFfmpeg before anything counts as played."""
    renditions: list[Rendition] = []
    inlet: HlsInlet | None = None
    try:
        for address, follower in zip((variant.url, variant.audio_url), memory.followers, strict=True):
            if address is None:
                continue
            media_url = MediaUrl.parse(address)
            if renditions:
                asked_at = asyncio.get_running_loop().time()
                playlist, media_url = await read_playlist(media_url, given_for=url, **network)
                await judge(url, playlist, media_url.reveal())
            follower.parts.is_wanted = memory.is_low_latency
            follower.begin_session(network.get("options", NO_OPTIONS).segments_behind)
            follower.take(playlist, asked_at, await listed(playlist, with_parts=memory.is_low_latency))
            renditions.append(Rendition(media_url, follower, url, **network))
        longest_s = max(rendition.follower.usual_s for rendition in renditions)
        inlet = HlsInlet(renditions, silence_s=SILENCE_S + longest_s)
        inlet.needs_ffmpeg = partial(setattr, memory, "needs_ffmpeg", True)
        try:
            async with asyncio.timeout(inlet.silence_s):
                await inlet.look()
        except TimeoutError:
            raise SourceStalled(Code.SOURCE_HLS_NO_SEGMENT, url=url.redacted) from None
    except InvalidValue as error:
        _close(inlet, renditions)
        raise SourceUnsupported(error.why) from None
    except BaseException:
        _close(inlet, renditions)
        raise
    return inlet


def _close(inlet: HlsInlet | None, renditions: list[Rendition]) -> None:
    if inlet is not None:
        inlet.close()
        return
    for rendition in renditions:
        rendition.close()


async def _open_ffmpeg(
    url: MediaUrl,
    playlist: Playlist,
    variant: Variant,
    memory: SourceMemory,
    **network: Unpack[DialOptions],
) -> FfmpegInlet:
    addresses = playlist.segment_addresses(variant.url)
    unseen = memory.played_segments.unseen(addresses, playlist.media_sequence + len(addresses))
    if not unseen:
        raise SourceStalled(Code.SOURCE_HLS_NO_SEGMENT, url=url.redacted)
    pace, options = await asyncio.to_thread(_known_options, ffmpeg_program())
    arguments = [
        # At the start there are three segments, and more come one at a time: ffmpeg reads them as they come.
        *(*pace, "-rw_timeout", str(round(PEER_SILENCE_S * 1e6))),
        # One segment at a time, so that the last one requested is the one being played.
        *("-live_start_index", str(-unseen), "-http_multiple", "0"),
        *(
            "-fflags",
            "+discardcorrupt",
            "-f",
            "hls",
            *options,
            "-format_whitelist",
            HLS_CONTAINERS,
        ),
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
        segments=memory.played_segments,
    )
    return await open_ffmpeg(url, source, memory=memory.children, tls=network.get("tls"))


def _known_options(program: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Runs it, the first time."""
    return live_pace(program), hls_options(program)


async def read_media_playlist(
    url: MediaUrl, stream: HttpStream, **network: Unpack[DialOptions]
) -> tuple[Playlist, Variant]:
    """The media playlist to play, and its address: the one at ``url``, or the best variant of a master playlist.

    ``stream``: the answer to a GET of ``url``, taken over. Raises SourceError, PeerError and RemoteProtocolError.
    """
    playlist, offered = await _read_offer(url, stream, **network)
    if not offered.variants:
        return playlist, Variant(offered.base)
    memory = SourceMemory()
    for variant in offered.in_order(memory, 0.0):
        try:
            return await _read_variant(url, variant, **network)
        except REFUSALS as error:
            offered.note(variant, error, memory, 0.0)
    raise offered.error


async def _read_offer(url: MediaUrl, stream: HttpStream, **network: Unpack[DialOptions]) -> tuple[Playlist, Offer]:
    playlist, final_url = await read_playlist(url, stream, **network)
    # Relative addresses are relative to the redirect's target, and reloads go there too, as in players.
    base = final_url.reveal()
    await judge(url, playlist, base)
    return playlist, Offer(base, playlist.variants(base), network.get("options", NO_OPTIONS).max_kbps * 1000)


async def _read_variant(url: MediaUrl, variant: Variant, **network: Unpack[DialOptions]) -> tuple[Playlist, Variant]:
    try:
        media_url = MediaUrl.parse(variant.url)
    except InvalidValue as error:
        raise SourceCorrupt(Code.SOURCE_HLS_BAD_VARIANT, url=url.redacted, why=error.why) from None
    playlist, final_url = await read_playlist(media_url, given_for=url, **network)
    base = final_url.reveal()
    await judge(url, playlist, base)
    return playlist, replace(variant, url=base)


async def judge(url: MediaUrl, playlist: Playlist, base: str) -> None:
    """Raise SourceForbidden or SourceCorrupt for a playlist that names anything but http and https.

    If a later version of the playlist does, ffmpeg does not open it either, by its whitelist, but gives no reason.
    A day of segments takes a third of a second: others get their turn meanwhile.
    """
    for number, reference in enumerate(playlist.references(), start=1):
        if not number % _REFERENCES_AT_ONCE:
            await asyncio.sleep(0)
        if scheme_of(reference) not in WEB_SCHEMES | {""}:
            raise SourceForbidden(Code.SOURCE_HLS_OFF_WEB, url=url.redacted)
        try:
            urljoin(base, reference)
        except ValueError:
            raise SourceCorrupt(Code.SOURCE_HLS_BAD_ADDRESS, url=url.redacted) from None
