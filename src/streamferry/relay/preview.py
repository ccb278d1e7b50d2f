"""Preview: what a run sends to its destination, as MP4 for viewers. Costs nothing while there are none.

The outlet calls ``take`` with each batch it has sent; a run without viewers has no preview at its outlet at all. The
media is copied and becomes fragments once for all viewers. A viewer begins at a keyframe: the latest, if there are
other viewers, else the next. One that does not read in time loses what waits for it, up to the next keyframe; neither
the relay nor the other viewers notice.
"""

import asyncio
import logging
from collections import deque
from typing import Protocol

from streamferry.media.tag import KEYFRAME, SEQUENCE_HEADER, LaidTag
from streamferry.reasons import Code, Reason, Reasoned
from streamferry.relay.taps import Taps
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.fmp4 import Fragmenter, Piece

_log = logging.getLogger("streamferry.relay")

#: Viewers of one run at most.
MAX_VIEWERS = 8
#: Media in a fragment: few large pieces cost a browser less than many small ones, and 0.2 s is not noticed.
_FRAGMENT_MS = 200
#: How much may wait for a viewer: 5 s in fragments of 0.2 s, at 10 Mbps, or one large group of pictures.
_MAX_WAITING_PIECES = 25
_MAX_WAITING_BYTES = 8 << 20
#: A gap in time that players do not bridge: Chromium gives up on sound at one of 5 s.
_MAX_HOLE_MS = 4_000


class PreviewRefused(Reasoned):
    """There cannot be a preview now, or no longer; the sentence says why."""


class Viewer:
    """One viewer of a run. Read until the end, and close."""

    def __init__(self, preview: "Preview") -> None:
        self._preview = preview
        self._waiting: deque[Piece] = deque()
        self._waiting_bytes = 0
        # The header of the last piece; None: the next piece starts over.
        self._header: Piece | None = None
        self._stirred = asyncio.Event()
        self._refused: Reason | None = None
        self._has_ended = False
        #: MIME type with codecs, once the first bytes were read.
        self.mime = ""

    async def read(self) -> bytes:
        """Wait for media and return all of it: whole segments. Empty at the end of the run. Raises PreviewRefused."""
        while not self._waiting:
            if self._refused is not None:
                raise PreviewRefused(self._refused)
            if self._has_ended:
                return b""
            self._stirred.clear()
            await self._stirred.wait()
        pieces = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self.mime = self.mime or pieces[0].mime
        return b"".join(piece.data for piece in pieces)

    def close(self) -> None:
        """Stop viewing. Closing again does nothing."""
        self._preview.leave(self)
        self._has_ended = True
        self._stirred.set()

    def put(self, piece: Piece, header: Piece) -> None:
        """Queue a piece that was made under ``header``, or lose what waits when there is too much of it."""
        is_full = len(self._waiting) >= _MAX_WAITING_PIECES
        if is_full or self._waiting_bytes + len(piece.data) > _MAX_WAITING_BYTES:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._header = None
        if self._header is None and not piece.is_start:
            return
        if header is not self._header:
            self._header = header
            self._append(header)
        self._append(piece)
        self._stirred.set()

    def _append(self, piece: Piece) -> None:
        self._waiting.append(piece)
        self._waiting_bytes += len(piece.data)

    def end(self, refused: Reason | None) -> None:
        """Nothing more comes after what waits, for the reason given, or because the run has ended."""
        self._refused = refused
        self._has_ended = True
        self._stirred.set()


class HasHeaders(Protocol):
    """What knows what a viewer must have before the next frame: a flow, or a timeline."""

    @property
    def headers(self) -> list[LaidTag]:
        """Metadata and sequence headers in force."""


class Preview:
    """The preview of one run. Belongs to its taps and its flow."""

    def __init__(self, taps: Taps, flow: HasHeaders) -> None:
        self._taps = taps
        self._flow = flow
        self._viewers: set[Viewer] = set()
        self._fragmenter = Fragmenter()
        self._taken: list[LaidTag] = []
        self._last_ms: int | None = None
        self._header: Piece | None = None
        # Fragments since the latest keyframe, for the next viewer.
        self._group: list[Piece] = []
        self._group_bytes = 0

    def watch(self) -> Viewer:
        """Add a viewer. Raises PreviewRefused."""
        if len(self._viewers) >= MAX_VIEWERS:
            raise PreviewRefused(Code.PREVIEW_TOO_MANY, count=MAX_VIEWERS)
        viewer = Viewer(self)
        if not self._viewers:
            self._begin()
            self._taps.add(self.take)
        elif self._header is not None and self._group:
            joined = b"".join(piece.data for piece in self._group)
            viewer.put(Piece(joined, is_start=True), self._header)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer; after the last one the work ends."""
        self._viewers.discard(viewer)
        if not self._viewers:
            self._taps.remove(self.take)
            self._group = []
            self._taken = []

    def end(self, refused: Reason | None = None) -> None:
        """End all views."""
        for viewer in tuple(self._viewers):
            self.leave(viewer)
            viewer.end(refused)

    def take(self, tags: list[LaidTag]) -> None:
        """Called by the outlet, in the beat, with what was sent: copies bodies, never waits, never raises."""
        try:
            self._take(tags)
        except UnsupportedCodec as codec:
            self.end(Reason.of(Code.PREVIEW_CODEC, codec=str(codec)))
        except ValueError as error:
            self.end(Reason.of(Code.PREVIEW_UNREADABLE, words=str(error)))
        except Exception:
            # A bug of ours that only viewers may notice: the media has already been sent.
            _log.exception("a preview failed inside streamferry")
            self.end(Reason.of(Code.PREVIEW_INTERNAL))

    def _take(self, tags: list[LaidTag]) -> None:
        taken = self._taken
        taken += [(tag[0], tag[1], bytes(tag[2]), tag[3]) for tag in tags if tag[3] <= SEQUENCE_HEADER]
        frames = [tag for tag in taken if tag[3] <= KEYFRAME]
        if not frames:
            return
        if self._last_ms is not None:
            if frames[0][1] - self._last_ms > _MAX_HOLE_MS:
                # A new viewer begins after the gap.
                self.end()
                return
            if frames[-1][1] - self._last_ms < _FRAGMENT_MS:
                return
        self._last_ms = frames[-1][1]
        self._taken = []
        for piece in self._fragmenter.put(taken):
            self._hand_out(piece)

    def _begin(self) -> None:
        self._fragmenter = Fragmenter()
        self._last_ms = self._header = None
        self._group_bytes = 0
        self._taken = [tag for tag in self._flow.headers if tag[3] == SEQUENCE_HEADER]

    def _hand_out(self, piece: Piece) -> None:
        if piece.mime:
            self._header = piece
            self._group = []
            return
        assert self._header is not None  # The first piece of a fragmenter is one.
        if piece.is_start:
            self._group, self._group_bytes = [], 0
        if piece.is_start or self._group:
            self._group.append(piece)
            self._group_bytes += len(piece.data)
            if self._group_bytes > _MAX_WAITING_BYTES:
                self._group = []
        for viewer in self._viewers:
            viewer.put(piece, self._header)
