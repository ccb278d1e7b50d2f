"""The slate that a run has now. When another is asked for, the one on air stays until that is made."""

from collections.abc import Callable, Iterable

from streamferry.media.slate import Slate
from streamferry.media.tag import Tag
from streamferry.relay.inputs.program import Program
from streamferry.relay.inputs.slate import SlateInput


class RunSlate:
    """``make`` makes the input of a slate."""

    def __init__(self, program: Program, make: Callable[[Slate], SlateInput]) -> None:
        self._program = program
        self._make = make
        self._wanted: Slate | None = None
        # On air until the one that takes its place is there.
        self._outgoing: SlateInput | None = None
        #: None where there is none.
        self.input: SlateInput | None = None

    @property
    def is_open(self) -> bool:
        """Whether it could be shown at once."""
        return self.input is not None and self.input.is_open

    def follow(self, wanted: Slate | None, kept: Iterable[list[Tag]]) -> None:
        """That is to be the slate. ``kept``: of each live input what it would begin with, by preference."""
        if wanted == self._wanted:
            return
        self._wanted, before = wanted, self.input
        self._program.let_go(before)
        self.input = None
        if before is not None and self._program.shown is before and wanted is not None:
            self._outgoing = before
        elif before is not None:
            self._program.end(before)
        if wanted is None:
            self._end_outgoing()
            return
        made = self.input = self._make(wanted)
        self._program.run(made)
        if made.held is not None:
            self._program.hold(made, made.held)
            if self._outgoing is not None:
                # What would be there without a slate is held.
                any(made.held.begin_with(tags) for tags in kept)

    def visit(self, now: float) -> None:
        """Called at each visit of the inputs."""
        if self.input is None:
            return
        self.input.visit(now)
        if self.input.has_next and self._program.shown is self.input:
            self._program.show(self.input, now)
        outgoing = self._outgoing
        if outgoing is not None and self._program.shown is outgoing:
            if not self.input.is_open:
                return
            self._program.show(self.input, now)
        self._end_outgoing()

    def _end_outgoing(self) -> None:
        if self._outgoing is not None:
            self._program.end(self._outgoing)
            self._outgoing = None

    def close(self) -> None:
        """Nothing is on air any more."""
        self.input = self._outgoing = self._wanted = None
