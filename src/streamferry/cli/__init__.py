"""The command line: ``commands`` has all of it, and ``attached_worker`` is what a service starts."""

import importlib.util
import os
import sys

# pydantic looks for plugins in the description of each package that is installed: a twentieth of a start, and no start
# of ours has any.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# httpx imports its own command line, with rich and pygments, wherever these are installed: a tenth of most starts. It
# does without if this cannot be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
# httpcore looks for it at each request, in every folder of packages where it is missing: 1 ms of CPU.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]


def main() -> None:
    """Entry point of the ``streamferry`` command."""
    from streamferry.cli.commands import run
    from streamferry.cli.guard import guarded

    guarded(run)
