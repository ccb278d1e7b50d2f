"""What the content is watched for, as it is in the form: a switch and numbers for each fault."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from streamferry.reasons import Code
from streamferry.relay.eyes.judge import DEFAULTS, SWITCHING_FAULTS, ContentFault
from streamferry.tasks.draft import CLEARED, Cleared
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.watching import RuleDraft, WatchDraft, decide_watch
from streamferry.web.dashboard.source_values import Judge
from streamferry.web.views import RuleView


@dataclass(slots=True)
class RuleValues:
    """That of one fault. ``threshold`` is in the unit of its rule, None while somebody is typing."""

    is_on: bool = False
    threshold: float | None = None
    duration_s: float | None = None
    switches: bool = False

    @classmethod
    def of(cls, fault: ContentFault, rule: RuleView | None) -> "RuleValues":
        """As a task has it, or the default, not asked for."""
        if rule is not None:
            return cls(True, rule.threshold, rule.duration_s, rule.switches)
        default = DEFAULTS.rule(fault)
        assert default is not None
        return cls(False, default.threshold or None, default.duration_s)


def _rules(watch: Mapping[ContentFault, RuleView]) -> dict[ContentFault, RuleValues]:
    return {fault: RuleValues.of(fault, watch.get(fault)) for fault in ContentFault}


@dataclass(slots=True)
class WatchValues:
    """See the module."""

    rules: dict[ContentFault, RuleValues] = field(default_factory=lambda: _rules({}))

    @classmethod
    def of(cls, watch: Mapping[ContentFault, RuleView]) -> "WatchValues":
        """That of a task."""
        return cls(_rules(watch))

    @property
    def is_set(self) -> bool:
        """Whether anything is watched for."""
        return any(rule.is_on for rule in self.rules.values())

    def judge(self, judge: Judge) -> None:
        """Have each field judged."""
        for fault, rule in self.rules.items():
            if rule.is_on:
                threshold, duration = RuleDraft(threshold=rule.threshold), RuleDraft(duration_s=rule.duration_s)
                judge(f"watch.{fault}.threshold", partial(_check, fault, threshold, rule.threshold))
                judge(f"watch.{fault}.duration_s", partial(_check, fault, duration, rule.duration_s))

    def draft(self) -> WatchDraft | Cleared:
        """What is asked for."""
        return {
            fault: RuleDraft(rule.threshold, rule.duration_s, rule.switches and fault in SWITCHING_FAULTS)
            for fault, rule in self.rules.items()
            if rule.is_on
        } or CLEARED


def _check(fault: ContentFault, rule: RuleDraft, value: float | None) -> None:
    if value is None:
        raise InvalidField(f"watch.{fault}", Code.FIELD_REQUIRED)
    decide_watch({fault: rule})
