"""Makes the clip of a slate: some seconds of H.264 or HEVC and silent AAC that loop without a seam, by one ffmpeg.

It is encoded once for a form and kept in the cache, beside the prepared files. At 720p it takes a second of a core. A
bar moves along the lower edge once a loop: whoever watches sees that the broadcast lives.
"""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from weakref import WeakValueDictionary

from streamferry.media.errors import SourceError, SourceReaderFailed
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.url import MediaUrl
from streamferry.net.child import ChildError
from streamferry.net.ffmpeg import FLV_OUTPUT, Ffmpeg
from streamferry.net.sandbox import ENCODING, Sandbox
from streamferry.net.sealed_file import sealed_file
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.reasons import Code

#: What a slate has while nothing has been on air.
DEFAULT_FORM = Form(VideoForm("h264", 1280, 720), AudioForm("aac", 44100, 2))
DEFAULT_FPS = 25.0
FOLDER = "slates"
#: Length of the loop, and how far apart its keyframes are: a destination that comes has to wait for one.
LOOP_S, GOP_S = 8, 2
#: How pixels may be kept: what the encoders of H.264 and HEVC make. What else is on air gets the first.
PIXELS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
#: Clips that are kept, the newest: one that is in use is open, or becomes a prepared file in the next second.
MOST_KEPT = 200
_READ_BYTES = 1 << 18
#: A newer design makes new clips.
_VERSION = "3"
# By preference; the first has Chinese, Japanese and Korean. Without any, a card has no words.
_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
)
# What is wider than a letter, in parts of the font's size; and all else.
_WIDE_FROM, _WIDE, _NARROW = 0x2E80, 1.0, 0.56
_OWN_ADDRESS = MediaUrl.parse("file:///slate")
# By its path, while somebody makes it or waits for it.
_making: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Canvas:
    """What a slate is made for: the form on air, in which a track that is missing is not needed, its frame rate, and
    how its pixels are kept."""

    form: Form = DEFAULT_FORM
    fps: float = DEFAULT_FPS
    pixels: str = PIXELS[0]

    @property
    def video(self) -> VideoForm:
        """The picture's form."""
        return self.form.video or VideoForm("h264", 1280, 720)

    @property
    def audio(self) -> AudioForm:
        """The sound's form."""
        return self.form.audio or AudioForm("aac", 44100, 2)


async def slate_clip(slate: Slate, canvas: Canvas, root: Path) -> MediaUrl:
    """The address of its clip, made now if it is not in the folder ``root``. Raises SourceError."""
    words = "\n".join((_VERSION, slate.key, repr(canvas)))
    path = root / FOLDER / f"{sha256(words.encode()).hexdigest()}.flv"
    try:
        # Runs that begin at the same moment need the same one, as after a restart.
        async with _making.setdefault(path, asyncio.Lock()):
            if not await asyncio.to_thread(path.exists):
                data = await _encode(slate, canvas)
                await asyncio.to_thread(_keep, path, data)
    except OSError as error:
        # As a disk that is full: it may be another time.
        raise SourceReaderFailed(Code.SLATE_NOT_MADE, words=error.strerror or type(error).__name__) from None
    return MediaUrl.parse(path.as_uri())


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f"{path.name}.{token_hex(4)}")
    whole.write_bytes(data)
    whole.replace(path)
    # Other processes do the same: one may be gone when it is looked at.
    with suppress(FileNotFoundError):
        for old in sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)[MOST_KEPT:]:
            old.unlink(missing_ok=True)


async def _encode(slate: Slate, canvas: Canvas) -> bytes:
    files: list[int] = []
    try:
        arguments, font = _arguments(slate, canvas, files)
        sandbox = Sandbox(limits=ENCODING, niceness=5, reads=(font,) if font else ())
        try:
            child = Ffmpeg(arguments, _OWN_ADDRESS, sandbox=sandbox, inherit=files)
        except ChildError as error:
            raise SourceReaderFailed(error.why) from error
    finally:
        for file in files:
            os.close(file)
    try:
        return await _read_all(child)
    finally:
        child.close()


async def _read_all(child: Ffmpeg) -> bytes:
    data, view = bytearray(), memoryview(bytearray(_READ_BYTES))
    while await child.wait_output():
        received = child.receive_into(view)
        if received:
            data += view[:received]
    while received := child.receive_into(view):
        data += view[:received]
    if await child.ended != 0 or not data:
        raise _failed(child)
    return bytes(data)


def _failed(child: Ffmpeg) -> SourceError:
    return SourceReaderFailed(Code.SLATE_NOT_MADE, words=child.complaint)


def _arguments(slate: Slate, canvas: Canvas, files: list[int]) -> tuple[list[str], str]:
    """ffmpeg's arguments, and the font it reads; what it inherits is appended to ``files``."""
    video, audio = canvas.video, canvas.audio
    # FLV and the players of it know even sides only in 4:2:0.
    width, height = max(16, video.width // 2 * 2), max(16, video.height // 2 * 2)
    fps = min(60.0, max(1.0, canvas.fps))
    color = "0x" + slate.color[1:]
    inputs = ["-f", "lavfi", "-i", f"color=c={color}:s={width}x{height}:r={fps:g}:d={LOOP_S}"]
    layout = {1: "mono", 2: "stereo"}.get(audio.channels, f"{audio.channels}c")
    inputs += ["-f", "lavfi", "-t", str(LOOP_S), "-i", f"anullsrc=r={audio.rate_hz}:cl={layout}"]
    steps, font = [f"format={canvas.pixels}"], ""
    before = ""
    if slate.kind is SlateKind.PICTURE:
        files.append(sealed_file(slate.picture))
        inputs += ["-loop", "1", "-r", f"{fps:g}", "-t", str(LOOP_S), "-f", "image2"]
        inputs += ["-i", f"/proc/self/fd/{files[-1]}"]
        fit = f"scale={width}:{height}:force_original_aspect_ratio=decrease,setsar=1"
        before = f"[2:v]{fit}[picture];[0:v][picture]overlay=(W-w)/2:(H-h)/2:shortest=1[under];[under]"
    elif slate.kind is not SlateKind.COLOR:
        before = "[0:v]"
        font = next((one for one in _FONTS if os.path.exists(one)), "")
        steps = [*_card(slate, width, height, font, files), *steps]
    else:
        before = "[0:v]"
    return [
        *("-nostdin", *inputs, "-filter_complex", f"{before}{','.join(steps)}[shown]"),
        *("-map", "[shown]", "-map", "1:a", *_coded(canvas, round(fps * GOP_S))),
        *("-c:a", "aac", "-b:a", "96k", "-ar", str(audio.rate_hz)),
        *("-ac", str(audio.channels), "-t", str(LOOP_S), *FLV_OUTPUT),
    ], font


def _coded(canvas: Canvas, gop: int) -> list[str]:
    """How the picture is encoded: without frames that come before another one."""
    if canvas.video.codec == "hevc":
        words = f"log-level=error:bframes=0:keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0"
        return ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "24", "-x265-params", words]
    profile = ("-profile:v", "main") if canvas.pixels == PIXELS[0] else ()
    return [
        *("-c:v", "libx264", "-preset", "ultrafast", *profile, "-crf", "20", "-bf", "0"),
        *("-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"),
    ]


def _card(slate: Slate, width: int, height: int, font: str, files: list[int]) -> list[str]:
    """The filters of a card: light from above, a bar that moves, the title and the text."""
    bar = max(2, height // 180)
    length = width // 6
    steps = [
        f"drawbox=x=0:y=0:w=iw:h={bar}:color=white@0.10:t=fill",
        # Off the right edge at the end of the loop, where it comes in again on the left.
        f"drawbox=x={width // 12}:y={height - height // 10}:w={width - width // 6}:h={bar}:color=white@0.14:t=fill",
    ]
    span = width - width // 6 - length
    steps += [
        f"drawbox=x='{width // 12}+{span}*(0.5-0.5*cos(2*PI*t/{LOOP_S}))':y={height - height // 10}:w={length}"
        f":h={bar}:color=white@0.75:t=fill"
    ]
    if font:
        place = 0.42 if slate.text else 0.46
        for words, share, at, alpha in ((slate.title, 0.085, place, 1.0), (slate.text, 0.042, 0.56, 0.72)):
            if not words:
                continue
            files.append(sealed_file(words.encode()))
            units = sum(_WIDE if ord(letter) >= _WIDE_FROM else _NARROW for letter in words)
            size = max(8, round(min(height * share, width * 0.84 / units)))
            steps.append(
                f"drawtext=fontfile='{font}':textfile=/proc/self/fd/{files[-1]}:expansion=none:fontcolor=white@{alpha:g}"
                f":fontsize={size}:x=(w-text_w)/2:y=h*{at:g}-text_h/2"
            )
    return steps
