"""The home of prepared files in a bucket: machines that share it prepare a file once.

    <prefix>/<name of the entry>/claim           who prepares it, rewritten every few seconds
    <prefix>/<name of the entry>/<who>/000000    the first piece of the file; the others follow
    <prefix>/<name of the entry>/whole           how many pieces there are, the summary and the index

A *piece* is what the journal said in a while, with the bytes that it speaks of. So whoever follows a preparation on
another machine, and whoever comes when it is whole, does the same: append the bytes, send on what was said. The first
picture leaves as soon as the first piece is there.

The one whose claim is there first prepares (a conditional put). A claim that is no longer rewritten, or whose machine
gives nothing for a minute, is taken over, by the clock of whoever watches it. The cache on the disk stays in front.
Nothing depends on the bucket: what goes wrong with it is told, and the file is prepared here.

Runs in the preparation process.
"""

import json
import os
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from streamferry.prepare.cache import Entry, Summary
from streamferry.prepare.errors import PreparationRestarted
from streamferry.prepare.home import Away, Home, Objects, claim_of
from streamferry.prepare.journal import Journal, send
from streamferry.prepare.pieces import UNREADABLE, PieceReader
from streamferry.prepare.room import Room
from streamferry.prepare.uploader import Uploader
from streamferry.reasons import Code, Reason
from streamferry.wire.rtmp.chunk_file import Index

#: After how long a claim that is not rewritten is taken over: four times what it takes.
_STALE_S = 20.0
#: After how long without a piece one that is rewritten is, too: its machine may wait for an encoder, or for an origin
#: that answers this one.
_IDLE_S = 60.0
_POLL_S = 0.5


class Sharing:
    """One entry, at home in a bucket. ``sleep`` and ``now`` are the thread's own."""

    def __init__(
        self,
        home: Home,
        entry: Entry,
        room: Room,
        authorities: str = "",
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._home, self._entry, self._room, self._authorities = home, entry, room, authorities
        self._now, self._sleep = now, sleep
        #: Who we are to others, and who we were in a preparation that died.
        self._who = token_hex(8)
        self._own = entry.path / "claim"
        #: Something was wrong with what was shared after players had it: from then on it is prepared here.
        self._alone = entry.path / "alone"
        self._uploader: Uploader | None = None

    def take(self, out: Journal) -> Summary | None:
        """The file as others have prepared it or are preparing it; None if it is to be prepared here.

        Raises PreparationRestarted where players have begun with what cannot be had to its end, and OSError.
        """
        if self._alone.exists():
            return None
        copy = _Copy(self._entry, self._room, out)
        try:
            with copy:
                return self._follow(Objects(self._home, self._entry, self._authorities), copy, out)
        except (Away, *UNREADABLE):
            self._tell()
            if copy.is_announced:
                self._alone.touch()
                raise PreparationRestarted(Code.CACHE_PREPARATION_BROKEN_OFF) from None
            copy.undo()
            return None

    def _follow(self, objects: Objects, copy: "_Copy", out: Journal) -> Summary | None:
        """Raises Away, ValueError and the like for what cannot be read, PreparationRestarted, OSError."""
        dead = self._own.read_text() if self._own.exists() else ""
        watched, seen_at = "", self._now()
        who, given_at = "", self._now()
        while True:
            # In this order: a claim is given up only when the whole is there.
            claim = objects.get("claim")
            if (whole := objects.get("whole")) is not None:
                return self._finish(objects, copy, whole[0])
            by, tag = (json.loads(claim[0])["by"], claim[1]) if claim is not None else ("", "")
            if not isinstance(by, str):
                raise ValueError
            if copy.by not in ("", by):
                # It was given up, or another has taken over, who begins at the beginning.
                raise PreparationRestarted(Code.CACHE_PREPARATION_BROKEN_OFF)
            if by and tag != watched:
                watched, seen_at = tag, self._now()
            if by != who:
                who, given_at = by, self._now()
            if by and copy.take(objects, by):
                seen_at = given_at = self._now()
                continue
            is_stale = self._now() - seen_at >= _STALE_S or self._now() - given_at >= _IDLE_S
            if by in ("", dead) or is_stale:
                self._own.write_text(self._who)
                taken = objects.put("claim", claim_of(self._who), {"e_tag": tag} if claim is not None else "create")
                if taken is not None:
                    if copy.is_announced:
                        raise PreparationRestarted(Code.CACHE_PREPARATION_BROKEN_OFF)
                    self._uploader = Uploader(objects, self._entry, self._who, taken, self._tell)
                    out.also = self._uploader.note
                    return None
            else:
                self._sleep(_POLL_S)

    def _finish(self, objects: Objects, copy: "_Copy", data: bytes) -> Summary:
        size = int.from_bytes(data[:4], "big")
        told = json.loads(data[4 : 4 + size])
        summary, index = Summary.from_json(told["summary"]), Index.parse(memoryview(data[4 + size :]))
        if copy.by not in ("", told["by"]):
            raise PreparationRestarted(Code.CACHE_PREPARATION_BROKEN_OFF)
        while copy.count < told["pieces"]:
            if not copy.take(objects, told["by"]):
                raise Away
        copy.finish(summary, index)
        self._entry.commit(summary, index)
        return summary

    def finish(self, summary: Summary) -> None:
        """Ours is prepared: give others the rest of it. Takes as long as that takes."""
        if self._uploader is not None:
            self._uploader.finish(summary, self._entry.index.read_bytes())

    def close(self) -> None:
        """It failed: others need not wait."""
        if self._uploader is not None:
            self._uploader.give_up()

    def _tell(self) -> None:
        why = Reason.of(Code.SHARED_AWAY, bucket=self._home.bucket)
        send({"shared": why.to_json()})


class _Copy:
    """What was taken over of another's preparation: the part files, and what was said of them."""

    def __init__(self, entry: Entry, room: Room, out: Journal) -> None:
        self.by, self.count, self.is_announced = "", 0, False
        self._reader = PieceReader()
        self._entry, self._room, self._out = entry, room, out
        self._media: Any = None
        self._steps: Any = None

    def __enter__(self) -> "_Copy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for file in (self._media, self._steps):
            if file is not None:
                file.close()
        self._media = self._steps = None

    def undo(self) -> None:
        """As if there had been nothing: nobody has heard of it."""
        for path in (self._entry.media_part, self._entry.steps_part):
            path.unlink(missing_ok=True)

    def take(self, objects: Objects, by: str) -> bool:
        """The next piece, if it is there. Raises Away, ValueError, OSError."""
        found = objects.get(f"{by}/{self.count:06}")
        if found is None:
            return False
        media, steps, said = self._reader.read(found[0])
        if self._media is None:
            self._media = self._entry.media_part.open("xb", buffering=0)
            self._steps = self._entry.steps_part.open("xb", buffering=0)
        self._room.write(media, self._media.write)
        self._room.write(steps, self._steps.write)
        self.by, self.count = by, self.count + 1
        for message in said:
            if "ready" in message:
                message["ready"]["inode"] = self._entry.media_part.stat().st_ino
                self.is_announced = True
            self._out.send(message)
        return True

    def finish(self, summary: Summary, index: Index) -> None:
        """All of it is there. Raises ValueError and the like if it is not."""
        if self._media is None:
            raise ValueError
        self._reader.check_whole(summary, index)
        os.fsync(self._media.fileno())
