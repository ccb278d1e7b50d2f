"""How much later a stream shows at one address than at another, by a clip whose brightness tells the time."""

import subprocess
import time
from pathlib import Path
from threading import Thread

from kit import programs
from kit.waiting import wait_for

#: The clip's time starts over after this long: longer delays would be taken for shorter ones.
PERIOD_S = 8
MAX_EARLY_S = 2
_STEP = 25
_DARKEST = 16
# The player's own delay, which is the same on both sides, is kept small.
_QUICK = ("-fflags", "nobuffer", "-probesize", "100000", "-analyzeduration", "200000", "-threads", "1")


def make_clock(path: Path) -> Path:
    """The clip: 160x90, grey, brighter by 25 steps each second; with sound."""
    picture = f"color=s=160x90:r=25,geq=lum='{_DARKEST}+{_STEP}*mod(T,{PERIOD_S})':cb=128:cr=128"
    inputs = [word for graph in (picture, "sine") for word in ("-f", "lavfi", "-t", str(PERIOD_S), "-i", graph)]
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25")
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *inputs, *video, "-c:a", "aac", path])
    return path


class ClockReader:
    """Plays an address and notes when it showed which time. Leaving the context ends it."""

    def __init__(self, url: str) -> None:
        # The bottom left corner, where no watermark is.
        shown = ("-an", "-vf", "crop=16:16:0:74,scale=1:1", "-fps_mode", "passthrough")
        form = ("-f", "rawvideo", "-pix_fmt", "gray", "-flush_packets", "1", "pipe:1")
        self._player = subprocess.Popen(
            [programs.ffmpeg(), "-v", "error", "-nostdin", *_QUICK, "-i", url, *shown, *form],
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        #: (when, in monotonic seconds; which time of the clip, in seconds)
        self.seen: list[tuple[float, float]] = []
        self._reader = Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> "ClockReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._player.kill()
        self._reader.join()
        self._player.wait()

    def _read(self) -> None:
        assert self._player.stdout is not None
        with self._player.stdout as pixels:
            while pixel := pixels.read(1):
                self.seen.append((time.monotonic(), (pixel[0] - _DARKEST) / _STEP))


def delays(source: str, destination: str, seconds: float) -> list[float]:
    """For each picture at the destination within that time: by how many seconds the source's was earlier."""
    with ClockReader(source) as first, ClockReader(destination) as second:
        wait_for("both to play", lambda: first.seen and second.seen)
        began = time.monotonic() + 1  # What came in one go at the start is shown by then.
        wait_for("pictures", lambda: time.monotonic() > began + seconds, seconds + 5)
    found = []
    for at, shown in second.seen:
        earlier = [its for its_at, its in first.seen if its_at <= at]
        if at > began and earlier:
            # The source's player may itself be late, on a machine that is busy: a delay may be below 0.
            found.append((earlier[-1] - shown + MAX_EARLY_S) % PERIOD_S - MAX_EARLY_S)
    return found
