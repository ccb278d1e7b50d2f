"""What ``streamferry relay`` watches for. A module of its own: what calls a service imports no data plane."""

from collections.abc import Sequence

from streamferry.cli.watch_option import read_rule
from streamferry.relay.eyes.judge import ContentFault, Watch
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.watching import RuleDraft, decide_watch


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
