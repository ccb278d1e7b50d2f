"""What makes small pictures of keyframes, and levels of sound: an ffmpeg child for H.264, one for HEVC where there is
some, and one for sound, for all streams of a process.

A child is fed one FLV stream in which keyframes of all streams follow each other, each after its own header. It is
asked for one at a time: what it answers belongs to what was sent last. Decoders do not say that they cannot decode
something. So when an answer takes long a probe follows (``probes``), whose answer is known: when that comes, nothing
else will. A child that does not answer a probe in time is ended, as is one that says more than it was asked.
"""

import asyncio
import re
from collections.abc import Sequence
from math import inf
from typing import Protocol

from streamferry.media.tag import AUDIO, VIDEO
from streamferry.net.child import Child, ChildError
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.sandbox import Limits, Sandbox
from streamferry.reasons import Code, Reasoned
from streamferry.relay.eyes import probes
from streamferry.relay.eyes.judge import HEIGHT, WIDTH
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.stills import begins_anew, is_hevc

#: For an answer. Children have the lowest priority: on a machine that is busy with media they wait.
ANSWER_S = 10.0
#: An answer that takes longer is asked for with a probe.
PROBE_AFTER_S = 0.5
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
_PICTURE_BYTES = WIDTH * HEIGHT
_INPUT = (
    # Not with ``-fflags nobuffer``: that would throw away what is read to see what comes, of silence several frames.
    *("-v", "quiet", "-probesize", "32", "-analyzeduration", "0", "-threads", "1"),
    *("-skip_loop_filter", "all", "-f", "flv", "-i", "pipe:0"),
)
# Single pixels, and no mean of many: grain is to be seen.
_TO_PICTURES = (
    *("-an", "-vf", f"scale={WIDTH}:{HEIGHT}:flags=neighbor,format=gray", "-fps_mode", "passthrough"),
    *("-threads", "1", "-flush_packets", "1", "-f", "rawvideo", "pipe:1"),
)
_LEVEL = "lavfi.astats.Overall.RMS_level"
_TO_LEVELS = (
    *("-vn", "-af", "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=RMS_level,"),
    *("-f", "null", "-"),
)
_PRINT = f"ametadata=mode=print:key={_LEVEL}:direct=1:file=-"
#: Of a frame: when it is, in s, and how loud.
_HEARD = re.compile(rb"pts_time:(\S+)\n" + re.escape(_LEVEL.encode()) + rb"=(\S+)\n")


class Undecodable(Reasoned):
    """There was no answer; ``why`` says why. What was sent is damaged, or the machine has no time."""


class Decoders(Protocol):
    """What ``eyes`` asks."""

    @property
    def spent_s(self) -> float:
        """Seconds on a CPU so far."""

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
        self._h264, self._hevc = _Eye(sandbox, probes.H264), _Eye(sandbox, probes.HEVC)
        self._ear = _Ear(sandbox)

    @property
    def spent_s(self) -> float:
        """See ``Decoders``."""
        return sum(child.spent_s for child in (self._h264, self._hevc, self._ear))

    async def picture(self, header: bytes, keyframe: bytes) -> bytes:
        """See ``Decoders``."""
        eye = self._hevc if is_hevc(header) else self._h264
        tags = [(VIDEO, header), (VIDEO, keyframe)]
        if not begins_anew(header, keyframe):
            # Then a decoder is to have seen nothing but another stream's IDR picture.
            tags = [*probes.H264, *tags]
        count = len(tags) // 2
        pictures = await eye.ask(tags, count, count, self.answer_s)
        return pictures[-_PICTURE_BYTES:]

    async def level(self, header: bytes, sounds: Sequence[bytes]) -> float:
        """See ``Decoders``."""
        tags = [(AUDIO, header), *((AUDIO, body) for body in sounds)]
        answer = await self._ear.ask(tags, len(sounds), 1, self.answer_s)
        levels = [_number(level) for _, level in _HEARD.findall(answer)]
        return max(levels[_MIXED_FRAMES:] or levels)

    async def aclose(self) -> None:
        """See ``Decoders``."""
        for child in (self._h264, self._hevc, self._ear):
            await child.aclose()


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return -inf


class _Child:
    """One child, while there is one; ``probe``: tags that it can decode."""

    def __init__(
        self, arguments: Sequence[str], sandbox: Sandbox, probe: Sequence[tuple[int, bytes]], begin: bytes
    ) -> None:
        self._arguments = arguments
        self._sandbox = sandbox
        self._probe = probe
        self._probe_count = len(probe) - 1
        self._begin = begin
        self._child: Child | None = None
        self._answers = 0
        self._spent_s = 0.0
        self._view = memoryview(bytearray(64 << 10))

    # What is particular to pictures, or to sound.

    def _count(self, answer: bytes | bytearray) -> int:
        """How many there are."""
        raise NotImplementedError

    def _learn(self, answer: bytearray) -> None:
        """That was the answer to the first probe of a child."""
        raise NotImplementedError

    def _before_probe(self, answer: bytearray, at_ms: int) -> bytes | None:
        """What came before the answer to the probe that was sent at ``at_ms`` of the stream; None: that is to come."""
        raise NotImplementedError

    @property
    def spent_s(self) -> float:
        """Seconds on a CPU so far, of all that there were."""
        running = self._child is not None and not self._child.ended.done()
        return self._spent_s + (self._child.cpu_s if self._child is not None and running else 0.0)

    async def ask(self, tags: Sequence[tuple[int, bytes]], count: int, least: int, answer_s: float) -> bytes:
        """Send the tags and return what comes back: so many, or fewer if there are no more, but ``least``. Raises
        Undecodable."""
        try:
            child = self._child
            if child is None or child.ended.done() or self._answers >= _MOST_ANSWERS or self._receive(child):
                # Or it says what nobody has asked for: its answers would be taken for those to other questions.
                child = await self._start(answer_s)
            async with asyncio.timeout(answer_s):
                await self._send(child, self._serialize(tags))
                answer = await self._answer(child, count)
        except TimeoutError:
            await self.aclose()
            raise Undecodable(Code.CONTENT_NO_ANSWER, seconds=answer_s) from None
        except ChildError as error:
            raise Undecodable(error.why) from None
        except OSError:
            await self.aclose()
            raise Undecodable(Code.CONTENT_DECODER_ENDED) from None
        except asyncio.CancelledError:
            # Its answer would be taken for that to the next question.
            await self.aclose()
            raise
        if self._count(answer) < least:
            raise Undecodable(Code.CONTENT_DAMAGED)
        return answer

    async def _start(self, answer_s: float) -> Child:
        await self.aclose()
        child = self._child = Child(
            [ffmpeg_program(), *self._arguments],
            sandbox=self._sandbox,
            takes_stdin=True,
            pipe_bytes=_PIPE_BYTES,
            redact=lambda _: "",
        )
        self._answers = 0
        async with asyncio.timeout(answer_s):
            await self._send(child, self._begin + self._serialize(self._probe))
            answer = bytearray()
            while self._count(answer) < self._probe_count:
                await self._wait(child, answer)
        self._learn(answer)
        return child

    async def _answer(self, child: Child, count: int) -> bytes:
        answer = bytearray()
        try:
            async with asyncio.timeout(PROBE_AFTER_S):
                while self._count(answer) < count:
                    await self._wait(child, answer)
                return bytes(answer)
        except TimeoutError:
            pass
        await self._send(child, self._serialize(self._probe))
        at_ms = self._answers * _STEP_MS
        while (before := self._before_probe(answer, at_ms)) is None:
            await self._wait(child, answer)
        return before

    def _serialize(self, tags: Sequence[tuple[int, bytes]]) -> bytes:
        self._answers += 1
        at_ms = self._answers * _STEP_MS
        return b"".join(serialize_tag(kind, at_ms + n * _FRAME_MS, body) for n, (kind, body) in enumerate(tags))

    async def _send(self, child: Child, data: bytes) -> None:
        unsent = memoryview(data)
        while unsent:
            unsent = unsent[child.send([unsent]) :]
            if unsent:
                await asyncio.sleep(_SEND_AGAIN_S)

    async def _wait(self, child: Child, answer: bytearray) -> None:
        """For more of it."""
        if not await child.wait_output():
            raise BrokenPipeError
        if received := self._receive(child):
            answer += self._view[:received]

    def _receive(self, child: Child) -> int:
        return child.receive_into(self._view) or 0

    async def aclose(self) -> None:
        """End it."""
        self._spent_s = self.spent_s
        child, self._child = self._child, None
        if child is not None:
            await child.aclose()


class _Eye(_Child):
    """Answers with one small picture after the other."""

    def __init__(self, sandbox: Sandbox, probe: Sequence[tuple[int, bytes]]) -> None:
        begin = serialize_flv_header(has_audio=False, has_video=True)
        super().__init__((*_INPUT, *_TO_PICTURES), sandbox, probe, begin)
        self._known = b""

    def _count(self, answer: bytes | bytearray) -> int:
        return len(answer) // _PICTURE_BYTES

    def _learn(self, answer: bytearray) -> None:
        self._known = bytes(answer)

    def _before_probe(self, answer: bytearray, at_ms: int) -> bytes | None:
        is_there = len(answer) % _PICTURE_BYTES == 0 and answer.endswith(self._known)
        return bytes(answer[:-_PICTURE_BYTES]) if is_there else None


class _Ear(_Child):
    """Answers with the level of one frame after the other, each with its time."""

    def __init__(self, sandbox: Sandbox) -> None:
        levels = (*_TO_LEVELS[:2], _TO_LEVELS[2] + _PRINT, *_TO_LEVELS[3:])
        begin = serialize_flv_header(has_audio=True, has_video=False)
        super().__init__((*_INPUT, *levels), sandbox, probes.AAC, begin)
        # What the child says of the time at which the stream has 0.
        self._zero_s = 0.0

    def _count(self, answer: bytes | bytearray) -> int:
        return len(_HEARD.findall(answer))

    def _learn(self, answer: bytearray) -> None:
        at_s, _ = _HEARD.findall(answer)[0]
        self._zero_s = _number(at_s) - _STEP_MS / 1000

    def _before_probe(self, answer: bytearray, at_ms: int) -> bytes | None:
        heard = [
            one for one in _HEARD.finditer(answer) if _number(one[1]) - self._zero_s >= at_ms / 1000 - _FRAME_MS / 2000
        ]
        return bytes(answer[: heard[0].start()]) if len(heard) >= self._probe_count else None
