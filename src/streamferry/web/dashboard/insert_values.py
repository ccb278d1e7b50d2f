"""A file that is to be inserted, as it is typed on the page of a task. Checked by the same rules as in the actions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import StrEnum

from streamferry.reasons import Reason
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.web.dashboard.source_values import SourceValues, read_seconds, required
from streamferry.web.dashboard.window_values import read_local_time
from streamferry.web.views import Kind

_FILE = "file"
#: Fields of the actions, and where the dialog shows what is wrong with them.
_PLACES = {name: f"{_FILE}.{name}" for name in ("url", "start_s", "end_s")} | {"after_item": "when"}


class When(StrEnum):
    """When it is played."""

    NOW = "now"
    AT_TIME = "at_time"
    AFTER_ITEM = "after_item"


@dataclass(slots=True)
class InsertValues:
    """``at``: by the clocks of the zone, as ``<input type="datetime-local">`` writes it."""

    zone: tzinfo
    source: SourceValues = field(default_factory=SourceValues)
    when: When = When.NOW
    at: str = ""

    def find_problems(self, rules: AddressRules) -> dict[str, Reason]:
        """Field -> what is wrong with it."""
        found: dict[str, Reason] = {}

        def judge(name: str, check: Callable[[], object]) -> None:
            try:
                check()
            except InvalidField as error:
                found.setdefault(name, error.why)

        self.source.judge(judge, _FILE, Kind.VOD, (), rules)
        judge("at", self.read_at)
        return found

    def draft(self) -> InputSourceDraft:
        """The file. Raises InvalidField."""
        return InputSourceDraft(self.source.address, read_seconds(self.source.start), read_seconds(self.source.end))

    def read_at(self) -> datetime | None:
        """When; None for now, or after the present item. Raises InvalidField."""
        if self.when is not When.AT_TIME:
            return None
        return read_local_time(required(self.at), self.zone)

    def place_of(self, name: str) -> str:
        """The field that shows what the actions say of theirs."""
        if name == "at" and self.when is not When.AT_TIME:
            return "when"
        return _PLACES.get(name, name)
