"""What comes in an RTSP session that plays: packets of its tracks to tags, and the reports between both ends.

Specification: RFC 3550, 6.2 and 6.4 (reports; one each 5 s), 6.6 (BYE).
"""

from collections.abc import Callable, Sequence

from streamferry.media.tag import Tag
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.rtsp.clocks import TrackClock
from streamferry.wire.rtsp.message import Message, Piece
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
        self._channels: dict[int, _Channel] = {}
        self._receivers: dict[int, Callable[[bytes, float], None]] = {}
        self._picture: TrackClock | None = None
        self._picture_track: PictureTrack | None = None
        self._picture_number = -1
        self._sound: TrackClock | None = None
        self._source = own_source
        # Not all at once: a server may have begun to send to many at the same moment.
        self._next_report_at = REPORT_EVERY_S * (0.5 + own_source / 2**33)

    def add(self, track: Track, number: int) -> None:
        """Its packets come in channel ``number``, its reports in the next."""
        self._channels[number] = _Channel(track, number)
        self._receivers[number] = track.receive
        if isinstance(track, PictureTrack):
            self._picture, self._picture_track, self._picture_number = track.clock, track, number
        else:
            self._sound = track.clock

    @property
    def channels(self) -> frozenset[int]:
        """All that something may come in."""
        return frozenset(one for number in self._channels for one in (number, number + 1))

    @property
    def has_ended(self) -> bool:
        """Whether the server has said of every track that it is over."""
        return bool(self._channels) and all(channel.has_ended for channel in self._channels.values())

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

    def take(self, number: int, data: bytes, now: float) -> None:
        """What came in a channel, ``now`` s after the session began; makes ``tags``."""
        self.take_all([(number, data)], now)

    def take_all(self, pieces: Sequence[Piece], now: float) -> list[Message]:
        """The same of several; returns the messages among them."""
        receivers, picture, messages = self._receivers, self._picture_track, []
        at, count = 0, len(pieces)
        try:
            while at < count:
                if picture is not None:
                    at = picture.receive_run(pieces, at, self._picture_number)
                    if at == count:
                        break
                piece = pieces[at]
                at += 1
                if not isinstance(piece, tuple):
                    messages.append(piece)
                    continue
                number, data = piece
                receive = receivers.get(number)
                # Both kinds may come in one channel (RFC 5761); some servers do so unasked.
                if receive is not None and not (len(data) > 1 and data[1] in REPORT_TYPES):
                    receive(data, now)
                elif (channel := self._channels.get(number - (receive is None))) is not None:
                    self._take_reports(channel, data, now)
        except UnsupportedCodec as error:
            self.unsupported = str(error)
        return messages

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
