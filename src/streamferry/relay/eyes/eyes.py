"""Eyes: what the watchers of a process have copied, decoded one after the other.

At most a fifth of one core goes into it: after each answer there is a pause of four times what it has cost. With more
to see than that each stream is looked at less often; the media does not notice.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from streamferry.reasons import Code, Reason
from streamferry.relay.eyes.decoders import Decoders, FfmpegDecoders, Undecodable

_log = logging.getLogger("streamferry.relay")
_T = TypeVar("_T")

_PAUSE = 4.0
_LEAST_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Answer(Generic[_T]):
    """What was asked for, or why it could not be decoded."""

    value: _T | None
    why: Reason | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one stream. ``picture``: header and keyframe; ``sound``: header and frames. ``tell``: called once, with both
    answers; None where nothing was asked."""

    picture: tuple[bytes, bytes] | None
    sound: tuple[bytes, Sequence[bytes]] | None
    tell: Callable[[Answer[bytes] | None, Answer[float] | None], None]


class Eyes:
    """Made inside a running event loop; close it. Nothing runs before the first sample."""

    def __init__(
        self,
        decoders: Decoders | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._decoders = decoders or FfmpegDecoders()
        self._sleep = sleep
        self._samples: deque[Sample] = deque()
        self._stirred = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def put(self, sample: Sample) -> None:
        """Decode it when its turn comes. Each ``Sight`` has one at a time."""
        self._samples.append(sample)
        self._stirred.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="eyes")

    async def aclose(self) -> None:
        """End; what waits is forgotten."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        await self._decoders.aclose()

    async def _work(self) -> None:
        while True:
            await self._stirred.wait()
            if not self._samples:
                self._stirred.clear()
                continue
            before_s = self._decoders.spent_s
            sample = self._samples.popleft()
            picture = None if sample.picture is None else await self._answer(self._decoders.picture(*sample.picture))
            level = None if sample.sound is None else await self._answer(self._decoders.level(*sample.sound))
            try:
                sample.tell(picture, level)
            except Exception:
                _log.exception("a sample could not be judged: a bug of streamferry")
            await self._sleep(max(_LEAST_PAUSE_S, _PAUSE * (self._decoders.spent_s - before_s)))

    async def _answer(self, asked: Awaitable[_T]) -> Answer[_T]:
        try:
            return Answer(await asked)
        except Undecodable as error:
            return Answer(None, error.why)
        except Exception:
            _log.exception("a sample could not be decoded: a bug of streamferry")
            return Answer(None, Reason.of(Code.SERVICE_INTERNAL))
