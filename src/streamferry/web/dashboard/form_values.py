"""A task as it is in the form: texts that a user types. Becomes a ``TaskDraft``, and uses its names.

Each field is checked by the same rule as when the task is created (``tasks.checks``), so that all errors can be shown
at once, each at its field. The remaining errors, and those that need the store, come from the actions.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from streamferry.media.url import REDACTED
from streamferry.reasons import Code, Reason
from streamferry.relay.spec import Codecs, Latency
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.draft import CLEARABLE, CLEARED, SourceDraft, TaskDraft, WatermarkDraft
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import DEFAULT_GROUP, ContinueStrategy, TaskKind
from streamferry.tasks.options import OptionsDraft
from streamferry.tasks.texts import TEXTS
from streamferry.web.dashboard.air_values import AirValues
from streamferry.web.dashboard.connection_values import ConnectionValues, usable_of_sources
from streamferry.web.dashboard.destination_values import (
    DestinationsValues,
    address_of,
    find_address_problems,
    usable_at,
)
from streamferry.web.dashboard.source_values import SourceValues as SourceValues
from streamferry.web.dashboard.source_values import is_known, read_seconds, required
from streamferry.web.dashboard.source_values import typed_address as typed_address
from streamferry.web.dashboard.watch_values import WatchValues
from streamferry.web.dashboard.window_values import WindowValues
from streamferry.web.views import Kind, Strategy, TaskView


@dataclass(slots=True)
class WatermarkValues:
    """A watermark. ``picture`` is a data URL, or empty for the task's own."""

    picture: str = ""
    x: float = 0.78
    y: float = 0.06
    ratio: float = 0.16


@dataclass(slots=True)
class FormValues:
    """See the module. ``is_apart``: the destination is given as server and key. ``seen`` is the task that is being
    changed, None for a new one."""

    window: WindowValues
    kind: Kind = Kind.VOD
    title: str = ""
    group: str = DEFAULT_GROUP
    sources: list[SourceValues] = field(default_factory=lambda: [SourceValues()])
    destination: str = ""
    is_apart: bool = False
    server: str = ""
    key: str = ""
    source_connection: ConnectionValues = field(default_factory=ConnectionValues)
    destination_connection: ConnectionValues = field(default_factory=ConnectionValues)
    destinations: DestinationsValues = field(default_factory=DestinationsValues)
    air: AirValues = field(default_factory=AirValues)
    watch: WatchValues = field(default_factory=WatchValues)
    is_endless: bool = True
    loops: float | None = 1
    strategy: Strategy = Strategy.AT_BREAK
    pre_download: bool = True
    latency: Latency = Latency.NORMAL
    codecs: Codecs = Codecs.ANY
    placement: str = ""
    priority: float | None = 0
    callback_url: str = ""
    texts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(TEXTS, ""))
    mark: WatermarkValues | None = None
    seen: TaskView | None = None

    @classmethod
    def new(cls, zone: tzinfo, now: datetime) -> "FormValues":
        """An empty form: from now on for a day."""
        return cls(WindowValues.new(zone, now))

    @classmethod
    def of(cls, task: TaskView, zone: tzinfo) -> "FormValues":
        """A form to change a task."""
        mark = task.watermark
        return cls(
            WindowValues.of(task, zone),
            kind=task.kind,
            title=task.title,
            group=task.group,
            sources=[SourceValues.of(one) for one in task.sources],
            destination=task.destination,
            is_apart=task.destination_server is not None,
            server=task.destination_server or "",
            key=REDACTED if task.destination_server is not None else "",
            source_connection=ConnectionValues.of(task.source_options),
            destination_connection=ConnectionValues.of(task.destination_options),
            destinations=DestinationsValues.of(task),
            air=AirValues.of(task),
            watch=WatchValues.of(task.watch),
            is_endless=task.loops == -1,
            loops=max(1, task.loops),
            strategy=task.continue_strategy,
            pre_download=task.pre_download,
            latency=task.latency,
            codecs=task.codecs,
            placement=", ".join(task.placement),
            priority=task.priority,
            callback_url=task.callback_url,
            texts={name: getattr(task, name) for name in TEXTS},
            mark=WatermarkValues("", mark.x, mark.y, mark.ratio) if mark else None,
            seen=task,
        )

    @classmethod
    def copy(cls, task: TaskView, zone: tzinfo, now: datetime, picture: str, slate_picture: str = "") -> "FormValues":
        """A copy of a task; the secrets in its addresses have to be typed again. The pictures are data URLs."""
        values = cls.of(task, zone)
        values.seen, values.window = None, values.window.copy(now)
        values.source_connection = ConnectionValues.of(task.source_options, is_new=True)
        values.destination_connection = ConnectionValues.of(task.destination_options, is_new=True)
        values.destinations = DestinationsValues.of(task, is_new=True)
        values.air = AirValues.copy(task, slate_picture)
        if values.mark is not None:
            values.mark.picture = picture
        return values

    def find_problems(self, rules: AddressRules, now: datetime) -> dict[str, Reason]:
        """Field -> what is wrong with it."""
        found: dict[str, Reason] = {}

        def judge(name: str, check: Callable[[], object]) -> None:
            try:
                check()
            except InvalidField as error:
                found.setdefault(name, error.why)

        if self.title:
            judge("title", lambda: checks.check_title(self.title))
        for name, text in self.texts.items():
            judge(name, partial(checks.check_text, name, text, TEXTS[name]))
        judge("placement", lambda: checks.check_placement(self._labels))
        judge("priority", self._read_priority)
        self.window.judge(judge, now, has_slate=self.air.slate.kind is not None)
        seen = self.seen
        known = [source.url for source in seen.sources] if seen else []
        for index, one in enumerate(self._listed):
            one.judge(judge, f"sources[{index}]", self.kind, known, rules)
        to, server = (seen.destination, seen.destination_server) if seen else (None, None)
        found |= find_address_problems("destination", self, to, server, rules)
        found |= self.destinations.judge(judge, rules)
        found |= self.air.judge(judge, rules)
        self.watch.judge(judge)
        for end, connection, usable in self._connections():
            found |= connection.find_problems(end, usable, rules)
        if self.callback_url and not is_known(self.callback_url, [seen.callback_url] if seen else []):
            judge("callback_url", lambda: checks.check_callback_url(self.callback_url, rules))
        if self.kind is Kind.VOD and not self.is_endless:
            judge("loops", self._read_loops)
        if self.mark is not None and not (self.mark.picture or (seen and seen.watermark)):
            judge("watermark.picture", lambda: required(""))
        return found

    def new_task(self, now: datetime) -> TaskDraft:
        """The draft of a new task. Raises InvalidField."""
        is_list = self.kind is Kind.VOD
        options = {end: one.draft(usable) for end, one, usable in self._connections()}
        return TaskDraft(
            kind=TaskKind[self.kind.name],
            title=self.title,
            group=self.group,
            sources=self._source_drafts(),
            source_options=options["source_options"],
            **self._destination_draft(options["destination_options"]),
            **self.air.draft(),
            watch=self.watch.draft(),
            **self.window.draft(now),
            loops=self._read_loops() if is_list else None,
            continue_strategy=ContinueStrategy[self.strategy.name] if is_list else None,
            pre_download=self.pre_download if is_list else None,
            latency=None if is_list else self.latency,
            codecs=self.codecs,
            placement=self._labels,
            priority=self._read_priority(),
            callback_url=self.callback_url.strip(),
            watermark=self._mark_draft(),
            texts={name: text or CLEARED for name, text in self.texts.items()},
        )

    def changes(self, now: datetime) -> TaskDraft:
        """The draft of a change to the task that was seen: emptied fields are cleared. Raises InvalidField."""
        draft = self.new_task(now)
        cleared: dict[str, Any] = {name: CLEARED for name in CLEARABLE if not getattr(draft, name)}
        if draft.destinations is not None:
            # They have the options of the first, too.
            cleared.pop("destination_options")
        return replace(draft, group=None, **cleared)

    @property
    def _labels(self) -> list[str]:
        return [one for one in re.split(r"[\s,，、;；]+", self.placement) if one]

    def _read_priority(self) -> int:
        given = self.priority or 0
        # What is no whole number is out of every range.
        return checks.check_priority(int(given) if given == int(given) else checks.MAX_INT32)

    @property
    def _listed(self) -> list[SourceValues]:
        return self.sources if self.kind is Kind.VOD else self.sources[:1]

    @property
    def usable_options(self) -> dict[str, frozenset[str]]:
        """End -> names of the options that have an effect there, as the addresses stand now."""
        sources = usable_of_sources(self.kind, [one.url for one in self._listed])
        return {"source_options": sources, "destination_options": usable_at(self)}

    def _connections(self) -> list[tuple[str, ConnectionValues, frozenset[str]]]:
        usable = self.usable_options
        return [
            (end, one, usable[end])
            for end, one in (
                ("source_options", self.source_connection),
                ("destination_options", self.destination_connection),
            )
        ]

    def _destination_draft(self, options: OptionsDraft) -> dict[str, Any]:
        """All of them, or the only one alone."""
        if self.destinations.is_told:
            return {"destinations": self.destinations.drafts(address_of(self), options)}
        return {"destination": address_of(self), "destination_options": options}

    def _source_drafts(self) -> list[SourceDraft]:
        if self.kind is Kind.LIVE:
            return [SourceDraft(one.address) for one in self._listed]
        return [SourceDraft(one.address, read_seconds(one.start), read_seconds(one.end)) for one in self._listed]

    def _mark_draft(self) -> WatermarkDraft | None:
        mark = self.mark
        return WatermarkDraft(mark.picture or None, mark.x, mark.y, mark.ratio) if mark else None

    def _read_loops(self) -> int:
        if self.is_endless:
            return -1
        if self.loops is None or self.loops != int(self.loops) or not 1 <= self.loops <= checks.MAX_INT32:
            raise InvalidField("loops", Code.FIELD_LOOP_COUNT)
        return int(self.loops)
