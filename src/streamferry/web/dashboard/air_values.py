"""What is shown when the source cannot be, as it is in the form: further inputs, a slate, and when they come on air."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from streamferry.media.slate import Slate, SlateKind
from streamferry.reasons import Code, Reason
from streamferry.relay.inputs.policy import SWITCHING
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.draft import CLEARED
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.inputs import (
    InputDraft,
    InputSourceDraft,
    SlateDraft,
    SwitchingDraft,
    decide_slate,
    decide_switching,
)
from streamferry.tasks.model import TaskKind
from streamferry.web.dashboard.connection_values import ConnectionValues, usable_of_sources
from streamferry.web.dashboard.source_values import Judge, SourceValues, is_known, read_seconds, typed_address
from streamferry.web.views import InputView, Kind, SlateView, TaskView

_CARD = Slate()


@dataclass(slots=True)
class InputValues:
    """One further input. Of a live one only the first address counts, and ``warm`` has an effect.

    ``connection``: how its peers are reached, apart from those of the source."""

    kind: Kind = Kind.LIVE
    sources: list[SourceValues] = field(default_factory=lambda: [SourceValues()])
    warm: bool = False
    connection: ConnectionValues = field(default_factory=ConnectionValues)

    @classmethod
    def of(cls, shown: InputView, *, is_new: bool = False) -> "InputValues":
        """One of a task. ``is_new``: for another task, whose secrets have to be typed again."""
        connection = ConnectionValues.of(shown.options, is_new=is_new)
        return cls(shown.kind, [SourceValues.of(one) for one in shown.sources], shown.warm, connection)

    @property
    def usable(self) -> frozenset[str]:
        """Names of the options that have an effect, as the addresses stand now."""
        return usable_of_sources(self.kind, [one.url for one in self.listed])

    @property
    def listed(self) -> Sequence[SourceValues]:
        """The addresses that count."""
        return self.sources if self.kind is Kind.VOD else self.sources[:1]

    def draft(self) -> InputDraft:
        """Raises InvalidField."""
        sources = [
            InputSourceDraft(one.address, read_seconds(one.start), read_seconds(one.end))
            if self.kind is Kind.VOD
            else InputSourceDraft(one.address)
            for one in self.listed
        ]
        warm = self.warm and self.kind is Kind.LIVE
        return InputDraft(TaskKind[self.kind.name], sources, warm, self.connection.draft(self.usable))


@dataclass(slots=True)
class SlateValues:
    """``kind``: None for no slate. ``picture``: a data URL, or what stands for the task's own where it is shown.

    What was typed for one kind stays while another is chosen."""

    kind: SlateKind | None = None
    title: str = ""
    text: str = ""
    color: str = _CARD.color
    picture: str = ""
    clip: SourceValues = field(default_factory=SourceValues)

    @classmethod
    def of(cls, shown: SlateView | None) -> "SlateValues":
        """That of a task."""
        if shown is None:
            return cls()
        clip = SourceValues(typed_address(shown.clip or ""))
        return cls(shown.kind, shown.title, shown.text, shown.color, shown.picture or "", clip)

    @property
    def has_words(self) -> bool:
        """Whether its title and text can be seen: of a held picture, before there is one to hold."""
        return self.kind in (SlateKind.CARD, SlateKind.LAST_FRAME)

    @property
    def has_color(self) -> bool:
        """Whether its colour can be seen."""
        return self.has_words or self.kind in (SlateKind.PICTURE, SlateKind.COLOR)

    def draft(self) -> SlateDraft | None:
        """What applies to its kind."""
        if self.kind is None:
            return None
        return SlateDraft(
            self.kind,
            self.title.strip() if self.has_words else None,
            self.text.strip() if self.has_words else None,
            self.color.strip() or _CARD.color if self.has_color else None,
            self.picture or None if self.kind is SlateKind.PICTURE else None,
            self.clip.address or None if self.kind is SlateKind.CLIP else None,
        )

    def judge(self, judge: Judge, seen: SlateView | None, rules: AddressRules) -> None:
        """Have each part judged by itself. ``seen``: as the task that is being changed shows it."""
        parts: list[tuple[str, SlateDraft]] = []
        if self.has_words:
            parts += [("title", SlateDraft(title=self.title.strip())), ("text", SlateDraft(text=self.text.strip()))]
        if self.has_color:
            parts.append(("color", SlateDraft(color=self.color.strip())))
        if self.kind is SlateKind.PICTURE and not (seen and self.picture and self.picture == seen.picture):
            parts.append(("picture", SlateDraft(SlateKind.PICTURE, picture=self.picture)))
        if self.kind is SlateKind.CLIP and not is_known(self.clip.url, [seen.clip] if seen and seen.clip else []):
            parts.append(("clip", SlateDraft(SlateKind.CLIP, clip=self.clip.address)))
        for name, part in parts:
            judge(f"slate.{name}", partial(decide_slate, part, None, rules))


@dataclass(slots=True)
class AirValues:
    """See the module. ``seen_*``: as the task that is being changed shows them; nothing for a new one."""

    inputs: list[InputValues] = field(default_factory=list)
    slate: SlateValues = field(default_factory=SlateValues)
    switch_after_s: float | None = SWITCHING.switch_after_s
    return_after_s: float | None = SWITCHING.return_after_s
    returns: bool = SWITCHING.returns
    normalize: str = str(SWITCHING.normalize)
    seen_inputs: Sequence[InputView] = ()
    seen_slate: SlateView | None = None

    @classmethod
    def of(cls, task: TaskView, *, is_new: bool = False) -> "AirValues":
        """That of a task that is to be changed; ``is_new``: for another task."""
        rules = task.switching
        return cls(
            [InputValues.of(one, is_new=is_new) for one in task.inputs],
            SlateValues.of(task.slate),
            rules.switch_after_s,
            rules.return_after_s,
            rules.returns,
            rules.normalize,
            task.inputs,
            task.slate,
        )

    @classmethod
    def copy(cls, task: TaskView, picture: str) -> "AirValues":
        """That of a new task like this one; the secrets in its addresses have to be typed again. ``picture``: that of
        its slate, as a data URL."""
        values = cls.of(task, is_new=True)
        values.seen_inputs, values.seen_slate, values.slate.picture = (), None, picture
        return values

    @property
    def is_set(self) -> bool:
        """Whether there is anything to show instead of the source."""
        return bool(self.inputs) or self.slate.kind is not None

    def judge(self, judge: Judge, rules: AddressRules) -> dict[str, Reason]:
        """Field -> what is wrong with it; those that ``judge`` finds are not in it."""
        found: dict[str, Reason] = {}
        known = [source.url for one in self.seen_inputs for source in one.sources]
        for number, one in enumerate(self.inputs):
            for index, source in enumerate(one.listed):
                source.judge(judge, f"inputs[{number}].sources[{index}]", one.kind, known, rules)
            found |= one.connection.find_problems(f"inputs[{number}].options", one.usable, rules)
        self.slate.judge(judge, self.seen_slate, rules)
        for name in ("switch_after_s", "return_after_s"):
            judge(f"switching.{name}", partial(self._check_seconds, name))
        return found

    def draft(self) -> dict[str, Any]:
        """The fields of the draft. Raises InvalidField."""
        return {
            "inputs": [one.draft() for one in self.inputs] or CLEARED,
            "slate": self.slate.draft() or CLEARED,
            "switching": SwitchingDraft(self.switch_after_s, self.return_after_s, self.returns, self.normalize),
        }

    def _check_seconds(self, name: str) -> None:
        if (seconds := getattr(self, name)) is None:
            raise InvalidField(name, Code.FIELD_REQUIRED)
        decide_switching(SwitchingDraft(**{name: seconds}), SWITCHING)
