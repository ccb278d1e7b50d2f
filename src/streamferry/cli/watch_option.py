"""``--watch`` of ``streamferry relay`` and ``streamferry task``: a rule in words."""

from typing import Annotated

import typer

WATCH_METAVAR = "FAULT[=THRESHOLD[/SECONDS]][+switch]"
_HELP = (
    "Watch the content: black, frozen, silent, low_bitrate, low_fps=THRESHOLD or keyframes_far_apart; repeat it. With "
    "+switch another input is shown instead, or the slate."
)
WatchOption = Annotated[
    list[str] | None, typer.Option("--watch", metavar=WATCH_METAVAR, show_default=False, help=_HELP)
]
MoreOrNone = Annotated[
    list[str] | None,
    typer.Option("--watch", metavar=WATCH_METAVAR, show_default=False, help=_HELP + " `none`: no longer."),
]


def read_rule(text: str) -> tuple[str, dict[str, float | bool]]:
    """Fault, and the fields of its rule as REST has them. Raises ValueError."""
    told, plus, act = text.partition("+")
    name, _, rest = told.partition("=")
    threshold, _, seconds = rest.partition("/")
    numbers = {"threshold": threshold, "duration_s": seconds}
    try:
        if plus and act != "switch":
            raise ValueError
        rule: dict[str, float | bool] = {field: float(value) for field, value in numbers.items() if value}
    except ValueError:
        raise ValueError(f"--watch: {text} must be like silent, silent=-50/30 or silent=-50/30+switch") from None
    return name, {**rule, "switches": True} if plus else rule
