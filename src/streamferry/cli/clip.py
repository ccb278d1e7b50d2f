"""A sample clip: a moving test picture that shows its time, and a tone."""

import tempfile
from pathlib import Path

from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.sandbox import Limits, Sandbox

FPS = 25
_MAX_BYTES = 64 << 20


def make_clip(path: Path, seconds: int) -> None:
    """Write an MP4, 640x360, H.264 and AAC, a keyframe each second; or nothing at all. Raises ValueError, OSError."""
    # ffmpeg may write into this folder and nowhere else.
    with tempfile.TemporaryDirectory(prefix="clip-", dir=path.parent) as folder:
        part = Path(folder, "clip.mp4")
        command = ["-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={FPS}"]
        command += ["-f", "lavfi", "-i", "sine=r=48000,volume=0.2", "-t", str(seconds)]
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(FPS), "-pix_fmt", "yuv420p"]
        command += ["-c:a", "aac", "-shortest", str(part)]
        done = Sandbox(writes=(folder,), limits=Limits(file_bytes=_MAX_BYTES)).run(ffmpeg_program(), command)
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise ValueError(f"ffmpeg: the clip could not be made: {words or f'status {done.returncode}'}")
        part.rename(path)
