"""A script as Python runs it, in a fork (``kit.forked``): its name comes first, then its arguments."""

import runpy
import sys


def main() -> None:
    """Run it."""
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
