"""``python -m streamferry`` is ``streamferry``."""

from streamferry.cli import main

main()
