"""Gives others what is prepared here, piece by piece while it grows. See ``sharing``."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from streamferry.prepare.cache import Entry, Summary
from streamferry.prepare.home import PIECE_HEAD, Away, Objects, claim_of
from streamferry.prepare.journal import Message

#: What a piece has at most, unless more was said at once, and for how long what is new waits to be one.
PIECE_BYTES = 8 << 20
_PIECE_S = 1.0
#: How often the claim is rewritten.
_RENEW_S = 5.0


class Uploader:
    """Gives others what is prepared here, in a thread of its own: the preparation never waits for it."""

    def __init__(
        self,
        objects: Objects,
        entry: Entry,
        who: str,
        tag: str,
        tell: Callable[[], None],
    ) -> None:
        self._objects, self._entry, self._who, self._tag = objects, entry, who, tag
        self._tell = tell
        self._changed = threading.Condition()
        self._said: list[Message] = []
        self._end: tuple[Summary, bytes] | None = None
        self._is_over = False
        self._media_bytes = self._steps_bytes = 0
        self._count = 0
        self._files: tuple[Any, Any] | None = None
        self._thread = threading.Thread(target=self._run, name="share", daemon=True)
        self._thread.start()

    def note(self, message: Message) -> None:
        """What the journal says."""
        with self._changed:
            if not self._is_over:
                if self._files is None and "ready" in message:
                    self._files = self._entry.media_part.open("rb"), self._entry.steps_part.open("rb")
                self._said.append({name: message[name] for name in message if name not in ("fetched", "total")})
                self._changed.notify_all()

    def finish(self, summary: Summary, index: bytes) -> None:
        with self._changed:
            self._end = summary, index
            self._changed.notify_all()
        self._thread.join()

    def give_up(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._thread.join(1.0)

    def _run(self) -> None:
        try:
            renewed_at = put_at = time.monotonic()
            while not self._is_over:
                with self._changed:
                    if not self._said and self._end is None:
                        self._changed.wait(_PIECE_S)
                    is_ready = self._files is not None and (
                        self._end is not None or self._count == 0 or time.monotonic() - put_at >= _PIECE_S
                    )
                    if not is_ready and self._said:
                        self._changed.wait(_PIECE_S / 4)
                    said, end = (self._said, self._end) if is_ready else ([], None)
                    if is_ready:
                        self._said = []
                if time.monotonic() - renewed_at >= _RENEW_S:
                    tag = self._objects.put("claim", claim_of(self._who), {"e_tag": self._tag})
                    if tag is None:
                        return  # Another thought that we were gone.
                    self._tag, renewed_at = tag, time.monotonic()
                if said:
                    self._put(said)
                    put_at = time.monotonic()
                if end is not None:
                    summary, index = end
                    told = {"by": self._who, "pieces": self._count, "summary": summary.to_json()}
                    head = json.dumps(told).encode()
                    self._objects.put("whole", len(head).to_bytes(4, "big") + head + index, "create")
                    return
        except (Away, OSError, ValueError):
            self._tell()
        finally:
            self._is_over = True
            with contextlib.suppress(Away):
                # Nobody's any more: others need not wait for it.
                self._objects.put("claim", claim_of(""), {"e_tag": self._tag})

    def _put(self, said: list[Message]) -> None:
        """All that was said, in pieces."""
        assert self._files is not None
        media, steps = self._files
        while said:
            media_end, steps_end, count = self._media_bytes, self._steps_bytes, 0
            for message in said:
                if count and message.get("end", 0) - self._media_bytes > PIECE_BYTES:
                    break
                count += 1
                if "index" in message:
                    media_end, steps_end = message["end"], message["index"]["steps"]
            words = b"\n".join(json.dumps(one, separators=(",", ":")).encode() for one in said[:count])
            data = media.read(media_end - self._media_bytes), steps.read(steps_end - self._steps_bytes)
            piece = PIECE_HEAD.pack(len(words), *map(len, data)) + words + b"".join(data)
            self._objects.put(f"{self._who}/{self._count:06}", piece)
            self._media_bytes, self._steps_bytes, self._count = media_end, steps_end, self._count + 1
            del said[:count]
