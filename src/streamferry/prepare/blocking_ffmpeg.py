"""The one ffmpeg of a preparation: its command line, its process, and what its standard error says, made fit to show.

It opens nothing by an address or a path that somebody else has written. Its input is standard input: a pipe, a file
that is open already, or a playlist of ours that names the parts of a film at a ``feeder``; and its sandbox lets it have
nothing else. Used from the main thread of the preparation process only, because the parent-death signal is sent when
the *thread* that started the process ends (prctl(2), PR_SET_PDEATHSIG).
"""

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from streamferry.net.ffmpeg_log import (
    AFTER_DESCRIPTION,
    ERRORS,
    parse_line,
    without_addresses,
)
from streamferry.net.ffmpeg_options import FLV_MUXER, HLS_CONTAINERS, LOGGING, hls_options, reads_descriptors
from streamferry.net.sandbox import ENCODING, KEPT_LINE_CHARS, KEPT_LINES, Limits, Sandbox
from streamferry.prepare.container import Container
from streamferry.prepare.errors import CacheError
from streamferry.prepare.input_description import InputDescription, parse_input_description
from streamferry.reasons import Code, system_reason

# Tags and chapters of the source are none of the player's business.
_NO_METADATA = ("-map_metadata", "-1", "-map_chapters", "-1")
# Demuxers for a file whose kind we do not know: those that read only the bytes they are given, so that a downloaded
# text cannot make ffmpeg open other files (concat, dash, hls, imf and their like are not here).
_SELF_CONTAINED = (
    "aac,ac3,aiff,amr,asf,av1,avi,caf,dv,eac3,flac,flv,h264,hevc,ivf,matroska,mov,mp3,mpeg,mpegts,mpegtsraw,mpegvideo,"
    "mxf,nut,ogg,rm,wav,webm"
)
# What MP4 of Apple's old days may do, name other files to be read, is off; it is said in case a build thinks otherwise.
_NO_OTHER_FILES = ("-enable_drefs", "0", "-use_absolute_path", "0")

# What the demuxers say when the bytes end before the media does (libavformat's mov and matroska).
_CUT_SHORT = re.compile(r"partial file|ended prematurely")

# What it says where a muxer does not take what a demuxer gave: packets without stamps, a codec it does not know.
_REFUSED = re.compile("submitting a packet to the muxer|muxing a packet|interleaved_write_frame|Could not write header")

# A film of some hours is copied in minutes, and encoded in less than a day of all of 16 cores.
_COPYING = Limits(cpu_s=3600)
_ENCODING = replace(ENCODING, cpu_s=16 * 24 * 3600)


def pipe_arguments(container: Container) -> list[str]:
    """How ffmpeg reads one file through a pipe, its standard input."""
    return [*_reading(container), "-protocol_whitelist", "pipe", "-i", "pipe:0"]


def file_arguments(container: Container, program: str) -> list[str]:
    """How ffmpeg reads one file that is its standard input, going back and forth in it."""
    protocol, address = ("fd", "fd:") if reads_descriptors(program) else ("file", "file:/dev/stdin")
    return [*_reading(container), "-protocol_whitelist", protocol, "-i", address]


def hls_arguments(program: str) -> list[str]:
    """How ffmpeg reads the playlist of a ``feeder`` on its standard input."""
    reading = ["-nostdin", "-f", "hls", *hls_options(program), "-http_persistent", "0"]
    return [*reading, "-format_whitelist", HLS_CONTAINERS, "-protocol_whitelist", "pipe,http,tcp", "-i", "pipe:0"]


def _reading(container: Container) -> list[str]:
    arguments = ["-nostdin"]
    if container.demuxer:
        arguments += ["-f", container.demuxer]
    else:
        arguments += ["-format_whitelist", _SELF_CONTAINED]
    if container.demuxer in ("mov", "flv"):
        # The last, cut frame of a broken-off file; in other containers the mark means less, and is left.
        arguments += ["-fflags", "+discardcorrupt"]
    if container.demuxer == "mov":
        arguments += _NO_OTHER_FILES
    return arguments


class BlockingFfmpeg:
    """A running ffmpeg, for plain threads, that writes its input to ``stdout``, FLV unless ``muxer`` says otherwise.

    ``stdin`` is a descriptor to read from, ``subprocess.PIPE`` or ``DEVNULL``. ``sandbox`` is what that needs; an
    output that ``encodes`` takes more memory and time than a copy. ``output_arguments`` are what a plan says: further
    inputs, which tracks, and what becomes of them. ``on_line`` gets each line of standard error after the description
    of the input.
    """

    def __init__(
        self,
        program: str,
        input_arguments: list[str],
        output_arguments: Sequence[str],
        *,
        stdin: int,
        sandbox: Sandbox,
        encodes: bool = False,
        muxer: Sequence[str] = FLV_MUXER,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        sandbox = replace(sandbox, limits=_ENCODING if encodes else _COPYING)
        try:
            arguments = [*LOGGING, *input_arguments, *output_arguments, *_NO_METADATA, *muxer]
            self._process = sandbox.start(program, arguments, stdin=stdin)
        except OSError as error:
            raise CacheError(Code.SERVICE_FFMPEG_NOT_STARTED, why=system_reason(error.errno)) from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdin = self._process.stdin
        self.stdout = self._process.stdout
        #: Whether the bytes ended before the media did.
        self.cut_short = False
        #: Whether the muxer did not take what was to be copied.
        self.refused_packets = False
        self._stderr = self._process.stderr
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        self._input_lines: list[str] = []
        self._described = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="ffmpeg-stderr", daemon=True)
        self._listener.start()

    def __enter__(self) -> "BlockingFfmpeg":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, wherever it is; once more does no harm."""
        self._process.kill()
        self.wait()
        self.stdout.close()

    def kill(self) -> None:
        """End it from another thread than the one that reads what it writes."""
        self._process.kill()

    def describe(self) -> InputDescription:
        """What is inside its first input, waited for; nothing if it cannot read it."""
        self._described.wait()
        return parse_input_description(self._input_lines)

    def wait(self) -> int:
        """Exit status, when all of standard error has been read."""
        status = self._process.wait()
        self._listener.join()
        return status

    @property
    def complaint(self) -> str:
        """The first of its last errors, without addresses; empty if it had none."""
        return self._tail[0] if self._tail else ""

    def _listen(self) -> None:
        with self._stderr, os.fdopen(os.dup(self._stderr.fileno()), errors="replace") as lines:
            for line in lines:
                self._note(line.rstrip())
        self._described.set()

    def _note(self, line: str) -> None:
        level, message = parse_line(line)
        if message.startswith(AFTER_DESCRIPTION):
            self._described.set()
        elif self._described.is_set():
            if self._on_line is not None:
                self._on_line(message)
        else:
            self._input_lines.append(message)
        self.cut_short = self.cut_short or _CUT_SHORT.search(message) is not None
        self.refused_packets = self.refused_packets or _REFUSED.search(message) is not None
        if level in ERRORS:
            self._tail.append(without_addresses(message)[:KEPT_LINE_CHARS])
