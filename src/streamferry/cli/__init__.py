"""The command line: ``commands`` has all of it, and ``attached_worker`` is what a service starts."""

import os
import sys

# pydantic looks for plugins in the description of each package that is installed: a twentieth of a start, and no start
# of ours has any.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# httpx imports its own command line, with rich and pygments, wherever these are installed: a tenth of most starts. It
# does without if this cannot be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def main() -> None:
    """Entry point of the ``streamferry`` command."""
    from streamferry.cli.commands import run
    from streamferry.cli.guard import guarded

    guarded(run)
