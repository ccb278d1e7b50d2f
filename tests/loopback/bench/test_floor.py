"""The floor of the benchmark moves whole media, so what it costs is what moving them costs."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kit.clips import FPS, SECONDS, ClipFactory
from kit.programs import need
from kit.waiting import wait_for
from programs import Program, Sink, Source, build_native, cores

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


def publish_by_floor(stack: ExitStack, sink: Sink, clip: Path) -> None:
    """Lists: the floor has the file."""
    words = [build_native("floor"), BEAT_MS, SLOTS, str(sink.port), clip, str(STREAMS)]
    stack.enter_context(Program(words, cores()[0], talks=True)).hear(PATIENCE_S)


def pass_on_by_floor(stack: ExitStack, sink: Sink, clip: Path) -> None:
    """Live: the source publishes to the floor."""
    words = [build_native("floor"), BEAT_MS, SLOTS, str(sink.port)]
    port = stack.enter_context(Program(words, cores()[0], talks=True)).hear(PATIENCE_S)["rtmp"]
    stack.enter_context(Source(clip)).publish("bursts", port, STREAMS)


@pytest.mark.parametrize("start", [publish_by_floor, pass_on_by_floor])
def test_the_floor_moves_every_stream_over_the_join_of_a_loop(
    clip: Path, start: Callable[[ExitStack, Sink, Path], None]
) -> None:
    """The sink, which reads every chunk header, sees more of all streams than one loop has, and no stamp go back."""
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        start(stack, sink, clip)
        seen = seen_until(sink, 2 * LOOP_MESSAGES)
    assert seen["backwards"] == 0
    assert seen["lost"] == 0
