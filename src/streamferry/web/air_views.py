"""Further inputs, the slate and what is on air, as views: what may be shown of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.inputs.policy import SLATE, Switching
from streamferry.relay.status import Found, OnAir, Shown, Unready, Unseen
from streamferry.store.records import TaskRecord
from streamferry.tasks.inputs import picture_reference, waiting_inserts
from streamferry.tasks.model import TaskSpec
from streamferry.web.addresses import show_source
from streamferry.web.views import (
    FoundView,
    InputView,
    InsertView,
    Kind,
    OnAirView,
    RuleView,
    SlateView,
    SourceView,
    SwitchingView,
    UnreadyView,
    UnseenView,
)


def show_air(spec: TaskSpec) -> dict[str, Any]:
    """The fields of a ``TaskView``: inputs, slate, switching, watch and pinned."""
    return {
        "inputs": [
            InputView(
                kind=Kind[one.kind.name],
                sources=[
                    SourceView(url=show_source(item.url), start_s=item.start_s, end_s=item.end_s) for item in one.items
                ],
                warm=one.warm,
                options=one.options.shown(),
            )
            for one in spec.inputs
        ],
        "slate": _show_slate(spec),
        "switching": show_switching(spec.switching),
        "watch": {
            fault: RuleView(threshold=rule.threshold, duration_s=rule.duration_s, switches=rule.switches)
            for fault in ContentFault
            if (rule := spec.watch.rule(fault)) is not None
        },
        "pinned": "slate" if spec.pinned == SLATE else spec.pinned,
    }


def show_inserts(record: TaskRecord, now: datetime) -> list[InsertView]:
    """The files that wait to be inserted."""
    on_air = record.on_air
    waiting = waiting_inserts(record.spec, now, plays_one=on_air is not None and on_air.shown is Shown.INSERT)
    return [
        InsertView(
            number=one.number,
            url=show_source(one.item.url),
            start_s=one.item.start_s,
            end_s=one.item.end_s,
            at=None if one.after_item else datetime.fromtimestamp(one.at, UTC),
        )
        for one in waiting
        if one.item is not None
    ]


def show_switching(rules: Switching) -> SwitchingView:
    """The rules."""
    return SwitchingView(
        switch_after_s=rules.switch_after_s,
        return_after_s=rules.return_after_s,
        returns=rules.returns,
        normalize=str(rules.normalize),
    )


def _show_slate(spec: TaskSpec) -> SlateView | None:
    slate = spec.slate
    if slate is None:
        return None
    return SlateView(
        kind=slate.kind,
        title=slate.title,
        text=slate.text,
        color=slate.color,
        picture=picture_reference(slate),
        clip=None if slate.clip is None else show_source(slate.clip),
    )


def show_on_air(on_air: OnAir | None) -> OnAirView | None:
    """What is on air, if that is known."""
    if on_air is None:
        return None
    return OnAirView(
        shown=on_air.shown, input=on_air.input, file=on_air.file, since_at=on_air.since, **on_air.why.told()
    )


def show_found(found: Sequence[Found]) -> list[FoundView]:
    """What is wrong with the content."""
    return [FoundView(fault=one.fault, since_at=one.since, **one.why.told()) for one in found]


def show_unseen(unseen: Sequence[Unseen]) -> list[UnseenView]:
    """What of it cannot be watched."""
    return [UnseenView(sense=one.sense, since_at=one.since, **one.why.told()) for one in unseen]


def show_unready(unready: Sequence[Unready]) -> list[UnreadyView]:
    """Inputs that could not be shown."""
    return [UnreadyView(input="slate" if one.which == SLATE else one.which, **one.why.told()) for one in unready]
