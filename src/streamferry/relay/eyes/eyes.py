"""Eyes: what the watchers of a process have copied, decoded one after the other.

At most a fifth of one core goes into it: after each answer there is a pause of four times its length. With more to see
than that each stream is looked at less often; the media does not notice.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from streamferry.relay.eyes.decoders import Decoders, FfmpegDecoders, Undecodable

_log = logging.getLogger("streamferry.relay")

_PAUSE = 4.0
_LEAST_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one stream. ``picture``: header and keyframe; ``sound``: header and frames. ``tell``: called with both
    answers, None where nothing was asked or there is none."""

    picture: tuple[bytes, bytes] | None
    sound: tuple[bytes, Sequence[bytes]] | None
    tell: Callable[[bytes | None, float | None], None]


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
        self._failures = 0

    def put(self, sample: Sample) -> None:
        """Decode it when its turn comes. A watcher has one at a time."""
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
            began_at = time.monotonic()
            try:
                await self._decode(self._samples.popleft())
            except Exception:
                _log.exception("a sample could not be judged: a bug of streamferry")
            await self._sleep(max(_LEAST_PAUSE_S, _PAUSE * (time.monotonic() - began_at)))

    async def _decode(self, sample: Sample) -> None:
        picture = level = None
        try:
            if sample.picture is not None:
                picture = await self._decoders.picture(*sample.picture)
            if sample.sound is not None:
                level = await self._decoders.level(*sample.sound)
            self._failures = 0
        except Undecodable as error:
            self._failures += 1
            # The first of a row: each stream that is damaged has one every minute.
            if self._failures == 1:
                _log.warning("a picture or sound could not be decoded, to be watched: %s", error)
        sample.tell(picture, level)
