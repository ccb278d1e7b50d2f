"""How far the sound is from the picture, measured from the decoded flashes and beeps of the ``flash_beep`` clip."""

import re
from pathlib import Path

from kit import programs

#: A picture with more than this mean luma is a flash: black is 16, white 235.
_FLASH_LUMA = 120.0
#: A millisecond of sound above this RMS level is a beep: 0.8 sine is -5 dB, AAC's pre-echo stays below -30 dB.
_BEEP_DB = -20.0
#: A beep belongs to a flash not farther away than this: half of the second between two flashes.
_REACH_MS = 500.0
# Printed to standard output, not to a file: where a stream changes its layout, ffmpeg builds the graph anew.
_LUMA = "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-"
_LEVEL = (
    "aresample=48000,asetnsamples=n=48:p=0,astats=metadata=1:reset=1:measure_perchannel=none:"
    "measure_overall=RMS_level,ametadata=print:key=lavfi.astats.Overall.RMS_level:file=-"
)
_STAMP = re.compile(r"pts_time:(-?[\d.]+)")


def av_offsets_ms(target: Path) -> list[float]:
    """For each flash with a dark moment before it the distance to its beep in ms, positive if the sound is late.

    Resolution about 1 ms. AssertionError if there is no such pair.
    """
    picture = ["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", _LUMA]
    flashes = _onsets_ms(_printed(target, picture), _FLASH_LUMA)
    beeps = _onsets_ms(_printed(target, ["-map", "0:a:0", "-af", _LEVEL]), _BEEP_DB)
    offsets = []
    for flash in flashes:
        nearest = min(beeps, key=lambda beep: abs(beep - flash), default=None)
        if nearest is not None and abs(nearest - flash) < _REACH_MS:
            offsets.append(nearest - flash)
    assert offsets, f"{len(flashes)} flashes and {len(beeps)} beeps, none of them together"
    return offsets


def _printed(target: Path, what: list[str]) -> str:
    reading = ("-v", "error", "-nostdin", "-copyts", "-i", target)
    return programs.run([programs.ffmpeg(), *reading, *what, "-f", "null", "/dev/null"]).stdout


def _onsets_ms(printed: str, threshold: float) -> list[float]:
    """Stamps at which the printed value goes above the threshold after having been below it.

    What begins above is not counted: a recording may start in the middle of a beep.
    """
    onsets: list[float] = []
    stamp_ms, was_above = 0.0, True
    for line in printed.splitlines():
        if found := _STAMP.search(line):
            stamp_ms = float(found[1]) * 1000
        elif "=" in line:
            is_above = float(line.rpartition("=")[2]) > threshold
            if is_above and not was_above:
                onsets.append(stamp_ms)
            was_above = is_above
    return onsets
