"""Files as people have them and encoders do not make them: two seconds each, made of a few ordinary ones.

Pictures of 160x96 at 25 a second with B-frames and a keyframe a second, sound of 48 kHz in stereo; each whole second
begins with a white flash and a beep, so that what is heard can be compared with what is seen.
"""

from pathlib import Path

from kit import programs

SECONDS = 2.0
FPS = 25

_FLASH = "drawbox=t=fill:color=white:enable='lt(mod(t,1),0.08)'"
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-sc_threshold", "0", "-g", str(FPS))
_B_FRAMES = ("-bf", "2", "-x264-params", "b-adapt=0")


def film(
    path: Path,
    *output: str,
    size: str = "160x96",
    fps: float = FPS,
    seconds: float = SECONDS,
    sound_seconds: float | None = None,
    rate: int = 48000,
    channels: int = 2,
    b_frames: bool = True,
    gop: int | None = None,
    reading: tuple[str, ...] = (),
) -> Path:
    """A film with flashes and beeps; ``output`` are further arguments, ``reading`` such before the sound's input."""
    sound_seconds = seconds if sound_seconds is None else sound_seconds
    words: list[str] = []
    if seconds:
        words += ["-f", "lavfi", "-t", str(seconds), "-i", f"color=black:size={size}:rate={fps},{_FLASH}"]
    if sound_seconds:
        beep = "0.8*sin(2*PI*1000*t)*lt(mod(t,1),0.08)"
        sound = f"aevalsrc='{'|'.join([beep] * channels)}':sample_rate={rate}"
        words += [*reading, "-f", "lavfi", "-t", str(sound_seconds), "-i", sound]
    if seconds:
        words += [*_X264, *(("-g", str(gop)) if gop else ()), *(_B_FRAMES if b_frames else ("-bf", "0"))]
    if sound_seconds:
        words += ["-c:a", "aac", "-b:a", "64k"]
    return run(*words, *output, path=path)


def run(*words: "str | Path", path: Path) -> Path:
    """What ffmpeg makes of that."""
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *words, path])
    return path


def remuxed(source: Path, path: Path, *words: str) -> Path:
    """The same packets in another container."""
    return run("-i", source, "-c", "copy", *words, path=path)


def joined(path: Path, *parts: Path) -> Path:
    """The bytes of files one after the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
