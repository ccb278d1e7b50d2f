"""``streamferry audit``: who signed in, and who changed keys and secrets, from a running service over REST."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from streamferry.cli.options import AsJson
from streamferry.cli.task_session import DEFAULT_URL, Url, session


def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many lines.")] = 100,
    before: Annotated[int | None, typer.Option(help="Older than the line of this id.", show_default=False)] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show who signed in and who changed keys and secrets: the last lines, oldest first. Needs a key that may write."""
    with session(url, "audit") as service:
        page = service.call("GET", "/audit", query={"before": before, "limit": limit})
    for line in reversed(page["lines"]):
        if as_json:
            print(json.dumps(line, ensure_ascii=False))
        else:
            print(_text(line))


def _text(line: Mapping[str, Any]) -> str:
    detail = " ".join(f"{name}={value}" for name, value in line["detail"].items())
    parts = (
        *(str(line["at"])[:19].replace("T", " ") + "Z", f"{line['kind']:<24}", line["subject"]),
        *(f"by {line['actor']}", f"from {line['peer']}" if line["peer"] else "", detail),
    )
    return "  ".join(part for part in parts if part)
