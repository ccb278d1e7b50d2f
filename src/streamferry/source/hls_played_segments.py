"""Trail: which segments of an HLS source a relay has had, over all its sessions, so that none is played twice.

A playlist names its last segments to whoever comes, and ffmpeg begins three before its end. A relay that comes back has
had some of them, and if the playlist no longer grows, all of them.
"""

#: How many segments before the end of a playlist a session begins at most (RFC 8216, 6.3.3).
AHEAD = 3


class HlsPlayedSegments:
    """Of one source. ffmpeg's words tell what it asked for; see ``net.ffmpeg.SegmentWatch``."""

    def __init__(self) -> None:
        # By playlist: of one with its sound apart there are two.
        self._had: dict[int, str] = {}
        self._asked: dict[int, str] = {}
        # Where the playlist ended that had nothing new.
        self._refused_end: int | None = None

    def ask(self, playlist: int, address: str) -> None:
        """A segment is asked for; the one before it has come."""
        self._settle(playlist)
        self._asked[playlist] = address

    def fail(self, playlist: int) -> None:
        """The segment that was asked for did not come."""
        self._asked.pop(playlist, None)

    def unseen(self, addresses: list[str], end: int) -> int:
        """How many segments of a playlist to play, of the ``addresses`` it names; ``end``: number of the one to come.

        0 if there is nothing new. A playlist that knows none of what was played is another stream: AHEAD. So is one
        whose numbers go on while its names do not.
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
    """Without its query: a token in it may be another one in each playlist."""
    return address.partition("?")[0]


def _names(addresses: list[str]) -> list[str]:
    """What tells the segments apart; nothing if they are parts of one file."""
    for names in ([_name(address) for address in addresses], addresses):
        if len(set(names)) == len(names):
            return names
    return []
