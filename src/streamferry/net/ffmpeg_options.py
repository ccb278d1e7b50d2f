"""Options of every ffmpeg: what it logs, how it writes FLV, reaches the network, and reads HLS.

Without asyncio: the preparation process uses it, too.
"""

import hashlib
from functools import lru_cache

from streamferry.net.sandbox import Sandbox

#: No progress line; each line with its level (see ``ffmpeg_log``), and never folded ("last message repeated").
LOGGING = ("-hide_banner", "-nostats", "-loglevel", "repeat+level+info")
#: FLV for our reader. Each packet is flushed: the 32 KiB that ffmpeg would collect are a second of a thin stream.
FLV_MUXER = ("-f", "flv", "-flvflags", "no_duration_filesize+no_sequence_end", "-flush_packets", "1", "pipe:1")

#: What a live HLS playlist may open: the network.
HLS_PROTOCOLS = "pipe,http,https,httpproxy,tcp,tls,crypto"
#: The demuxers for HLS segments (RFC 8216, section 3).
HLS_CONTAINERS = "hls,mpegts,mov,aac,ac3,eac3,mp3"

#: The egress proxy's own answers: forbidden by the policy, unreachable, this machine lacks something, or the proxy
#: of the task does not connect, with its words.
FORBIDDEN_STATUS, UNREACHABLE_STATUS, LACKING_STATUS, PROXY_STATUS = 470, 570, 571, 572
#: The header that marks them: an origin may answer with any status and any words.
OWN_ANSWER = "Streamferry-Egress"

# Used where this ffmpeg has them. Segments may have any name (the options against odd names came one by one, the last
# two in 7.1), and reading byte ranges ahead (9.0) loses all but the first segment of a one-file playlist.
_OPTIONS = {
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
    "extension_picky": "0",
    "http_seekable": "0",
}


def own_mark(proxy: str) -> str:
    """The value of ``OWN_ANSWER`` for a client of the egress proxy at this address, which holds the client's secret."""
    return hashlib.sha256(proxy.encode()).hexdigest()


@lru_cache(maxsize=2)
def hls_options(program: str) -> tuple[str, ...]:
    """The options of the hls demuxer for segments of any name. Runs the program once, which blocks for 50 ms."""
    known = _ask(program, "-h", "demuxer=hls")
    return tuple(word for option, value in _OPTIONS.items() if f"-{option} " in known for word in (f"-{option}", value))


@lru_cache(maxsize=2)
def live_pace(program: str) -> tuple[str, ...]:
    """Input options by which a live playlist is read no faster than it grows, but stays near its end.

    A little faster than real time: at exactly that, one late segment of a playlist of three is never made up for, and
    every second one is lost. And at most twice as fast after a wait where it has that option, whose default wins back
    5 %. Runs the program once.
    """
    catches_up = "-readrate_catchup " in _ask(program, "-h", "long")
    return ("-readrate", "1.05", *(("-readrate_catchup", "2") if catches_up else ()))


@lru_cache(maxsize=2)
def reads_descriptors(program: str) -> bool:
    """Whether it can seek in a file that it gets open (since 6.0). Runs the program once: 20 ms."""
    return "fd" in _ask(program, "-protocols").split()


def _ask(program: str, *question: str) -> str:
    try:
        told = Sandbox().run(program, ["-hide_banner", *question])
    except OSError:  # An error is reported when it is started for real work.
        return ""
    return told.stdout.decode(errors="replace")


def proxy_environment(address: str) -> dict[str, str]:
    """Variables that make ffmpeg open all http and https addresses through a proxy; empty if there is none."""
    return {"http_proxy": address, "no_proxy": ""} if address else {}


def trust_environment(trust: int | None) -> dict[str, str]:
    """Variables that make ffmpeg trust the authorities in an inherited file, if its TLS library reads SSL_CERT_FILE."""
    return {} if trust is None else {"SSL_CERT_FILE": f"/proc/self/fd/{trust}"}
