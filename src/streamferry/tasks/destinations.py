"""Destinations of a task as a request gives them, and what becomes of them. Pure.

A task has one destination or several, in order; each has a small number, its ``id``, by which it is still the same when
others come and go. A request gives the first alone, all of them, or a change of one. What is not given stays.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from streamferry.media.peer_options import NO_OPTIONS, End, shown_text
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.reasons import Code
from streamferry.relay.spec import MAX_DESTINATIONS, Latency
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import TaskDestination
from streamferry.tasks.options import Cleared, OptionsDraft, decide_options
from streamferry.tasks.texts import FreeText

#: What people call a destination, such as the platform's name.
NAME = FreeText(50, is_one_line=True)


@dataclass(frozen=True, slots=True)
class DestinationParts:
    """A destination in three parts, instead of an address."""

    host: str
    app: str
    stream: str


@dataclass(frozen=True, slots=True)
class ServerAndKey:
    """A destination as platforms show it. A key of ``***`` is the present one, if the server is."""

    server: str
    key: str


Address = str | DestinationParts | ServerAndKey


@dataclass(frozen=True, slots=True)
class DestinationDraft:
    """One destination; None: as it is, or not needed. ``id``: which one of the task; None: a new one, which gets the
    lowest number that is free. ``backup_of``: the id of one before it.
    """

    id: int | None = None
    to: Address | None = None
    name: str | None = None
    enabled: bool | None = None
    latency: Latency | Cleared | None = None
    options: OptionsDraft | Cleared | None = None
    backup_of: int | Cleared | None = None


@dataclass(frozen=True, slots=True)
class DestinationEdit:
    """A change of one of several: with an ``id`` that one is changed, or removed without a ``draft``; else added."""

    id: int | None = None
    draft: DestinationDraft | None = None


def as_shown(text: str, known: Sequence[MediaUrl]) -> MediaUrl | None:
    """The one address that is shown like this, if there is exactly one."""
    if REDACTED not in text:
        return None
    shown = {url.reveal(): url for url in known if url.is_shown_as(text)}
    return next(iter(shown.values())) if len(shown) == 1 else None


def decide_destinations(
    given: Sequence[DestinationDraft] | None,
    first: DestinationDraft,
    edit: DestinationEdit | None,
    present: Sequence[TaskDestination],
    rules: AddressRules,
) -> tuple[TaskDestination, ...]:
    """All of them. ``given``: all as they are wanted; else ``first``, and ``edit``. Raises InvalidField."""
    known = {one.id: one for one in present}
    if given is not None:
        if first != DestinationDraft() or edit is not None:
            raise InvalidField("destination", Code.FIELD_DESTINATION_OR_LIST)
        ids = [one.id for one in given]
        drafts = list(given)
    else:
        drafts = [first, *(DestinationDraft(one.id) for one in present[1:])]
        ids = [present[0].id if present else None, *(one.id for one in present[1:])]
        if edit is not None:
            _edit(drafts, ids, edit)
    if not 1 <= len(drafts) <= MAX_DESTINATIONS:
        raise InvalidField("destinations", Code.FIELD_DESTINATION_COUNT, count=MAX_DESTINATIONS)
    found: list[TaskDestination] = []
    for index, (draft, number) in enumerate(zip(drafts, ids, strict=True)):
        is_first = given is None and draft is first
        field = "destination" if is_first else f"destinations[{index}]"
        present_one = known.get(number) if number is not None else None
        if number is None:
            number = next(free for free in range(1, MAX_DESTINATIONS + 1) if free not in {*ids, *_ids(found)})
        elif number in _ids(found):
            raise InvalidField(f"{field}.id", Code.FIELD_DESTINATION_TWICE, name=str(number))
        options = "destination_options" if is_first else f"{field}.options"
        found.append(_decide(field, options, draft, number, present_one, found, rules))
    _check_all(found)
    return tuple(found)


def _ids(found: Sequence[TaskDestination]) -> list[int]:
    return [one.id for one in found]


def _edit(drafts: list[DestinationDraft], ids: list[int | None], edit: DestinationEdit) -> None:
    if edit.id is None:
        drafts.append(edit.draft or DestinationDraft())
        ids.append(None)
        return
    if edit.id not in ids:
        raise InvalidField("destination_id", Code.FIELD_NO_DESTINATION, name=str(edit.id))
    at = ids.index(edit.id)
    if edit.draft is not None:
        drafts[at] = edit.draft
    else:
        del drafts[at], ids[at]


def _decide(
    field: str,
    options_field: str,
    draft: DestinationDraft,
    number: int,
    present: TaskDestination | None,
    before: Sequence[TaskDestination],
    rules: AddressRules,
) -> TaskDestination:
    url = _decide_address(field, draft.to, present.url if present else None, rules)
    options = decide_options(
        options_field,
        End.DESTINATION,
        draft.options,
        present.options if present else NO_OPTIONS,
        [url],
        [present.url] if present else [],
        rules,
        is_retyped=draft.to is not None and REDACTED not in _typed(draft.to),
    )
    name = present.name if present else ""
    if draft.name is not None:
        name = checks.check_text(f"{field}.name", draft.name.strip(), NAME)
    enabled = present is None or present.enabled if draft.enabled is None else draft.enabled
    latency = present.latency if present else None
    if draft.latency is not None:
        latency = None if isinstance(draft.latency, Cleared) else draft.latency
    # Of which it can be the backup.
    primaries = [one.id for one in before if one.url.is_rtmp] if url.is_rtmp else []
    backup_of = present.backup_of if present and present.backup_of in primaries else None
    if isinstance(draft.backup_of, int):
        backup_of = draft.backup_of
        if backup_of not in primaries:
            raise InvalidField(f"{field}.backup_of", Code.FIELD_BACKUP_OF, name=str(number))
    elif draft.backup_of is not None:
        backup_of = None
    return TaskDestination(number, url, name, enabled, latency, options, backup_of)


def _check_all(found: Sequence[TaskDestination]) -> None:
    if not any(one.enabled for one in found):
        raise InvalidField("destinations", Code.FIELD_DESTINATIONS_OFF)
    seen: dict[str, int] = {}
    for index, one in enumerate(found):
        if one.url.canonical in seen:
            field = f"destinations[{index}]"
            raise InvalidField(field, Code.FIELD_DESTINATION_SAME, name=str(seen[one.url.canonical]))
        seen[one.url.canonical] = one.id


def _decide_address(field: str, given: Address | None, present: MediaUrl | None, rules: AddressRules) -> MediaUrl:
    if given is None:
        if present is None:
            raise InvalidField(field, Code.FIELD_REQUIRED)
        return present
    with _named(field):
        if isinstance(given, ServerAndKey):
            server, key = given.server, given.key
            if present is not None and (apart := present.apart) is not None:
                is_present = server.strip() in (apart[0], shown_text(apart[0]))
                server = apart[0] if is_present else server
                key = apart[1] if is_present and key == REDACTED else key
            return checks.read_server_and_key(server, key, rules)
        if isinstance(given, DestinationParts):
            return checks.build_destination(given.host, given.app, given.stream, rules)
        return as_shown(given, [present] if present else []) or checks.read_destination(given, rules)


def _typed(given: Address) -> str:
    if isinstance(given, str):
        return given
    return given.server + given.key if isinstance(given, ServerAndKey) else given.host + given.app + given.stream


@contextmanager
def _named(field: str) -> Iterator[None]:
    """The checks say ``destination``; which one it is, is known here."""
    try:
        yield
    except InvalidField as error:
        raise InvalidField(field + (error.field or "").removeprefix("destination"), error.why) from None
