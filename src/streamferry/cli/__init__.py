"""The command line: ``commands`` has all of it, and ``attached_worker`` is what a service starts."""


def main() -> None:
    """Entry point of the ``streamferry`` command."""
    from streamferry.cli.commands import run
    from streamferry.cli.guard import guarded

    guarded(run)
