"""GStreamer's RTSP server of a test: an implementation that is not ours, and not ffmpeg's."""

from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import pytest

from kit import programs
from kit.waiting import wait_for

_PROGRAM = Path(__file__).with_name("gst_rtsp_server.py")
_BINDINGS = Path("/usr/lib/python3/dist-packages/gi")
_TYPES = ("GstRtspServer-1.0.typelib", "libgstrtp.so", "libgstisomp4.so")


class GstServer:
    """Plays ``clip``, H.264 or H.265 and AAC in MP4, from its beginning for each player, or what it makes itself."""

    def __init__(
        self,
        folder: Path,
        clip: Path,
        *,
        codec: str = "h264",
        sound: str = "aac",
        user: str = "",
        ways: str = "tcp,udp",
    ) -> None:
        """``codec``, ``sound``: see the program. ``user``: with its password behind a colon; empty: anyone.

        Skips the test if the server is not installed.
        """
        python = programs.need("python3") if not _BINDINGS.exists() else "/usr/bin/python3"
        if not _BINDINGS.exists() or not all(any(Path("/usr/lib").glob(f"*/**/{name}")) for name in _TYPES):
            pytest.skip("GStreamer's RTSP server is not installed; run scripts/tools.sh as root")
        folder.mkdir()
        name, _, password = user.partition(":")
        self._user = f"{quote(name, safe='')}:{quote(password, safe='')}@" if user else ""
        self._log = folder / "gst.log"
        self._errors = folder / "gst.err"
        words: list[str | Path] = [python, _PROGRAM, clip, codec, sound, name, password, ways]
        self._program = programs.Program(words, self._log, errors=self._errors)

    def __enter__(self) -> Self:
        wait_for("GStreamer's RTSP server", lambda: self._log.read_text().endswith("\n"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.stop()

    def url(self, query: str = "") -> str:
        """Address to play."""
        return f"rtsp://{self._user}127.0.0.1:{self._log.read_text().strip()}/cam{query}"
