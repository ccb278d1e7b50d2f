"""Live sources whose protocol or codec we do not read ourselves: an ffmpeg child writes them as FLV into a pipe.

    RTSP, SRT      ffmpeg connects; it reads the address from a concat script on its standard input
    HLS            we read the playlist, ffmpeg gets a small one on its standard input, and fetches the segments
                   through a proxy of ours
    MPEG-TS        we receive it, over HTTP or UDP, and pass it on through a pipe, if it has to be encoded

So its arguments, which others can read, contain no address. ffmpeg copies the codecs that FLV can carry and players can
be expected to play; others are encoded to H.264 and AAC. This is only known once ffmpeg has probed the stream: if it
has to encode, it is started again. It never reconnects: a relay's run does, from the original address.

``docs/decisions/0007-ffmpeg-at-the-edges.md`` has the measurements.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from streamferry.media.errors import (
    SourceCorrupt,
    SourceEnded,
    SourceError,
    SourceReaderFailed,
    SourceRejected,
    SourceUnreachable,
    tells_own_lack,
)
from streamferry.media.url import MediaUrl
from streamferry.net.child import PIPES_ONLY, ChildError
from streamferry.net.egress_proxy import EgressProxy, Forwarder
from streamferry.net.ffmpeg import FLV_OUTPUT, Ffmpeg, SegmentWatch
from streamferry.net.sandbox import ENCODING, Sandbox
from streamferry.net.seccomp import Sockets
from streamferry.net.trust import Trust
from streamferry.reasons import Code
from streamferry.source.flv import FlvReader
from streamferry.source.live import SILENCE_S, ConnectionInlet, connection_broke

#: How long a source may take from the start of ffmpeg to the first media.
OPEN_S = 15.0
#: How long ffmpeg waits for a silent peer. Shorter than our own timeout, so that its message becomes the reason.
PEER_SILENCE_S = 10.0

# A stream is probed for this long, so that a keyframe with its parameters is seen: most streams have one every 2 s. TS
# always takes all of this time. Nothing that is probed gets lost, so this only delays the start.
_ANALYZE_S = 2.0
# For streams where that was not enough.
_ANALYZE_LONG_S = 10.0
# Bytes per second of probing: 20 Mbps. The TS demuxer keeps that many of the latest bytes in memory until it ends: with
# 75 MB a source of 2 Mbps took 52 MiB after three minutes.
_PROBE_BYTES_A_SECOND = 2_500_000
#: Input arguments for MPEG-TS. Packets that were lost cost the frame that they are missing from: sound that is damaged
#: would end the muxer ("Error parsing ADTS frame header"), every few seconds at a loss of 1 %.
MPEGTS = ("-fflags", "+discardcorrupt", "-f", "mpegts")
# What ffmpeg may write before we come to read it: a beat's worth of 20 Mbps.
_PIPE_BYTES = 256 << 10
# How much is passed on at a time: half of a pull, so that one source does not delay the others.
_FEED_BYTES = 256 << 10
# So often in a visit, as long as ffmpeg takes all: what stays in a socket's buffer too long is lost if it is datagrams.
_MOST_FEEDS = 4
_FEED_EVERY_S = 0.02

_COPIED_VIDEO = frozenset(("h264", "hevc", "av1"))
_COPIED_AUDIO = frozenset(("aac", "mp3"))
# Constant quality that is hard to tell from the source, capped at what platforms accept; a keyframe every 2 s, as they
# require; deinterlacing only where the stream is marked as interlaced.
_ENCODE_VIDEO = (
    *("-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-maxrate", "8M", "-bufsize", "16M"),
    *("-pix_fmt", "yuv420p", "-force_key_frames", "expr:gte(t,n_forced*2)", "-vf", "bwdif=deint=interlaced"),
)
# Gaps are filled with silence, so that the sound does not run ahead of the picture.
_ENCODE_AUDIO = ("-c:a", "aac", "-b:a", "160k", "-ac", "2", "-ar", "48000", "-af", "aresample=async=1000")
_MAPS = {"Video": ("-map", "0:V:0?"), "Audio": ("-map", "0:a:0?")}
# RTSP servers are seen whose first picture has no time in ffmpeg, which its muxer refuses: it is put before the next.
_STAMP_VIDEO = (
    "-bsf:v",
    r"setts=pts=if(eq(PTS\,NOPTS)\,DTS\,PTS):dts=if(eq(DTS\,NOPTS)\,PTS-0.08/TB\,DTS)",
)
_UNSTAMPED = "Packet is missing PTS"
# A camera that is asked with a wrong password more often locks its account after 5 to 7 times.
_LOGIN_PAUSE_S = 10.0
# "Could not find codec parameters for stream 1 (Audio: aac ([15][0][0][0] / 0x000F), 0 channels): unspecified ..."
_NOT_FOUND = re.compile(r"ould not find codec parameters for stream \d+ \((Video|Audio)")


@dataclass(frozen=True, slots=True)
class Treatment:
    """What ffmpeg does with the stream."""

    encodes_video: bool = False
    encodes_audio: bool = False
    analyze_s: float = _ANALYZE_S
    stamps_video: bool = False
    #: ``Video`` or ``Audio`` if that is announced and never comes: the other is not kept waiting for it.
    left_out: str = ""

    @property
    def output_arguments(self) -> list[str]:
        """The arguments between the input and the output."""
        video = _ENCODE_VIDEO if self.encodes_video else ("-c:v", "copy")
        audio = _ENCODE_AUDIO if self.encodes_audio else ("-c:a", "copy")
        stamped = _STAMP_VIDEO if self.stamps_video and not self.encodes_video else ()
        maps = [word for kind, words in _MAPS.items() if kind != self.left_out for word in words]
        return [*video, *audio, *stamped, *maps, *FLV_OUTPUT]

    def fitted(self, child: Ffmpeg) -> "Treatment":
        """The treatment that the stream needs, as far as ``child`` has seen it; this one if nothing has to change."""
        words = " ".join(child.last_words)
        fitted = self
        for kind, codec in child.input_codecs:
            if kind == "Video" and codec not in _COPIED_VIDEO:
                fitted = replace(fitted, encodes_video=True)
            elif kind == "Audio" and codec not in _COPIED_AUDIO:
                fitted = replace(fitted, encodes_audio=True)
        if child.ended.done() and (missing := _NOT_FOUND.search(words)):
            if self.analyze_s < _ANALYZE_LONG_S:
                return replace(self, analyze_s=_ANALYZE_LONG_S)
            return self if self.left_out else replace(self, left_out=missing[1])
        # What this ffmpeg's FLV cannot hold: HEVC before version 6.1, MP3 of 48 kHz.
        if "Video codec" in words and "not compatible with flv" in words:
            fitted = replace(fitted, encodes_video=True)
        elif "not compatible with flv" in words or "FLV does not support sample rate" in words:
            fitted = replace(fitted, encodes_audio=True)
        return fitted


@dataclass(slots=True)
class FfmpegMemory:
    """What is known of a source over all its sessions."""

    #: The child of the last session, which may still be ending: many cameras serve one player at a time.
    child: Ffmpeg | None = None
    #: Whether its muxer refused pictures without a time: known only once the stream has begun.
    stamps_video: bool = False
    #: How many attempts in a row were refused for their name or password.
    refused_logins: int = 0


class Feed(Protocol):
    """What is passed on to ffmpeg's standard input."""

    def receive_into(self, view: memoryview) -> int | None:
        """As ``Connection.recv_into``."""

    def close(self) -> None:
        """Close it. Closing again does nothing."""


@dataclass(frozen=True, slots=True)
class FfmpegInput:
    """How ffmpeg gets a source: its input arguments, and a ``stdin_data`` or a ``feed`` as its standard input."""

    arguments: Sequence[str]
    #: What it may reach by itself; if there is an ``egress_proxy``, only that.
    sandbox: Sandbox = PIPES_ONLY
    stdin_data: bytes | None = None
    #: A script to which the probing time is added, for inputs that take it in a script and not as an argument.
    script: str | None = None
    feed: Feed | None = None
    silence_s: float = SILENCE_S
    #: Through which ffmpeg reaches http and https addresses, or the one peer of a forwarder; closed with the source.
    egress_proxy: EgressProxy | Forwarder | None = None
    #: Is notified of what is requested from an HLS server.
    segments: SegmentWatch | None = None
    #: Whether an RTSP server may send ffmpeg elsewhere.
    may_redirect: bool = True
    #: How long to wait for the first media; None for a listener, which waits until somebody calls.
    open_s: float | None = OPEN_S

    def start(self, treatment: Treatment, url: MediaUrl, tls: Trust | None) -> Ffmpeg:
        """Start ffmpeg. Raises SourceReaderFailed."""
        looking = {
            "probesize": round(treatment.analyze_s * _PROBE_BYTES_A_SECOND),
            "analyzeduration": round(treatment.analyze_s * 1e6),
        }
        stdin_data, arguments = self.stdin_data, list(self.arguments)
        if self.script is not None:
            stdin_data = (self.script + "".join(f"option {name} {value}\n" for name, value in looking.items())).encode()
        sandbox = self.sandbox
        if self.egress_proxy is not None:
            sandbox = replace(sandbox, sockets=Sockets.TCP, ports=(self.egress_proxy.port,))
        if treatment.encodes_video:
            sandbox = replace(sandbox, limits=ENCODING)
        arguments = [word for name, value in looking.items() for word in (f"-{name}", str(value))] + arguments
        try:
            return Ffmpeg(
                [*arguments, "-i", "pipe:0", *treatment.output_arguments],
                url,
                sandbox=sandbox,
                stdin_data=stdin_data,
                takes_stdin=self.feed is not None,
                pipe_bytes=_PIPE_BYTES,
                tls=tls,
                proxy=self.egress_proxy.address if self.egress_proxy is not None else "",
                may_redirect=self.may_redirect,
                segments=self.segments,
            )
        except ChildError as error:
            raise SourceReaderFailed(error.why) from error


class FfmpegInlet(ConnectionInlet):
    """The LiveInlet of an ffmpeg child."""

    def __init__(
        self,
        child: Ffmpeg,
        url: MediaUrl,
        feed: "_Feeder | None",
        source: FfmpegInput,
        treatment: Treatment,
        memory: FfmpegMemory,
    ) -> None:
        super().__init__(child, self._receive_into, FlvReader())
        self.silence_s = source.silence_s
        self.is_mute = treatment.left_out == "Audio" or all(kind != "Audio" for kind, _ in child.input_codecs)
        self._egress_proxy = source.egress_proxy
        #: For tests and diagnosis.
        self.child = child
        self._url = url
        self._feed = feed
        self._memory = memory

    def _receive_into(self, view: memoryview) -> int | None:
        child = self.child
        if self._feed is not None:
            self._feed.pump(child, view)
        received = child.receive_into(view)
        if received == 0:
            self._memory.stamps_video |= any(_UNSTAMPED in line for line in child.last_words)
            raise _end_of(child, self._url, had_media=True)
        if child.stamps_went_back:
            raise SourceEnded(Code.SOURCE_TIME_WENT_BACK)
        if child.has_new_track:
            raise SourceEnded(Code.SOURCE_NEW_TRACK)
        return received

    def close(self) -> None:
        """See :meth:`LiveInlet.close`."""
        super().close()
        if self._feed is not None:
            self._feed.close()
        if self._egress_proxy is not None:
            self._egress_proxy.close()


class _Feeder:
    """Passes what a feed gives on to a child, and keeps what the child cannot take yet."""

    def __init__(self, feed: Feed, leftover: bytes = b"") -> None:
        self._feed = feed
        self._unsent = leftover
        self._has_ended = False

    def pump(self, child: Ffmpeg, view: memoryview) -> None:
        """Receive into ``view`` and pass it on, until there is nothing or ffmpeg takes no more. Raises OSError when the
        feed broke.
        """
        if self._unsent:
            self._unsent = self._send(child, memoryview(self._unsent))
        for _ in range(_MOST_FEEDS):
            if self._unsent or self._has_ended:
                break
            received = self._feed.receive_into(view[:_FEED_BYTES])
            if received is None:
                break
            self._has_ended = received == 0
            self._unsent = self._send(child, view[:received]) if received else b""
        if self._has_ended and not self._unsent:
            child.finish_sending()

    @staticmethod
    def _send(child: Ffmpeg, data: memoryview) -> bytes:
        try:
            return bytes(data[child.send([data]) :])
        except OSError:  # It has exited, and its status will say why.
            return b""

    def close(self) -> None:
        self._feed.close()


async def open_ffmpeg(
    url: MediaUrl,
    source: FfmpegInput,
    *,
    memory: FfmpegMemory | None = None,
    tls: Trust | None = None,
    leftover: bytes = b"",
) -> FfmpegInlet:
    """Start ffmpeg on ``source`` and give its inlet once media comes; ``leftover`` is the beginning of its feed.

    The child of the session before, if any, has ended by then. Raises SourceError. Closes feed and egress_proxy unless
    it succeeds.
    """
    memory = FfmpegMemory() if memory is None else memory
    feeder = _Feeder(source.feed, leftover) if source.feed is not None else None
    try:
        treatment = Treatment(stamps_video=memory.stamps_video)
        while True:
            if memory.child is not None:
                await memory.child.end_now()
            child = memory.child = source.start(treatment, url, tls)
            try:
                async with asyncio.timeout(source.open_s):
                    has_output = await _wait_output(child, feeder)
            except TimeoutError:
                child.close()
                raise SourceUnreachable(Code.SOURCE_NO_MEDIA, url=url.redacted, seconds=source.open_s or 0) from None
            except OSError as error:
                child.close()
                raise connection_broke(error) from error
            except BaseException:
                child.close()
                raise
            fitted = treatment.fitted(child)
            if has_output and fitted == treatment:
                memory.refused_logins = 0
                return FfmpegInlet(child, url, feeder, source, treatment, memory)
            child.close()
            if fitted == treatment:
                raise _refusal(child, url, memory)
            treatment = fitted
            await child.aclose()
    except BaseException:
        if feeder is not None:
            feeder.close()
        if source.egress_proxy is not None:
            source.egress_proxy.close()
        raise


async def _wait_output(child: Ffmpeg, feeder: _Feeder | None) -> bool:
    if feeder is None:
        return await child.wait_output()
    scratch = memoryview(bytearray(_FEED_BYTES))
    while True:
        feeder.pump(child, scratch)
        try:
            async with asyncio.timeout(_FEED_EVERY_S):
                return await child.wait_output()
        except TimeoutError:
            continue


def _refusal(child: Ffmpeg, url: MediaUrl, memory: FfmpegMemory) -> SourceError:
    """The error for a child that ended without media; the pause after it is longer if passwords are refused."""
    error = _end_of(child, url, had_media=False)
    memory.refused_logins = memory.refused_logins + 1 if child.is_login_refused else 0
    if memory.refused_logins > 1:
        error.retry_after_s = _LOGIN_PAUSE_S
    return error


def _end_of(child: Ffmpeg, url: MediaUrl, *, had_media: bool) -> SourceError:
    """The error that the end of ``child`` means for the source."""
    status = child.ended.result()
    if child.refusal:
        return SourceRejected(Code.SOURCE_REFUSED, url=url.redacted, why=child.refusal)
    if status < 0 or status == 127:
        return SourceReaderFailed(Code.SOURCE_FFMPEG_KILLED, signal=-status)
    if not had_media and child.is_not_media:
        return SourceCorrupt(Code.SOURCE_NOT_MEDIA, url=url.redacted, words=child.complaint)
    if not had_media or status:
        kind = SourceReaderFailed if tells_own_lack(str(child.complaint)) else SourceUnreachable
        if had_media:
            return kind(Code.SOURCE_BROKE_OFF, words=child.complaint)
        return kind(Code.SOURCE_NOT_OPENED, url=url.redacted, words=child.complaint)
    return SourceEnded(Code.SOURCE_CLOSED)
