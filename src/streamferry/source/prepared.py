"""Plays a prepared file: which stretch of its bytes is due, for the beat, and what the next file needs to join it.

It neither opens nor waits, and knows no clock: the caller that paces gives the stamp to read up to. Not here: how the
file is made (``prepare``), how its stamps are mapped (``timeline``), and how its bytes leave (``push``).
"""

from typing import Protocol

from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import MediaError, SourceUnsupported
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.reasons import Code
from streamferry.wire.flv import NEVER_MS
from streamferry.wire.rtmp.chunk_file import STEP_MS, Index, TagScan, end_of_message, restamped

# How far the reader goes between two hints to the kernel; what is read ahead is twice that far.
_ADVISE_STEP_BYTES = 2 << 20
# Length of a frame where no other tells it.
_LONE_FRAME_MS = {VIDEO: 40, AUDIO: 23}


class PlayableFile(Protocol):
    """What the reader needs of a prepared file; ``prepare.PreparedFile`` is one."""

    #: Of the open file.
    descriptor: int
    headers: list[Tag]
    #: Tag types that it has, or may have later.
    tracks: frozenset[int]
    index: Index
    end_offset: int
    complete: bool
    failed: MediaError | None
    #: Why it is shorter than it claims, once it is complete.
    cut_short: MediaError | None
    duration_ms: int
    #: Stamp and length of the last frame of each track, once it is complete.
    ends: dict[int, tuple[int, int]]
    #: Whether its headers change in its midst.
    changes_headers: bool

    @property
    def known_ms(self) -> int:
        """Stamp up to which all its media is known, as long as it grows."""

    def view(self) -> memoryview:
        """The bytes that can be read now, at least ``end_offset`` of them."""

    def advise(self, offset: int, asked: int = 0) -> int:
        """The reader will read from ``offset`` on, and no longer needs what is before it; gives how far that was heard,
        which is ``asked`` the next time.
        """

    def retain(self) -> None:
        """Add a holder."""

    def close(self) -> None:
        """Remove a holder."""


class PreparedReader:
    """One pass over a file, from the keyframe at or before ``start_ms`` to the last message before ``end_ms``.

    Both count from the file's origin, its first picture, as a user counts; the messages' stamps begin at 0, which with
    the priming of AAC is some milliseconds earlier. Takes over the caller's hold of the file. Raises SourceUnsupported
    if nothing lies between the two; then the file stays the caller's.
    """

    __slots__ = (
        "_advise_at",
        "_asked",
        "_end_ms",
        "_last_ms",
        "_scan",
        "_step",
        "at_end",
        "file",
        "is_cut",
        "needs_place",
        "offset",
        "place",
        "reached_ms",
        "start_dts_ms",
        "starved",
        "unsent_tracks",
    )

    def __init__(
        self, file: PlayableFile, start_ms: int = 0, end_ms: int | None = None, place: int | None = None
    ) -> None:
        """``place``: where it begins, if that is known."""
        if end_ms is not None and end_ms <= start_ms:
            raise SourceUnsupported(Code.FILE_END_BEFORE_START, end_ms=end_ms, start_ms=start_ms)
        if file.complete and start_ms >= file.duration_ms:
            raise SourceUnsupported(Code.FILE_START_AFTER_END, start_ms=start_ms, duration_ms=file.duration_ms)
        self.file = file
        index = file.index
        self._end_ms = end_ms
        # Stamp of the last message that may be in the pass.
        self._last_ms = NEVER_MS if end_ms is None else index.origin_ms + end_ms - 1
        #: Number of the place in the index where it begins.
        self.place = place or (index.place_at_or_before(start_ms + index.origin_ms) if start_ms else 0)
        #: Where it stands: everything before that has been given.
        self.offset = index.place_offsets[self.place]
        #: Stamp of the place where it begins.
        self.start_dts_ms = index.place_stamps[self.place]
        #: All that is stamped up to there has been given, and at most some ``STEP_MS`` more.
        self.reached_ms = self.start_dts_ms
        #: Tracks of which the pass has not sent a message yet.
        self.unsent_tracks = set(file.tracks)
        #: Whether everything was given.
        self.at_end = False
        #: Whether that was less than was asked for, because it ended at a place.
        self.is_cut = False
        #: Whether it is to go on where it ends: that has to be a place.
        self.needs_place = False
        #: Whether the file still grows and has nothing more now.
        self.starved = False
        self._scan: TagScan | None = None
        # Number of the step up to which was given last; those before it are never looked at again.
        self._step = 0
        self._advise_at = self.offset + _ADVISE_STEP_BYTES
        self._asked = file.advise(self.offset)

    @property
    def position_ms(self) -> int:
        """All media up to there has been given, from the file's origin; at most some ``STEP_MS`` more."""
        if self.at_end and not self.is_cut:
            return self.end_ms or self._end_ms or 0
        return self.position_of(self.reached_ms)

    def position_of(self, stamp_ms: int) -> int:
        """Position of a stamp in the file, from its origin."""
        return max(0, stamp_ms - self.file.index.origin_ms)

    @property
    def end_ms(self) -> int | None:
        """Where the pass ends, from the file's origin; None as long as the file grows."""
        if not self.file.complete:
            return None
        return self.file.duration_ms if self._end_ms is None else min(self._end_ms, self.file.duration_ms)

    @property
    def span_ms(self) -> int | None:
        """How much of the pass is left; None as long as the file grows."""
        end_ms = self.end_ms
        return None if end_ms is None else max(0, end_ms - self.position_ms)

    @property
    def failed(self) -> MediaError | None:
        """Why there is nothing more, if the file ended too early; only once all of it was given."""
        if self.starved:
            return self.file.failed
        return self.file.cut_short if self.at_end and self.offset == self.file.end_offset else None

    def advance(self, until_ms: int, ends_at_place: bool = False) -> int:
        """Go on to the media stamped up to ``until_ms``, or some ms less; gives the offset to which that was.

        What lies between that and the offset before it is due. ``ends_at_place``: the pass ends at the next place at
        which a viewer can begin, in a file without a picture at once, unless it
        ``needs_place``.
        """
        file, start = self.file, self.offset
        if self.at_end:
            return start
        readable = file.end_offset
        end: int | None
        if until_ms < self._last_ms:
            index = file.index
            step = self._step = index.step_until(until_ms, self._step)
            end = index.step_offsets[step] if step < len(index.step_offsets) else None
        elif self._last_ms == NEVER_MS:
            end = None
        else:
            end = self._find_end()
            self.at_end = end is not None and end <= readable
        if end is None or end >= readable:
            end = readable
            self.starved = not (file.complete or self.at_end)
            self.at_end = self.at_end or file.complete
        else:
            self.starved = False
        if ends_at_place and self._end_at_place(start, end):
            return self.offset
        if end <= start:
            if self.starved:
                # A preparation that keeps so much of the file and no more goes on when what was given before has left.
                self._asked = file.advise(start, self._asked)
            return start
        self.offset = end
        if self.at_end or self.starved:
            self.reached_ms = max(self.reached_ms, min(self._last_stamp_before(end), self._last_ms))
        elif until_ms - STEP_MS >= self.reached_ms:
            self.reached_ms = until_ms - STEP_MS + 1
        if end >= self._advise_at:
            self._advise_at = end + _ADVISE_STEP_BYTES
            # No further: what was given last is in use until the next call.
            self._asked = file.advise(start, self._asked)
        return end

    def _last_stamp_before(self, offset: int) -> int:
        file = self.file
        if file.complete and offset == file.end_offset:
            return max((last_ms for last_ms, _ in file.ends.values()), default=0)
        return file.index.step_before(offset)

    def _find_end(self) -> int | None:
        """Where the pass ends before the file does; None if it does not, as far as can be read."""
        index, file = self.file.index, self.file
        near = index.offset_until(self._last_ms)
        if near is None or near >= file.end_offset:
            return None
        # The last STEP_MS are looked at message by message.
        scan = TagScan(index, index.place_behind(near))
        view, tags = file.view(), list[Tag]()
        scan.read(view, near, tags)
        while (start := scan.offset) < file.end_offset:
            tags.clear()
            scan.read(view, end_of_message(view, start), tags)
            if tags[0][1] > self._last_ms:
                return start
        return None

    def _end_at_place(self, start: int, end: int) -> bool:
        index = self.file.index
        if VIDEO in self.file.tracks or (self.needs_place and index.has_places):
            place = index.place_from(start)
            if place is None or index.place_offsets[place] > end:
                return False
            if self.at_end and index.place_offsets[place] == end:
                # Nothing of the pass is left there.
                return False
            self.offset, self.reached_ms = index.place_offsets[place], index.place_stamps[place]
        else:
            self.reached_ms = max(self.ends().values(), default=self.reached_ms)
        self.at_end, self.starved, self.is_cut = True, False, True
        return True

    def pieces(self, start: int, add_ms: int, message_stream_id: int) -> "list[bytes | memoryview]":
        """What was given from the offset ``start`` on, for a gathered write.

        Of each track that was not sent before, the first message has a type 0 header, its stamp ``add_ms`` more than in
        the file; the others follow from that.
        """
        file, at = self.file, start
        firsts: list[tuple[int, int]] = []
        for tag_type in tuple(self.unsent_tracks):
            first = file.index.first_of(tag_type, self.place)
            if first is not None and first[1] < self.offset:
                firsts.append(first)
            if first in firsts or (first is None and file.complete):
                self.unsent_tracks.discard(tag_type)
        view = file.view()
        pieces: list[bytes | memoryview] = []
        for stamp_ms, offset in sorted(firsts, key=lambda first: first[1]):
            if offset > at:
                pieces.append(view[at:offset])
            message, at = restamped(view, offset, stamp_ms + add_ms, message_stream_id)
            pieces += message
        if at < self.offset:
            pieces.append(view[at : self.offset])
        return pieces

    def tags(self, start: int, out: list[Tag]) -> None:
        """Append what was given from the offset ``start`` on, with its stamps in the file; bodies may be views."""
        scan, index, view = self._scan, self.file.index, self.file.view()
        if scan is None or scan.offset != start:
            place = self.place if start == index.place_offsets[self.place] else index.place_behind(start)
            scan = self._scan = TagScan(index, place)
            scan.read(view, start, [])
        scan.read(view, self.offset, out)

    def first_stamps(self) -> dict[int, int]:
        """Stamp of the first message of each track, by tag type, for the join.

        Of a track that has not come yet in a file that grows: the stamp before which it does not come.
        """
        file, stamps = self.file, {}
        for tag_type in file.tracks:
            first = file.index.first_of(tag_type, self.place)
            if first is not None:
                stamps[tag_type] = first[0]
            elif not file.complete:
                stamps[tag_type] = max(file.known_ms, self.start_dts_ms)
        return stamps or {VIDEO: self.start_dts_ms}

    def ends(self) -> dict[int, int]:
        """Where each track that was given ends, by tag type: stamp and length of its last frame, for the next join."""
        file, index = self.file, self.file.index
        if file.complete and self.offset == file.end_offset:
            return {
                tag_type: last_ms + frame_ms
                for tag_type, (last_ms, frame_ms) in file.ends.items()
                if index.first_of(tag_type, self.place) is not None
            }
        ends: dict[int, int] = {}
        for tag_type in file.tracks:
            place = self._last_place_before_end(tag_type)
            if place is None:
                continue
            tags: list[Tag] = []
            TagScan(index, place).read(file.view(), self.offset, tags)
            stamps = [stamp for kind, stamp, body in tags if kind == tag_type and tag_kind(kind, body) <= KEYFRAME]
            if stamps:
                frame_ms = stamps[-1] - stamps[-2] if len(stamps) > 1 else _LONE_FRAME_MS[tag_type]
                ends[tag_type] = stamps[-1] + frame_ms
        return ends

    def _last_place_before_end(self, tag_type: int) -> int | None:
        """The last place of the pass from which on a track has a message that was given."""
        index = self.file.index
        for place in range(index.place_behind(self.offset - 1), self.place - 1, -1):
            first = index.first_of(tag_type, place)
            if first is not None and first[1] < self.offset:
                return place
        return None

    def reopen_at_keyframe(self, position_ms: int) -> "PreparedReader":
        """A reader of the same pass from the keyframe at or before a position in it; close both."""
        self.file.retain()
        return PreparedReader(self.file, position_ms, self._end_ms)

    def reopen_where_cut(self) -> "PreparedReader":
        """A reader of what is left of a pass that was cut; close both.

        At its place, where there is one: two may have the same position, as sound may begin before the first picture.
        """
        index, position_ms = self.file.index, self.position_of(self.reached_ms)
        place = index.place_from(self.offset)
        if place is None or index.place_offsets[place] != self.offset:
            return self.reopen_at_keyframe(position_ms)
        self.file.retain()
        return PreparedReader(self.file, position_ms, self._end_ms, place)

    def close(self) -> None:
        """Release the file."""
        self._scan = None
        self.file.close()
