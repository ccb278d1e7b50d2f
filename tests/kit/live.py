"""Independent ends of a live stream: ffmpeg as a publisher, and as a player that keeps what it saw."""

import signal
from pathlib import Path

from kit import programs


class Publisher(programs.Program):
    """ffmpeg sending a clip to an RTMP address in real time, again and again, stamps going on."""

    def __init__(self, clip: Path, url: str, log: Path, *, loop: bool = True) -> None:
        super().__init__(
            [
                *(programs.ffmpeg(), "-v", "warning", "-nostdin", "-re"),
                *(("-stream_loop", "-1") if loop else ()),
                *("-i", clip, "-c", "copy", "-f", "flv", url),
            ],
            log,
        )

    def leave(self) -> int:
        """Unpublish as an encoder does when its operator stops it."""
        return self.stop(signal.SIGINT)

    def vanish(self) -> int:
        """End without a word, as a crash does."""
        return self.stop(signal.SIGKILL)


def record(url: str, path: Path, seconds: float, *, wait_seconds: float = 15.0) -> Path:
    """Play an address for some seconds of media and keep the packets, stamps as they came, in an FLV file.

    Raises AssertionError if nothing comes in time, or if ffmpeg had to mend the stamps to write them: a recording
    that hides a fault is worth nothing.
    """
    timeout = ["-rw_timeout", str(int(wait_seconds * 1e6))]
    done = programs.run(
        [
            *(programs.ffmpeg(), "-v", "warning", "-nostdin", "-y", *timeout, "-copyts", "-t", str(seconds)),
            *(
                "-i",
                url,
                "-map",
                "0:v?",
                "-map",
                "0:a?",
                "-c",
                "copy",
                "-f",
                "flv",
                "-flvflags",
                "no_duration_filesize",
                path,
            ),
        ],
        seconds + wait_seconds,
    )
    assert "monoton" not in done.stderr, f"the stamps went backwards:\n{done.stderr}"
    assert path.stat().st_size > 0, f"nothing was recorded:\n{done.stderr}"
    return path
