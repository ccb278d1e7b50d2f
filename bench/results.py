"""Bars and results: a bar is the most a figure may be; a result is kept as JSON, a file a benchmark and commit."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from programs import BENCH


@dataclass(frozen=True)
class Bar:
    """``value`` None: it could not be measured soundly, which fails the bar."""

    what: str
    value: float | None
    most: float

    @property
    def passed(self) -> bool:
        """True when the figure is sound and no more than it may be."""
        return self.value is not None and self.value <= self.most


def print_bars(console: Console, bars: list[Bar]) -> None:
    """One line for each bar."""
    table = Table("bar", "measured", "at most", "")
    for bar in bars:
        value = "-" if bar.value is None else f"{bar.value:.3f}"
        table.add_row(bar.what, value, f"{bar.most:g}", "[green]pass[/]" if bar.passed else "[red]FAIL[/]")
    console.print(table)


def keep(benchmark: str, result: dict[str, Any], bars: list[Bar]) -> Path:
    """Write ``results/BENCHMARK-COMMIT.json``."""
    path = BENCH / "results" / f"{benchmark}-{result['commit']}.json"
    path.parent.mkdir(exist_ok=True)
    judged = [{**asdict(bar), "passed": bar.passed} for bar in bars]
    path.write_text(json.dumps({**result, "bars": judged}, indent=1) + "\n")
    return path
