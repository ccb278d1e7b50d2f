"""A list of files as if it were live: what is due of it as tags, at the pace of the clock.

The list plays as it does alone (``relay.list_flow``), but into a session of ours that collects its tags; a pull takes
them. Its joins, its order and its edits are those of ``relay.file_feed``. Nothing is sent ahead of its time: what comes
after it on air would be late by that.
"""

import asyncio
import math
import time

from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import LaidTag, Tag
from streamferry.push.forms import Forms
from streamferry.push.session import ChunkSession, Link
from streamferry.relay.list_flow import ListFlow
from streamferry.wire.rtmp.framed import Framed


class Collector:
    """A session that takes all tags at once."""

    is_blocked = False
    forms: Forms | None = None
    link: Link | None = None
    move_asked: asyncio.Event | None = None
    chunks: ChunkSession | None = None
    framed: Framed | None = None

    def __init__(self) -> None:
        self.sent_bytes = 0
        self._tags: list[LaidTag] = []

    @property
    def acked_bytes(self) -> int:
        """All of them."""
        return self.sent_bytes

    def write(self, tags: list[LaidTag]) -> int:
        """See ``push.Session``."""
        self._tags += tags
        self.sent_bytes += sum(len(tag[2]) for tag in tags)
        return len(tags)

    def take(self) -> list[LaidTag]:
        """What was written since the last call; bodies are views of the file."""
        tags, self._tags = self._tags, []
        return tags

    def flush(self) -> bool:
        """See ``push.Session``."""
        return True

    def check(self) -> None:
        """See ``push.Session``."""

    def lead_next(self) -> str:
        """See ``push.Session``."""
        return ""

    def drop_late(self, unsent_bytes: int) -> None:
        """See ``push.Session``."""

    async def aclose(self, *, goes_on: bool = False) -> None:
        """See ``push.Session``."""

    def abort(self) -> None:
        """See ``push.Session``."""


class FileInlet:
    """A LiveInlet. ``flow``: of the list, with ``collector`` attached; closing detaches it."""

    #: Whether a list has something to play is its input's to judge.
    silence_s = math.inf
    is_mute = False
    lost_packets = 0

    def __init__(self, flow: ListFlow, now: float) -> None:
        self._flow: ListFlow | None = flow
        self._collector = Collector()
        flow.attach_session(self._collector, now)

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See ``LiveInlet``; what a list gives was not received now."""
        if self._flow is not None:
            self._flow.visit(time.monotonic())
            out += [(tag_type, to_wire_ms(dts_ms), body) for tag_type, dts_ms, body, _ in self._collector.take()]
        return 0

    def close(self) -> None:
        """See ``LiveInlet``."""
        if self._flow is not None:
            self._flow.detach_session()
            self._flow = None
