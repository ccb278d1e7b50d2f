"""How far the sound is from the picture, measured from the decoded flashes and beeps of the ``flash_beep`` clip."""

import re
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path

from kit import programs

#: A picture with more than this mean luma is a flash: black is 16, white 235.
_FLASH_LUMA = 120.0
#: A millisecond of sound above this RMS level is a beep: 0.8 sine is -5 dB, AAC's pre-echo stays below -30 dB.
_BEEP_DB = -20.0
_BEEP_LEVEL = 32768 * 10 ** (_BEEP_DB / 20)
#: A beep belongs to a flash not farther away than this: half of the second between two flashes.
_REACH_MS = 500.0
# Printed to standard output, not to a file: where a stream changes its layout, ffmpeg builds the graph anew. Of a small
# picture, for each value of signalstats costs as much as this one.
_LUMA = "scale=16:8:flags=area,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-"
_STAMP = re.compile(r"pts_time:(-?[\d.]+)")
_SOUND = ("-map", "0:a:0", "-c:a", "pcm_s16le", "-ar", "48000", "-ac", "1")
_SAMPLES_PER_MS = 48


def av_offsets_ms(target: Path) -> list[float]:
    """For each flash with a dark moment before it the distance to its beep in ms, positive if the sound is late.

    Resolution about 1 ms. AssertionError if there is no such pair.
    """
    flashes, beeps = map(_onsets_ms, _decoded(target))
    offsets = []
    for flash in flashes:
        nearest = min(beeps, key=lambda beep: abs(beep - flash), default=None)
        if nearest is not None and abs(nearest - flash) < _REACH_MS:
            offsets.append(nearest - flash)
    assert offsets, f"{len(flashes)} flashes and {len(beeps)} beeps, none of them together"
    return offsets


def _decoded(target: Path) -> tuple[list[tuple[float, bool]], list[tuple[float, bool]]]:
    """Stamp in ms of each picture and whether it is a flash; of each millisecond of sound, and whether it beeps.

    Levels of the sound are found here: ffmpeg takes 0.1 s of CPU for those of a second, a filter's call for each ms.
    """
    reading = (programs.ffmpeg(), "-v", "error", "-nostdin", "-copyts", "-i", target)
    picture = ("-map", "0:v:0", "-fps_mode", "passthrough", "-vf", _LUMA, "-f", "null", "/dev/null")
    with tempfile.TemporaryDirectory() as folder:
        samples, packets = Path(folder, "samples"), Path(folder, "packets")
        sound = (*_SOUND, "-f", "s16le", samples, *_SOUND, "-f", "framecrc", packets)
        printed = programs.run([*reading, "-avoid_negative_ts", "disabled", *picture, *sound]).stdout
        return list(_flashing(printed)), list(_beeping(array("h", samples.read_bytes()), packets.read_text()))


def _flashing(printed: str) -> Iterator[tuple[float, bool]]:
    stamp_ms = 0.0
    for line in printed.splitlines():
        if found := _STAMP.search(line):
            stamp_ms = float(found[1]) * 1000
        elif "=" in line:
            yield stamp_ms, float(line.rpartition("=")[2]) > _FLASH_LUMA


def _beeping(samples: "array[int]", packets: str) -> Iterator[tuple[float, bool]]:
    """``packets``: as framecrc tells them, with stamps in samples."""
    start = 0
    for line in packets.splitlines():
        if line.startswith("#"):
            continue
        _, _, stamp, _, size_bytes, *_ = line.split(",")
        end = start + int(size_bytes) // samples.itemsize
        for at in range(start, end, _SAMPLES_PER_MS):
            some = samples[at : min(at + _SAMPLES_PER_MS, end)]
            if len(some) < _SAMPLES_PER_MS:
                # Of a third of a ms a tone may be near zero, and would begin once more with the next packet.
                continue
            # The loudest sample is seen sooner than their mean.
            beeps = max(some) > _BEEP_LEVEL and sum(one * one for one in some) > len(some) * _BEEP_LEVEL**2
            yield (int(stamp) + at - start) / _SAMPLES_PER_MS, beeps
        start = end


def _onsets_ms(told: list[tuple[float, bool]]) -> list[float]:
    """Stamps at which it begins.

    What begins above is not counted: a recording may start in the middle of a beep.
    """
    onsets: list[float] = []
    was_above = True
    for stamp_ms, is_above in told:
        if is_above and not was_above:
            onsets.append(stamp_ms)
        was_above = is_above
    return onsets
