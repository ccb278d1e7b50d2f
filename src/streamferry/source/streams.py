"""SRT, and RTSP that has to be encoded: how each of them reaches an ffmpeg child."""

from dataclasses import replace
from typing import Unpack

from streamferry.media.errors import SourceUnsupported
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions, resolve
from streamferry.net.egress_proxy import EgressProxy, Forwarder
from streamferry.net.listening import srt_mode
from streamferry.net.sandbox import Sandbox
from streamferry.net.seccomp import Sockets
from streamferry.reasons import Code, InvalidValue
from streamferry.source.ffmpeg_inlet import PEER_SILENCE_S, FfmpegInlet, FfmpegInput, open_ffmpeg
from streamferry.source.live import as_source_errors
from streamferry.source.memory import SourceMemory

_DATAGRAMS = Sandbox(sockets=Sockets.UDP)


async def open_rtsp_by_ffmpeg(url: MediaUrl, memory: SourceMemory, **network: Unpack[DialOptions]) -> FfmpegInlet:
    """RTSP over TCP, for what is not read in process: see ``source.rtsp``. Raises SourceError."""
    way = network.get("options", NO_OPTIONS)
    options = {"rtsp_transport": "tcp", "timeout": str(round(PEER_SILENCE_S * 1e6))}
    if url.scheme == "rtsps":
        # Named as in the certificate; the proxy resolves the name and checks the addresses.
        if way.proxy is None:
            await _reached(url, network)
        egress_proxy = await EgressProxy(network.get("allow"), network["deadlines"], way).open()
        source = FfmpegInput(
            _concat("rtsps,rtp,tls,tcp,httpproxy"), script=_script(url, options), egress_proxy=egress_proxy
        )
        return await open_ffmpeg(url, source, memory=memory.children, tls=network.get("tls"))
    allow = network.get("allow")
    if allow is None and way.proxy is None and not way.bind:
        # A server may redirect it to any other host, by name.
        anywhere = Sandbox(sockets=Sockets.TCP_AND_NAMES, ports=None)
        source = FfmpegInput(_RTSP, anywhere, script=_script(url, options))
        return await open_ffmpeg(url, source, memory=memory.children)
    # ffmpeg reports a redirect and follows it at once: the sandbox lets it reach no other port.
    with as_source_errors():
        forwarder = await Forwarder(url.host, url.port, allow, network["deadlines"], way).open()
    reached = replace(url, host="127.0.0.1", port=forwarder.port)
    source = FfmpegInput(_RTSP, script=_script(reached, options), egress_proxy=forwarder, may_redirect=False)
    return await open_ffmpeg(url, source, memory=memory.children)


async def open_srt(url: MediaUrl, memory: SourceMemory, **network: Unpack[DialOptions]) -> FfmpegInlet:
    """SRT: calls the address, or with ``mode=listener`` in its query waits there for a caller. Raises SourceError.

    The query is ffmpeg's: ``streamid``, ``passphrase``, ``latency`` in microseconds.
    """
    try:
        is_listener = srt_mode(url) == "listener"
    except InvalidValue as error:
        raise SourceUnsupported(error.why) from None
    if not url.port:
        raise SourceUnsupported(Code.ADDRESS_SRT_WITHOUT_PORT)
    if is_listener:
        source = FfmpegInput(_SRT, _DATAGRAMS, script=_script(url, _LOSSY), open_s=None)
    else:
        source = FfmpegInput(_SRT, _DATAGRAMS, script=_script(await _reached(url, network), _LOSSY))
    return await open_ffmpeg(url, source, memory=memory.children)


async def _reached(url: MediaUrl, network: DialOptions) -> MediaUrl:
    """The address for ffmpeg, with the host's name replaced by an IP address that was checked.

    ffmpeg might resolve the name to a different one. Raises SourceUnreachable.
    """
    with as_source_errors():
        (_, address), *_ = await resolve(url.host, url.port, deadlines=network["deadlines"], allow=network.get("allow"))
    return replace(url, host=str(address[0]))


def _concat(protocols: str) -> tuple[str, ...]:
    """Input arguments for the concat demuxer, which opens the addresses in its script, each with its own options."""
    return ("-f", "concat", "-safe", "0", "-protocol_whitelist", f"pipe,fd,{protocols}")


_SRT = _concat("srt")
_LOSSY = {"fflags": "+discardcorrupt"}
_RTSP = _concat("rtsp,rtp,tcp")


def _script(url: MediaUrl, options: dict[str, str]) -> str:
    """A script for the concat demuxer that opens ``url``; more options may be added at its end."""
    quoted = url.reveal().replace("'", "'\\''")
    return f"ffconcat version 1.0\nfile '{quoted}'\n" + "".join(f"option {k} {v}\n" for k, v in options.items())
