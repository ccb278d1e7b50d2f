"""``streamferry cache``: list and empty the cache of prepared files."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamferry.cli.task_rows import named_source
from streamferry.cli.time_arguments import show_time
from streamferry.prepare.cache import UNKEPT, Entry, Summary, all_entries, default_root, evict

cache = typer.Typer(help="Show or empty the cache of prepared files.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@dataclass(frozen=True)
class _Row:
    """One entry."""

    entry: Entry
    summary: Summary | None

    @property
    def state(self) -> str:
        if self.summary is None:
            return "partial"
        return "cut short" if self.summary.ended_early else "whole"

    @property
    def form(self) -> str:
        if self.summary is None:
            return ""
        video, audio = self.summary.form.video, self.summary.form.audio
        words = [f"{video.codec} {video.width}x{video.height}"] if video else []
        return ", ".join(words + ([f"{audio.codec} {audio.rate_hz} Hz {audio.channels} ch"] if audio else []))

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.entry.path.name,
            "source": self.entry.read_address(),
            "state": self.state,
            "bytes": self.entry.size_bytes(),
            "seconds": self.summary.duration_ms / 1000 if self.summary else None,
            "form": self.form,
            "used_at": _used_at(self.entry).isoformat(timespec="seconds"),
            "in_use": self.entry.is_in_use(),
        }


@cache.command("list")
def list_entries(as_json: JsonOption = False) -> None:
    """List prepared files, least recently used first: the order in which they are removed when the cache is full."""
    root = default_root()
    rows = [_Row(entry, entry.read_summary()) for entry in all_entries(root) + all_entries(root / UNKEPT)]
    if as_json:
        for row in rows:
            print(json.dumps(row.to_json()))
        return
    table = Table(
        *("used", "source", "state", "length", "MB", "form", "now"), box=None, pad_edge=False, header_style="bold"
    )
    for row in rows:
        length = f"{row.summary.duration_ms / 1000:.1f} s" if row.summary else ""
        size = f"{row.entry.size_bytes() / 1e6:.1f}"
        used_at = show_time(_used_at(row.entry))
        source = escape(named_source(row.entry.read_address()))
        table.add_row(used_at, source, row.state, length, size, row.form, "in use" if row.entry.is_in_use() else "")
    Console().print(table)
    print(f"{sum(row.entry.size_bytes() for row in rows) / 1e6:.1f} MB in {root}")


@cache.command()
def clear() -> None:
    """Remove every file that no relay is using."""
    root = default_root()
    removed_bytes = evict(root, 0) + evict(root / UNKEPT, 0)
    left = len(all_entries(root)) + len(all_entries(root / UNKEPT))
    print(f"{removed_bytes / 1e6:.1f} MB removed" + (f", {left} files are in use and stay" if left else ""))


def _used_at(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.last_used(), UTC)
