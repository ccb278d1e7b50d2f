"""What a feed lays on a timeline of its own, as the tags of an inlet: a live source that is encoded."""

import time

from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import LaidTag, Tag
from streamferry.relay.encoded import EncodedFeed
from streamferry.source.live import SILENCE_S


class FeedInlet:
    """A LiveInlet; the feed is taken over."""

    silence_s = SILENCE_S
    #: Silence is the feed's matter.
    is_mute = False

    def __init__(self, feed: EncodedFeed) -> None:
        self._feed = feed
        self._received = feed.bytes_in

    @property
    def lost_packets(self) -> int:
        """See ``LiveInlet.lost_packets``."""
        return self._feed.lost_packets

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See ``LiveInlet``."""
        laid: list[LaidTag] = []
        now = time.monotonic()
        try:
            self._feed.pull(now, laid)
            self._feed.check_liveness(now)
        finally:
            out += [(tag_type, to_wire_ms(dts_ms), body) for tag_type, dts_ms, body, _ in laid]
        before, self._received = self._received, self._feed.bytes_in
        return self._received - before

    def close(self) -> None:
        """See ``LiveInlet``."""
        self._feed.close()
