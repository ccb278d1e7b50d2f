"""What a fragment (moof) tells of its frames: where their bytes are, and when they are decoded and shown.

Specification: ISO/IEC 14496-12, 8.8.7 (tfhd), 8.8.8 (trun), 8.8.12 (tfdt).
"""

from collections.abc import Iterator
from itertools import accumulate, islice, repeat
from operator import add
from struct import Struct

from streamferry.wire.mp4.boxes import boxes, find
from streamferry.wire.mp4.tracks import Track
from streamferry.wire.mpegts.pictures import MAX_PICTURE_BYTES

#: Of one fragment: two minutes of pictures and sound.
MAX_SAMPLES = 1 << 14
_MAX_BOXES = 1 << 10
# Flags of tfhd.
_BASE, _INDEX, _DURATION, _SIZE, _FLAGS, _BASE_IS_MOOF = 0x1, 0x2, 0x8, 0x10, 0x20, 0x20000
# Flags of trun.
_RUN_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_FIELDS = (0x100, 0x200, 0x400, 0x800)
# Rows of a run by its fields: duration, size, flags, offset of showing, which some write as negative in version 0 too.
_ROWS = tuple(
    Struct(">" + "".join(letter for bit, letter in enumerate("IIIi") if fields >> bit & 1)) for fields in range(16)
)

#: Place of its first byte, size, track, number of its form, DTS and PTS in ticks of the track, flags.
Sample = tuple[int, int, Track, int, int, int, int]


def samples_of(moof: memoryview, tracks: dict[int, Track], begin: int, end: int) -> list[Sample]:
    """In the order of their bytes, which do not overlap. The box is at ``begin`` and ends at ``end``."""
    found: list[Sample] = []
    # Without any word the data of a track follows that of the one before it; that of the first counts from the box.
    implied = begin
    first_base: int | None = None
    for name, traf in islice(boxes(moof), _MAX_BOXES):
        if name != b"traf":
            continue
        tfhd = find(traf, b"tfhd")
        flags, track = int.from_bytes(tfhd[1:4]), tracks.get(int.from_bytes(tfhd[4:8]))
        base = begin if flags & _BASE_IS_MOOF else implied
        if flags & _BASE:
            told = int.from_bytes(tfhd[8:16])
            # Counted from the start of a file that we do not see: what comes first is this box.
            first_base = told if first_base is None else first_base
            base = begin + told - first_base
        if track is not None:
            implied = _read(traf, tfhd, flags, track, base, end, found)
    found.sort(key=_place)
    last = end
    kept = []
    for sample in found:
        place, size = sample[0], sample[1]
        if place >= last:
            last = place + size
            if 0 < size <= MAX_PICTURE_BYTES:
                kept.append(sample)
    return kept


def _read(traf: memoryview, tfhd: memoryview, flags: int, track: Track, base: int, end: int, out: list[Sample]) -> int:
    """Append the samples of one track; returns where its data ends."""
    at = 16 if flags & _BASE else 8
    values = list(track.defaults)
    for place, flag in enumerate((_INDEX, _DURATION, _SIZE, _FLAGS)):
        if flags & flag:
            values[place] = int.from_bytes(tfhd[at : at + 4])
            at += 4
    index, usual_duration, usual_size, usual_flags = values
    tfdt = find(traf, b"tfdt")
    if len(tfdt) >= 8:
        track.next_dts = int.from_bytes(tfdt[4 : 12 if tfdt[0] else 8])
    place = base
    for name, run in boxes(traf):
        if name != b"trun" or len(run) < 8:
            continue
        run_flags, count, at = int.from_bytes(run[1:4]), int.from_bytes(run[4:8]), 8
        if run_flags & _RUN_OFFSET:
            place, at = base + int.from_bytes(run[at : at + 4], signed=True), at + 4
        elif place < end:
            place = end + 8  # It cannot lie in the box itself: it is the data after it.
        first_flags = None
        if run_flags & _FIRST_FLAGS:
            first_flags, at = int.from_bytes(run[at : at + 4]), at + 4
        fields = run_flags >> 8 & 15
        rows = _ROWS[fields]
        count = min(count, MAX_SAMPLES - len(out))
        if fields:
            count = min(count, max(0, len(run) - at) // rows.size)
        if not count:
            continue
        # A fragment has some hundred frames: what they have in common is not done for each.
        told: Iterator[tuple[int, ...]] = iter(())
        if fields:
            told = zip(*rows.iter_unpack(run[at : at + count * rows.size]), strict=True)
        usual = (usual_duration, usual_size, usual_flags, 0)
        columns = [next(told) if fields >> bit & 1 else (usual[bit],) * count for bit in range(4)]
        durations, sizes, said, shown = columns
        if first_flags is not None:
            said = (first_flags, *said[1:])
        lead = track.lead = max(track.lead, -min(shown))
        decoded = [*accumulate(durations, initial=track.next_dts)]
        places = [*accumulate(sizes, initial=place)]
        place, track.next_dts = places.pop(), decoded.pop()
        dts = [one - lead for one in decoded] if lead else decoded
        out += zip(places, sizes, repeat(track), repeat(index), dts, map(add, decoded, shown), said, strict=False)
    return place


def _place(sample: Sample) -> int:
    return sample[0]
