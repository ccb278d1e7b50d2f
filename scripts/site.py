"""A hook of mkdocs: puts the decision notes into the navigation, so that a new one needs no line anywhere."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def on_config(config: dict[str, Any]) -> dict[str, Any]:
    """Called before anything is read."""
    notes = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs/decisions").glob("*.md"))
    config["nav"].append({"Decisions": notes})
    return config
