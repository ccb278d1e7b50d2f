"""Bodies to specs and records to items: what each field does, what is refused, what is never shown."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kit.pictures import png
from streamferry.control.address_rules import address_rules
from streamferry.media.redaction import use_marks
from streamferry.reasons import Reason
from streamferry.relay import Playhead, State
from streamferry.store.records import TaskRecord
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import ContinueStrategy, SourceForm, TaskKind, TaskSpec
from streamferry.web.compat.api_errors import ApiError
from streamferry.web.compat.schemas import CreateTask, ListTasks, UpdateTask, read_body
from streamferry.web.compat.task_bodies import create_spec, show_task, update_spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START, END = int(NOW.timestamp()), int((NOW + timedelta(hours=1)).timestamp())
RULES = address_rules()
LIVE = {
    "StartTime": START,
    "EndTime": END,
    "Type": 0,
    "SrcAddr": "http://src/live/a.flv?token=hush",
    "DstAddr": "rtmp://dst/app/secretkey",
}
VOD: dict[str, Any] = {
    "StartTime": START,
    "EndTime": END,
    "Type": 1,
    "SrcAddrS": ["http://src/a.mp4?sign=one", "http://src/b.mp4"],
    "DstAddr": "rtmp://dst/app/secretkey",
    "CycleMode": -1,
}


def create(**fields: object) -> TaskSpec:
    return create_spec(read_body(CreateTask, {**LIVE, **fields}), NOW, RULES)


def create_vod(**fields: object) -> TaskSpec:
    return create_spec(read_body(CreateTask, {**VOD, **fields}), NOW, RULES)


def update(current: TaskSpec, now: datetime = NOW, **fields: object) -> TaskSpec:
    return update_spec(read_body(UpdateTask, {"TaskId": "0" * 32, **fields}), current, now, RULES)


def refused(field: str, make: Callable[[], object]) -> None:
    """Refused, by the field's name."""
    with pytest.raises((InvalidField, ApiError)) as caught:
        make()
    assert str(caught.value).removeprefix("Request parameter error, please check input data: ").startswith(field)


def item(spec: TaskSpec, **fields: Any) -> dict[str, Any]:
    """A list item of a task with that spec."""
    values: dict[str, Any] = {
        "task_id": "0" * 32,
        "enabled": True,
        "finished": False,
        "created_at": NOW,
        "version": 1,
        "state": State.STREAMING,
        "epoch": 1,
        "playhead": None,
        "playhead_at": None,
        "item_ends_ms": (),
        "kbps_in": 2000,
        "kbps_out": 2000,
        "media_time_ms": 0,
        "bytes_in": 0,
        "bytes_out": 0,
        "repairs": 0,
        "sound_drift_ms": None,
        "preparing_percent": None,
        "dropped_tags": 0,
        "retries": 0,
        "fault": None,
        "why": None,
        "worker_id": None,
        "read_at": NOW,
    }
    return show_task(TaskRecord(spec=spec, **{**values, **fields}), NOW)


def test_a_live_task() -> None:
    """Defaults of what was not given."""
    spec = create()
    assert spec.kind is TaskKind.LIVE
    assert [one.url.reveal() for one in spec.items] == [LIVE["SrcAddr"]]
    assert spec.destination.reveal() == LIVE["DstAddr"]
    assert (spec.title, spec.group, spec.loops, spec.pre_download) == ("", "default", -1, True)
    assert spec.continue_strategy is ContinueStrategy.AT_BREAK


def test_what_old_clients_send_for_unset_is_unset() -> None:
    """null, empty texts, empty lists and zeros of the old typed Go client: the same task, and the first page of all."""
    unset = {"Title": "", "SrcAddrS": None, "OffsetS": [], "CallbackURL": "", "Domain": "", "VodSrcAddrs": None}
    zeros = {"CycleMode": 0, "PlayTimes": 0, "Offset": 0, "ContinueStrategy": 0, "PreDownload": 1, "Watermark": None}
    # Loops are shown as they were given, and mean nothing here.
    assert replace(create(**unset, **zeros), cycle_mode=None, play_times=None) == create()
    assert read_body(ListTasks, {"Page": 0, "Size": 0, "Title": ""}) == ListTasks()


def test_the_published_sample_passes_but_for_its_placeholders() -> None:
    """All fields at once with their nested lists, as on the user's page; ContinueStrategy 9 is named."""
    sample = {
        **LIVE,
        "Title": "task001",
        "CallbackURL": "http://example.mtime.cn/live/example/callbackapi",
        "CycleMode": -1,
        "SrcAddrS": [["https://pull.example.com/live/stream-123"]],
        "PlayTimes": 3,
        "Domain": "example.mtime.cn",
        "App": "live",
        "Stream": "stream-123",
        "PreDownload": 1,
        "OffsetS": [["1.1"]],
        "Offset": 30,
    }
    assert create(**sample).destination.reveal() == LIVE["DstAddr"]
    vod = create(**{**sample, "Type": 1})
    assert [(one.url.reveal(), one.start_s) for one in vod.items] == [("https://pull.example.com/live/stream-123", 1.1)]
    refused("ContinueStrategy", lambda: create(**sample, ContinueStrategy=9))
    refused("Watermark.Picture", lambda: create(Watermark=mark(Picture="\\*\\*\\*\\*mCC")))
    refused("EndTime", lambda: create(EndTime=START - 50000))


def mark(**fields: object) -> dict[str, object]:
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    return {"Picture": url, "RelativePosX": 0.1, "RelativePosY": 0, "Ratio": 0.2, **fields}


def test_numbers_that_stand_for_words() -> None:
    """Type, ContinueStrategy and switches take 0 and 1; the 9 of the published sample is a placeholder."""
    spec = create_vod(ContinueStrategy=1, PreDownload=0)
    assert (spec.kind, spec.continue_strategy) == (TaskKind.VOD, ContinueStrategy.AT_BREAK_PLUS_ELAPSED)
    assert (spec.pre_download, create_vod(PreDownload=1).pre_download) == (False, True)
    refused("Type: must be 0 (live) or 1 (VOD)", lambda: create(Type=2))
    refused("ContinueStrategy: must be 0", lambda: create(ContinueStrategy=9))
    refused("PreDownload: must be 0 or 1", lambda: create(PreDownload=-1))


@pytest.mark.parametrize("seconds", [0, -1, 10**12])
def test_times_that_no_calendar_holds_are_refused(seconds: int) -> None:
    """Milliseconds given for seconds among them."""
    refused("StartTime: must be a Unix time in seconds", lambda: create(StartTime=seconds))


def test_rules_speak_of_fields_by_the_names_of_the_api() -> None:
    """Also within a sentence, and of a list by the form in which it was given."""
    refused("EndTime: must be later than StartTime", lambda: create(EndTime=START))
    refused("PlayTimes: must be 1 or more when CycleMode is 0", lambda: create_vod(CycleMode=0))
    refused("CycleMode: must be -1 (endless), 0 (as PlayTimes says)", lambda: create_vod(CycleMode=-2))
    refused("App: is required when DstAddr is empty", lambda: create(DstAddr="", Domain="h"))
    refused("SrcAddr: must start with", lambda: create(SrcAddr="ftp://h/a"))
    refused("SrcAddrS[1]: must start with", lambda: create_vod(SrcAddrS=["http://h/a", "ftp://h/a"]))
    refused("OffsetS: must be a number", lambda: create_vod(OffsetS=[0, -1]))
    refused("Offset: must be a number", lambda: create_vod(SrcAddrS=["http://h/a"], Offset=-1))
    ranges = [{"SrcAddr": "http://h/a"}, {"SrcAddr": "http://h/a", "StartOffset": 5, "EndOffset": 5}]
    refused("VodSrcAddrs[1].EndOffset: must be", lambda: create_vod(SrcAddrS=None, VodSrcAddrs=ranges))
    refused("Watermark.RelativePosY: must be", lambda: create(Watermark=mark(RelativePosY=2)))
    refused("Watermark.Ratio: is required", lambda: update(create(Watermark=mark()), Watermark=mark(Ratio=None)))


def test_offsets_of_the_legacy_form() -> None:
    """As many as addresses; Offset for a single one without OffsetS; numbers may be texts."""
    assert [one.start_s for one in create_vod(OffsetS=[1, "2.5"]).items] == [1.0, 2.5]
    assert [one.start_s for one in create_vod(SrcAddrS=["http://s/a"], Offset=30).items] == [30.0]
    assert [one.start_s for one in create_vod(SrcAddrS=["http://s/a"], Offset=30, OffsetS=[4]).items] == [4.0]
    assert [one.start_s for one in create_vod(Offset=30).items] == [0.0, 0.0]
    refused("OffsetS", lambda: create_vod(OffsetS=[1]))
    refused("OffsetS", lambda: create_vod(OffsetS=[1, -1]))
    refused("OffsetS[1]", lambda: create_vod(OffsetS=[1, "x"]))
    refused("OffsetS[1]", lambda: create_vod(OffsetS=[1, "nan"]))


def test_the_form_with_both_offsets() -> None:
    """VodSrcAddrs excludes the older form."""
    sources = [{"SrcAddr": "http://s/a", "StartOffset": 1, "EndOffset": 9.5}, {"SrcAddr": "http://s/b"}]
    spec = create_vod(SrcAddrS=None, VodSrcAddrs=sources)
    assert spec.source_form is SourceForm.RANGES
    assert [(one.start_s, one.end_s) for one in spec.items] == [(1.0, 9.5), (0.0, 0.0)]
    refused("VodSrcAddrs", lambda: create_vod(VodSrcAddrs=sources))
    refused("VodSrcAddrs", lambda: create_vod(SrcAddrS=None, VodSrcAddrs=sources, OffsetS=[1, 2]))
    refused(
        "VodSrcAddrs[0].EndOffset", lambda: create_vod(SrcAddrS=None, VodSrcAddrs=[{**sources[0], "StartOffset": 10}])
    )
    refused("VodSrcAddrs[1].SrcAddr", lambda: create_vod(SrcAddrS=None, VodSrcAddrs=[sources[0], {"StartOffset": 1}]))


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("StartTime", {"StartTime": None}),
        ("EndTime", {"EndTime": START + 7 * 86400 + 1}),
        ("StartTime", {"StartTime": str(START)}),
        ("StartTime", {"StartTime": 1.5}),
        ("StartTime", {"StartTime": True}),
        ("Type", {"Type": 2}),
        ("Type", {"Type": None}),
        ("Title", {"Title": "a" * 21}),
        ("Title", {"Title": 5}),
        ("SrcAddr", {"SrcAddr": ""}),
        ("SrcAddr", {"SrcAddr": "http://h/" + "a" * 992}),
        ("SrcAddr", {"SrcAddr": ["http://h/a"]}),
        ("DstAddr", {"DstAddr": ""}),
        ("Stream", {"DstAddr": "", "Domain": "h", "App": "a"}),
        ("DstAddr", {"DstAddr": "http://h/a/b"}),
        ("CallbackURL", {"CallbackURL": "http://h/" + "a" * 1992}),
        ("CycleMode", {"CycleMode": -2}),
        ("CycleMode", {"CycleMode": 2**40}),
        ("PreDownload", {"PreDownload": 2}),
        ("GroupName", {"GroupName": "a-b"}),
        ("Watermark.Ratio", {"Watermark": {**mark(), "Ratio": None}}),
        ("Watermark.Picture", {"Watermark": {}}),
        ("Watermark", {"Watermark": "x"}),
    ],
)
def test_a_wrong_field_is_named(field: str, fields: dict[str, object]) -> None:
    """Missing, out of range, or of another type."""
    refused(field, lambda: create(**fields))


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("SrcAddrS", {"SrcAddrS": []}),
        ("SrcAddrS", {"SrcAddrS": ["http://h/a"] * 31}),
        ("SrcAddrS[1]", {"SrcAddrS": ["http://h/a", "rtmp://h/a/b"]}),
        ("SrcAddrS", {"SrcAddrS": "http://h/a"}),
        ("SrcAddrS[0]", {"SrcAddrS": [[["http://h/a"]]]}),
        ("PlayTimes", {"CycleMode": 0}),
        ("PlayTimes", {"CycleMode": 0, "PlayTimes": 0}),
    ],
)
def test_a_wrong_list_is_named(field: str, fields: dict[str, object]) -> None:
    """Counts, schemes, deeper nesting than the sample's, and loops."""
    refused(field, lambda: create_vod(**fields))


def test_the_limits_of_the_other_types_fields_hold_too() -> None:
    """1,000 characters and 30 addresses, by name, in a new task and in an update; what they are is not looked at."""
    address, long = "gopher://h/" + "a" * 989, "gopher://h/" + "a" * 990
    unused = {"SrcAddrS": [address] * 30, "VodSrcAddrs": [{"SrcAddr": address}] * 30, "OffsetS": [-1]}
    assert create(**unused) == update(create(), **unused) == create()
    assert create_vod(SrcAddr=address) == update(create_vod(), SrcAddr=address) == create_vod()
    for field, fields in (
        ("SrcAddrS:", {"SrcAddrS": ["x"] * 31}),
        ("SrcAddrS:", {"SrcAddrS": [["x"] * 31]}),
        ("SrcAddrS[1]:", {"SrcAddrS": ["x", long]}),
        ("VodSrcAddrs:", {"VodSrcAddrs": [{"SrcAddr": "x"}] * 31}),
        ("VodSrcAddrs[1].SrcAddr:", {"VodSrcAddrs": [{"SrcAddr": "x"}, {"SrcAddr": long}]}),
    ):
        refused(field, lambda fields=fields: create(**fields))
        refused(field, lambda fields=fields: update(create(), **fields))
    refused("SrcAddr:", lambda: create_vod(SrcAddr=long))
    refused("SrcAddr:", lambda: update(create_vod(), SrcAddr=long))


def test_what_an_update_does_not_give_stays() -> None:
    """One field at a time."""
    before = create_vod(Title="before", OffsetS=[1, 2], PreDownload=0, ContinueStrategy=1, Watermark=None)
    assert update(before) == before
    after = update(before, Title="after")
    assert (after.title, after.items) == ("after", before.items)
    assert update(before, OffsetS=[3, 4]).items[1].start_s == 4.0
    assert update(before, CycleMode=0, PlayTimes=2).loops == 2
    assert update(before, SrcAddrS=["http://s/c"]).items[0].start_s == 0.0
    moved = update(before, Domain="h", App="a", Stream="s")
    assert moved.destination.reveal() == "rtmp://h/a/s"


@pytest.mark.parametrize("nothing", [None, "", []])
def test_nothing_in_an_update_means_not_given(nothing: object) -> None:
    """For every field: old typed clients send all of them, and would empty a task by changing its title."""
    before = create_vod(Title="t", CallbackURL="http://c/", OffsetS=[1, 2], ContinueStrategy=1, Watermark=mark())
    names = set(UpdateTask.model_fields) - {"TaskId"}
    assert update(before, **dict.fromkeys(names, nothing)) == before
    assert update(before, Offset=0) == before


def test_clear_makes_a_field_empty() -> None:
    """Title, callback and watermark, which have no value for that; giving and clearing one at once is a mistake."""
    before = create_vod(Title="t", CallbackURL="http://c/", Watermark=mark())
    assert (update(before, Clear=["Title"]).title, update(before, Clear=["CallbackURL"]).callback_url) == ("", "")
    assert update(before, Clear=["Watermark"]) == update(before, Watermark={})
    cleared = update(before, Clear=["Title", "CallbackURL", "Watermark"], PreDownload=0)
    assert (cleared.title, cleared.callback_url, cleared.watermark, cleared.pre_download) == ("", "", None, False)
    refused("Clear", lambda: update(before, Clear=["Title"], Title="new"))
    refused("Clear[0]: should be 'Title'", lambda: update(before, Clear=["DstAddr"]))
    refused("Clear", lambda: update(before, Clear="Title"))


def test_offsets_alone_may_be_updated() -> None:
    """By OffsetS, by Offset for a single address; Offset for several is of no effect, as in a new task."""
    two, one = create_vod(OffsetS=[1, 2]), create_vod(SrcAddrS=["http://s/a"])
    assert [one.start_s for one in update(two, OffsetS=[0, 4]).items] == [0.0, 4.0]
    assert update(two, Offset=30) == two
    assert update(one, Offset=30).items[0].start_s == 30.0
    assert update(update(one, Offset=30), OffsetS=[0]) == one
    other_form = create_vod(SrcAddrS=None, VodSrcAddrs=[{"SrcAddr": "http://s/a"}])
    refused("OffsetS", lambda: update(other_form, OffsetS=[3]))
    refused("Offset:", lambda: update(other_form, Offset=3))


def test_a_new_kind_needs_its_own_source() -> None:
    """Nothing of the other kind's source stays."""
    assert update(create(), Type=1, SrcAddrS=["http://s/a"]).loops == -1
    refused("SrcAddrS", lambda: update(create(), Type=1))
    refused("SrcAddr", lambda: update(create_vod(), Type=0))


def test_the_window_of_an_ended_task_is_only_checked_when_it_changes() -> None:
    """Its title may be changed by a client that sends everything again."""
    later = NOW + timedelta(days=30)
    assert update(create(), later, Title="x", StartTime=START, EndTime=END).title == "x"
    refused("EndTime", lambda: update(create(), later, EndTime=END + 1))


def test_an_empty_watermark_object_takes_the_watermark_away() -> None:
    """In an update only; leaving the field out keeps it."""
    spec = create(Watermark=mark())
    assert spec.watermark is not None
    assert spec.watermark.picture == png()
    assert update(spec, Watermark=None) == spec
    assert update(spec, Watermark=item(spec)["Watermark"]) == spec
    assert update(spec, Watermark={}).watermark is None


def test_items_show_the_fields_of_the_api() -> None:
    """Times with an offset, the status in words and as a number, the source in the form it was given."""
    shown = item(create(Title="news", GroupName="default"))
    assert (shown["StartTime"], shown["EndTime"]) == ("2026-01-01T08:00:00+08:00", "2026-01-01T09:00:00+08:00")
    assert (shown["Status"], shown["TaskStatus"], shown["DstAddrType"]) == ("生效中", 2, 2)
    assert "SrcAddrS" not in shown
    shown = item(create_vod(OffsetS=[1, 2], CycleMode=0, PlayTimes=2))
    assert (shown["OffsetS"], shown["CycleMode"], shown["PlayTimes"]) == ([1.0, 2.0], 0, 2)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize(
    ("start_s", "end_s", "by_clock"),
    [
        (1, 60, ("未开始", 1)),
        (0, 60, ("生效中", 2)),
        (-60, 1, ("生效中", 2)),
        (-60, 0, ("已结束", 3)),
        (-60, -1, ("已结束", 3)),
    ],
)
def test_the_status_of_every_combination(
    start_s: int, end_s: int, by_clock: tuple[str, int], enabled: bool, finished: bool
) -> None:
    """Disabled before all; then the window, whose start is inside and whose end is not; then a list that ended."""
    window = {"start_at": NOW + timedelta(seconds=start_s), "end_at": NOW + timedelta(seconds=end_s)}
    shown = item(replace(create_vod(), **window), enabled=enabled, finished=finished)
    expected = by_clock if enabled else ("停用", 0)
    if enabled and finished and by_clock == ("生效中", 2):
        expected = ("已结束", 3)
    assert (shown["Status"], shown["TaskStatus"]) == expected


def test_items_show_no_secret() -> None:
    """Stream keys, queries and passwords stay here, in whatever field the address was."""
    spec = create_vod(
        VodSrcAddrs=[{"SrcAddr": "http://user:hush@s/a.mp4?token=hush"}],
        SrcAddrS=None,
        DstAddr="rtmp://d/app/hush?sign=hush",
        CallbackURL="http://c/path?token=hush",
    )
    assert "hush" not in str(item(spec, fault="user_source", why=Reason.text("the source is silent")))


def test_what_a_list_showed_can_be_sent_back() -> None:
    """Redacted addresses mean those the task has, also where two differ in what is hidden only."""
    use_marks("a key")
    addresses = ["http://s/a?k=1", "http://s/a?k=2", "http://s/b?k=3"]
    spec = create_vod(SrcAddrS=addresses, CallbackURL="http://c/?t=1", Title="t")
    shown = item(spec)
    fields = {name: shown[name] for name in ("SrcAddrS", "OffsetS", "DstAddr", "CallbackURL", "CycleMode", "Title")}
    assert update(spec, **fields) == spec
    reordered = update(spec, SrcAddrS=[shown["SrcAddrS"][2], "http://s/new"])
    assert [one.url.reveal() for one in reordered.items] == [addresses[2], "http://s/new"]
    refused("SrcAddrS[2]", lambda: update(spec, SrcAddrS=[shown["SrcAddrS"][2], "http://s/new", "http://s/a?***"]))


def test_a_redacted_address_of_no_task_is_refused() -> None:
    """It would push to a stream called ***."""
    refused("DstAddr", lambda: create(DstAddr="rtmp://dst/app/***"))
    refused("DstAddr", lambda: update(create(), DstAddr="rtmp://other/app/***"))


def test_items_tell_how_the_run_is() -> None:
    """State, rate, fault and playhead, in an object of our own."""
    run = item(create(), fault="user_source", why=Reason.text("silent"), playhead=Playhead(1, 2, 3))["Run"]
    assert run == {
        "State": "streaming",
        "KbpsOut": 2000,
        "DroppedTags": 0,
        "Retries": 0,
        "Fault": "user_source",
        "Reason": "silent",
        "Playhead": {"Loop": 1, "Item": 2, "PositionMs": 3},
    }


def test_an_item_of_a_live_task_had_no_loops() -> None:
    """Clients read ``CycleMode`` of every item: it is what was given, else -1, and has no effect."""
    live = {"Type": 0, "SrcAddr": "rtmp://s/a/b", "SrcAddrS": None, "OffsetS": None, "CycleMode": None}
    shown = item(create_vod(**live))
    assert (shown["CycleMode"], shown["PlayTimes"]) == (-1, 0)
    spec = create_vod(**{**live, "CycleMode": 0, "PlayTimes": 3})
    assert spec.loops == -1
    assert [item(one)["PlayTimes"] for one in (spec, update(spec, Title="t"), update(spec, PlayTimes=4))] == [3, 3, 4]
