"""From what is handed in to what is wanted: presence, what stays, and names of fields."""

import base64
import random
import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from kit.pictures import png
from streamferry.control.address_rules import address_rules
from streamferry.media.watermark import Watermark
from streamferry.tasks.draft import (
    CLEARABLE,
    CLEARED,
    DestinationParts,
    SourceDraft,
    TaskDraft,
    WatermarkDraft,
    decide_spec,
)
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import ContinueStrategy, SourceForm, StoredMark, TaskKind, TaskSpec
from streamferry.tasks.texts import TEXTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = address_rules()
MARK = StoredMark("ab" * 32, "image/png", 100, 0.1, 0.2, 0.3)
NEW = TaskDraft(
    kind=TaskKind.VOD,
    sources=[SourceDraft("http://h/a.mp4?k=1", 1.0, 5.0), SourceDraft("http://h/b.mp4?k=2")],
    destination="rtmp://push/live/key",
    start_at=NOW,
    end_at=NOW + timedelta(hours=1),
    title="t",
    callback_url="http://c/?k=3",
)


def decide(draft: TaskDraft, current: TaskSpec | None = None, now: datetime = NOW) -> TaskSpec:
    return decide_spec(draft, current, now, RULES)


def refused(draft: TaskDraft, current: TaskSpec | None = None) -> str:
    """The sentence of the refusal."""
    with pytest.raises(InvalidField) as caught:
        decide(draft, current)
    return str(caught.value)


def test_what_is_absent_stays() -> None:
    """An empty draft over a task is that task, whatever it has."""
    before = replace(decide(NEW), watermark=MARK, pre_download=False, loops=3, cycle_mode=3)
    assert decide(TaskDraft(), before, NOW + timedelta(days=9)) == before


def test_each_field_changes_alone() -> None:
    """And nothing else does."""
    before = decide(NEW)
    changes = {
        "title": "x",
        "continue_strategy": ContinueStrategy.AT_BREAK_PLUS_ELAPSED,
        "pre_download": False,
        "end_at": NOW + timedelta(hours=2),
        "callback_url": "http://d/",
        "note": "two\nlines",
    }
    for name, value in changes.items():
        given = {"texts": {name: value}} if name in TEXTS else {name: value}
        after = decide(TaskDraft(**given), before)  # type: ignore[arg-type]
        assert {one.name for one in fields(TaskSpec) if getattr(after, one.name) != getattr(before, one.name)} == {name}
        assert getattr(after, name) == value


def test_what_is_cleared_is_taken_away() -> None:
    """Of a new task it is what is there without it."""
    before = replace(decide(NEW), watermark=MARK, note="n")
    cleared = TaskDraft(**dict.fromkeys(CLEARABLE, CLEARED), texts={"note": CLEARED})  # type: ignore[arg-type]
    after = decide(cleared, before)
    assert (after.title, after.callback_url, after.note, after.watermark) == ("", "", "", None)
    assert decide(replace(NEW, title=CLEARED, callback_url=CLEARED, watermark=CLEARED)).title == ""


def test_what_was_shown_is_what_is_stored() -> None:
    """Addresses and the picture of a watermark."""
    before = replace(decide(NEW), watermark=MARK)
    shown = TaskDraft(
        sources=[SourceDraft(one.url.redacted, one.start_s, one.end_s) for one in before.items],
        destination=before.destination.redacted,
        callback_url="http://c/?***",
        watermark=WatermarkDraft(MARK.reference, 0.1, 0.2, 0.3),
    )
    assert decide(shown, before) == before
    assert refused(shown).startswith("kind:")
    assert "whole address" in refused(replace(NEW, destination="rtmp://push/live/***"))


def test_a_watermark_may_be_moved_without_its_picture() -> None:
    """And its picture be changed where it stands."""
    before = replace(decide(NEW), watermark=MARK)
    assert decide(TaskDraft(watermark=WatermarkDraft(x=0.5)), before).watermark == replace(MARK, pos_x=0.5)
    picture = Watermark(png(), 0.0, 0.0, 0.5)
    changed = decide(TaskDraft(watermark=WatermarkDraft(data_url())), before).watermark
    assert changed == Watermark(picture.picture, 0.1, 0.2, 0.3)
    assert refused(replace(NEW, watermark=WatermarkDraft(data_url(), 0.0, 0.0))).startswith("watermark.ratio:")
    assert refused(replace(NEW, watermark=WatermarkDraft())).startswith("watermark:")


def data_url() -> str:
    return f"data:image/png;base64,{base64.b64encode(png()).decode()}"


def test_other_offsets_for_the_same_addresses() -> None:
    """An address that is absent is the one in its place."""
    before = decide(NEW)
    after = decide(TaskDraft(sources=[SourceDraft(None, 7.0), SourceDraft(None)]), before)
    assert [(one.url, one.start_s) for one in after.items] == [(before.items[0].url, 7.0), (before.items[1].url, 0.0)]
    assert refused(TaskDraft(sources=[SourceDraft(None)] * 3), before).startswith("sources[2].url:")


def test_nothing_of_the_other_kind_stays() -> None:
    """The source has to be given with another kind; a live one is one address without offsets."""
    before = decide(NEW)
    assert refused(TaskDraft(kind=TaskKind.LIVE), before) == "sources: are required with another kind"
    live = decide(TaskDraft(kind=TaskKind.LIVE, sources=[SourceDraft("rtmp://h/a/b")]), before)
    assert (live.source_form, live.loops) == (SourceForm.SINGLE, -1)
    assert refused(replace(NEW, kind=TaskKind.LIVE)).startswith("sources: must hold one address")
    assert refused(TaskDraft(sources=[SourceDraft("rtmp://h/a/b", 1.0)]), live).startswith("sources[0].start_s:")


NAMES = (
    r"(kind|sources|destination|start_at|end_at|title|group|loops|play_times|callback_url|watermark|note"
    r"|sources\[\d+\]\.(url|start_s|end_s)|destination\.(host|app|stream)|watermark\.(picture|x|y|ratio))"
)
NASTY_TEXTS = ("", "x", "***", "\0", "\ud800", "{}", "{0.__class__}", "%s", "a" * 3000, "http://h/{}", "rtmp://***/a/b")
NASTY_NUMBERS = (0, -1, 0.5, float("nan"), float("inf"), 2**31, 10**30)
NASTY_TIMES = (NOW, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), NOW + timedelta(days=3))


@pytest.mark.parametrize("seed", range(300))
def test_whatever_is_handed_in_is_a_spec_or_a_sentence_with_its_field(seed: int) -> None:
    """Any values in any combination, new and over a task: no other error, and no name that is not ours."""
    rng = random.Random(seed)
    text: Callable[[], str] = lambda: rng.choice(NASTY_TEXTS)  # noqa: E731
    number: Callable[[], float] = lambda: rng.choice(NASTY_NUMBERS)  # noqa: E731
    whole: Callable[[], int] = lambda: rng.choice((0, -1, -2, 3, 2**31))  # noqa: E731
    makers: dict[str, Callable[[], object]] = {
        "kind": lambda: rng.choice(list(TaskKind)),
        "sources": lambda: [
            SourceDraft(rng.choice((None, text())), number(), number()) for _ in range(rng.randrange(4))
        ],
        "destination": lambda: rng.choice((text(), DestinationParts(text(), text(), text()))),
        "start_at": lambda: rng.choice(NASTY_TIMES),
        "end_at": lambda: rng.choice(NASTY_TIMES),
        "title": lambda: rng.choice((text(), CLEARED)),
        "group": text,
        "loops": whole,
        "play_times": whole,
        "callback_url": lambda: rng.choice((text(), CLEARED)),
        "texts": lambda: {"note": rng.choice((text(), CLEARED))},
        "watermark": lambda: rng.choice(
            (CLEARED, WatermarkDraft(rng.choice((None, text())), number(), None, number()))
        ),
    }
    chosen = rng.sample(sorted(makers), rng.randrange(1, 4))
    draft = replace(NEW, **{name: makers[name]() for name in chosen})  # type: ignore[arg-type]
    for current in (None, replace(decide(NEW), watermark=MARK)):
        refusal = None
        try:
            decide(draft, current)
        except InvalidField as error:
            refusal = error
        if refusal is not None:
            assert re.fullmatch(NAMES, refusal.field), refusal
            assert str(refusal).startswith(f"{refusal.field}: ")
            assert "{}" not in refusal.reason
