"""Fragmented MP4 to tags: the first picture and the first sound of what an init segment tells, as their bytes come.

Boxes are read one after another: an index (moov) and the head of a fragment (moof) when all of them has come, media
(mdat) as it comes, all others are passed by. Where a box is damaged the rest of the segment is passed by too.

Specification: ISO/IEC 14496-12; ISO/IEC 23000-19 (CMAF).
"""

from itertools import accumulate

from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.wire.mp4.fragments import Sample, samples_of
from streamferry.wire.mp4.frames import Frames
from streamferry.wire.mp4.tracks import Track, is_fragmented, tracks_of

#: Of a moov or a moof: four minutes of frames have 1 MB.
MAX_HEAD_BYTES = 1 << 20
_COLLECTED = (b"moov", b"moof")
_HEAD_BYTES, _LONG_HEAD_BYTES = 8, 16
_ENDLESS = 1 << 63


class Mp4Demuxer:
    """Takes bytes in any pieces; memory is bounded by one frame and the head of one fragment."""

    def __init__(self) -> None:
        # Where the next byte is in its segment; what is held of a box, and how much of it is needed to go on.
        self._at = 0
        self._held = bytearray()
        self._needed = _HEAD_BYTES
        # How much of a box is left that is not held, and whether that is media.
        self._left = 0
        self._is_media = False
        self._moov = b""
        self._tracks: list[Track] = []
        self._by_number: dict[int, Track] = {}
        self._frames: dict[int, Frames] = {}
        self._unread = ""
        # The frames of the present fragment; how many of them are done, and what has come of the next.
        self._samples: list[Sample] = []
        self._done = 0
        self._pieces: list[memoryview | bytes] = []
        self._come = 0
        # When each is decoded, and the lowest such stamp from each on, in ms.
        self._stamps: list[int] = []
        self._lowest: list[int] = []

    @property
    def is_known(self) -> bool:
        """Whether an init segment has come."""
        return bool(self._moov)

    @property
    def has_sound(self) -> bool:
        """Whether it says that it has sound."""
        return any(track.kind == "audio" for track in self._tracks)

    @property
    def unsupported(self) -> str:
        """Name of what only ffmpeg reads, empty if there is nothing."""
        return self._unread

    @property
    def encrypted(self) -> str:
        """How a track is encrypted, empty if none is."""
        return next((track.scheme for track in self._tracks if track.scheme), "")

    @property
    def pending_ms(self) -> int | None:
        """The lowest stamp of what is told to come in the present fragment and has not come, None if all has."""
        return self._lowest[self._done] if self._done < len(self._lowest) else None

    def begin_segment(self) -> None:
        """The next bytes are the beginning of a segment, or of an init segment."""
        if self._needed == _ENDLESS:
            self._read_box(bytes(self._held[4:8]), memoryview(bytes(self._held)), _HEAD_BYTES)
        self._held.clear()
        self._at, self._left, self._needed, self._is_media = 0, 0, _HEAD_BYTES, False
        self._drop_fragment()

    def feed(self, data: bytes | memoryview, out: list[Tag]) -> None:
        """Append the tags of which all has come now; their bodies are bytes of their own."""
        view = memoryview(data)
        at, size = 0, len(view)
        while at < size:
            if self._left:
                count = min(self._left, size - at)
                if self._is_media and self._done < len(self._samples):
                    self._take(view[at : at + count], out)
                self._left -= count
            else:
                count = min(self._needed - len(self._held), size - at, MAX_HEAD_BYTES + 1 - len(self._held))
                self._held += view[at : at + count]
            at += count
            self._at += count
            if not self._left:
                if len(self._held) >= self._needed:
                    self._begin_box()
                elif len(self._held) > MAX_HEAD_BYTES:
                    self._pass_by(_ENDLESS)
        # What is held of a frame is not the caller's buffer.
        if self._pieces and not isinstance(self._pieces[-1], bytes):
            self._pieces[-1] = bytes(self._pieces[-1])

    def finish(self, out: list[Tag]) -> None:
        """No more will come: nothing is held that is whole."""

    def _begin_box(self) -> None:
        """What was needed of a box is held: its head, a longer head, or all of it."""
        held = self._held
        size, name, head = int.from_bytes(held[:4]), bytes(held[4:8]), _HEAD_BYTES
        if size == 1:
            head = _LONG_HEAD_BYTES
            if len(held) < head:
                self._needed = head
                return
            size = int.from_bytes(held[8:16])
        if size == 0:
            size = _ENDLESS
        if size < head:
            self._pass_by(_ENDLESS)
        elif name in _COLLECTED:
            if len(held) < size:
                self._needed = size
                if _ENDLESS > size > MAX_HEAD_BYTES:
                    self._pass_by(size - len(held))
                return
            whole = memoryview(bytes(held))
            self._held, self._needed = bytearray(), _HEAD_BYTES
            self._read_box(name, whole, head)
        else:
            self._pass_by(size - head)
            self._is_media = name == b"mdat"

    def _pass_by(self, count: int) -> None:
        self._held.clear()
        self._needed, self._left, self._is_media = _HEAD_BYTES, count, False

    def _read_box(self, name: bytes, whole: memoryview, head_bytes: int) -> None:
        content = whole[head_bytes:]
        if name == b"moov":
            self._begin_movie(content)
        elif name == b"moof":
            self._samples = samples_of(content, self._by_number, self._at - len(whole), self._at)
            self._done, self._come, self._pieces = 0, 0, []
            self._stamps = [_stamp_ms(track, dts) for _, _, track, _, dts, _, _ in self._samples]
            self._lowest = [*accumulate(reversed(self._stamps), min)][::-1]

    def _drop_fragment(self) -> None:
        self._samples, self._stamps, self._lowest, self._pieces = [], [], [], []
        self._done = self._come = 0

    def _begin_movie(self, moov: memoryview) -> None:
        if moov == self._moov:
            return
        self._moov = bytes(moov)
        self._drop_fragment()
        self._tracks = tracks_of(moov)
        self._by_number, self._unread = {}, ""
        for kind in ("video", "audio"):
            found = [track for track in self._tracks if track.kind == kind]
            chosen = next((track for track in found if track.form.is_read), None)
            if chosen is not None:
                self._by_number[chosen.number] = chosen
                tag_type = VIDEO if kind == "video" else AUDIO
                if tag_type not in self._frames:
                    self._frames[tag_type] = Frames(tag_type)
            elif found and not self._unread:
                self._unread = found[0].form.codec
        if not is_fragmented(moov):
            self._unread = "MP4 that is not fragmented"

    def _take(self, chunk: memoryview, out: list[Tag]) -> None:
        """Media has come: append the frames that are complete."""
        samples, number = self._samples, self._done
        begin = self._at
        end = begin + len(chunk)
        while number < len(samples):
            place, size, track, index, dts, pts, flags = samples[number]
            if place >= end:
                break
            at = place + self._come
            if at < begin:
                number, self._come, self._pieces = number + 1, 0, []
                continue
            stop = place + size
            piece = chunk[at - begin : stop - begin]
            if stop > end:
                self._pieces.append(piece)
                self._come += len(piece)
                break
            if self._pieces:
                piece = memoryview(b"".join((*self._pieces, piece)))
                self._come, self._pieces = 0, []
            if 0 < index <= len(track.forms):
                frames = self._frames[VIDEO if track.kind == "video" else AUDIO]
                dts_ms = self._stamps[number]
                shown_ms = dts_ms if pts == dts else _stamp_ms(track, pts)
                frames.put(piece, track.forms[index - 1], dts_ms, shown_ms, flags, out)
            number += 1
            if track.kind == "audio":
                number = self._take_like(number, chunk, out)
        self._done = number
        if number == len(samples):
            # Some 100 KB that nobody needs until the next fragment comes.
            self._drop_fragment()

    def _take_like(self, number: int, chunk: memoryview, out: list[Tag]) -> int:
        """Append frames of sound that follow one of the same form, a hundred mostly; returns the next other one."""
        samples, stamps, begin = self._samples, self._stamps, self._at
        track, index = samples[number - 1][2:4]
        first = track.forms[index - 1].first if 0 < index <= len(track.forms) else b""
        end = begin + len(chunk) if first else 0
        while number < len(samples):
            place, size, other, form, _, _, _ = samples[number]
            stop = place + size
            if other is not track or form != index or place < begin or stop > end:
                break
            out.append((AUDIO, stamps[number], first + chunk[place - begin : stop - begin]))
            number += 1
        return number


def _stamp_ms(track: Track, ticks: int) -> int:
    """A stamp of a track in ms, on the clock that all tracks share."""
    return (2000 * (ticks - track.offset) + track.hz) // (2 * track.hz)
