"""What comes of one rendition of a live HLS source: bytes of its segments to tags on one clock without breaks."""

import time

from streamferry.media.errors import PeerUnreachable, RemoteProtocolError, SourceEnded
from streamferry.media.tag import Tag
from streamferry.reasons import Code, Reason
from streamferry.source.hls_demuxers import DEMUXERS, Demuxer
from streamferry.source.hls_held import HeldTags
from streamferry.source.hls_rendition import Rendition
from streamferry.source.hls_segment import SegmentTransfer
from streamferry.source.stretch import Stretch
from streamferry.wire.mpegts.stamps import TURN_TICKS
from streamferry.wire.segment_kind import segment_kind

_MOST_RECEIVES = 16
_MOST_BYTES = 512 << 10
# What takes more of the processor's time goes on at the next visit: all other streams wait meanwhile.
_PATIENT_FILL_S = 0.02
# Of a fragment nothing is of use before its end has come; it costs a fifth of what packets do.
_MOST_OF_FRAGMENT_BYTES = 2 << 20
#: What waits because its tracks do not go together is handed out when it is so much.
_MAX_HELD_BYTES = 16 << 20
#: A rendition that has nothing for so long does not hold the other back.
RENDITION_PATIENCE_S = 3.0
# What is received ahead of what is due; after so much the server has to wait.
_AHEAD_MS = 500
# How much of that earliness (``_early_ms``) is left after a segment.
_EARLY_DECAY = 0.95
# A segment that has to be waited for, for longer than so many times its length and some seconds, is given up; after
# some in a row another session may do better. Sooner, if more segments wait than when the session began: bits that drip
# make none of them come. A pause of our own machine counts for a second.
_TIMES, _WAITED_FOR_TIMES, _WAITED_FOR_S = 2, 0.5, 2.0
_MOST_WAITED_S = 1.0
_MOST_GIVEN_UP = 3
# No segment counts for longer.
_MAX_SEGMENT_S = 60.0
# The next segment is asked for when so much of this one is left.
_ASK_AHEAD_S = 2.0
# A segment of which nothing comes for so long is given up, and a part.
_SEGMENT_SILENCE_S, _PART_SILENCE_S = 6.0, 2.0
# Stamps that are this far from where the playlist says they are begin on another clock.
_OTHER_CLOCK_MS = 5_000
# A track that is further than this from the other, or than so many segments, has nothing at present.
_TRACK_LAG_MS, _TRACK_LAG_SEGMENTS = 3_000, 1.5
# Stamps of 33 bits at 90 kHz.
_TURN_MS = round(TURN_TICKS / 90)
_LOOK_BYTES = 16


class NeedsFfmpeg(SourceEnded):
    """The source has something that only ffmpeg reads, or that has to be encoded: it is to be opened again with it."""


class Clock:
    """How the stamps of the source are laid on one clock without its breaks; shared by all renditions."""

    def __init__(self) -> None:
        # By number of the break: what is added to stamps.
        self._shifts: dict[int, int] = {}

    def shift(self, breaks: int, stamp_ms: int, expected_ms: int) -> int:
        """What is added to stamps after so many breaks, of which ``stamp_ms`` is the first."""
        if breaks not in self._shifts:
            if len(self._shifts) > 8:
                self._shifts.pop(next(iter(self._shifts)))
            self._shifts[breaks] = expected_ms - stamp_ms
        return self._shifts[breaks]


class RenditionReader:
    """What has come of one rendition and is not due yet."""

    def __init__(self, rendition: Rendition, clock: Clock) -> None:
        self.rendition = rendition
        #: Their stamps are in ms on the clock of the inlet, which begins at 0.
        self.held = HeldTags()
        #: The stamp of the last tag that was handed out.
        self.given_ms = -1
        #: Up to which there is media of all its tracks.
        self.last_ms = -1
        #: For how long it may hold the other back.
        self.patience_s = RENDITION_PATIENCE_S
        self._clock = clock
        self._stretch = Stretch()
        #: What is received earlier than of others, since its media comes in pieces that are of no use alone.
        self._early_ms, self._filled_at, self._is_pending = 0.0, 0.0, False
        self._lag_ms = _TRACK_LAG_MS
        # Whether there is any media of the present segment.
        self._has_come = False
        # For how long the present one was waited for in all, and since something of it came.
        self._begun_at = self._waited_s = self._silent_s = 0.0
        # Segments in a row that came too slowly.
        self._given_up = 0
        # The first bytes of a segment, until they tell what it is; what was needed before the one before it.
        self._head: bytes | None = b""
        self._header = b""
        self._demuxer: Demuxer | None = None
        self._transfer: SegmentTransfer | None = None
        self._shift: int | None = None
        self._breaks = 0
        # The highest stamp.
        self._top_ms = -1
        # The first stamp of the present segment, None until it is known, where the present part of it begins if it is
        # one, and where the next is expected to begin.
        self._begin_ms: int | None = None
        self._part_begin_ms: int | None = None
        self._next_begin_ms = 0
        # The last stamps of tracks of which a segment repeats what came as its parts.
        self._had: dict[int, int] = {}

    @property
    def is_over(self) -> bool:
        """Whether all that will come has come."""
        return self._transfer is None and self.rendition.is_over

    @property
    def come_until_ms(self) -> int:
        """Up to which there is all that will come."""
        return self._top_ms if self.is_over or self.held.size_bytes > _MAX_HELD_BYTES else self.last_ms

    @property
    def is_known(self) -> bool:
        """Whether it is known what it carries."""
        return self._demuxer is not None and self._demuxer.is_known

    @property
    def has_sound(self) -> bool:
        """Whether it is known to carry sound."""
        return self._demuxer is not None and self._demuxer.has_sound

    @property
    def unsupported(self) -> str:
        """Name of what FLV cannot carry in it, empty if there is nothing."""
        return self._demuxer.unsupported if self._demuxer is not None else ""

    @property
    def encrypted(self) -> str:
        """How its media is encrypted, empty if it is not."""
        return self._demuxer.encrypted if self._demuxer is not None else ""

    @property
    def excess_segments(self) -> float:
        """By how many segments more is listed, and has not come, than when a session begins."""
        follower = self.rendition.follower
        return (self._left_s + self.rendition.ahead_s - follower.start_s) / follower.step_s

    def fill(self, scratch: memoryview, due_ms: float, now: float) -> int:
        """Receive until there is more media than is due, or nothing more is there now; returns bytes received."""
        until_ms = due_ms + _AHEAD_MS + self._early_ms
        count, began_at = 0, time.thread_time()
        for _ in range(_MOST_RECEIVES):
            most = _MOST_OF_FRAGMENT_BYTES if self._is_pending else _MOST_BYTES
            if self.last_ms >= until_ms or count > most or self.held.size_bytes > _MAX_HELD_BYTES:
                break
            transfer = self._transfer or self._begin(now)
            if transfer is None:
                break
            try:
                data = transfer.receive(scratch[: self._stretch.size_bytes])
            except (OSError, RemoteProtocolError):
                self._end(is_whole=False)
                continue
            if data is None:
                # What was not asked for in the meantime is no fault of the server.
                step_s = min(now - self._filled_at, _MOST_WAITED_S)
                self._waited_s, self._silent_s = self._waited_s + step_s, self._silent_s + step_s
                silence_s = _SEGMENT_SILENCE_S if transfer.found.segment.part is None else _PART_SILENCE_S
                if self._silent_s > silence_s or self._waited_s > self._limit_s(transfer):
                    self._give_up(transfer, now - self._begun_at)
                    continue
                break
            self._silent_s = 0.0
            if not len(data):
                self._given_up = 0
                self._end(is_whole=True)
                continue
            count += len(data)
            with self._stretch:
                self._read(transfer, data)
            if time.thread_time() - began_at > _PATIENT_FILL_S:
                break
        if self._transfer is not None and self._left_s < _ASK_AHEAD_S:
            self.rendition.want()
        if self.last_ms <= due_ms and self._is_pending:
            # A fragment has all pictures before all sound, mostly: the next is received so much earlier.
            late_ms = (now - self._filled_at) * 1000
            self._early_ms = min(self._early_ms + late_ms, self.rendition.follower.usual_s * 1000)
        self._filled_at = now
        return count

    def close(self) -> None:
        """End it."""
        self.rendition.close()
        if self._transfer is not None:
            self._transfer.close()
            self._transfer, begin_ms = None, self._transfer_begin_ms
            if begin_ms is None or self.given_ms < begin_ms:
                self.rendition.follower.put_back()

    @property
    def _left_s(self) -> float:
        """How much of the present segment has not come."""
        if self._transfer is None:
            return 0.0
        begin_ms = self._transfer_begin_ms
        come_ms = 0 if begin_ms is None else self._top_ms - begin_ms
        return max(0.0, self._transfer.seconds - come_ms / 1000)

    @property
    def _transfer_begin_ms(self) -> int | None:
        return self._begin_ms if self._part_begin_ms is None else self._part_begin_ms

    def _begin(self, now: float) -> SegmentTransfer | None:
        transfer = self._transfer = self.rendition.take()
        if transfer is None:
            return None
        self._begun_at, self._has_come = now, False
        self._waited_s = self._silent_s = 0.0
        # Servers become faster again.
        self._early_ms *= _EARLY_DECAY
        self._lag_ms = max(_TRACK_LAG_MS, round(_TRACK_LAG_SEGMENTS * min(transfer.seconds, _MAX_SEGMENT_S) * 1000))
        found = transfer.found
        if found.goes_on:
            # Its bytes are those of the same segment.
            self._part_begin_ms = self._next_begin_ms = self._next_begin_ms + round(found.lost_s * 1000)
            return transfer
        self._head, self._part_begin_ms, self._had = b"", None, {}
        if found.repeats and self._begin_ms is not None:
            # It is read from its beginning, by another demuxer, and what it has had of it is left out.
            self._had, self._demuxer = dict(self.held.last_of), None
            return transfer
        if found.is_break:
            self._finish()
            self._demuxer, self._shift = None, None
            self._breaks += 1
        self._next_begin_ms = max(self._next_begin_ms, self._top_ms + 1) + round(transfer.found.lost_s * 1000)
        self._begin_ms = None
        return transfer

    def _limit_s(self, transfer: SegmentTransfer) -> float:
        """For how long a segment may be waited for: not for as long, if others wait meanwhile."""
        is_short = transfer.found.segment.part is not None or self.excess_segments > 1
        times, more_s = (_WAITED_FOR_TIMES, _WAITED_FOR_S) if is_short else (_TIMES, _SEGMENT_SILENCE_S)
        return times * min(transfer.seconds, _MAX_SEGMENT_S) + more_s

    def _give_up(self, transfer: SegmentTransfer, seconds: float) -> None:
        self._end(is_whole=False)
        if transfer.found.segment.part is not None:
            return
        self._given_up += 1
        if self._given_up == _MOST_GIVEN_UP:
            reading = Reason.of(Code.STEP_MEDIA, peer=transfer.peer)
            self.rendition.fail(PeerUnreachable(Code.PEER_TIMED_OUT, step=reading, seconds=round(seconds)))

    def _end(self, *, is_whole: bool) -> None:
        transfer, left_s = self._transfer, self._left_s
        if transfer is None:
            return
        transfer.close()
        self._transfer = None
        # Some servers answer early, with nothing or a page, for a part that is not there yet.
        if not (is_whole and self._has_come) and transfer.found.segment.part is not None:
            self.rendition.redo(transfer.found.segment.number)
        elif not is_whole:
            self.rendition.follower.lose(left_s)
        if (begin_ms := self._transfer_begin_ms) is not None:
            self._next_begin_ms = begin_ms + round(min(transfer.seconds, _MAX_SEGMENT_S) * 1000)
        if self.rendition.follower.is_finished and self.rendition.is_over:
            self._finish()

    def _finish(self) -> None:
        tags: list[Tag] = []
        if self._demuxer is not None:
            self._demuxer.finish(tags)
        self._place(tags)

    def _read(self, transfer: SegmentTransfer, data: bytes | memoryview) -> None:
        tags: list[Tag] = []
        if self._head is not None:
            self._head += data
            if len(self._head) < _LOOK_BYTES:
                return
            data, self._head = self._head, None
            self._begin_media(bytes(data), transfer.header, tags)
        if self._demuxer is not None:
            self._demuxer.feed(data, tags)
            self._place(tags)

    def _begin_media(self, head: bytes, header: bytes, tags: list[Tag]) -> None:
        """The first bytes of a segment are there."""
        demuxer = self._demuxer
        kind = DEMUXERS[segment_kind(header or head)]
        if not isinstance(demuxer, kind):
            if demuxer is not None:
                demuxer.finish(tags)
            self._demuxer = demuxer = kind()
            self._header = b""
        if header and header != self._header:
            self._header = header
            demuxer.begin_segment()
            demuxer.feed(header, tags)
        demuxer.begin_segment()

    def _place(self, tags: list[Tag]) -> None:
        """Lay stamps on the clock without breaks."""
        pending_ms = self._demuxer.pending_ms if self._demuxer is not None else None
        if not tags:
            return
        self._has_come = True
        if self._begin_ms is None:
            first_ms = min(stamp for _, stamp, _ in tags)
            if pending_ms is not None:
                first_ms = min(first_ms, pending_ms)
            shift = self._shift
            if shift is not None and not self._continues(first_ms + shift):
                # A break that the playlist does not tell.
                shift = None
                self._breaks += 1
            if shift is None:
                shift = self._clock.shift(self._breaks, first_ms, self._next_begin_ms)
                # The other rendition may have begun on the other side of where stamps wrap.
                shift = min(
                    (shift, shift - _TURN_MS, shift + _TURN_MS),
                    key=lambda one: abs(one + first_ms - self._next_begin_ms),
                )
                if abs(shift + first_ms - self._next_begin_ms) > _OTHER_CLOCK_MS:
                    shift = self._next_begin_ms - first_ms
            self._shift = shift
            self._begin_ms = first_ms + shift
        shift = self._shift or 0
        if self._had:
            shift, tags = self._without_had(tags, shift)
        self.held.add(tags, shift)
        last_of = self.held.last_of
        top_ms = max(last_of.values())
        self._top_ms = max(self._top_ms, top_ms)
        self.last_ms = min([last for last in last_of.values() if last > top_ms - self._lag_ms])
        self._is_pending = pending_ms is not None
        if pending_ms is not None:
            self.last_ms = min(self.last_ms, pending_ms + shift - 1)

    def _without_had(self, tags: list[Tag], shift: int) -> tuple[int, list[Tag]]:
        """Of a segment that was begun as parts: what is new of it, and by what its stamps are shifted."""
        # Another demuxer counts the turns of stamps anew.
        begin_ms = min(stamp for _, stamp, _ in tags) + shift
        self._shift = shift = shift + _TURN_MS * round((self._top_ms - begin_ms) / _TURN_MS)
        had = self._had
        return shift, [tag for tag in tags if tag[1] + shift > had.get(tag[0], -1)]

    def _continues(self, stamp_ms: int) -> bool:
        """Whether a segment that begins there is on the same clock as the one before, whatever the playlist says."""
        ahead_ms = stamp_ms - self._top_ms
        return -1000 < ahead_ms < 1000 or (ahead_ms > -1000 and abs(stamp_ms - self._next_begin_ms) <= _OTHER_CLOCK_MS)
