"""Options of a source or a destination as a request gives them, and what becomes of them. Pure.

What is not given stays; an empty value clears. Values as they were shown, with ``***``, mean those that the task has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from streamferry.media.peer_options import (
    CONNECT_PARAMETERS,
    NO_OPTIONS,
    PASSED_ON,
    End,
    PeerOptions,
    read_proxy,
    shown_text,
)
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.reasons import Code, InvalidPart
from streamferry.relay.spec import check_options
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import InvalidField


class Cleared(Enum):
    """See ``CLEARED``."""

    CLEARED = "cleared"


#: Given as empty: the task's value is removed.
CLEARED: Final = Cleared.CLEARED


@dataclass(frozen=True, slots=True)
class OptionsDraft:
    """As ``PeerOptions``; None is not given. ``headers`` replace all that there are."""

    proxy: str | None = None
    bind: str | None = None
    headers: Mapping[str, str] | None = None
    flash_ver: str | None = None
    tc_url: str | None = None
    swf_url: str | None = None
    page_url: str | None = None
    keep_drift: bool | None = None
    segments_behind: int | None = None
    max_kbps: int | None = None
    rotate_s: int | None = None
    overlap: bool | None = None


def decide_options(
    field: str,
    end: End,
    given: object,
    present: PeerOptions,
    urls: Sequence[MediaUrl],
    urls_before: Sequence[MediaUrl],
    rules: AddressRules,
    *,
    is_retyped: bool = True,
) -> PeerOptions:
    """The resulting options. ``given``: a draft, None, or anything else to clear them. ``urls``: the peers that they
    are for, and were before; ``is_retyped``: whether the request has their addresses, nothing of them hidden. Raises
    InvalidField with the option as ``field.name``."""
    if given is None and present == NO_OPTIONS:
        return present
    draft = OptionsDraft() if given is None else given
    if not isinstance(draft, OptionsDraft):
        return NO_OPTIONS
    try:
        options = _merge(draft, present)
        check_options(field, end, options, urls)
    except InvalidPart as error:
        name = error.name if error.name.startswith(field) else f"{field}.{error.name}"
        raise InvalidField(name, error.why) from None
    if options.proxy is not None and (reason := rules.refuse_peer(options.proxy)):
        raise InvalidField(f"{field}.proxy", reason)
    _check_kept(field, options, draft, present, urls, urls_before, is_retyped=is_retyped)
    return options


def _check_kept(
    field: str,
    options: PeerOptions,
    draft: OptionsDraft,
    present: PeerOptions,
    urls: Sequence[MediaUrl],
    urls_before: Sequence[MediaUrl],
    *,
    is_retyped: bool,
) -> None:
    """Who may change where a task goes, or by which proxy, does not thereby learn what is secret of it."""
    proxy = options.proxy
    is_new_proxy = proxy is not None and (present.proxy is None or present.proxy.origin != proxy.origin)
    # A proxy reads what goes through it without TLS.
    is_read = is_new_proxy and any(not url.uses_tls and url.scheme != "file" for url in urls)
    if is_read and urls_before and not is_retyped and any(url.secrets for url in urls):
        raise InvalidField(f"{field}.proxy", Code.FIELD_PROXY_AND_ADDRESS)
    if not is_read and {url.origin for url in urls} <= {url.origin for url in urls_before}:
        return
    before = {(name.lower(), value) for name, value in present.headers if name.lower() not in PASSED_ON}
    typed = {(name.lower(), value.strip()) for name, value in (draft.headers or {}).items()}
    if {(name.lower(), value) for name, value in options.headers} & before - typed:
        raise InvalidField(f"{field}.headers", Code.FIELD_HEADERS_AGAIN)
    for name in CONNECT_PARAMETERS:
        text = getattr(options, name)
        if shown_text(text) != text == getattr(present, name) and (getattr(draft, name) or "").strip() != text:
            raise InvalidField(f"{field}.{name}", Code.FIELD_HEADERS_AGAIN)


def _merge(draft: OptionsDraft, present: PeerOptions) -> PeerOptions:
    merged: dict[str, Any] = {}
    if draft.proxy is not None:
        known = present.proxy
        is_known = known is not None and known.is_shown_as(draft.proxy)
        if REDACTED in draft.proxy and not is_known:
            raise InvalidPart("proxy", Code.FIELD_REDACTED_ADDRESS, stars=REDACTED)
        merged["proxy"] = known if is_known else read_proxy(draft.proxy) if draft.proxy else None
    if draft.bind is not None:
        merged["bind"] = draft.bind.strip()
    if draft.headers is not None:
        merged["headers"] = tuple((name, _value(name, value, present)) for name, value in draft.headers.items())
    for name in CONNECT_PARAMETERS:
        text = getattr(draft, name)
        if text is None:
            continue
        known_text = getattr(present, name)
        if REDACTED in text and text != shown_text(known_text):
            raise InvalidPart(name, Code.FIELD_REDACTED_ADDRESS, stars=REDACTED)
        merged[name] = known_text if REDACTED in text else text.strip()
    for name in ("keep_drift", "segments_behind", "max_kbps", "rotate_s", "overlap"):
        if (value := getattr(draft, name)) is not None:
            merged[name] = value
    return replace(present, **merged)


def _value(name: str, given: str, present: PeerOptions) -> str:
    if given != REDACTED:
        return given.strip()
    for known, value in present.headers:
        if known.lower() == name.lower():
            return value
    raise InvalidPart("headers", Code.FIELD_HEADER_HIDDEN, name=name, stars=REDACTED)
