"""The clip every row relays: 60 s of 720p30 H.264 at 2 Mbps, a keyframe each 2 s, and AAC 48 kHz stereo at 128 kbps.

Noise over the test picture gives the rate control something to do; a small VBV buffer keeps the rate near constant, so
that 1,448 bytes each 5 ms (2.3 Mbps) can carry it.
"""

import subprocess
from pathlib import Path

from programs import BUILD

SECONDS = 60


def live_clip() -> Path:
    """FLV without a duration, as a live server sends it. Made once."""
    return _made("clip.flv")


def camera_clip() -> Path:
    """The same without B-frames, as cameras encode. Made once.

    RTP has no decoding times. ffmpeg 5.1 gives the first picture none at all where B-frames follow it, and its FLV
    muxer then ends with "Packet is missing PTS".
    """
    return _made("camera.flv", "-bf", "0")


def _made(name: str, *options: str) -> Path:
    path = BUILD / name
    if not path.exists():
        _ffmpeg(
            path,
            *("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30,noise=alls=12:allf=t"),
            *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(SECONDS)),
            *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-pix_fmt", "yuv420p"),
            *("-g", "60", "-keyint_min", "60", "-sc_threshold", "0", *options),
            *("-b:v", "2M", "-minrate", "2M", "-maxrate", "2M", "-bufsize", "1M", "-x264-params", "nal-hrd=cbr"),
            *("-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000", "-flvflags", "no_duration_filesize"),
        )
    return path


def vod_clip() -> Path:
    """The same media as an MP4 file with its index in front. Made once."""
    path = BUILD / "clip.mp4"
    if not path.exists():
        _ffmpeg(path, "-i", str(live_clip()), "-c", "copy", "-movflags", "+faststart")
    return path


def even_clips() -> tuple[Path, Path]:
    """Both of them with sound that ends before the picture, so that pictures come evenly where they begin again."""
    made = []
    for whole in (live_clip(), vod_clip()):
        path = whole.with_name("even-" + whole.name)
        made.append(path)
        if not path.exists():
            sound = ("-t", str(SECONDS - 0.2), "-i", str(whole))
            flags = ("-flvflags", "no_duration_filesize") if path.suffix == ".flv" else ("-movflags", "+faststart")
            _ffmpeg(path, "-i", str(whole), *sound, "-map", "0:v", "-map", "1:a", "-c", "copy", *flags)
    return made[0], made[1]


def _ffmpeg(path: Path, *words: str) -> None:
    BUILD.mkdir(exist_ok=True)
    unfinished = path.with_name("unfinished-" + path.name)
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-loglevel", "error", *words, str(unfinished)], check=True)
    unfinished.rename(path)
