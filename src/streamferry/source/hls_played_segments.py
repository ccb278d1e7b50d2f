"""Which segments of an HLS source a relay has played, over all its sessions, so that none is played twice.

A playlist lists the latest segments, and ffmpeg begins three before its end. A relay that reconnects has already played
some of them, or all of them if the playlist no longer grows.
"""

#: A session begins at most this many segments before the end of a playlist (RFC 8216, 6.3.3).
AHEAD = 3


class HlsPlayedSegments:
    """For one source. ffmpeg's log shows what it requested; see ``net.ffmpeg.SegmentWatch``."""

    def __init__(self) -> None:
        # By playlist: with separate sound there are two.
        self._had: dict[int, str] = {}
        self._asked: dict[int, str] = {}
        # Where the last playlist without anything new ended.
        self._refused_end: int | None = None

    def ask(self, playlist: int, address: str) -> None:
        """A segment is requested; the previous one has arrived."""
        self._settle(playlist)
        self._asked[playlist] = address

    def fail(self, playlist: int) -> None:
        """The requested segment did not arrive."""
        self._asked.pop(playlist, None)

    def unseen(self, addresses: list[str], end: int) -> int:
        """How many of the ``addresses`` in a playlist are to be played; ``end``: number of the next segment to come.

        0 if there is nothing new. A playlist without any segment that was played is another stream: AHEAD. So is one
        whose numbers continue while its names do not.
        """
        for playlist in list(self._asked):
            self._settle(playlist)
        names = _names(addresses)
        had = {_name(address) for address in self._had.values()} | set(self._had.values())
        places = [place for place, name in enumerate(names) if name in had]
        count = len(names) - 1 - places[-1] if places else AHEAD
        if count == 0 and self._refused_end in (None, end):
            self._refused_end = end
            return 0
        self._refused_end = None
        return min(count, AHEAD) or AHEAD

    def _settle(self, playlist: int) -> None:
        if playlist in self._asked:
            self._had[playlist] = self._asked.pop(playlist)


def _name(address: str) -> str:
    """The address without its query, which may hold a different token in each playlist."""
    return address.partition("?")[0]


def _names(addresses: list[str]) -> list[str]:
    """The names that tell segments apart; empty if they are parts of one file."""
    for names in ([_name(address) for address in addresses], addresses):
        if len(set(names)) == len(names):
            return names
    return []
