"""What viewers of many streams would see: which frame of a known clip is shown, when, and from how many at once.

The frames of the clip are known by their bytes, so nothing that the relay says about itself is believed. One receiver
in this process takes all streams; a stream's name is the application of its address, for the receiver keeps no keys.
"""

import asyncio
import hashlib
import socket
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Self

from kit import programs
from kit.clips import FPS
from streamferry.media.tag import VIDEO, Tag
from streamferry.receiver import ReceivedStream, Receiver, StreamMeter

#: AVC packet type of a tag that holds a frame.
_NALU = 1


class KnownFrames:
    """Where each frame of a clip lies. Position in ms from the clip's start."""

    def __init__(self, clip: Path) -> None:
        reading = (programs.ffmpeg(), "-v", "error", "-i", str(clip))
        lines = programs.run([*reading, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-"]).stdout.splitlines()
        (base,) = (Fraction(line.split()[-1]) for line in lines if line.startswith("#tb 0:"))
        frames = [line.split(",") for line in lines if not line.startswith("#")]
        self._positions = {digest.strip(): round(int(dts) * base * 1000) for _, dts, *_, digest in frames}
        assert len(self._positions) == len(frames), "two frames of the clip are alike"
        self._length_ms = len(frames) * 1000 / FPS

    def position_ms(self, frame: "bytes | memoryview") -> int:
        """Where a frame lies. KeyError for one of another clip."""
        return self._positions[hashlib.md5(frame, usedforsecurity=False).hexdigest()]

    def apart_ms(self, one_ms: float, other_ms: float) -> float:
        """``one_ms`` less ``other_ms`` on the circle of a clip that is looped: at most half a clip either way."""
        half = self._length_ms / 2
        return (one_ms - other_ms + half) % self._length_ms - half


#: Before anything was shown.
_NOTHING = (0.0, 0)


@dataclass(slots=True)
class Session:
    """One publish. ``first`` and ``last``: when (the loop's clock) a frame was shown, and where in the clip it is."""

    began_at: float
    first: tuple[float, int] = _NOTHING
    last: tuple[float, int] = _NOTHING
    #: ``unpublished``, ``closed`` or ``broken``; None while it lasts.
    ended: str | None = None


class _Meter(StreamMeter):
    def __init__(self, frames: KnownFrames, session: Session) -> None:
        super().__init__()
        self._frames = frames
        self._session = session

    def count(self, tags: list[Tag]) -> None:
        super().count(tags)
        for tag_type, _, body in tags:
            if tag_type == VIDEO and body[1] == _NALU:
                session = self._session
                session.last = (asyncio.get_running_loop().time(), self._frames.position_ms(body[5:]))
                if session.first is _NOTHING:
                    session.first = session.last


class Sightings:
    """Async context manager. ``url(name)`` is where to push; ``of(name)`` what came, a session after the other.

    ``listening``: where, if not on the loopback."""

    def __init__(self, frames: KnownFrames, listening: socket.socket | None = None) -> None:
        self.frames = frames
        #: Names that had two publishers at once.
        self.doubled: set[str] = set()
        self._receiver = Receiver(on_stream=self._note, listening=listening)
        self._host = listening.getsockname()[0] if listening else "127.0.0.1"
        self._sessions: dict[str, list[Session]] = {}
        self._of_stream: dict[ReceivedStream, Session] = {}

    async def __aenter__(self) -> Self:
        await self._receiver.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._receiver.__aexit__(None, None, None)

    def url(self, name: str) -> str:
        """RTMP address of a stream."""
        return f"rtmp://{self._host}:{self._receiver.port}/{name}/key"

    def of(self, name: str) -> list[Session]:
        """All its sessions, oldest first."""
        return self._sessions.get(name, [])

    def last_shown(self) -> dict[str, tuple[float, int]]:
        """When and where each stream showed its last frame so far."""
        return {name: max(session.last for session in sessions) for name, sessions in self._sessions.items()}

    def gaps_s(self, name: str) -> list[float]:
        """Between the last frame of each session and the first of the next; less than 0: both showed some at once."""
        sessions = [one for one in self.of(name) if one.first is not _NOTHING]
        return [after.first[0] - before.last[0] for before, after in pairwise(sessions)]

    def shows(self, name: str, since: float) -> bool:
        """Whether it has a session, begun after ``since``, that showed something in the last two seconds."""
        sessions = self.of(name)
        if not sessions or sessions[-1].ended or sessions[-1].began_at < since:
            return False
        return sessions[-1].last[0] > asyncio.get_running_loop().time() - 2.0

    def _note(self, stream: ReceivedStream) -> None:
        if stream.ended is not None:
            self._of_stream.pop(stream).ended = stream.ended
            return
        sessions = self._sessions.setdefault(stream.app, [])
        if any(one.ended is None for one in sessions):
            self.doubled.add(stream.app)
        session = self._of_stream[stream] = Session(asyncio.get_running_loop().time())
        stream.meter = _Meter(self.frames, session)
        sessions.append(session)
