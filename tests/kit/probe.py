"""What arrived, packet by packet, told by ffprobe; and what must be true of it."""

import functools
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from kit import programs
from streamferry.prepare.form import AudioForm, Form, VideoForm


@dataclass(frozen=True)
class Packet:
    """One packet. Stamps in ms, exact for FLV; None where the container has none."""

    dts_ms: float | None
    pts_ms: float | None
    size_bytes: int
    is_key: bool


@dataclass(frozen=True)
class Track:
    """All packets of one track in file order."""

    kind: str  #: ``video`` or ``audio``
    codec: str  #: as ffprobe names it: ``h264``, ``hevc``, ``aac``
    packets: tuple[Packet, ...]

    @property
    def dts_ms(self) -> list[float]:
        """Decoding stamps; a packet without one is an AssertionError."""
        stamps = [packet.dts_ms for packet in self.packets if packet.dts_ms is not None]
        assert len(stamps) == len(self.packets), f"{len(self.packets) - len(stamps)} {self.kind} packets have no DTS"
        return stamps

    @property
    def end_ms(self) -> float:
        """When the last packet has been decoded, if it lasts as long as the one before it."""
        *_, before, last = self.dts_ms
        return last + (last - before)


@dataclass(frozen=True)
class Media:
    """Tracks of one file or of a stretch of one stream."""

    tracks: tuple[Track, ...]

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    @property
    def video(self) -> Track:
        return self.of("video")

    @property
    def audio(self) -> Track:
        return self.of("audio")

    def of(self, kind: str) -> Track:
        """The only track of a kind; AssertionError if there are none or several."""
        found = [track for track in self.tracks if track.kind == kind]
        assert len(found) == 1, f"{len(found)} {kind} tracks, not one"
        return found[0]


def packets(target: Path | str, seconds: float | None = None) -> Media:
    """Read all packets of a file, or the first ``seconds`` of media of a stream."""
    interval = ["-read_intervals", f"%+{seconds}"] if seconds is not None else []
    told = json.loads(
        programs.run(
            [
                *(programs.need("ffprobe"), "-v", "error", *interval, "-of", "json", "-show_entries"),
                "stream=index,codec_type,codec_name,time_base:packet=stream_index,pts,dts,size,flags",
                target,
            ],
            60.0 + (seconds or 0),
        ).stdout
    )
    return Media(
        tuple(
            Track(
                stream["codec_type"],
                stream.get("codec_name", "unknown"),
                tuple(_packets_of(told["packets"], stream["index"], stream["time_base"])),
            )
            for stream in told["streams"]
            if stream["codec_type"] in ("video", "audio")
        )
    )


def _packets_of(entries: Iterable[dict[str, str | int]], index: int, time_base: str) -> Iterator[Packet]:
    numerator, denominator = map(int, time_base.split("/"))
    for entry in entries:
        if entry["stream_index"] == index:
            stamps = [
                int(entry[name]) * numerator * 1000 / denominator if name in entry else None for name in ("dts", "pts")
            ]
            yield Packet(stamps[0], stamps[1], int(entry["size"]), "K" in str(entry["flags"]))


def assert_dts_strictly_rising(track: Track) -> None:
    """Each packet is decoded later than the one before it."""
    stamps = track.dts_ms
    for at, (earlier, later) in enumerate(itertools.pairwise(stamps)):
        assert later > earlier, f"{track.kind} packet {at + 1}: DTS {later:.3f} ms after {earlier:.3f} ms"


def max_gap_ms(track: Track) -> float:
    """The longest distance between the DTS of two neighbours; 0 with fewer than two packets."""
    stamps = track.dts_ms
    return max((later - earlier for earlier, later in itertools.pairwise(stamps)), default=0.0)


def decode_errors(target: Path) -> str:
    """What ffmpeg complains of when it decodes everything strictly. Empty: nothing."""
    strictly = ("-v", "error", "-nostdin", "-xerror", "-err_detect", "explode")
    # Thrown away frame by frame, stamps as they are (not rounded to frames): only the decoders may complain.
    away = ("-map", "0", "-fps_mode", "passthrough", "-enc_time_base:v", "1/1000", "-f", "null", "-")
    try:
        return programs.run([programs.ffmpeg(), *strictly, "-i", target, *away]).stderr.strip()
    except AssertionError as error:
        return str(error)


def assert_flawless(path: Path) -> Media:
    """Stamps rise on every track, the video starts at a keyframe, everything decodes. Gives what was read."""
    media = packets(path)
    assert media.tracks, "no track"
    for track in media:
        assert_dts_strictly_rising(track)
        assert track.packets[0].is_key, f"the {track.kind} does not start at a keyframe"
    assert decode_errors(path) == ""
    return media


def form(path: Path) -> Form:
    """What a demuxer finds in a file. Its sound has one channel or two."""
    told = dict[tuple[str, int], str]()
    for line in _listed(path):
        if line.startswith("#") and (words := line[1:].split(maxsplit=2))[0] != "software:":
            told[words[0], int(words[1].rstrip(":"))] = words[2]
    video: VideoForm | None = None
    audio: AudioForm | None = None
    for (word, track), kind in told.items():
        if word != "media_type":
            continue
        codec = told["codec_id", track]
        if kind == "video":
            width, height = map(int, told["dimensions", track].split("x"))
            aspect = Fraction(told["sar", track])
            video = VideoForm(codec, width, height, aspect or Fraction(1))
        elif kind == "audio":
            channels = {"mono": 1, "stereo": 2}[told["channel_layout_name", track]]
            audio = AudioForm(codec, int(told["sample_rate", track]), channels)
    return Form(video, audio)


def coded_bytes(path: Path) -> dict[str, int]:
    """Bytes of all packets by kind of track, whatever the container: the same after a copy, and hardly by chance."""
    kinds, sums = dict[str, str](), Counter[str]()
    for line in _listed(path):
        if line.startswith("#media_type"):
            _, track, kind = line.split()
            kinds[track.rstrip(":")] = kind
        elif not line.startswith("#"):
            track, _, _, _, size_bytes, *_ = line.split(",")
            sums[kinds[track]] += int(size_bytes)
    return dict(sums)


def _listed(path: Path) -> tuple[str, ...]:
    """Tracks and packets of a file, as ffmpeg's framecrc writes them."""
    state = path.stat()
    return _listed_as_it_is(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=32)
def _listed_as_it_is(path: Path, mtime_ns: int, size_bytes: int) -> tuple[str, ...]:
    """By way of Matroska, without what TS and FLV put around each packet. Clips are looked at again and again."""
    reading = (programs.ffmpeg(), "-v", "error", "-nostdin", "-i")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.mkv"
        programs.run([*reading, path, "-map", "0", "-c", "copy", copy])
        told = programs.run([*reading, copy, "-map", "0", "-c", "copy", "-f", "framecrc", "-"]).stdout
    return tuple(told.splitlines())
