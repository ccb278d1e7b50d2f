"""The floor of the benchmark moves whole media, so what it costs is what moving them costs."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kit.clips import FPS, SECONDS, ClipFactory
from kit.programs import need
from kit.waiting import wait_for
from programs import BENCH, Program, Sink, Source, build_native, cores

STREAMS = 3
BEAT_MS, SLOTS = "80", "4"
#: Of a loop of all streams: frames of picture, and of AAC.
LOOP_MESSAGES = round(STREAMS * SECONDS * (FPS + 48000 / 1024))
PATIENCE_S = 60.0


@pytest.fixture
def clip(clips: ClipFactory) -> Path:
    """Small, with metadata and both headers in front."""
    need("gcc")
    return clips("h264_no_bframes", ".flv")


def seen_until(sink: Sink, messages: int) -> dict[str, int]:
    """What the sink counted until so many messages of media had come."""
    seen = {"messages": 0, "backwards": 0, "lost": 0}

    def look() -> bool:
        report: dict[str, Any] = sink.report()
        for name in seen:
            seen[name] += report[name]
        return seen["messages"] >= messages and report["fresh"] == STREAMS

    wait_for(f"{messages} messages of {STREAMS} streams", look, PATIENCE_S)
    return seen


def floor_in_c() -> list[str | Path]:
    """The command that runs it."""
    return [build_native("floor")]


def floor_in_python() -> list[str | Path]:
    """The command that runs it."""
    return [sys.executable, BENCH / "python_floor.py"]


def publish_by(floor: list[str | Path], stack: ExitStack, sink: Sink, clip: Path) -> None:
    """Lists: the floor has the file."""
    words = [*floor, BEAT_MS, SLOTS, str(sink.port), clip, str(STREAMS)]
    stack.enter_context(Program(words, cores()[0], talks=True)).hear(PATIENCE_S)


def pass_on_by(floor: list[str | Path], stack: ExitStack, sink: Sink, clip: Path) -> None:
    """Live: the source publishes to the floor."""
    words = [*floor, BEAT_MS, SLOTS, str(sink.port)]
    port = stack.enter_context(Program(words, cores()[0], talks=True)).hear(PATIENCE_S)["rtmp"]
    stack.enter_context(Source(clip)).publish("bursts", port, STREAMS)


@pytest.mark.parametrize("start", [publish_by, pass_on_by])
def test_the_floors_move_every_stream_over_the_join_of_a_loop(
    clip: Path, start: Callable[[list[str | Path], ExitStack, Sink, Path], None]
) -> None:
    """Each in front of a sink, which reads every chunk header and sees more of all streams than one loop has, and no
    stamp go back.
    """
    with ExitStack() as stack:
        sinks = [stack.enter_context(Sink()) for _ in range(2)]
        for floor, sink in zip((floor_in_c(), floor_in_python()), sinks, strict=True):
            start(floor, stack, sink, clip)
        for sink in sinks:
            seen = seen_until(sink, 2 * LOOP_MESSAGES)
            assert seen["backwards"] == 0
            assert seen["lost"] == 0
