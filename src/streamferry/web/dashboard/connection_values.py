"""How the peers of one end are reached and what they are told, as it is in the form: texts that a user types.

What has no effect on the addresses that are typed is neither shown nor sent. What is hidden is ``***``, and stays
unless something else is typed.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Never

from streamferry.media.peer_options import (
    CONNECT_PARAMETERS,
    DATAGRAMS,
    MAX_HEADERS,
    NO_OPTIONS,
    End,
    PeerOptions,
    check_header_name,
    check_header_value,
    read_proxy,
    usable_options,
)
from streamferry.media.url import REDACTED
from streamferry.reasons import Code, InvalidPart, Reason, ReasonCode, Value
from streamferry.relay.spec import LIVE_SCHEMES, VOD_SCHEMES
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.options import OptionsDraft
from streamferry.web.views import Kind

#: Options that are numbers; without one they have no effect.
NUMBERS = ("segments_behind", "max_kbps", "rotate_s")
#: Parameters of RTMP's connect, as RTMP names them.
CONNECT_LABELS = {"flash_ver": "flashVer", "tc_url": "tcUrl", "swf_url": "swfUrl", "page_url": "pageUrl"}


@dataclass(slots=True)
class HeaderValues:
    """One header of HTTP requests, as typed."""

    name: str = ""
    value: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed."""
        return not (self.name.strip() or self.value.strip())


@dataclass(slots=True)
class ConnectionValues:
    """See the module. ``connect``: by their names in ``PeerOptions``. ``seen``: as the task that is being changed was
    shown; empty for a new one."""

    proxy: str = ""
    bind: str = ""
    headers: list[HeaderValues] = field(default_factory=lambda: [HeaderValues()])
    connect: dict[str, str] = field(default_factory=lambda: dict.fromkeys(CONNECT_PARAMETERS, ""))
    keep_drift: bool = False
    segments_behind: float | None = None
    max_kbps: float | None = None
    rotate_s: float | None = None
    overlap: bool = False
    seen: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, shown: Mapping[str, Any], *, is_new: bool = False) -> "ConnectionValues":
        """As a task shows them. ``is_new``: for another task, which has nothing that ``***`` could stand for."""
        return cls(
            proxy=shown.get("proxy", ""),
            bind=shown.get("bind", ""),
            headers=[HeaderValues(name, value) for name, value in shown.get("headers", {}).items()] or [HeaderValues()],
            connect={name: shown.get(name, "") for name in CONNECT_PARAMETERS},
            keep_drift=shown.get("keep_drift", False),
            segments_behind=shown.get("segments_behind"),
            max_kbps=shown.get("max_kbps"),
            rotate_s=shown.get("rotate_s"),
            overlap=shown.get("overlap", False),
            seen={} if is_new else shown,
        )

    @property
    def is_set(self) -> bool:
        """Whether anything was given."""
        told = self.proxy or self.bind or self._headers or any(self.connect.values())
        return bool(told or self.keep_drift or self.overlap or any(getattr(self, name) for name in NUMBERS))

    def _numbers(self, usable: Set[str]) -> dict[str, int]:
        return {name: int(getattr(self, name) or 0) for name in NUMBERS if name in usable}

    @property
    def _headers(self) -> list[tuple[int, HeaderValues]]:
        return [(index, one) for index, one in enumerate(self.headers) if not one.is_empty]

    def find_problems(self, end: str, usable: Set[str], rules: AddressRules) -> dict[str, Reason]:
        """Field -> what is wrong with it, in the options ``end``."""
        found: dict[str, Reason] = {}

        def judge(name: str, check: Callable[[], object]) -> bool:
            try:
                check()
            except (InvalidPart, InvalidField) as error:
                found.setdefault(f"{end}.{name}", error.why)
                return False
            return True

        if "proxy" in usable and self.proxy.strip() and self.proxy.strip() != self.seen.get("proxy"):
            judge("proxy", lambda: _check_proxy(self.proxy.strip(), rules))
        if "bind" in usable:
            judge("bind", lambda: PeerOptions(bind=self.bind.strip()))
        for name, value in self._numbers(usable).items():
            judge(name, partial(_check_number, name, value))
        if "headers" in usable:
            self._judge_headers(judge)
        for name, text in self.connect.items():
            if name in usable and text != self.seen.get(name):
                judge(name, partial(_check_connect, name, text.strip()))
        return found

    def _judge_headers(self, judge: Callable[[str, Callable[[], object]], bool]) -> None:
        if len(self._headers) > MAX_HEADERS:
            judge("headers", lambda: _refuse(Code.FIELD_HEADER_COUNT, count=MAX_HEADERS))
        known = {name.lower() for name in self.seen.get("headers", {})}
        before = set[str]()
        for index, one in self._headers:
            name, value = one.name.strip(), one.value.strip()
            if not judge(f"headers[{index}].name", partial(check_header_name, name, frozenset(before))):
                # Somebody may have pasted the whole header there: what is said of the value would repeat it.
                continue
            before.add(name.lower())
            if value != REDACTED:
                judge(f"headers[{index}].value", partial(check_header_value, name, value))
            elif name.lower() not in known:
                judge(f"headers[{index}].value", partial(_refuse, Code.FIELD_HEADER_HIDDEN, name=name, stars=REDACTED))

    def draft(self, usable: Set[str]) -> OptionsDraft:
        """As a request gives them: all of them, so that what was emptied is cleared."""
        texts = {"proxy": self.proxy, "bind": self.bind, **self.connect}
        given = {name: text.strip() if name in usable else "" for name, text in texts.items()}
        headers = {one.name.strip(): one.value.strip() for _, one in self._headers}
        numbers = self._numbers(usable)
        return OptionsDraft(
            headers=headers if "headers" in usable else {},
            keep_drift=self.keep_drift and "keep_drift" in usable,
            overlap=self.overlap and "overlap" in usable,
            segments_behind=numbers.get("segments_behind", 0),
            max_kbps=numbers.get("max_kbps", 0),
            rotate_s=numbers.get("rotate_s", 0),
            **given,
        )


def usable_for(end: End, texts: list[str], possible: Set[str]) -> frozenset[str]:
    """Names of the options that have an effect on these addresses; while none is typed, on any ``possible`` one."""
    schemes = {"file" if text.startswith("/") else text.partition("://")[0].lower() for text in map(str.strip, texts)}
    return usable_options(end, (schemes & possible) or possible - DATAGRAMS)


def usable_of_sources(kind: Kind, texts: list[str]) -> frozenset[str]:
    """The same for the addresses of a source, or of a further input."""
    if kind is Kind.LIVE:
        return usable_for(End.LIVE, texts, LIVE_SCHEMES)
    return usable_for(End.FILES, texts, VOD_SCHEMES)


def _check_proxy(text: str, rules: AddressRules) -> None:
    checks.check_address_length("proxy", text)
    if REDACTED in text:
        _refuse(Code.FIELD_REDACTED_ADDRESS, stars=REDACTED)
    if reason := rules.refuse_peer(read_proxy(text)):
        raise InvalidField("proxy", reason)


def _check_connect(name: str, text: str) -> None:
    if REDACTED in text:
        _refuse(Code.FIELD_REDACTED_ADDRESS, stars=REDACTED)
    told: dict[str, Any] = {name: text}
    replace(NO_OPTIONS, **told)


def _check_number(name: str, value: int) -> None:
    told: dict[str, Any] = {name: value}
    replace(NO_OPTIONS, **told)


def _refuse(what: ReasonCode, **params: Value) -> Never:
    raise InvalidPart("", what, **params)
