"""ffmpeg as a child of the relay process: where it is, what it trusts, and what its messages mean.

It handles the protocols and codecs that we do not. Preparing files uses ``BlockingFfmpeg``, in a process without an
event loop. ffmpeg does not retry here: it ends, and a relay's run decides.
"""

import os
import re
import signal
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Protocol

import imageio_ffmpeg

from streamferry.media.url import REDACTED, MediaUrl
from streamferry.net.child import PIPES_ONLY, Child, ChildError
from streamferry.net.ffmpeg_log import AFTER_DESCRIPTION, ERRORS, parse_line, parse_stream, without_addresses
from streamferry.net.ffmpeg_options import (
    FLV_MUXER,
    FORBIDDEN_STATUS,
    LOGGING,
    proxy_environment,
    trust_environment,
)
from streamferry.net.sandbox import Sandbox
from streamferry.net.sealed_file import sealed_file
from streamferry.net.trust import Trust
from streamferry.reasons import Code, Reason, Value

#: Ends a command whose FLV a live relay reads. Where one of two announced tracks is silent, the other is not kept
#: waiting for 10 s, the default.
FLV_OUTPUT = ("-map_metadata", "-1", "-max_interleave_delta", "1000000", *FLV_MUXER)
# Which segments of HLS it asks for is told at this level.
_TALKATIVE = ("-loglevel", "repeat+level+verbose")

#: Shorter values (``mode=1``) are no secrets, and removing them would make other text unreadable.
_MIN_SECRET = 4
# HTTP and RTSP: "HTTP error 403 Forbidden", "Server returned 403 Forbidden (access denied)",
# "method DESCRIBE failed: 404 Not Found".
_REFUSAL = re.compile(r"(?:HTTP error|Server returned|method \w+ failed:) (4\d\d[\w ]*)")
# libsrt logs directly, without ffmpeg's levels: "processConnectResponse: rejecting per reception of a rejection HS
# response: ERROR:BADSECRET".
_SRT_REFUSAL = re.compile(r"rejection HS response: ERROR:(\w+)")
_NOT_MEDIA = re.compile(r"Invalid data found|could not find codec|does not contain any stream|no streams|matches no")
# "Non-monotonic DTS; previous: 5025, current: 40; changing to 5025." in the muxer's ms; before 6.1 "Non-monotonous".
_TIME_BACK = re.compile(r"Non-monoton\w+ DTS.* previous: (-?\d+), current: (-?\d+)")
# RTSP: "Status 302: Redirecting to rtsp://...". It connects there by itself, without regard to the egress policy.
_REDIRECT = ": Redirecting to "
# "New audio stream with index 1 at pos:283692 and DTS:5.4s"; before 6.0 "New audio stream 0:1 at pos:...".
_NEW_TRACK = re.compile(r"^New (?:audio|video) stream ")
_LOGIN_REFUSED = re.compile(r"^401\b|^BADSECRET|^UNSECURE")
# From our own proxy.
_FORBIDDEN = f"HTTP error {FORBIDDEN_STATUS}"
# "HLS request for url 'http://...', offset 0, playlist 0"; "Failed to open segment 7 of playlist 0".
_SEGMENT_ASKED = re.compile(r"HLS request for url '(.*)', offset -?\d+, playlist (\d+)")
_SEGMENT_FAILED = re.compile(r"Failed to open segment \d+ of playlist (\d+)")
# Smaller jumps are jitter, which the muxer evens out.
_BACK_MS = 1000
# Consequences of an earlier line, which say less than it.
_ECHO = re.compile(r"^(?:Error opening (?:input|output)|Failed to update header|Error (?:muxing|writing|submitting))")


def ffmpeg_program() -> str:
    """``$STREAMFERRY_FFMPEG``, else the one of imageio-ffmpeg. Raises ChildError if there is none."""
    if own := os.environ.get("STREAMFERRY_FFMPEG"):
        return own
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise ChildError(Code.SERVICE_NO_FFMPEG) from None


def share_ffmpeg(program: str) -> None:
    """Put the program, if one is given, where ``ffmpeg_program`` finds it: in this process and in every child."""
    if program:
        os.environ["STREAMFERRY_FFMPEG"] = program


class SegmentWatch(Protocol):
    """Is notified which segments of an HLS source are requested, by playlist number; called from the event loop."""

    def ask(self, playlist: int, address: str) -> None:
        """This one is requested now; the previous one was read to its end."""

    def fail(self, playlist: int) -> None:
        """The last one requested could not be fetched."""


class Ffmpeg(Child):
    """A running ffmpeg. ``url`` is the peer's address, whose secrets are removed from ffmpeg's messages."""

    def __init__(
        self,
        arguments: Sequence[str],
        url: MediaUrl,
        *,
        sandbox: Sandbox = PIPES_ONLY,
        stdin_data: bytes | None = None,
        takes_stdin: bool = False,
        pipe_bytes: int | None = None,
        tls: Trust | None = None,
        proxy: str = "",
        inherit: Sequence[int] = (),
        may_redirect: bool = True,
        segments: SegmentWatch | None = None,
    ) -> None:
        """Start it with the arguments after the ones of every command; see ``Child``. ``proxy``: through which it
        reaches http and https addresses. ``may_redirect`` False: it is ended when an RTSP server sends it elsewhere.
        ``segments``: is notified of what it requests from an HLS server. Raises ChildError.

        The child trusts the authorities of ``tls`` if its TLS library reads SSL_CERT_FILE, as the bundled ffmpeg's
        does. An ffmpeg older than 9 verifies no certificates at all.
        """
        #: Codec of each input stream reported so far, with ``Video`` or ``Audio`` before it.
        self.input_codecs: list[tuple[str, str]] = []
        #: Set when the input's time jumped back, which ffmpeg's muxer turns into frames without duration.
        self.stamps_went_back = False
        #: Set when a track came that was not there at the start: it is left out until the next one.
        self.has_new_track = False
        self._is_described = False
        self._may_redirect = may_redirect
        self._segments = segments
        trust = _trust_file(tls) if tls is not None else None
        super().__init__(
            [ffmpeg_program(), *LOGGING, *(() if segments is None else _TALKATIVE), *arguments],
            sandbox=sandbox,
            stdin_data=stdin_data,
            takes_stdin=takes_stdin,
            pipe_bytes=pipe_bytes,
            redact=_unless_talk(redactor(url)),
            on_line=self._note,
            inherit=inherit if trust is None else (*inherit, trust),
            environment={**proxy_environment(proxy), **trust_environment(trust)},
        )

    def _note(self, line: str) -> None:
        if self._segments is not None:
            if asked := _SEGMENT_ASKED.search(line):
                self._segments.ask(int(asked[2]), asked[1])
            elif failed := _SEGMENT_FAILED.search(line):
                self._segments.fail(int(failed[1]))
        level, message = parse_line(line)
        if message.startswith(AFTER_DESCRIPTION):
            self._is_described = True
        elif not self._is_described and level == "info" and (stream := parse_stream(message)):
            self.input_codecs.append((stream.kind, stream.codec))
        elif (back := _TIME_BACK.search(line)) and int(back[1]) - int(back[2]) > _BACK_MS:
            self.stamps_went_back = True
        elif self._is_described and _NEW_TRACK.match(message):
            self.has_new_track = True
        elif _REDIRECT in line and not self._may_redirect:
            self._signal(signal.SIGKILL)
        elif _FORBIDDEN in line:
            # Otherwise it would try one segment after another.
            self._signal(signal.SIGTERM)

    @property
    def is_login_refused(self) -> bool:
        """Whether the peer refused its name or password."""
        refusal = self.refusal
        return refusal is not None and _LOGIN_REFUSED.search(str(refusal.params.get("words", ""))) is not None

    @property
    def refusal(self) -> Reason | None:
        """The peer's latest refusal; None if there was none."""
        for line in reversed(self.last_words):
            if found := _REFUSAL.search(line):
                return Reason.of(Code.PROGRAM_ANSWERED, words=found[1].strip())
            if _REDIRECT in line and not self._may_redirect:
                return Reason.of(Code.PROGRAM_REDIRECTS)
            if found := _SRT_REFUSAL.search(line):
                return Reason.of(Code.PROGRAM_REFUSED, words=found[1])
        return None

    @property
    def is_not_media(self) -> bool:
        """Whether it reports that the input cannot be read."""
        return any(_NOT_MEDIA.search(line) for line in self.last_words)

    @property
    def complaint(self) -> Value:
        """The first of its last messages that reports a failure, without addresses."""
        return next(iter(_failures(self.last_words)), Reason.of(Code.PROGRAM_SILENT))


def _failures(lines: Iterable[str]) -> list[str]:
    told = [parse_line(line) for line in lines]
    failures = [message for level, message in told if level == "warning" or level in ERRORS]
    return [message for message in failures if not _ECHO.match(message)] or failures


def redactor(url: MediaUrl) -> Callable[[str], str]:
    """A function that removes the secrets of ``url``, and any address, from a line."""
    secrets = [_pattern(secret) for secret in url.secrets if len(secret) >= _MIN_SECRET]

    def redact(words: str) -> str:
        words = without_addresses(words)
        for secret in secrets:
            words = secret.sub(REDACTED, words)
        return words

    return redact


def _pattern(secret: str) -> re.Pattern[str]:
    """A folder's name may be part of an ordinary word: if it is all letters, only whole words match."""
    return re.compile(rf"\b{secret}\b" if secret.isascii() and secret.isalpha() else re.escape(secret))


def _unless_talk(redact: Callable[[str], str]) -> Callable[[str], str]:
    """Drop messages of the verbose level: they would push out the reason for its end."""
    return lambda words: "" if "[verbose]" in words else redact(words)


@lru_cache(maxsize=4)
def _trust_file(tls: Trust) -> int | None:
    """The authorities of a context as a file in memory that children inherit; None if none is named in a file.

    It stays open for the life of the process: there are as few contexts as settings.
    """
    pem = tls.authorities()
    return sealed_file(pem.encode()) if pem else None
