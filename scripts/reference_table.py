"""A table in Markdown."""

from collections.abc import Iterable


def table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    """Of a head and rows; what is in them is written as it is."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
