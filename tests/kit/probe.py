"""What arrived, packet by packet, told by ffmpeg; and what must be true of it."""

import functools
import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from kit import programs
from streamferry.prepare.form import AudioForm, Form, VideoForm

#: Thrown away frame by frame, stamps as they are (not rounded to frames): only the decoders may complain.
_DECODED = ("-fps_mode", "passthrough", "-enc_time_base:v", "1/1000")
_TRACK = re.compile(r"Stream #0:(\d+)\S*: (Video|Audio): (\w+)")
_DUMPED = re.compile(
    r"(?:stream #(?P<index>\d+):|  keyframe=(?P<key>[01])|  dts=(?P<dts>\S+)  pts=(?P<pts>\S+)|  size=(?P<size>\d+))$",
    re.MULTILINE,
)
#: Rarely a line is told in two pieces; of what makes it complain all the time, in most of them.
_TRIES = 5
#: Files of which a demuxer gives the packets as they were put in, and that tell the rate of their sound.
_PLAIN = (".mp4", ".m4a", ".mkv")
_COMPLAINT = re.compile(r"(?:\[[^\]]+ @ \w+\] )*\[(?:error|fatal|panic)\]")


@dataclass(frozen=True)
class Packet:
    """One packet. Stamps in whole ms, as FLV has them; None where the container has none."""

    dts_ms: float | None
    pts_ms: float | None
    size_bytes: int
    is_key: bool


@dataclass(frozen=True)
class Track:
    """All packets of one track in file order."""

    kind: str  #: ``video`` or ``audio``
    codec: str  #: as ffmpeg names it: ``h264``, ``hevc``, ``aac``
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


def packets(target: Path | str, tracks: str = "0") -> Media:
    """Read all packets of a file, or of a stream that ends. AssertionError if there is none.

    ``tracks``: those that are read, as ffmpeg names them; it reads nothing beside a picture that never comes.
    """
    media, complaints = _read(target, "-c", "copy", tracks=tracks)
    assert media.tracks, f"no track: {complaints}"
    return media


def _read(target: Path | str, *output: str, tracks: str = "0") -> tuple[Media, str]:
    """All packets as the demuxer gives them, before anything else sees them; and complaints about the ``output``.

    Debian's ffprobe tells the same, with more digits: but it takes 100 ms of CPU to load its libraries.
    """
    reading = (programs.ffmpeg(), "-hide_banner", "-nostats", "-nostdin", "-loglevel", "repeat+level+info", "-dump")
    words = (*reading, "-xerror", "-err_detect", "explode", "-i", target, "-map", tracks, *output, "-f", "null", "-")
    for _ in range(_TRIES):
        told = programs.run(words, may_fail=True).stderr
        read, is_whole = _told(told)
        if is_whole:
            break
    complaints = [line for line in told.splitlines() if _COMPLAINT.match(line)]
    return read, "\n".join(complaints)


def _told(told: str) -> tuple[Media, bool]:
    """What ffmpeg has told; and whether no thread was in the midst of a line when another one told of a packet."""
    # What it writes has streams as well.
    inputs = told.partition("Stream mapping:")[0]
    kinds = {index: (kind.lower(), codec) for index, kind, codec in _TRACK.findall(inputs)}
    packets: dict[str, list[Packet]] = {index: [] for index in kinds}
    index, is_key, seconds, is_whole = "", False, list[float | None](), True
    for found in _DUMPED.finditer(told):
        if found["index"]:
            is_whole = is_whole and not index
            index, seconds = found["index"], []
        elif found["key"]:
            is_key = found["key"] == "1"
        elif found["dts"]:
            seconds = [None if value == "N/A" else float(value) for value in found.group("dts", "pts")]
        elif index and seconds:
            dts_ms, pts_ms = (None if one is None else float(round(1000 * one)) for one in seconds)
            if index in packets:
                packets[index].append(Packet(dts_ms, pts_ms, int(found["size"]), is_key))
            index = ""
        else:
            is_whole = False
    return Media(tuple(Track(*kinds[index], tuple(read)) for index, read in packets.items())), is_whole


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
    return _read(target, *_DECODED)[1]


def assert_flawless(path: Path) -> Media:
    """Stamps rise on every track, the video starts at a keyframe, everything decodes. Gives what was read."""
    media, complaints = _read(path, *_DECODED)
    assert complaints == ""
    assert media.tracks, "no track"
    for track in media:
        assert_dts_strictly_rising(track)
        assert track.packets[0].is_key, f"the {track.kind} does not start at a keyframe"
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
    """Without what TS puts around each packet: it becomes Matroska first. Clips are looked at again and again."""
    reading = (programs.ffmpeg(), "-v", "error", "-nostdin", "-i")
    listing = ("-map", "0", "-c", "copy", "-f", "framecrc", "-")
    if path.suffix in _PLAIN:
        return tuple(programs.run([*reading, path, *listing]).stdout.splitlines())
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.mkv"
        programs.run([*reading, path, "-map", "0", "-c", "copy", copy])
        return tuple(programs.run([*reading, copy, *listing]).stdout.splitlines())
