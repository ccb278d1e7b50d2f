"""A session of a live source that is on air, as one keeper hands it to another: nothing of it is opened anew."""

import asyncio
from dataclasses import dataclass, field

from streamferry.media.errors import SourceError
from streamferry.relay.drift import Drift
from streamferry.relay.encoded import EncodedFeed
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.spec import Input, RelaySpec
from streamferry.source import SourceMemory
from streamferry.source.shared import Share


@dataclass(slots=True)
class LiveSession:
    """The flow pulls ``feed``, and says in ``lost`` how it ended. ``share``: its part of a pull; None: nobody else can
    have one.

    ``of``: what it was opened for (``session_key``); ``is_encoded``: whether it was encoded, in whatever way it is
    pulled by now. ``drift`` and ``memory`` are of the source, over all its sessions.
    """

    of: tuple[object, ...]
    feed: LiveFeed | EncodedFeed
    lost: "asyncio.Future[SourceError]"
    share: Share | None = None
    is_encoded: bool = False
    drift: Drift = field(default_factory=Drift)
    memory: SourceMemory = field(default_factory=SourceMemory)

    def close(self, flow: LiveFlow) -> None:
        """Take it off the air, and close it."""
        flow.detach_feed()
        if self.share is not None:
            self.share.close()


def session_key(one: Input, spec: RelaySpec) -> tuple[object, ...]:
    """What decides how a session of an input is opened: while that is equal it needs no other one."""
    return one.items, one.options, spec.watermark, spec.codecs, spec.silence
