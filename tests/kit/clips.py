"""Small media files of every kind the relay must carry, made by ffmpeg once a run, whichever process asks first.

320x180, a few seconds, ultrafast. ``clips("h264_bframes")`` gives an MP4 with moov in front;
``clips("h264_bframes", ".mkv")`` the same packets in another container.
"""

import fcntl
import functools
import os
from collections.abc import Callable
from pathlib import Path

from kit import programs

SECONDS = 3.0
FPS = 25
#: In the beep/flash clip: how long each flash and each beep lasts. Two frames, so that no rounding loses a flash.
FLASH_SECONDS = 0.08
# Each second's flash is at 0.4 s: on a frame, and away from a join, where the first AAC frame of a file decodes badly.
_UNTIL_FLASH = 1 - 0.4
#: By how much the beep of ``flash_beep_late`` comes after its flash.
LATE_MS = 120
# A keyframe each second, so that a join is never far.
_GOP = str(FPS)

_PICTURE = f"testsrc2=size=320x180:rate={FPS}"
_TONE = "sine=frequency=440"
_FLASHES = (
    f"color=black:size=320x180:rate={FPS},"
    f"drawbox=t=fill:color=white:enable='lt(mod(t+{_UNTIL_FLASH}+0.001,1),{FLASH_SECONDS})'"
)
_BEEPS = (
    f"aevalsrc='0.8*sin(2*PI*1000*t)*lt(mod(t+{_UNTIL_FLASH},1),{FLASH_SECONDS})'"
    ":sample_rate=48000:channel_layout=stereo"
)
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", _GOP, "-b:v", "300k")
_X265 = (
    *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-tag:v", "hvc1", "-b:v", "300k"),
    *("-x265-params", f"log-level=error:keyint={_GOP}:pools=2"),
)
_B_FRAMES = ("-bf", "2", "-x264-params", "b-adapt=0:scenecut=0")


def _inputs(*filters: str, seconds: float = SECONDS) -> list[str]:
    return [word for graph in filters for word in ("-f", "lavfi", "-t", str(seconds), "-i", graph)]


def _audio(rate: int, channels: int) -> list[str]:
    return ["-c:a", "aac", "-ar", str(rate), "-ac", str(channels), "-b:a", "96k"]


def _ordinary(
    rate: int = 48000, channels: int = 2, seconds: float = SECONDS, video: tuple[str, ...] = _X264
) -> list[str]:
    return [*_inputs(_PICTURE, _TONE, seconds=seconds), *video, *_audio(rate, channels)]


def _uneven() -> list[str]:
    """Variable frame rate: of each five frames the second and the fourth are left out, so gaps are 80 and 40 ms."""
    drop = "select='not(eq(mod(n,5),1)+eq(mod(n,5),3))'"
    return [*_inputs(_PICTURE, _TONE), "-vf", drop, "-fps_mode", "vfr", *_X264, *_audio(48000, 2)]


def _flash_beep(audio: list[str], video: tuple[str, ...] = _X264, audio_late_ms: int = 0) -> list[str]:
    late = ["-af", f"adelay={audio_late_ms}:all=1"] if audio_late_ms else []
    return [*_inputs(_FLASHES, _BEEPS), *video, *late, *audio]


#: Name -> ffmpeg arguments between the global options and the output file.
ENCODED: dict[str, Callable[[], list[str]]] = {
    "h264_bframes": lambda: _ordinary(video=(*_X264, *_B_FRAMES)),
    "h264_no_bframes": _ordinary,
    "hevc": lambda: _ordinary(video=_X265),
    "mpeg4_part_2": lambda: _ordinary(video=("-c:v", "mpeg4", "-g", _GOP, "-b:v", "300k")),
    "audio_only": lambda: [*_inputs(_TONE), *_audio(48000, 2)],
    "video_only": lambda: [*_inputs(_PICTURE), *_X264],
    "moov_at_end": _ordinary,
    "aac_44100_mono": lambda: _ordinary(44100, 1),
    "aac_44100_stereo": lambda: _ordinary(44100, 2),
    "aac_48000_mono": lambda: _ordinary(48000, 1),
    "vfr": _uneven,
    "two_seconds": lambda: _ordinary(seconds=2),
    "close_keyframes": lambda: _ordinary(seconds=30, video=(*_X264, "-g", "5")),
    "half_a_minute": lambda: _ordinary(seconds=30),
    "heavy": lambda: _ordinary(video=(*_X264[:-2], "-qp", "4")),
    "heavy_moov_at_end": lambda: _ordinary(video=(*_X264[:-2], "-qp", "4")),
    "flash_beep": lambda: _flash_beep(_audio(48000, 2)),
    "flash_beep_unlike": lambda: _flash_beep(_audio(44100, 1), (*_X264, *_B_FRAMES)),
    "flash_beep_late": lambda: _flash_beep(_audio(48000, 2), audio_late_ms=LATE_MS),
}


class ClipFactory:
    """Gives clips in a directory of its own, where a test may add files. All processes of a run make them together.

    ``made``: the directory they share, with a folder for each clip; it has to be on the same file system.
    """

    def __init__(self, directory: Path, made: Path) -> None:
        self.directory = directory
        self._all_made = made
        made.mkdir(exist_ok=True)
        self._here = functools.cache(self._linked)

    def __call__(self, name: str, container: str = ".mp4") -> Path:
        """Path of a clip: one of ENCODED, or ``truncated`` or ``not_media``. Do not change the file."""
        return self._here(name, container)

    def hls(self, name: str = "h264_no_bframes") -> Path:
        """The VOD playlist of a clip cut into one-second TS segments, which lie beside it."""
        return self._here(name, ".m3u8")

    def _linked(self, name: str, container: str) -> Path:
        for file in self._made(name, container).iterdir():
            os.link(file, self.directory / file.name)
        return self.directory / f"{name}{container}"

    def _made(self, name: str, container: str) -> Path:
        """The folder with the clip and what belongs to it."""
        folder = self._all_made / f"{name}{container}"
        with folder.with_name(f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                unfinished = folder.with_name(f"{folder.name}.unfinished")
                unfinished.mkdir()
                self._make(name, container, unfinished / folder.name)
                unfinished.rename(folder)
        return folder

    def _make(self, name: str, container: str, path: Path) -> None:
        match name:
            case "not_media":
                path.write_bytes(b"This is a letter, not a film.\n" * 2000)
            case "truncated":
                whole = self("h264_bframes", container).read_bytes()
                path.write_bytes(whole[: len(whole) * 6 // 10])
            case _ if container == ".mp4":
                front = [] if name.endswith("moov_at_end") else ["-movflags", "+faststart"]
                self._encode([*ENCODED[name](), *front, path])
            case _:
                self._encode(["-i", self(name), "-map", "0", "-c", "copy", *_muxing(container), path])

    def _encode(self, arguments: list[str | Path]) -> None:
        programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *arguments])


def _muxing(container: str) -> list[str]:
    if container == ".m3u8":
        return ["-hls_time", "1", "-hls_playlist_type", "vod", "-hls_list_size", "0"]
    return []
