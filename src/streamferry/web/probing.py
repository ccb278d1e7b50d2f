"""A look into an address that somebody typed: judged first, as the source of a list is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from streamferry.media.url import MediaUrl
from streamferry.tasks.checks import AddressRules, read_source
from streamferry.tasks.errors import NoProber
from streamferry.tasks.model import TaskKind
from streamferry.web.operation_views import ProbeView

#: Looks at so many seconds of an address: gives what was found. Raises ProberBusy, ProbeFailed.
Prober = Callable[[MediaUrl, float], Awaitable[ProbeView]]


@dataclass(frozen=True, slots=True)
class Probing:
    """Without ``prober`` it says so."""

    rules: AddressRules
    prober: Prober | None = None

    async def look(self, text: str, seconds: float) -> ProbeView:
        """What is there. Raises InvalidField, and other errors of ``tasks.errors``; their sentences hold no secret."""
        url = read_source("url", text, TaskKind.VOD, self.rules)
        if self.prober is None:
            raise NoProber
        return await self.prober(url, seconds)
