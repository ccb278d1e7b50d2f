"""Files unlike an ordinary one, a second each, made by ffmpeg: what people put into lists."""

from collections.abc import Callable
from pathlib import Path

from kit import programs

SECONDS = 1.0
#: What all of them are brought into the form of.
ORDINARY = "ordinary.mp4"

_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25")
_AAC = ("-c:a", "aac", "-ar", "48000", "-ac", "2")


def _made(
    *output: str, size: str = "160x96", fps: int = 25, seconds: float = SECONDS, sound_seconds: float = SECONDS
) -> list[str]:
    picture = f"testsrc2=size={size}:rate={fps}"
    sound = "sine=frequency=440:sample_rate=48000"
    return [
        *("-f", "lavfi", "-t", str(seconds), "-i", picture),
        *(("-f", "lavfi", "-t", str(sound_seconds), "-i", sound) if sound_seconds else ()),
        *output,
    ]


#: File name -> ffmpeg arguments before it.
UNLIKE: dict[str, Callable[[], list[str]]] = {
    ORDINARY: lambda: _made(*_X264, *_AAC),
    "vp9.webm": lambda: _made("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "hevc.mp4": lambda: _made(
        *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=error"), *_AAC
    ),
    "mpeg2.ts": lambda: _made("-c:v", "mpeg2video", "-c:a", "mp2", "-ar", "48000"),
    "mp3.mp4": lambda: _made(*_X264, "-c:a", "libmp3lame", "-ar", "48000"),
    "ac3.mp4": lambda: _made(*_X264, "-c:a", "ac3", "-ar", "48000", "-ac", "6"),
    "no_audio.mp4": lambda: _made(*_X264, sound_seconds=0),
    "mono_22050.mp4": lambda: _made(*_X264, "-c:a", "aac", "-ar", "22050", "-ac", "1"),
    "portrait.mp4": lambda: _made(*_X264, *_AAC, size="90x160"),
    "fps50.mp4": lambda: _made(*_X264, *_AAC, fps=50),
    "interlaced.ts": lambda: _made(*_X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1", *_AAC, fps=50),
    "anamorphic.mp4": lambda: _made(*_X264, "-vf", "setsar=4/3", *_AAC),
    "still.mp4": lambda: _made(*_X264, *_AAC, fps=1),
    "ten_bits.mp4": lambda: _made("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", *_AAC),
    "audio_shorter.mp4": lambda: _made(*_X264, *_AAC, sound_seconds=0.5),
    "audio_longer.mp4": lambda: _made(*_X264, *_AAC, sound_seconds=1.5),
    "moov_at_end.mp4": lambda: _made(*_X264, *_AAC),
    "hls.m3u8": lambda: _made(*_X264, *_AAC, "-hls_time", "1", "-hls_playlist_type", "vod"),
    "audio_only.m4a": lambda: ["-f", "lavfi", "-t", str(SECONDS), "-i", "sine=sample_rate=48000", *_AAC],
}


def make(name: str, directory: Path) -> Path:
    """One of UNLIKE; made once in a directory. ``rotated.mp4`` is the ordinary one with a note to turn it."""
    path = directory / name
    if path.exists():
        return path
    if name == "rotated.mp4":
        arguments = ["-display_rotation", "90", "-i", str(make(ORDINARY, directory)), "-c", "copy"]
    else:
        arguments = UNLIKE[name]()
    front = ["-movflags", "+faststart"] if path.suffix in (".mp4", ".m4a") and name != "moov_at_end.mp4" else []
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *arguments, *front, path])
    return path
