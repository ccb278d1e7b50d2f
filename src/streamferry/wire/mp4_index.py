"""What the index (moov) of an MP4 says that ffmpeg does not tell: encryption, several forms of one track, edit lists.

A reader that trusts nothing: what does not fit is left out, so that ffmpeg may judge it. Bytes in, values out.

An edit list says which stretch of a track is shown. A copy cannot begin between keyframes: it would send the pictures
from the keyframe before the stretch on, and those up to a keyframe after it, which the owner has cut away. Of sound it
would send up to a second before the stretch, because decoders need some of it.

Specification: ISO/IEC 14496-12, 8.5.2 (stsd), 8.6.1 (stts, ctts, stss), 8.6.6 (elst), 8.12 (sinf, schm).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice, repeat, starmap
from struct import Struct

from streamferry.wire.mp4.boxes import boxes, clock_hz, find, scheme_of

# The last picture may be longer than its track, by rounding.
_END_TOLERANCE_S = 0.1
# Priming of sound is hidden in each file: 1,024 samples by ffmpeg, 2,112 by Apple, 5,000 at most with SBR.
_SOUND_TOLERANCE_S = 0.15
# Of a film of ten hours at 60 a second.
_MAX_SAMPLES = 2_200_000
_MAX_TRACKS = 64
_MAX_DESCRIPTIONS = 256
_MAX_EDITS = 10_000
_VISUAL_SIZE_AT = 24
_KINDS = {b"vide": "video", b"soun": "audio"}

_pair = Struct(">II")
_shift = Struct(">Ii")


@dataclass(frozen=True, slots=True)
class Mp4Track:
    """``kind`` is ``video`` or ``audio``; ``scheme`` how it is encrypted, empty if it is not.

    ``forms``: what each sample description says, codec, width and height. ``hidden_s``: how much of it a copy would
    send although the edit list hides it.
    """

    kind: str
    scheme: str = ""
    forms: tuple[tuple[bytes, int, int], ...] = ()
    hidden_s: float = 0.0


def parse_index(moov: "bytes | memoryview") -> tuple[Mp4Track, ...]:
    """The tracks of picture and sound; ``moov`` is the box with its header. Empty if it is none."""
    view = memoryview(moov)
    tracks: list[Mp4Track] = []
    for name, box in boxes(view):
        if name != b"moov":
            continue
        movie_hz = clock_hz(find(box, b"mvhd"))
        traks = islice((inner for inner_name, inner in boxes(box) if inner_name == b"trak"), _MAX_TRACKS)
        tracks += [track for trak in traks if (track := _track(trak, movie_hz)) is not None]
    return tuple(tracks)


def _track(trak: memoryview, movie_hz: int) -> Mp4Track | None:
    kind = _KINDS.get(bytes(find(trak, b"mdia", b"hdlr")[8:12]))
    if kind is None:
        return None
    table = find(trak, b"mdia", b"minf", b"stbl")
    entries = list(islice(boxes(find(table, b"stsd")[8:]), _MAX_DESCRIPTIONS))
    forms = []
    for name, entry in entries:
        size = bytes(entry[_VISUAL_SIZE_AT : _VISUAL_SIZE_AT + 4]) if kind == "video" else b""
        forms.append((name, int.from_bytes(size[:2]), int.from_bytes(size[2:])))
    hidden_s = 0.0
    track_hz = clock_hz(find(trak, b"mdia", b"mdhd"))
    if track_hz and movie_hz:
        shown = [(begin / track_hz, end) for begin, end in _edits(find(trak, b"edts", b"elst"), track_hz, movie_hz)]
        if shown:
            hidden_s = _hidden_pictures(table, shown, track_hz) if kind == "video" else _hidden_sound(table, shown)
    return Mp4Track(kind, next(filter(None, starmap(scheme_of, entries)), ""), tuple(forms), hidden_s)


def _edits(elst: memoryview, track_hz: int, movie_hz: int) -> Iterator[tuple[int, float]]:
    """Where each stretch that is shown begins, in the track's units, and where it ends, in seconds."""
    is_long, count = bytes(elst[:1]) == b"\1", int.from_bytes(elst[4:8])
    step, half = (20, 8) if is_long else (12, 4)
    for at in range(8, min(8 + min(count, _MAX_EDITS) * step, len(elst) - step + 1), step):
        lasts = int.from_bytes(elst[at : at + half])
        begin = int.from_bytes(elst[at + half : at + 2 * half], signed=True)
        if begin >= 0:  # -1 is a pause before the track begins.
            yield begin, begin / track_hz + lasts / movie_hz if lasts else float("inf")


def _hidden_sound(table: memoryview, shown: list[tuple[float, float]]) -> float:
    has_samples = int.from_bytes(find(table, b"stts")[4:8]) > 0
    hidden_s = max(begin_s for begin_s, _ in shown)
    return hidden_s if has_samples and hidden_s > _SOUND_TOLERANCE_S else 0.0


def _hidden_pictures(table: memoryview, shown: list[tuple[float, float]], track_hz: int) -> float:
    durations = _runs(find(table, b"stts"), _pair)
    if not durations:
        return 0.0  # Fragmented: its pictures are not listed here.
    decoded = list(accumulate(chain((0,), durations[:-1])))
    shifts = _runs(find(table, b"ctts"), _shift)
    if len(shifts) == len(decoded):
        decoded = [dts + shift for dts, shift in zip(decoded, shifts, strict=True)]
    keys = _keyframes(find(table, b"stss"), decoded)
    if not keys:
        return 0.0
    decoded.sort()
    hidden_s = 0.0
    for begin_s, end_s in shown:
        begin = round(begin_s * track_hz)
        # What is on the screen there, and where a copy has to begin for it.
        picture = decoded[max(0, bisect_right(decoded, begin) - 1)]
        key = keys[max(0, bisect_right(keys, begin) - 1)]
        if key < picture:
            hidden_s += (begin - key) / track_hz
        hidden_s += max(0.0, decoded[-1] / track_hz - end_s - _END_TOLERANCE_S)
    return hidden_s


def _keyframes(stss: memoryview, shown: Sequence[int]) -> list[int]:
    """When the keyframes are shown; without the box each picture is one."""
    if not stss:
        return sorted(shown)
    words = stss[8 : 8 + 4 * int.from_bytes(stss[4:8])]
    numbers = (int.from_bytes(words[at : at + 4]) for at in range(0, len(words) - 3, 4))
    return sorted(shown[number - 1] for number in numbers if 0 < number <= len(shown))


def _runs(box: memoryview, entry: Struct) -> list[int]:
    """A table of runs, written out: how often, and what. Empty if it is longer than any film."""
    end = min(8 + entry.size * int.from_bytes(box[4:8]), len(box) - (len(box) - 8) % entry.size)
    table = box[8 : max(8, end)]
    # Unpacked twice: a table of runs of no samples may be long.
    if sum(count for count, _ in entry.iter_unpack(table)) > _MAX_SAMPLES:
        return []
    return list(chain.from_iterable(repeat(value, count) for count, value in entry.iter_unpack(table)))
