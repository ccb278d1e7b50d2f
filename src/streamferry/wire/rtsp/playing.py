"""What comes in an RTSP session that plays: packets of its tracks to tags, and the reports between both ends.

Specification: RFC 3550, 6.2 and 6.4 (reports; one each 5 s), 6.6 (BYE).
"""

from streamferry.media.tag import Tag
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.rtsp.clocks import TrackClock
from streamferry.wire.rtsp.message import PACKET, PACKET_HEAD_BYTES, Message, MessageReader, Piece
from streamferry.wire.rtsp.rtcp import (
    REPORT_TYPES,
    Received,
    SenderReport,
    parse_reports,
    serialize_bye,
    serialize_report,
)
from streamferry.wire.rtsp.tracks import PictureTrack, Track

REPORT_EVERY_S = 5.0
_NAME = "streamferry"


class _Channel:
    """A track, and what its reports have told."""

    def __init__(self, track: Track, number: int) -> None:
        self.track = track
        #: Of its RTP; RTCP has the next.
        self.number = number
        self.last_report: SenderReport | None = None
        self.reported_at = 0.0
        self.has_ended = False
        # What the last report of ours said.
        self.told_highest = self.told_lost = 0


class Playing:
    """The tracks of a session by the channels that their packets come in."""

    def __init__(self, own_source: int) -> None:
        """``own_source``: a random number of 32 bits, by which reports name us."""
        self.tags: list[Tag] = []
        #: Names of tracks that turned out not to be readable.
        self.unsupported = ""
        #: Whether the server has said of every track that it is over.
        self.has_ended = False
        self._channels: dict[int, _Channel] = {}
        self._tracks: dict[int, Track] = {}
        self._picture: TrackClock | None = None
        self._sound: TrackClock | None = None
        self._source = own_source
        # When what is being read came.
        self._now = 0.0
        # Not all at once: a server may have begun to send to many at the same moment.
        self._next_report_at = REPORT_EVERY_S * (0.5 + own_source / 2**33)

    def add(self, track: Track, number: int) -> None:
        """Its packets come in channel ``number``, its reports in the next."""
        self._channels[number] = _Channel(track, number)
        self._tracks[number] = track
        if isinstance(track, PictureTrack):
            self._picture = track.clock
        else:
            self._sound = track.clock

    @property
    def channels(self) -> frozenset[int]:
        """All that something may come in."""
        return frozenset(one for number in self._channels for one in (number, number + 1))

    @property
    def has_any(self) -> bool:
        """Whether a packet of any track has come."""
        return any(channel.track.receiver.source is not None for channel in self._channels.values())

    @property
    def has_all(self) -> bool:
        """Whether one of each has."""
        return all(channel.track.receiver.source is not None for channel in self._channels.values())

    @property
    def is_aligned(self) -> bool:
        """Whether reports have laid all tracks beside each other."""
        return all(channel.track.clock.is_placed for channel in self._channels.values())

    @property
    def lost_packets(self) -> int:
        """Of all tracks since they began."""
        return sum(channel.track.receiver.lost for channel in self._channels.values())

    def read(self, reader: MessageReader, received: bytes | memoryview, now: float) -> list[Message]:
        """Take what has come over the connection, ``now`` s after the session began; returns the messages among it."""
        self._now = now
        messages: list[Piece] = []
        reader.feed(received, messages, self._take_packets)
        return [one for one in messages if isinstance(one, Message)]

    def read_packets(self, data: bytes, now: float) -> None:
        """Take packets that lie one after another as they are interleaved, and nothing else."""
        self._now = now
        self._take_packets(data, 0)

    def take(self, number: int, data: bytes, now: float) -> None:
        """What came in a channel, ``now`` s after the session began; makes ``tags``."""
        try:
            self._take(number, data, now)
        except UnsupportedCodec as error:
            self.unsupported = str(error)

    def _take(self, number: int, data: bytes, now: float) -> None:
        track = self._tracks.get(number)
        # Both kinds may come in one channel (RFC 5761); some servers do so unasked.
        if track is not None and not (len(data) > 1 and data[1] in REPORT_TYPES):
            track.receive(data, now)
        elif (channel := self._channels.get(number - (track is None))) is not None:
            self._take_reports(channel, data, now)

    def _take_packets(self, data: bytes, at: int) -> int:
        """See ``TakePackets``. Most are the next of their track: those are taken where they lie."""
        tracks, now, size = self._tracks, self._now, len(data)
        try:
            while at + PACKET_HEAD_BYTES <= size and data[at] == PACKET:
                number, begin = data[at + 1], at + PACKET_HEAD_BYTES
                end = begin + (data[at + 2] << 8 | data[at + 3])
                if end > size:
                    break
                track = tracks.get(number)
                if track is None and number - 1 not in tracks:
                    break
                following = at if track is None else track.take_run(data, at, end, now)
                if following == at:
                    self._take(number, data[begin:end], now)
                    following = end
                at = following
        except UnsupportedCodec as error:
            self.unsupported = str(error)
            return size
        return at

    def _take_reports(self, channel: _Channel, data: bytes, now: float) -> None:
        reports = parse_reports(data)
        source = channel.track.receiver.source
        for report in reports.senders:
            if source not in (None, report.source):
                continue
            channel.last_report, channel.reported_at = report, now
            if not channel.track.clock.report(report.seconds, report.stamp):
                # Its clock was set: what others have told before belongs to the old time.
                for other in self._channels.values():
                    if other is not channel:
                        other.track.clock.forget_report()
            if self._picture is not None and self._sound is not None:
                self._picture.place_beside(self._sound)
        if source is not None and source in reports.ended:
            channel.has_ended = True
            self.has_ended = all(one.has_ended for one in self._channels.values())

    def reports(self, now: float) -> list[tuple[int, bytes]]:
        """Channels and receiver reports that are due."""
        if now < self._next_report_at:
            return []
        self._next_report_at = now + REPORT_EVERY_S
        return [(channel.number + 1, self._report(channel, now)) for channel in self._channels.values()]

    def goodbyes(self) -> list[tuple[int, bytes]]:
        """Channels and the reports that say that the receiver leaves."""
        return [(channel.number + 1, serialize_bye(self._source)) for channel in self._channels.values()]

    def _report(self, channel: _Channel, now: float) -> bytes:
        receiver = channel.track.receiver
        if receiver.source is None:
            return serialize_report(self._source, None, _NAME)
        if receiver.highest < channel.told_highest:
            channel.told_highest = channel.told_lost = 0
        due = receiver.highest - max(channel.told_highest, receiver.first)
        part = min(255, max(0, receiver.lost - channel.told_lost) * 256 // due) if due > 0 else 0
        channel.told_highest, channel.told_lost = receiver.highest, receiver.lost
        report = channel.last_report
        received = Received(
            receiver.source,
            part,
            receiver.lost,
            receiver.highest,
            round(receiver.jitter * channel.track.media.rate_hz),
            report.middle if report is not None else 0,
            now - channel.reported_at if report is not None else 0.0,
        )
        return serialize_report(self._source, received, _NAME)
