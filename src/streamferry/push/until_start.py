"""UntilStart: a session up to where a viewer can begin. What comes after that is for the next one, which may be open
already, beside it; else it waits in the outlet.

So one session takes the place of another, and nothing is lost or sent twice. It stands in for the session only for the
seconds up to that place: the steady path knows nothing of it.
"""

import asyncio
from collections.abc import Callable

from streamferry.media.tag import START, LaidTag
from streamferry.push.forms import Forms
from streamferry.push.session import Link, Session


class UntilStart:
    """A ``Session`` that passes on to another. ``then`` is called once, inside the beat, when the place has come."""

    #: All has to come as tags.
    chunks = None
    framed = None

    def __init__(self, session: Session, then: Callable[[], None], written_by: Forms | None = None) -> None:
        """``written_by``: the form that this session's server wants; what is for the next one is left as it came."""
        self.session = session
        self._written_by = written_by
        self._then = then
        self._is_over = False

    @property
    def sent_bytes(self) -> int:
        """See ``Session``."""
        return self.session.sent_bytes

    @sent_bytes.setter
    def sent_bytes(self, sent_bytes: int) -> None:
        self.session.sent_bytes = sent_bytes

    @property
    def move_asked(self) -> asyncio.Event | None:
        """See ``Session``."""
        return self.session.move_asked

    def lead_next(self) -> str:
        """See ``Session``."""
        return self.session.lead_next()

    @property
    def acked_bytes(self) -> int:
        """See ``Session``."""
        return self.session.acked_bytes

    @property
    def is_blocked(self) -> bool:
        """See ``Session``: it takes nothing more after that place."""
        return self._is_over or self.session.is_blocked

    @property
    def forms(self) -> Forms | None:
        """See ``Session``."""
        return self.session.forms

    @property
    def link(self) -> Link | None:
        """See ``Session``."""
        return self.session.link

    def write(self, tags: list[LaidTag]) -> int:
        """See ``Session``."""
        if self._is_over:
            return 0
        start = next((at for at, tag in enumerate(tags) if tag[3] == START), len(tags))
        taken = self._pass_on(tags[:start]) if start else 0
        if taken == start < len(tags):
            self._is_over = True
            self._then()
        return taken

    def _pass_on(self, tags: list[LaidTag]) -> int:
        forms = self._written_by
        if forms is None:
            return self.session.write(tags)
        # With its number, because some are left out.
        written = [(at, one) for at, tag in enumerate(tags) for one in forms.write([tag])]
        taken = self.session.write([one for _, one in written])
        return len(tags) if taken == len(written) else written[taken][0]

    def flush(self) -> bool:
        """See ``Session``."""
        return self.session.flush() and not self._is_over

    def check(self) -> None:
        """See ``Session``."""
        self.session.check()

    def drop_late(self, unsent_bytes: int) -> None:
        """See ``Session``."""
        self.session.drop_late(unsent_bytes)

    async def aclose(self, *, goes_on: bool = False) -> None:
        """See ``Session``."""
        await self.session.aclose(goes_on=goes_on)

    def abort(self) -> None:
        """See ``Session``."""
        self.session.abort()
