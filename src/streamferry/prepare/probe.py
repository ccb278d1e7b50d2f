"""Inspects one file: its content, and what relaying it will need, as text for users.

It reads the file as a preparation does, and ffmpeg tells each packet as it lies in the file (``-dump``), for the first
part of its length. Blocking, with threads: not for a process that relays.
"""

import re
import time
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from streamferry.media.errors import SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk
from streamferry.net.folders import EVERYWHERE, Folders
from streamferry.prepare.cache import Entry
from streamferry.prepare.container import Container
from streamferry.prepare.file_version import Version
from streamferry.prepare.input_description import InputDescription, VideoDescription
from streamferry.prepare.intake import Input, Intake
from streamferry.prepare.plan import decide_plan
from streamferry.prepare.processing import FIRST, Processing
from streamferry.prepare.room import Room
from streamferry.prepare.route import STRAIGHT, Route
from streamferry.reasons import Code, Reason

#: How much of a file is inspected: some keyframe intervals of the longest kind.
DEFAULT_SECONDS = 60.0

_LONG_GOP_S = 4.0
_MUCH_KBPS = 10_000
_FAST_FPS = 60.0
_PLAIN_CHANNELS = 2
# What a preparation puts in order while it reads; beyond that it waits for the whole file.
_INTERLEAVE_LIMIT_MS = 500
_FIELD = re.compile(r"(\w+)=(\S+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# A step back of this much is no disorder of the file: stamps begin anew.
_RESTART_MS = 1000
_TO_NOWHERE = ("-f", "null", "-")


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found. ``looked_s`` of the media was read; ``gop_s`` is the longest distance of keyframes in it.

    ``interleave_ms``: how far, at worst, sound lies behind the picture of its time in the file, or picture behind
    sound. ``restarts``: how often its stamps begin anew. ``index_first`` is None for files that have none.
    ``encodes``: the tracks that cannot be copied. ``is_remote``: it came from a server and not from a disk, so the
    order of its parts matters. ``hidden_s``: how much an edit list hides, of which a copy would send something.
    """

    container: str
    inside: InputDescription
    open_s: float
    looked_s: float
    kbps: int
    gop_s: float
    has_b_frames: bool
    interleave_ms: int
    restarts: int
    index_first: bool | None
    encodes: tuple[str, ...]
    is_remote: bool
    hidden_s: float

    @property
    def warnings(self) -> list[Reason]:
        """What may go wrong, and what helps."""
        found = _about_reading(self) if self.is_remote else []
        if self.restarts:
            found.append(Reason.of(Code.WARNING_RESTARTS, count=self.restarts))
        if self.inside.video is not None:
            found += _about_picture(self, self.inside.video)
        if self.inside.audio is None:
            found.append(Reason.of(Code.WARNING_NO_SOUND))
        if "audio" in self.encodes and self.inside.audio is not None:
            found.append(Reason.of(Code.WARNING_SOUND_ENCODED, codec=self.inside.audio.codec))
        if self.inside.audio is not None and self.inside.audio.channels > _PLAIN_CHANNELS:
            found.append(Reason.of(Code.WARNING_CHANNELS, count=self.inside.audio.channels))
        if self.hidden_s:
            found.append(Reason.of(Code.WARNING_HIDDEN, seconds=self.hidden_s))
        if self.inside.left_out:
            found.append(Reason.of(Code.WARNING_LEFT_OUT, tracks=self.inside.left_out))
        if self.kbps > _MUCH_KBPS:
            found.append(Reason.of(Code.WARNING_HIGH_RATE, mbps=self.kbps / 1000))
        return found


@dataclass(slots=True)
class _Packets:
    """Reads the lines of ``-dump`` and keeps what is worth knowing."""

    inside: InputDescription
    size_bytes: int = 0
    first_ms: float | None = None
    last_ms: dict[int, float] = field(default_factory=dict)
    gop_ms: float = 0.0
    has_b_frames: bool = False
    interleave_ms: float = 0.0
    restarts: int = 0
    # Of the stretches before the present one.
    _done_ms: float = 0.0
    _last_pts_ms: float = -inf
    _keyframes_ms: list[float] = field(default_factory=list)
    _number: int = -1
    _fields: dict[str, str] = field(default_factory=dict)

    def note_all(self, lines: list[str]) -> None:
        """All lines of ffmpeg about a stretch."""
        for line in lines:
            self._note(line.strip())

    def _note(self, line: str) -> None:
        """One line. A packet ends with its size."""
        if line.startswith("stream #"):
            number = line.removeprefix("stream #").rstrip(":")
            self._number, self._fields = int(number) if number.isdecimal() else -1, {}
        elif self._number >= 0:
            self._fields.update(_FIELD.findall(line))
            if "size" in self._fields:
                self._take(self._number, self._fields)
                self._number = -1

    def _take(self, number: int, fields: dict[str, str]) -> None:
        """A packet. Matroska has no DTS where pictures are out of order, AVI no PTS, bare H.264 neither."""
        if number not in (self.inside.video_number, self.inside.audio_number):
            return
        self.size_bytes += round(_number(fields, "size") or 0)
        dts_s, pts_s = _number(fields, "dts"), _number(fields, "pts")
        known_s = pts_s if dts_s is None else dts_s
        if known_s is None:
            return
        at_ms = 1000 * known_s
        if at_ms < self.last_ms.get(number, -inf) - _RESTART_MS:
            self._begin_anew()
        self.first_ms = at_ms if self.first_ms is None else min(self.first_ms, at_ms)
        if number == self.inside.video_number:
            if pts_s is not None:
                # Only pictures that refer to later ones are shown in another order than they are decoded in.
                self.has_b_frames = self.has_b_frames or 1000 * pts_s < self._last_pts_ms
                self._last_pts_ms = 1000 * pts_s
            if fields.get("keyframe") == "1":
                self._keyframes_ms.append(at_ms)
        self.last_ms[number] = max(at_ms, self.last_ms.get(number, -inf))
        self.interleave_ms = max(self.interleave_ms, max(self.last_ms.values()) - at_ms)

    def _begin_anew(self) -> None:
        """Stamps have gone back: what follows is another stretch, in which nothing is compared with this one."""
        self.restarts += 1
        self.note_end()
        self._done_ms, self.first_ms, self._last_pts_ms = self.looked_ms, None, -inf
        self.last_ms.clear()

    def begin_stretch(self, inside: InputDescription) -> None:
        """What follows is another recording in the same file, with tracks of its own."""
        self._begin_anew()
        self.inside = inside

    def note_end(self) -> None:
        """There are no more packets, or stamps begin anew: how far apart keyframes were until here."""
        ends_ms = [*self._keyframes_ms, self.last_ms.get(self.inside.video_number, 0.0)]
        self.gop_ms = max([self.gop_ms, *(later - earlier for earlier, later in pairwise(ends_ms))])
        self._keyframes_ms.clear()

    @property
    def looked_ms(self) -> float:
        """How much of the media was read."""
        return self._done_ms + max(self.last_ms.values(), default=0.0) - (self.first_ms or 0.0)


def _number(fields: dict[str, str], name: str) -> float | None:
    """What ffmpeg says of a packet; None for ``N/A``, ``NOPTS`` and whatever else is no number."""
    text = fields.get(name, "")
    return float(text) if _NUMBER.fullmatch(text) else None


def probe(
    url: MediaUrl,
    program: str,
    seconds: float = DEFAULT_SECONDS,
    route: Route = STRAIGHT,
    folders: Folders = EVERYWHERE,
) -> Probe:
    """Inspect the first ``seconds`` of a file. Raises MediaError, and OSError for a local file."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="streamferry-probe-") as folder:
        room = Room(Path(folder), Disk(Path(folder)), url.redacted, keeps=False)
        intake = Intake(url, Entry(Path(folder)), Version(), program, route, folders=folders, room=room)
        try:
            return _look(intake, seconds, began)
        finally:
            intake.close()


@dataclass(frozen=True, slots=True)
class _Part:
    """What ffmpeg told of the file, or of a stretch of it: the lines of its packets, and its last word."""

    inside: InputDescription
    described_at: float
    lines: list[str]
    complaint: str


def _read(intake: Intake, source: Input, seconds: float) -> _Part:
    lines: list[str] = []
    tracks = ("-map", "0:V:0?", "-map", "0:a:0?", "-c", "copy")
    reading = ("-dump", "-t", str(seconds))
    with intake.start(source, tracks, reading, muxer=_TO_NOWHERE, on_line=lines.append) as ffmpeg:
        inside = ffmpeg.describe()
        described_at = time.monotonic()
        ffmpeg.wait()
        intake.raise_failure()
        return _Part(inside, described_at, lines, ffmpeg.complaint)


def _look(intake: Intake, seconds: float, began: float) -> Probe:
    source = intake.open(from_front=True)
    first = _read(intake, source, seconds)
    if not first.inside.codecs:
        words = first.complaint or Reason.of(Code.FILE_IS_EMPTY)
        raise SourceUnsupported(Code.FILE_NOT_MEDIA, url=intake.url.redacted, words=words)
    inspection = source.inspection
    inside = replace(first.inside, encodes=frozenset(inspection.hidden_s) | inspection.varies)
    packets = _Packets(inside)
    packets.note_all(first.lines)
    following: Input | None = source
    while (
        (left_s := seconds - packets.looked_ms / 1000) > 0 and following is not None and following.stretch is not None
    ):
        if (following := intake.next(following)) is not None:
            part = _read(intake, following, left_s)
            packets.begin_stretch(part.inside)
            packets.note_all(part.lines)
    packets.note_end()
    with intake.naming_the_source():
        plan = decide_plan(inside, Processing.of_list(FIRST, form=None, silence=True, watermark=None))
    encodes_audio = inside.audio is not None and (plan.form.audio != inside.audio or "audio" in inside.encodes)
    looked_ms = packets.looked_ms
    return Probe(
        container=source.container.name.lower().removesuffix("_moov_last"),
        inside=inside,
        open_s=first.described_at - began,
        looked_s=looked_ms / 1000,
        kbps=round(packets.size_bytes * 8 / looked_ms) if looked_ms else 0,
        gop_s=packets.gop_ms / 1000,
        has_b_frames=packets.has_b_frames,
        interleave_ms=round(packets.interleave_ms),
        restarts=packets.restarts,
        index_first={Container.MP4: True, Container.MP4_MOOV_LAST: False}.get(source.container),
        encodes=("video",) * plan.encodes_video + ("audio",) * encodes_audio,
        is_remote=intake.url.scheme != "file",
        hidden_s=max(inspection.hidden_s.values(), default=0.0),
    )


def describe(url: MediaUrl, found: Probe) -> dict[str, object]:
    """What was found, as JSON."""
    video, audio = found.inside.video, found.inside.audio
    return {
        "address": url.redacted,
        "container": found.container,
        "index_first": found.index_first,
        "seconds": found.inside.claimed_seconds,
        "open_seconds": round(found.open_s, 3),
        "looked_seconds": round(found.looked_s, 3),
        "kbps": found.kbps,
        "video": {
            "codec": video.form.codec,
            "width": video.form.width,
            "height": video.form.height,
            "pixel_aspect": str(video.form.pixel_aspect),
            "pixels": video.pixels,
            "frame_rate": video.frame_rate,
            "interlaced": video.interlaced,
            "rotation": video.rotation,
            "keyframe_seconds": round(found.gop_s, 3),
            "b_frames": found.has_b_frames,
        }
        if video
        else None,
        "audio": asdict(audio) if audio else None,
        "interleave_ms": found.interleave_ms,
        "encodes": list(found.encodes),
        "warnings": list(map(str, found.warnings)),
        "warning_reasons": [one.to_json() for one in found.warnings],
    }


def _about_reading(found: Probe) -> list[Reason]:
    if found.index_first is False:
        return [Reason.of(Code.WARNING_INDEX_AT_END)]
    if found.interleave_ms > _INTERLEAVE_LIMIT_MS:
        return [Reason.of(Code.WARNING_INTERLEAVE, seconds=found.interleave_ms / 1000)]
    return []


def _about_picture(found: Probe, video: VideoDescription) -> list[Reason]:
    warnings = []
    if "video" in found.encodes:
        notes = [video.form.codec, video.pixels]
        notes += ["interlaced"] * video.interlaced + [f"to be turned by {video.rotation} degrees"] * bool(
            video.rotation
        )
        warnings.append(Reason.of(Code.WARNING_PICTURE_ENCODED, notes=", ".join(notes)))
    if found.gop_s > _LONG_GOP_S:
        warnings.append(Reason.of(Code.WARNING_KEYFRAMES, seconds=found.gop_s))
    if found.has_b_frames and "video" not in found.encodes:
        warnings.append(Reason.of(Code.WARNING_B_FRAMES))
    if video.form.pixel_aspect != 1 and "video" not in found.encodes:
        warnings.append(Reason.of(Code.WARNING_PIXEL_ASPECT))
    if video.frame_rate > _FAST_FPS:
        warnings.append(Reason.of(Code.WARNING_FRAME_RATE, rate=video.frame_rate))
    return warnings
