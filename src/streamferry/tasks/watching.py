"""What the content of a task is watched for: as a front end submits it, and what comes of it.

Fields are named as in ``tasks.draft``: ``watch.black.threshold``, ``watch.silent.duration_s``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from streamferry.reasons import Code
from streamferry.relay.eyes.judge import (
    DEFAULTS,
    LEAST_DURATION_S,
    MOST_DURATION_S,
    SWITCHING_FAULTS,
    THRESHOLDS,
    ContentFault,
    Rule,
    Watch,
)
from streamferry.tasks.errors import InvalidField


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """What is None has its default; there is none for a low frame rate. ``switches``: see ``relay.eyes.judge.Rule``."""

    threshold: float | None = None
    duration_s: float | None = None
    switches: bool = False


#: What is watched for; all that is not in it is not.
WatchDraft = Mapping[ContentFault, RuleDraft]


def decide_watch(given: WatchDraft) -> Watch:
    """The rules, instead of all that the task had. Raises InvalidField."""
    return Watch(**{fault.value: _decide_rule(fault, rule) for fault, rule in given.items()})


def _decide_rule(fault: ContentFault, given: RuleDraft) -> Rule:
    default = DEFAULTS.rule(fault)
    assert default is not None
    rule = Rule(
        default.threshold if given.threshold is None else given.threshold,
        default.duration_s if given.duration_s is None else given.duration_s,
        given.switches,
    )
    if not rule.threshold and given.threshold is None:
        raise InvalidField(f"watch.{fault}.threshold", Code.FIELD_REQUIRED)
    if rule.switches and fault not in SWITCHING_FAULTS:
        raise InvalidField(f"watch.{fault}.switches", Code.FIELD_WATCH_SWITCHES)
    for name, value, (least, most) in (
        ("threshold", rule.threshold, THRESHOLDS[fault]),
        ("duration_s", rule.duration_s, (LEAST_DURATION_S, MOST_DURATION_S)),
    ):
        if not least <= value <= most:
            raise InvalidField(f"watch.{fault}.{name}", Code.FIELD_BETWEEN, least=least, most=most)
    return rule
