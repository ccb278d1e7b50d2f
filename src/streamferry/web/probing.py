"""Inspects an address that a user typed: it is first checked like the source of a list."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from streamferry.media.url import MediaUrl
from streamferry.tasks.checks import AddressRules, read_source
from streamferry.tasks.errors import NoProber
from streamferry.tasks.model import TaskKind
from streamferry.web.operation_views import ProbeView

#: Inspects that many seconds of an address and returns what was found. Raises ProberBusy, ProbeFailed.
Prober = Callable[[MediaUrl, float], Awaitable[ProbeView]]


@dataclass(frozen=True, slots=True)
class Probing:
    """Without ``prober`` it says so."""

    rules: AddressRules
    prober: Prober | None = None

    async def look(self, text: str, seconds: float) -> ProbeView:
        """What was found. Raises InvalidField and other errors of ``tasks.errors``; their texts contain no secret."""
        url = read_source("url", text, TaskKind.VOD, self.rules)
        if self.prober is None:
            raise NoProber
        return await self.prober(url, seconds)
