"""Destinations of a task as they are in the form: texts that a user types.

The address of the first is in the form itself; here are its name and the like, and all of the others.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from streamferry.media.peer_options import End
from streamferry.media.url import REDACTED
from streamferry.reasons import Reason
from streamferry.relay.spec import MAX_DESTINATIONS, PUSH_SCHEMES, Latency
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.destinations import NAME, Address, DestinationDraft, ServerAndKey
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.options import CLEARED, OptionsDraft
from streamferry.web.dashboard.connection_values import ConnectionValues, usable_for
from streamferry.web.dashboard.source_values import Judge, is_known, required
from streamferry.web.views import DestinationView, TaskView

_SERVER_SCHEMES = frozenset(("rtmp", "rtmps"))
_FIRST = "destinations[0]"


class TypedAddress(Protocol):
    """One address, or if ``is_apart`` server and key. What was typed in one form stays while the other is shown."""

    is_apart: bool
    destination: str
    server: str
    key: str


@dataclass(slots=True)
class RoleValues:
    """What any of several destinations has beside its address. ``id``: its number. ``latency``: None for the task's."""

    id: int = 1
    name: str = ""
    enabled: bool = True
    latency: Latency | None = None

    @property
    def is_told(self) -> bool:
        """Whether anything was given."""
        return bool(self.name.strip() or self.latency) or not self.enabled

    def draft(self, to: Address, options: OptionsDraft) -> DestinationDraft:
        """It as a request gives it: all of it, so that what was emptied is cleared."""
        latency = self.latency or CLEARED
        return DestinationDraft(self.id, to, self.name, self.enabled, latency, options, CLEARED)


@dataclass(slots=True)
class FurtherDestination(RoleValues):
    """``backup_of``: number of the one before it whose stamps it carries. ``seen``: as the task that is being changed
    has it; None for a new one."""

    backup_of: int | None = None
    is_apart: bool = True
    destination: str = ""
    server: str = ""
    key: str = ""
    connection: ConnectionValues = field(default_factory=ConnectionValues)
    seen: DestinationView | None = None

    @classmethod
    def of(cls, shown: DestinationView, *, is_new: bool = False) -> "FurtherDestination":
        """One of a task. ``is_new``: for another task, whose secrets have to be typed again."""
        is_apart = shown.server is not None
        return cls(
            **_role(shown),
            backup_of=shown.backup_of,
            is_apart=is_apart,
            destination="" if is_apart else shown.to,
            server=shown.server or "",
            key=REDACTED if is_apart else "",
            connection=ConnectionValues.of(shown.options, is_new=is_new),
            seen=None if is_new else shown,
        )

    def judge(self, judge: Judge, prefix: str, rules: AddressRules) -> dict[str, Reason]:
        """Field -> what is wrong with it; those that ``judge`` finds are not in it."""
        judge(f"{prefix}.name", lambda: checks.check_text("name", self.name.strip(), NAME))
        seen = self.seen
        found = find_address_problems(prefix, self, seen.to if seen else None, seen.server if seen else None, rules)
        return found | self.connection.find_problems(f"{prefix}.options", usable_at(self), rules)

    def all_of_it(self) -> DestinationDraft:
        """The draft."""
        made = self.draft(address_of(self), self.connection.draft(usable_at(self)))
        return replace(made, backup_of=self.backup_of or CLEARED)


@dataclass(slots=True)
class DestinationsValues:
    """See the module. ``others``: in order, after the first. ``seen``: as the task that is being changed shows them."""

    first: RoleValues = field(default_factory=RoleValues)
    others: list[FurtherDestination] = field(default_factory=list)
    seen: list[DestinationView] = field(default_factory=list)

    @classmethod
    def of(cls, task: TaskView, *, is_new: bool = False) -> "DestinationsValues":
        """Those of a task. ``is_new``: for another task."""
        first, *others = task.destinations
        made = [FurtherDestination.of(one, is_new=is_new) for one in others]
        return cls(RoleValues(**_role(first)), made, [] if is_new else task.destinations)

    @property
    def is_told(self) -> bool:
        """Whether there is more to say than the address of the first."""
        was_told = any(RoleValues(**_role(one)).is_told for one in self.seen)
        return bool(self.others) or self.first.is_told or len(self.seen) > 1 or was_told

    def add(self) -> None:
        """One more. It gets a number that none has had, if there is one left."""
        taken = {one.id for one in (self.first, *self.others)}
        free = [number for number in range(1, MAX_DESTINATIONS + 1) if number not in taken]
        had = {one.id for one in self.seen}
        self.others.append(FurtherDestination(next((one for one in free if one not in had), free[0])))

    def remove(self, gone: FurtherDestination) -> None:
        """Take one away; nothing carries its stamps then."""
        self.others = [one for one in self.others if one is not gone]
        for one in self.others:
            one.backup_of = None if one.backup_of == gone.id else one.backup_of

    def judge(self, judge: Judge, rules: AddressRules) -> dict[str, Reason]:
        """Field -> what is wrong with it; those that ``judge`` finds are not in it."""
        judge(f"{_FIRST}.name", lambda: checks.check_text("name", self.first.name.strip(), NAME))
        found: dict[str, Reason] = {}
        for index, one in enumerate(self.others, start=1):
            found |= one.judge(judge, f"destinations[{index}]", rules)
        return found

    def drafts(self, to: Address, options: OptionsDraft) -> list[DestinationDraft]:
        """All of them. ``to`` and ``options`` are those of the first."""
        return [self.first.draft(to, options), *(one.all_of_it() for one in self.others)]


def shown_field(name: str) -> str:
    """The field of the form that shows what is wrong there: that of the first destination has a name of its own."""
    rest = name.removeprefix(_FIRST)
    if rest == name or rest in (".name", ".latency", ".enabled"):
        return name
    return rest.replace(".options", "destination_options", 1) if rest.startswith(".options") else f"destination{rest}"


def address_of(one: TypedAddress) -> Address:
    """As a request gives it."""
    return ServerAndKey(one.server, one.key) if one.is_apart else one.destination.strip()


def usable_at(one: TypedAddress) -> frozenset[str]:
    """Names of the options that have an effect there, as the address stands now."""
    typed, possible = ([], _SERVER_SCHEMES) if one.is_apart else ([one.destination], PUSH_SCHEMES)
    return usable_for(End.DESTINATION, typed, possible)


def find_address_problems(
    prefix: str, one: TypedAddress, seen: str | None, seen_server: str | None, rules: AddressRules
) -> dict[str, Reason]:
    """Field -> what is wrong with it. ``seen``, ``seen_server``: as the task that is being changed shows them."""
    try:
        if one.is_apart:
            server, key = required(one.server, "destination.server"), one.key
            if seen_server is not None and server == seen_server:
                # Of the task itself: what is hidden of it was right.
                server = server.replace(REDACTED, "hidden")
                key = "hidden" if key == REDACTED else key
            checks.read_server_and_key(server, key, rules)
        elif not is_known(one.destination, [seen] if seen else []):
            checks.read_destination(required(one.destination, "destination"), rules)
    except InvalidField as error:
        return {prefix + (error.field or "").removeprefix("destination"): error.why}
    return {}


def _role(shown: DestinationView) -> dict[str, Any]:
    return {"id": shown.id, "name": shown.name, "enabled": shown.enabled, "latency": shown.latency}
