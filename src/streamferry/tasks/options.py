"""Options of a source or a destination as a request gives them, and what becomes of them. Pure.

What is not given stays; an empty value clears. Values as they were shown, with ``***``, mean those that the task has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from streamferry.media.peer_options import (
    CONNECT_PARAMETERS,
    NO_OPTIONS,
    PASSED_ON,
    PeerOptions,
    read_proxy,
    shown_text,
)
from streamferry.media.url import REDACTED, MediaUrl
from streamferry.reasons import Code, InvalidPart
from streamferry.relay.spec import check_options
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import InvalidField


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


def decide_options(
    field: str,
    given: object,
    present: PeerOptions,
    urls: Sequence[MediaUrl],
    urls_before: Sequence[MediaUrl],
    rules: AddressRules,
) -> PeerOptions:
    """The resulting options. ``given``: a draft, None, or anything else to clear them. ``urls``: the peers that they
    are for, and were before. Raises InvalidField with the option as ``field.name``."""
    if given is None and present == NO_OPTIONS:
        return present
    draft = OptionsDraft() if given is None else given
    if not isinstance(draft, OptionsDraft):
        return NO_OPTIONS
    try:
        options = _merge(draft, present)
        check_options(field, options, urls)
    except InvalidPart as error:
        name = error.name if error.name.startswith(field) else f"{field}.{error.name}"
        raise InvalidField(name, error.why) from None
    if options.proxy is not None and (reason := rules.refuse_peer(options.proxy)):
        raise InvalidField(f"{field}.proxy", reason)
    # Who may change the address of a source does not thereby learn what is secret of its headers.
    kept = {pair for pair in options.headers if pair in present.headers and pair[0].lower() not in PASSED_ON}
    typed = set((draft.headers or {}).items())
    if kept - typed and not {url.origin for url in urls} <= {url.origin for url in urls_before}:
        raise InvalidField(f"{field}.headers", Code.FIELD_HEADERS_AGAIN)
    return options


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
    return replace(present, **merged)


def _value(name: str, given: str, present: PeerOptions) -> str:
    if given != REDACTED:
        return given.strip()
    for known, value in present.headers:
        if known.lower() == name.lower():
            return value
    raise InvalidPart("headers", Code.FIELD_HEADER_HIDDEN, name=name, stars=REDACTED)
