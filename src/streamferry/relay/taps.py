"""Those who look at what a run sends: previews, and eyes. While there are none it costs nothing."""

from collections.abc import Callable

from streamferry.media.tag import LaidTag
from streamferry.push import Outlet

#: Gets what was sent, in the beat. Bodies may be views of a buffer that is used again.
Take = Callable[[list[LaidTag]], None]


class Taps:
    """At the outlet of the first destination. ``Outlet.tap`` is theirs."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._takes: tuple[Take, ...] = ()

    def add(self, take: Take) -> None:
        """Call ``take`` from now on."""
        self._takes = (*self._takes, take)
        self._set()

    def remove(self, take: Take) -> None:
        """No longer; a second time does nothing."""
        self._takes = tuple(one for one in self._takes if one != take)
        self._set()

    def follow(self, outlet: Outlet) -> None:
        """From now on look at what leaves by this one."""
        if outlet is not self._outlet:
            self._outlet.tap = None
            self._outlet = outlet
            self._set()

    def _set(self) -> None:
        takes = self._takes
        self._outlet.tap = None if not takes else takes[0] if len(takes) == 1 else self._take

    def _take(self, tags: list[LaidTag]) -> None:
        for take in self._takes:
            take(tags)
