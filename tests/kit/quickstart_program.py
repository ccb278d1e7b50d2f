"""``streamferry quickstart`` as a newcomer runs it: in an empty folder, and with nothing in the environment."""

import re
import signal
from pathlib import Path

from kit.programs import STREAMFERRY, Program
from kit.waiting import wait_for

_LINK = re.compile(r"^ +(http://\S+#once=\S+)$", re.M)


class QuickstartProgram(Program):
    """One that runs in ``folder``."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        # Whatever is set for a service of somebody's is to be left alone.
        elsewhere = {"STREAMFERRY_STORE": "sqlite:////no/such/store", "STREAMFERRY_HOST": "0.0.0.0"}
        self._seen = len((folder / "output").read_text()) if (folder / "output").exists() else 0
        words: list[str | Path] = [STREAMFERRY, "quickstart", *map(str, arguments)]
        super().__init__(words, folder / "output", cwd=folder, environment=elsewhere, is_started=True)

    @property
    def said(self) -> str:
        """What this one has printed."""
        return self.output[self._seen :]

    @property
    def link(self) -> str:
        """The address that signs in once, as soon as it is there."""

        def look() -> str | None:
            assert self.is_running, self.said
            found = _LINK.search(self.said)
            return found and found[1]

        return wait_for("the link", look, 120)

    def interrupt(self) -> int:
        """Ctrl-C; the status."""
        return self.stop(signal.SIGINT, 20)
