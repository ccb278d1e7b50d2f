"""A task as it is in the form: texts that a user types. Becomes a ``TaskDraft``, and uses its names.

Each field is checked by the same rule as when the task is created (``tasks.checks``), so that all errors can be shown
at once, each at its field. The remaining errors, and those that need the store, come from the actions.
"""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from streamferry.media.peer_options import End
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.reasons import Code, Reason
from streamferry.relay.spec import LIVE_SCHEMES, PUSH_SCHEMES, VOD_SCHEMES, Codecs, Latency
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.draft import CLEARABLE, CLEARED, ServerAndKey, SourceDraft, TaskDraft, WatermarkDraft
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import DEFAULT_GROUP, ContinueStrategy, TaskKind
from streamferry.tasks.texts import TEXTS
from streamferry.web.dashboard.connection_values import ConnectionValues, usable_for
from streamferry.web.dashboard.window_values import WindowValues
from streamferry.web.views import Kind, Strategy, TaskView

_SERVER_SCHEMES = frozenset(("rtmp", "rtmps"))


@dataclass(slots=True)
class SourceValues:
    """One address with its offsets, as typed: seconds, ``m:ss`` or ``h:mm:ss``."""

    url: str = ""
    start: str = ""
    end: str = ""

    @property
    def address(self) -> str:
        """The address as it is sent: a path on this machine as a ``file:`` address. See ``typed_address``."""
        text = self.url.strip()
        with contextlib.suppress(ValueError):
            return MediaUrl.parse(text).reveal() if text.startswith("/") else text
        return text


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
            sources=[
                SourceValues(typed_address(one.url), _typed(one.start_s), _typed(one.end_s)) for one in task.sources
            ],
            destination=task.destination,
            is_apart=task.destination_server is not None,
            server=task.destination_server or "",
            key=REDACTED if task.destination_server is not None else "",
            source_connection=ConnectionValues.of(task.source_options),
            destination_connection=ConnectionValues.of(task.destination_options),
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
    def copy(cls, task: TaskView, zone: tzinfo, now: datetime, picture: str) -> "FormValues":
        """A copy of a task; the secrets in its addresses have to be typed again."""
        values = cls.of(task, zone)
        values.seen, values.window = None, values.window.copy(now)
        values.source_connection = ConnectionValues.of(task.source_options, is_new=True)
        values.destination_connection = ConnectionValues.of(task.destination_options, is_new=True)
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
        self.window.judge(judge, now)
        for index, one in enumerate(self._listed):
            self._judge_source(judge, index, one, rules)
        found |= self._find_destination_problems(rules)
        for end, connection, usable in self._connections():
            found |= connection.find_problems(end, usable, rules)
        if self.callback_url and not self._is_known(self.callback_url, [self.seen.callback_url] if self.seen else []):
            judge("callback_url", lambda: checks.check_callback_url(self.callback_url, rules))
        if self.kind is Kind.VOD and not self.is_endless:
            judge("loops", self._read_loops)
        if self.mark is not None and not (self.mark.picture or (self.seen and self.seen.watermark)):
            judge("watermark.picture", lambda: _required(""))
        return found

    def new_task(self, now: datetime) -> TaskDraft:
        """The draft of a new task. Raises InvalidField."""
        is_list = self.kind is Kind.VOD
        options: dict[str, Any] = {end: one.draft(usable) for end, one, usable in self._connections()}
        return TaskDraft(
            kind=TaskKind[self.kind.name],
            title=self.title,
            group=self.group,
            sources=self._source_drafts(),
            destination=ServerAndKey(self.server, self.key) if self.is_apart else self.destination.strip(),
            **options,
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
        typed = [one.url for one in self._listed]
        is_live = self.kind is Kind.LIVE
        sources = usable_for(End.LIVE, typed, LIVE_SCHEMES) if is_live else usable_for(End.FILES, typed, VOD_SCHEMES)
        typed, possible = ([], _SERVER_SCHEMES) if self.is_apart else ([self.destination], PUSH_SCHEMES)
        return {"source_options": sources, "destination_options": usable_for(End.DESTINATION, typed, possible)}

    def _connections(self) -> list[tuple[str, ConnectionValues, frozenset[str]]]:
        usable = self.usable_options
        return [
            (end, one, usable[end])
            for end, one in (
                ("source_options", self.source_connection),
                ("destination_options", self.destination_connection),
            )
        ]

    def _find_destination_problems(self, rules: AddressRules) -> dict[str, Reason]:
        seen = self.seen
        try:
            if not self.is_apart:
                if not self._is_known(self.destination, [seen.destination] if seen else []):
                    checks.read_destination(_required(self.destination, "destination"), rules)
                return {}
            server, key = _required(self.server, "destination.server"), self.key
            if seen is not None and server == seen.destination_server:
                # Of the task itself: what is hidden of it was right.
                server = server.replace(REDACTED, "hidden")
                key = "hidden" if key == REDACTED else key
            checks.read_server_and_key(server, key, rules)
        except InvalidField as error:
            return {error.field: error.why}
        return {}

    def _judge_source(
        self, judge: Callable[[str, Callable[[], object]], None], index: int, one: SourceValues, rules: AddressRules
    ) -> None:
        kind = TaskKind[self.kind.name]
        known = [source.url for source in self.seen.sources] if self.seen else []
        name = f"sources[{index}]"
        if not self._is_known(one.url, known):
            judge(f"{name}.url", lambda: checks.read_source("url", _required(one.address), kind, rules))
        if self.kind is Kind.VOD:
            judge(f"{name}.start_s", lambda: read_seconds(one.start))
            judge(f"{name}.end_s", lambda: _check_end(one))

    def _is_known(self, text: str, known: list[str]) -> bool:
        """Whether it is unchanged since it was shown: then it means the task's address."""
        return REDACTED in text and text.strip() in known

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


def read_seconds(text: str) -> float:
    """Seconds from ``90``, ``1:30`` or ``0:01:30.5``; nothing is 0. Raises InvalidField."""
    parts = text.strip().split(":")
    try:
        numbers = [float(part) if part else 0.0 for part in parts]
    except ValueError:
        numbers = [-1.0]
    if len(numbers) > 3 or any(not 0 <= number <= checks.MAX_INT32 for number in numbers):
        raise InvalidField("offset", Code.FIELD_TYPED_SECONDS)
    total = 0.0
    for number in numbers:
        total = total * 60 + number
    return total


def typed_address(address: str) -> str:
    """An address as users write it: a file on this machine as a plain path."""
    url = urlsplit(address)
    is_plain = url.scheme == "file" and not (url.netloc or url.query or url.fragment)
    path = unquote(url.path)
    return path if is_plain and path.isprintable() and MediaUrl.parse(path).reveal() == address else address


def _typed(seconds: float) -> str:
    return f"{seconds:g}" if seconds else ""


def _check_end(one: SourceValues) -> None:
    start_s, end_s = read_seconds(one.start), read_seconds(one.end)
    if 0 < end_s <= start_s:
        raise InvalidField("end_s", Code.FIELD_END_BEFORE_START)


def _required(text: str, name: str = "field") -> str:
    if not text.strip():
        raise InvalidField(name, Code.FIELD_REQUIRED)
    return text.strip()
