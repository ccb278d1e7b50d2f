"""``--watch`` of ``streamferry relay`` and ``streamferry task``: a rule in words."""

from collections.abc import Sequence
from typing import Annotated

import typer

from streamferry.relay.eyes.judge import ContentFault, Watch
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.watching import RuleDraft, decide_watch

WATCH_METAVAR = "FAULT[=THRESHOLD[/SECONDS]][+switch]"
_HELP = (
    "Watch the content: black, frozen, silent, low_bitrate or keyframes_far_apart; repeat it. With +switch another "
    "input is shown instead, or the slate."
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


def parse_watch(texts: Sequence[str]) -> Watch:
    """What a relay watches for. Raises ValueError naming the option."""
    drafts: dict[ContentFault, RuleDraft] = {}
    for text in texts:
        name, fields = read_rule(text)
        if name not in set(ContentFault):
            raise ValueError(f"--watch: {name} is none of {', '.join(ContentFault)}")
        drafts[ContentFault(name)] = RuleDraft(**fields)  # type: ignore[arg-type]
    try:
        return decide_watch(drafts)
    except InvalidField as error:
        raise ValueError(f"--watch: {str(error).removeprefix('watch.')}") from None
