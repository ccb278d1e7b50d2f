"""What makes small pictures of keyframes, and levels of sound: an ffmpeg child for H.264, one for HEVC where there is
some, and one for sound, for all streams of a process.

A child is fed one FLV stream in which keyframes of all streams follow each other, each after its own header. It is
asked for one at a time: what it answers belongs to what was sent last. It is closed when it does not answer in time,
and the next question starts another.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

from streamferry.media.tag import AUDIO, VIDEO
from streamferry.net.child import Child, ChildError
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.sandbox import Limits, Sandbox
from streamferry.relay.eyes.judge import HEIGHT, WIDTH
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.stills import is_hevc

#: For an answer. Children have the lowest priority: on a machine that is busy with media they wait.
ANSWER_S = 10.0
#: A child answers so many questions, then another one takes its place: it is not to grow for ever.
_MOST_ANSWERS = 5_000
_LIMITS = Limits(memory_bytes=1 << 30)
_NICENESS = 19
_PIPE_BYTES = 1 << 20
_SEND_AGAIN_S = 0.005
#: Frames of sound from the beginning of a stretch that still contain some of the stretch before.
_MIXED_FRAMES = 3
_STEP_MS = 1_000
_FRAME_MS = 20
_INPUT = (
    # Not with ``-fflags nobuffer``: that would throw away what is read to see what comes, of silence several frames.
    *("-v", "error", "-probesize", "32", "-analyzeduration", "0", "-threads", "1"),
    *("-skip_loop_filter", "all", "-f", "flv", "-i", "pipe:0"),
)
# Single pixels, and no mean of many: grain is to be seen.
_TO_PICTURES = (
    *("-an", "-vf", f"scale={WIDTH}:{HEIGHT}:flags=neighbor,format=gray", "-fps_mode", "passthrough"),
    *("-threads", "1", "-flush_packets", "1", "-f", "rawvideo", "pipe:1"),
)
_LEVEL = b"lavfi.astats.Overall.RMS_level="
_TO_LEVELS = (
    *("-vn", "-af", "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=RMS_level,"),
    *("-f", "null", "-"),
)
_PRINT = f"ametadata=mode=print:key={_LEVEL.decode().rstrip('=')}:direct=1:file=-"


class Undecodable(Exception):
    """There was no answer; the words say why. What was sent may be damaged, or the machine has no time."""


class Decoders(Protocol):
    """What ``eyes`` asks."""

    async def picture(self, header: bytes, keyframe: bytes) -> bytes:
        """A keyframe as a small picture (``judge.WIDTH``). Raises Undecodable."""

    async def level(self, header: bytes, sounds: Sequence[bytes]) -> float:
        """How loud the loudest of these frames is, in dBFS. Raises Undecodable."""

    async def aclose(self) -> None:
        """End what runs."""


class FfmpegDecoders:
    """``Decoders`` for H.264 and HEVC, as ``wire.stills`` makes them, and for AAC."""

    def __init__(self, answer_s: float = ANSWER_S, niceness: int = _NICENESS) -> None:
        #: How long an answer may take.
        self.answer_s = answer_s
        sandbox = Sandbox(limits=_LIMITS, niceness=niceness)
        # A child keeps to the codec of its first picture.
        self._h264, self._hevc = (
            _Child((*_INPUT, *_TO_PICTURES), serialize_flv_header(has_audio=False, has_video=True), sandbox)
            for _ in range(2)
        )
        levels = (*_TO_LEVELS[:2], _TO_LEVELS[2] + _PRINT, *_TO_LEVELS[3:])
        self._ear = _Child((*_INPUT, *levels), serialize_flv_header(has_audio=True, has_video=False), sandbox)

    async def picture(self, header: bytes, keyframe: bytes) -> bytes:
        """See ``Decoders``."""
        size_bytes = WIDTH * HEIGHT
        bodies = [(VIDEO, header), (VIDEO, keyframe)]
        eye = self._hevc if is_hevc(header) else self._h264
        return (await eye.ask(bodies, lambda got: len(got) >= size_bytes, self.answer_s))[-size_bytes:]

    async def level(self, header: bytes, sounds: Sequence[bytes]) -> float:
        """See ``Decoders``."""
        count = len(sounds)
        bodies = [(AUDIO, header), *((AUDIO, body) for body in sounds)]
        answer = await self._ear.ask(bodies, lambda got: _levels_in(got) >= count, self.answer_s)
        levels = [_number(line[len(_LEVEL) :]) for line in answer.splitlines() if line.startswith(_LEVEL)]
        return max(levels[_MIXED_FRAMES:] or levels)

    async def aclose(self) -> None:
        """See ``Decoders``."""
        await self._h264.aclose()
        await self._hevc.aclose()
        await self._ear.aclose()


def _levels_in(answer: bytearray) -> int:
    return answer.count(_LEVEL) if answer.endswith(b"\n") else 0


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return -inf


class _Child:
    """One child, while there is one."""

    def __init__(self, arguments: Sequence[str], begin: bytes, sandbox: Sandbox) -> None:
        self._arguments = arguments
        self._begin = begin
        self._sandbox = sandbox
        self._child: Child | None = None
        self._answers = 0
        self._view = memoryview(bytearray(64 << 10))

    async def ask(
        self,
        bodies: Sequence[tuple[int, bytes]],
        is_whole: Callable[[bytearray], bool],
        answer_s: float,
    ) -> bytes:
        """Send the tags and return what comes back, once it ``is_whole``. Raises Undecodable."""
        begin = b""
        try:
            if self._child is None or self._answers >= _MOST_ANSWERS:
                await self.aclose()
                self._child = Child(
                    [ffmpeg_program(), *self._arguments],
                    sandbox=self._sandbox,
                    takes_stdin=True,
                    pipe_bytes=_PIPE_BYTES,
                    redact=lambda _: "",
                )
                begin, self._answers = self._begin, 0
            data = begin + self._serialize(bodies)
            self._answers += 1
            async with asyncio.timeout(answer_s):
                return await self._exchange(self._child, data, is_whole)
        except (ChildError, OSError, TimeoutError) as error:
            await self.aclose()
            raise Undecodable(str(error) or "no answer in time") from None
        except asyncio.CancelledError:
            # Its answer would be taken for that to the next question.
            await self.aclose()
            raise

    def _serialize(self, bodies: Sequence[tuple[int, bytes]]) -> bytes:
        at_ms = self._answers * _STEP_MS
        return b"".join(serialize_tag(kind, at_ms + n * _FRAME_MS, body) for n, (kind, body) in enumerate(bodies))

    async def _exchange(self, child: Child, data: bytes, is_whole: Callable[[bytearray], bool]) -> bytes:
        while child.receive_into(self._view):
            pass  # What came late of the last answer.
        answer = bytearray()
        unsent = memoryview(data)
        while unsent:
            unsent = unsent[child.send([unsent]) :]
            if unsent:
                await asyncio.sleep(_SEND_AGAIN_S)
        while not is_whole(answer):
            if not await child.wait_output():
                raise OSError("it has ended")
            if received := child.receive_into(self._view):
                answer += self._view[:received]
        return bytes(answer)

    async def aclose(self) -> None:
        """End it."""
        child, self._child = self._child, None
        if child is not None:
            await child.aclose()
