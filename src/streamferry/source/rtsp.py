"""Live RTSP: cameras and servers, read in process; see ``net.rtsp`` for how a session is opened.

Media comes over the connection, or by UDP where the server has it no other way, or where the address asks for it with
``udp`` in its query (``rtsp://camera/stream?udp``, as ffmpeg has it: the word is not sent). If no packet comes by UDP,
the connection is used. Sound that has to be encoded goes through a child of its own, and what has a picture that has to
be encoded goes through ffmpeg: once that is known, at once.
"""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Unpack

from streamferry.media.errors import PeerRefusedLogin, PeerRejected, SourceStalled
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.net.rtsp import RtspDialler, RtspLink, Way, redirected
from streamferry.reasons import Code
from streamferry.source.ffmpeg_inlet import FfmpegInlet
from streamferry.source.hls_reader import NeedsFfmpeg
from streamferry.source.live import SILENCE_S, as_source_errors
from streamferry.source.memory import SourceMemory
from streamferry.source.rtsp_inlet import RtspInlet
from streamferry.source.sound_encoder import SoundEncoder
from streamferry.source.streams import open_rtsp_by_ffmpeg
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.rtsp.opus_sound import OpusSoundTrack
from streamferry.wire.rtsp.plain_sound import PlainSoundTrack, StreamedSound
from streamferry.wire.rtsp.playing import Playing
from streamferry.wire.rtsp.sdp import Media
from streamferry.wire.rtsp.tracks import PictureTrack, SoundTrack, Track, chosen

# Within it something comes by UDP, or nothing will.
_UDP_PATIENCE_S = 4.0
_BY_TCP, _BY_UDP = (Way.TCP, Way.UDP), (Way.UDP, Way.TCP)
# RTP/SAVP and RTP/SAVPF: encrypted (RFC 3711).
_ENCRYPTED = "SAVP"


async def open_rtsp(url: MediaUrl, memory: SourceMemory, **network: Unpack[DialOptions]) -> RtspInlet | FfmpegInlet:
    """Connect and play. Raises SourceError."""
    if not memory.needs_ffmpeg:
        try:
            return await _open(url, memory, **network)
        except NeedsFfmpeg:
            memory.needs_ffmpeg = True
    return await open_rtsp_by_ffmpeg(_wanted_way(url)[0], memory, **network)


async def _open(url: MediaUrl, memory: SourceMemory, **network: Unpack[DialOptions]) -> RtspInlet:
    url, asked = _wanted_way(url)
    known = memory.rtsp
    moved_to, known.moved_to = known.moved_to, None
    ways = known.ways or asked
    with as_source_errors():
        while True:
            try:
                link = await RtspDialler(url, ways, moved_to, **network).open(_choose)
            except PeerRefusedLogin as error:
                # The first time it may be a whim of a camera that has just started.
                memory.children.refused_logins += 1
                if memory.children.refused_logins == 1:
                    error.retry_after_s = 0.0
                raise
            memory.children.refused_logins = 0
            inlet = _inlet(link, url, memory)
            try:
                if await inlet.look(_UDP_PATIENCE_S if link.is_udp else SILENCE_S):
                    break
                if not link.is_udp or ways == (Way.TCP,):
                    raise SourceStalled(Code.SOURCE_SILENT, seconds=SILENCE_S)
            except BaseException:
                inlet.close()
                raise
            inlet.close()
            ways = (Way.TCP,)
        if link.is_udp:
            known.ways = _BY_UDP
        elif ways == (Way.TCP,):
            known.ways = _BY_TCP
    inlet.on_redirect = partial(_note_redirect, memory, moved_to or url)
    inlet.needs_ffmpeg = partial(setattr, memory, "needs_ffmpeg", True)
    return inlet


def _inlet(link: RtspLink, url: MediaUrl, memory: SourceMemory) -> RtspInlet:
    playing = Playing(secrets.randbits(32))
    encoder: SoundEncoder | None = None
    for one in link.tracks:
        track = _track(one.media, playing.tags, is_ordered=one.ports is None)
        playing.add(track, one.channel)
        if isinstance(track, StreamedSound):
            encoder = SoundEncoder(track, url, memory.sound_starts)
    is_mute = all(one.media.kind != "audio" for one in link.tracks)
    return RtspInlet(link, playing, is_mute=is_mute, encoder=encoder)


def _choose(media: list[Media]) -> Sequence[Media]:
    """The tracks to play. Raises NeedsFfmpeg if one of them is not read here."""
    tracks = chosen(media)
    for one in tracks:
        if _ENCRYPTED in one.profile:
            raise NeedsFfmpeg(Code.SOURCE_NEEDS_ENCODING, codec="SRTP")
        try:
            _track(one, [], is_ordered=True)
        except UnsupportedCodec as error:
            raise NeedsFfmpeg(Code.SOURCE_NEEDS_ENCODING, codec=str(error)) from None
    return tracks


def _track(media: Media, out: list[Tag], *, is_ordered: bool) -> Track:
    """Raises UnsupportedCodec."""
    if media.kind == "video":
        return PictureTrack(media, out, is_ordered=is_ordered)
    for kind in (SoundTrack, OpusSoundTrack):
        with suppress(UnsupportedCodec):
            return kind(media, out, is_ordered=is_ordered)
    return PlainSoundTrack(media, out, is_ordered=is_ordered)


def _note_redirect(memory: SourceMemory, url: MediaUrl, location: str) -> None:
    """The next session is opened there; what is no address of RTSP is passed over."""
    with suppress(PeerRejected):
        memory.rtsp.moved_to = redirected(url, location, url.authority)


def _wanted_way(url: MediaUrl) -> tuple[MediaUrl, tuple[Way, ...]]:
    """The address as it is asked for, and how media is to come."""
    words = url.query.split("&")
    if "udp" not in words and "tcp" not in words:
        return url, _BY_TCP
    query = "&".join(word for word in words if word not in ("udp", "tcp"))
    return replace(url, query=query), _BY_UDP if "udp" in words else _BY_TCP
