"""Arrivals: how far the peer of a list's session has come in what was given to it. What has not arrived is repeated."""

from collections import deque

from streamferry.relay.list_entry import ListEntry

#: A new session goes back to what the old one's peer had acknowledged, but no further than this from what was given.
#: Linux holds 4 MiB unsent by itself (tcp_wmem), and of a file that is not kept 8 MiB behind its player are there.
_MAX_BACK_BYTES = 6 << 20


class Arrivals:
    """``place``: the stamp up to which the peer has acknowledged an entry, once something has begun."""

    __slots__ = ("_given", "place")

    def __init__(self) -> None:
        self.place: tuple[ListEntry, int] | None = None
        # Stamps that were reached after that, each with the bytes of the session that were on their way by then.
        self._given: deque[tuple[int, ListEntry, int]] = deque()

    def note_given(self, sent_bytes: int, entry: ListEntry) -> None:
        """All that the entry's reader gave so far is among so many bytes of the session."""
        self._given.append((sent_bytes, entry, entry.reader.reached_ms))

    def look(self, acked_bytes: int) -> ListEntry | None:
        """So much of the session has arrived; gives which entry that has come to, if it is further than before."""
        given = self._given
        if not given:
            return None
        arrived_bytes, last = max(acked_bytes, given[-1][0] - _MAX_BACK_BYTES), None
        while given and given[0][0] <= arrived_bytes:
            last = given.popleft()
        if last is None:
            return None
        _, entry, reached_ms = last
        self.place = entry, reached_ms
        return entry

    def forget_given(self) -> None:
        """The session is over."""
        self._given.clear()
