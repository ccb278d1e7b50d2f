"""The form as a value: what is typed, what is wrong with it, and the task it becomes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streamferry.control.address_rules import address_rules
from streamferry.media.peer_options import CONNECT_PARAMETERS, OPTION_NAMES, PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.relay import State
from streamferry.store.records import TaskRecord
from streamferry.tasks import checks
from streamferry.tasks.draft import CLEARED, decide_spec
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.tasks.options import OptionsDraft
from streamferry.tasks.texts import TEXTS
from streamferry.web.dashboard.connection_values import ConnectionValues, HeaderValues
from streamferry.web.dashboard.form_values import FormValues, SourceValues, WatermarkValues, read_seconds, typed_address
from streamferry.web.dashboard.texts import sayer
from streamferry.web.dashboard.window_values import WindowValues
from streamferry.web.record_views import show_task
from streamferry.web.views import Kind, TaskView

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
RULES = address_rules(Folders.of([Path("/films")]))


def task(**changed: object) -> TaskView:
    """A list of two files, as it is shown."""
    given = {
        "kind": TaskKind.VOD,
        "items": (
            TaskItem(MediaUrl.parse("https://a.example/1.mp4?token=x"), 5.0, 90.0),
            TaskItem(MediaUrl.parse("/films/2.mp4")),
        ),
        "destination": MediaUrl.parse("rtmp://push.example/live/secret"),
        "start_at": NOW - timedelta(hours=1),
        "end_at": NOW + timedelta(hours=1),
        "title": "seen",
        **changed,
    }
    record = TaskRecord(
        task_id="0" * 32,
        spec=TaskSpec(**given),  # type: ignore[arg-type]
        enabled=True,
        finished=False,
        created_at=NOW,
        version=7,
        state=State.STREAMING,
        epoch=1,
        playhead=None,
        playhead_at=None,
        item_ends_ms=(),
        kbps_in=0,
        kbps_out=0,
        media_time_ms=0,
        bytes_in=0,
        bytes_out=0,
        repairs=0,
        sound_drift_ms=None,
        preparing_percent=None,
        dropped_tags=0,
        retries=0,
        fault=None,
        why=None,
        worker_id=None,
        read_at=NOW,
    )
    return show_task(record, NOW)


def filled(**changed: object) -> FormValues:
    """A new task with nothing wrong about it."""
    values = FormValues.new(ZONE, NOW)
    values.sources = [SourceValues("https://a.example/1.mp4")]
    values.destination = "rtmp://push.example/live/key"
    for name, value in changed.items():
        setattr(values.window if name in ("start", "end") else values, name, value)
    return values


def test_an_empty_form_says_what_it_needs() -> None:
    """And nothing about what may stay empty."""
    found = FormValues.new(ZONE, NOW).find_problems(RULES, NOW)
    assert {name: str(why) for name, why in found.items()} == {
        "sources[0].url": "is required",
        "destination": "is required",
    }


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"title": "not / one"}, "title"),
        ({"texts": {"note": "a\0"}}, "note"),
        (
            {"sources": [SourceValues("https://a.example/1.mp4"), SourceValues("rtmp://a.example/live/x")]},
            "sources[1].url",
        ),
        ({"sources": [SourceValues("file:///elsewhere/1.mp4")]}, "sources[0].url"),
        ({"sources": [SourceValues("https://a.example/1.mp4", "2:00", "1:30")]}, "sources[0].end_s"),
        ({"sources": [SourceValues("https://a.example/1.mp4", "a")]}, "sources[0].start_s"),
        ({"destination": "rtmp://push.example/live/***"}, "destination"),
        ({"start": "2026-03-09T12:00", "end": "2026-03-01T12:00"}, "end_at"),
        ({"start": "yesterday"}, "start_at"),
        ({"end": "2026-03-20T12:00"}, "end_at"),
        ({"is_endless": False, "loops": 0.5}, "loops"),
        ({"callback_url": "ftp://x.example/"}, "callback_url"),
        ({"mark": WatermarkValues()}, "watermark.picture"),
    ],
)
def test_each_wrong_value_is_found_at_its_field(values: dict[str, object], field: str) -> None:
    """By the same rules as a request's."""
    assert field in filled(**values).find_problems(RULES, NOW)


def test_a_form_without_problems_is_a_task() -> None:
    """In the zone of the browser, offsets in seconds however they were typed."""
    values = filled(start="2026-03-02T08:00", end="2026-03-02T20:30", is_endless=False, loops=3.0)
    values.sources.append(SourceValues("file:///films/2.mp4", "1:30", "0:02:00.5"))
    assert values.find_problems(RULES, NOW) == {}
    body = values.new_task(NOW)
    assert body.sources is not None
    assert body.start_at == datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
    assert body.end_at == datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
    assert [(one.start_s, one.end_s) for one in body.sources] == [(0.0, 0.0), (90.0, 120.5)]
    assert body.loops == 3


def test_a_live_task_has_only_what_applies() -> None:
    """What was typed for a list is neither judged nor sent."""
    values = filled(kind=Kind.LIVE, is_endless=False, loops=None)
    values.sources = [SourceValues("rtmp://a.example/live/x", "wrong"), SourceValues("also wrong")]
    assert values.find_problems(RULES, NOW) == {}
    body = values.new_task(NOW)
    assert body.loops is None
    assert body.sources is not None
    assert [one.url for one in body.sources] == ["rtmp://a.example/live/x"]


def test_an_unchanged_form_changes_nothing() -> None:
    """Addresses stay as they are shown, the window to the second, and what was seen is what may be replaced."""
    seen = task()
    values = FormValues.of(seen, ZONE)
    assert values.find_problems(RULES, NOW) == {}
    patch = values.changes(NOW)
    assert (patch.start_at, patch.end_at) == (seen.start_at, seen.end_at)
    assert patch.destination == "rtmp://push.example/live/***"
    assert patch.sources is not None
    assert [(one.url, one.start_s, one.end_s) for one in patch.sources] == [
        ("https://a.example/1.mp4?***", 5.0, 90.0),
        ("file:///films/2.mp4", 0.0, 0.0),
    ]
    assert patch.watermark is CLEARED


def test_what_is_emptied_is_taken_away() -> None:
    """A title and a callback that were there are said to be empty."""
    values = FormValues.of(task(callback_url="https://x.example/a?token=1", note="n"), ZONE)
    values.title = values.callback_url = values.texts["note"] = ""
    patch = values.changes(NOW)
    assert (patch.title, patch.callback_url, patch.texts["note"]) == (CLEARED, CLEARED, CLEARED)


def test_a_copy_asks_for_the_secrets_again() -> None:
    """They are not in the form, and two tasks with one destination would collide anyhow."""
    values = FormValues.copy(task(), ZONE, NOW, "")
    assert set(values.find_problems(RULES, NOW)) == {"sources[0].url", "destination"}
    assert values.window.start == ""


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("90", 90), ("1:30", 90), ("1:00:01.5", 3601.5), (" 5 ", 5)])
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """Seconds, minutes, hours."""
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["-1", "1:2:3:4", "a", "nan", "inf", "9" * 40])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With the rule's own kind of error."""
    with pytest.raises(InvalidField):
        read_seconds(text)


def test_the_rules_speak_chinese() -> None:
    """Every sentence that a value in the form can meet has its translation, values put in."""
    say = sayer("zh")
    wrong = [
        lambda: checks.check_title("-"),
        lambda: checks.check_text("note", "a" * 501, TEXTS["note"]),
        lambda: checks.check_text("note", "\0", TEXTS["note"]),
        lambda: checks.check_window(NOW, NOW, NOW),
        lambda: checks.check_window(NOW, NOW + timedelta(days=8), NOW),
        lambda: checks.check_window(NOW - timedelta(2), NOW - timedelta(1), NOW),
        lambda: checks.read_source("f", "ftp://x", TaskKind.VOD, RULES),
        lambda: checks.read_source("f", "file:///x", TaskKind.VOD, RULES),
        lambda: checks.read_source("f", "http://" + "x" * 2000, TaskKind.VOD, RULES),
        lambda: checks.read_source("f", "http://ü", TaskKind.VOD, RULES),
        lambda: checks.read_source("f", "http://a b", TaskKind.VOD, RULES),
        lambda: checks.read_source("f", "http://", TaskKind.VOD, RULES),
        lambda: checks.read_source("f", "http://a:x/", TaskKind.VOD, RULES),
        lambda: checks.read_destination("rtmp://a/live", RULES),
        lambda: checks.read_destination("rtmp://a/live/***", RULES),
        lambda: checks.check_callback_url("x", RULES),
        lambda: checks.check_item_count("f", 31),
        lambda: checks.read_watermark("x", 0, 0, 0.5),
        lambda: checks.read_watermark("x", 2, 0, 0.5),
        lambda: checks.read_watermark("x", 0, 0, 2),
        lambda: checks.read_watermark("data:image/png;base64,x", 0, 0, 0.5),
        lambda: checks.read_watermark("data:image/png;base64,AAAA", 0, 0, 0.5),
        lambda: read_seconds("x"),
    ]
    for break_rule in wrong:
        with pytest.raises(InvalidField) as caught:
            break_rule()
        words = say(caught.value.why)
        assert any("\u4e00" <= character <= "\u9fff" for character in words), words
        assert "{}" not in words


def test_a_file_of_this_machine_is_typed_by_its_path_and_shown_by_its_name() -> None:
    """As the file manager shows it; only on the wire is it encoded. What is no plain path stays as it is."""
    encoded = "file:///films/%E5%91%A8%E6%9C%AB%20%25.mp4"
    assert typed_address(encoded) == "/films/周末 %.mp4"
    assert SourceValues("/films/周末 %.mp4").address == encoded
    for address in ("file://host/a.mp4", "file:///a%0Ab.mp4", "file:///a.mp4?x=1", "https://h/%E5.mp4"):
        assert typed_address(address) == address
        assert SourceValues(f" {address} ").address == address


@pytest.mark.parametrize(
    ("zone", "text"), [("Europe/Berlin", "2027-03-28T02:30"), ("America/New_York", "2027-03-14T02:30")]
)
def test_a_time_that_clocks_skip_is_refused_at_its_field(zone: str, text: str) -> None:
    """It was saved as another one, and shown an hour later."""
    values = FormValues(WindowValues(ZoneInfo(zone), start=text, end=text[:8] + "30T00:00"))
    problem = values.find_problems(RULES, NOW)["start_at"]
    assert str(problem) == f"is no time in {zone} on that day: clocks go forward over it"
    assert "拨快" in sayer("zh")(problem)


@pytest.mark.parametrize(
    ("zone", "text", "first", "second"),
    [
        ("Europe/Berlin", "2027-10-31T02:30", "2027-10-31T00:30Z", "2027-10-31T01:30Z"),
        ("America/New_York", "2027-11-07T01:30", "2027-11-07T05:30Z", "2027-11-07T06:30Z"),
    ],
)
def test_a_time_that_comes_twice_is_the_first_and_said_to_be(zone: str, text: str, first: str, second: str) -> None:
    """What the task has stays what it is, and a form that is opened and saved changes nothing."""
    instants = [datetime.fromisoformat(one) for one in (first, second)]
    values = FormValues(WindowValues(ZoneInfo(zone), start="", end=text))
    now = instants[0] - timedelta(hours=5)
    told = [one.isoformat(timespec="minutes") for one in values.window.find_doubtful(now)]
    assert told == [instants[0].astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")]
    assert values.window.end_at() == instants[0]
    for at in instants:
        seen = FormValues.of(task(start_at=at - timedelta(hours=4), end_at=at), ZoneInfo(zone))
        assert seen.window.end == text
        assert seen.window.end_at() == at
        assert [one.astimezone(UTC) for one in seen.window.find_doubtful(now)] == [at]
        assert seen.changes(now).end_at == at


OPTIONS = PeerOptions(
    proxy=MediaUrl.parse("socks5h://u:pass@proxy.example:1080"),
    bind="192.0.2.7",
    headers=(("User-Agent", "player/1"), ("Cookie", "sid=hidden")),
)
CONNECT = PeerOptions(flash_ver="FMLE/3.0", tc_url="rtmp://cdn.example/live?token=hidden")


def changed(values: FormValues, before: TaskSpec) -> TaskSpec:
    """The task after the form was saved; it had nothing to complain about."""
    assert values.find_problems(RULES, NOW) == {}
    return decide_spec(values.changes(NOW), before, NOW, RULES)


def spec(**more: object) -> TaskSpec:
    """A list of one file, pushed by server and key, both with options."""
    given: dict[str, object] = {
        "kind": TaskKind.VOD,
        "items": (TaskItem(MediaUrl.parse("https://a.example/1.mp4?token=x")),),
        "destination": MediaUrl.of_server("rtmp://push.example/live/", "KEY?a=b"),
        "start_at": NOW - timedelta(hours=1),
        "end_at": NOW + timedelta(hours=1),
        "source_options": OPTIONS,
        "destination_options": CONNECT,
        **more,
    }
    return TaskSpec(**given)  # type: ignore[arg-type]


def form_of(one: TaskSpec) -> FormValues:
    """The form that changes it."""
    parts = {name: getattr(one, name) for name in spec().__dataclass_fields__}
    return FormValues.of(task(**parts), ZONE)


def test_a_change_of_the_title_cleared_proxies_and_headers() -> None:
    """The form knew nothing of them, and sent them as emptied. Nothing hidden is in it, and nothing is lost."""
    before = spec()
    values = form_of(before)
    assert "hidden" not in repr(values)
    assert "pass" not in repr(values)
    assert (values.is_apart, values.server, values.key) == (True, "rtmp://push.example/live/", "***")
    values.title = "other"
    after = changed(values, before)
    assert (after.source_options, after.destination_options) == (OPTIONS, CONNECT)
    assert after.destination == before.destination


def test_options_are_changed_one_by_one() -> None:
    """What is typed replaces, what is emptied goes, and what stands there as it was shown stays."""
    before = spec()
    values = form_of(before)
    values.source_connection.proxy = ""
    values.source_connection.headers[0].value = "player/2"
    values.source_connection.headers.append(HeaderValues("Referer", " https://a.example/ "))
    values.source_connection.headers.append(HeaderValues())
    values.destination_connection.connect["flash_ver"] = ""
    values.key = "OTHER"
    after = changed(values, before)
    assert after.source_options == PeerOptions(
        bind="192.0.2.7",
        headers=(("User-Agent", "player/2"), ("Cookie", "sid=hidden"), ("Referer", "https://a.example/")),
    )
    assert after.destination_options == PeerOptions(tc_url=CONNECT.tc_url)
    assert after.destination.apart == ("rtmp://push.example/live/", "OTHER")


def test_a_server_with_a_hidden_query_takes_another_key() -> None:
    """It is shown without its query; left as it is, it is the one that the task has."""
    before = spec(destination=MediaUrl.of_server("rtmp://push.example/live?auth=hidden", "KEY"))
    values = form_of(before)
    assert values.server == "rtmp://push.example/live?***"
    values.key = "OTHER"
    after = changed(values, before)
    assert after.destination.apart == ("rtmp://push.example/live?auth=hidden", "OTHER")


def test_what_has_no_effect_is_neither_asked_for_nor_sent() -> None:
    """Options are those of the addresses as they are typed; while there is none, of any that may come."""
    values = filled()
    values.source_connection = ConnectionValues(proxy="nonsense", connect={"tc_url": "x"})
    values.sources = [SourceValues("/films/1.mp4")]
    assert values.usable_options["source_options"] == frozenset()
    assert values.find_problems(RULES, NOW) == {}
    assert values.new_task(NOW).source_options == OptionsDraft(
        *("", "", {}), tc_url="", keep_drift=False, segments_behind=0, max_kbps=0, rotate_s=0, overlap=False
    )
    of_hls = {"segments_behind", "max_kbps"}
    everything = frozenset(OPTION_NAMES) - {"keep_drift", *of_hls, "rotate_s", "overlap"}
    for kind, url, usable in (
        (Kind.VOD, "", everything - set(CONNECT_PARAMETERS)),
        (Kind.LIVE, "", everything | {"keep_drift", *of_hls}),
        (Kind.LIVE, "rtmp://a.example/live/x", (everything | {"keep_drift"}) - {"headers"}),
        (Kind.LIVE, "https://a.example/live.flv", (everything | {"keep_drift", *of_hls}) - set(CONNECT_PARAMETERS)),
        (Kind.LIVE, "srt://a.example:9000", {"keep_drift"}),
        (Kind.LIVE, "rtsp://a.example/1", {"proxy", "bind", "keep_drift"}),
    ):
        values.kind, values.sources = kind, [SourceValues(url)]
        assert values.usable_options["source_options"] == usable, url
    for is_apart, destination, usable in (
        (False, "", everything | {"overlap"}),
        (False, "https://a.example/x.m3u8", everything - set(CONNECT_PARAMETERS)),
        (True, "https://a.example/x.m3u8", (everything | {"overlap"}) - {"headers"}),
    ):
        values.is_apart, values.destination = is_apart, destination
        assert values.usable_options["destination_options"] == usable | {"rotate_s"}, destination


def test_what_live_hls_is_played_of_the_form() -> None:
    values = filled()
    values.kind, values.sources = Kind.LIVE, [SourceValues("https://a.example/live.m3u8")]
    values.source_connection = ConnectionValues.of({"segments_behind": 6})
    values.source_connection.max_kbps = 2500.0
    task = values.new_task(NOW)
    assert isinstance(task.source_options, OptionsDraft)
    assert (task.source_options.segments_behind, task.source_options.max_kbps) == (6, 2500)
    values.source_connection.segments_behind = 101
    assert "source_options.segments_behind" in values.find_problems(RULES, NOW)


def test_drift_and_rotation_of_the_form() -> None:
    """They are sent as they stand, and cleared where they were emptied; too short a time is told at its field."""
    values = filled()
    values.source_connection = ConnectionValues.of({"keep_drift": True})
    values.destination_connection = ConnectionValues.of({"rotate_s": 7200, "overlap": True})
    values.kind, values.sources = Kind.LIVE, [SourceValues("rtmp://a.example/live/x")]
    task = values.new_task(NOW)
    assert isinstance(task.source_options, OptionsDraft)
    assert isinstance(task.destination_options, OptionsDraft)
    assert (task.source_options.keep_drift, task.source_options.rotate_s) == (True, 0)
    assert (task.destination_options.keep_drift, task.destination_options.rotate_s) == (False, 7200)
    assert (task.source_options.overlap, task.destination_options.overlap) == (False, True)
    values.destination_connection.rotate_s = None
    cleared = values.new_task(NOW).destination_options
    assert isinstance(cleared, OptionsDraft)
    assert cleared.rotate_s == 0
    values.destination_connection.rotate_s = 5
    assert set(values.find_problems(RULES, NOW)) == {"destination_options.rotate_s"}


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"proxy": "proxy.example:8080"}, "proxy", "must be http://host:port"),
        ({"proxy": "socks5://***@proxy.example:1080"}, "proxy", "for its secrets"),
        ({"proxy": "http://" + "a" * 1000 + ":1"}, "proxy", "at most 1000 characters"),
        ({"bind": "eth0"}, "bind", "must be an IP address"),
        ({"headers": [HeaderValues("", "x")]}, "headers[0].name", "no HTTP header can have"),
        ({"headers": [HeaderValues("Range", "bytes=0-")]}, "headers[0].name", "Range cannot be given"),
        ({"headers": [HeaderValues("X", "1"), HeaderValues("x", "2")]}, "headers[1].name", "x is given twice"),
        ({"headers": [HeaderValues(), HeaderValues("Cookie")]}, "headers[1].value", "the value of Cookie must be"),
        ({"headers": [HeaderValues("Cookie", "sid=\u4f60")]}, "headers[0].value", "the value of Cookie must be"),
        ({"headers": [HeaderValues("Cookie", "***")]}, "headers[0].value", "give the whole value"),
        ({"headers": [HeaderValues(f"X-{n}", "1") for n in range(33)]}, "headers", "at most 32 headers"),
    ],
)
def test_a_wrong_option_is_named_at_its_field(typed: dict[str, Any], field: str, words: str) -> None:
    """And no other one. What is typed is not repeated where it may be secret."""
    values = filled(source_connection=ConnectionValues(**typed))
    found = values.find_problems(RULES, NOW)
    assert list(found) == [f"source_options.{field}"]
    assert words in str(found[f"source_options.{field}"])


@pytest.mark.parametrize(
    ("server", "key", "field"),
    [
        ("", "KEY", "server"),
        ("push.example/live", "KEY", "server"),
        ("https://push.example/live", "KEY", "server"),
        ("rtmp://***/live", "KEY", "server"),
        ("rtmp://push.example/live", "***", "key"),
        ("rtmp://push.example/live", "a\0b", "key"),
        ("rtmp://push.example", "", "key"),
        ("rtmp://push.example/live", "k" * 1001, "key"),
    ],
)
def test_a_wrong_server_or_key_is_named_at_its_field(server: str, key: str, field: str) -> None:
    """The one address that was typed before is of no matter then."""
    values = filled(destination="nonsense", is_apart=True, server=server, key=key)
    assert list(values.find_problems(RULES, NOW)) == [f"destination.{field}"]


def test_a_hidden_key_is_not_for_another_server() -> None:
    """It was said to be an address that is to be typed whole."""
    values = form_of(spec())
    values.server = "rtmp://other.example/live"
    (why,) = values.find_problems(RULES, NOW).values()
    assert str(why) == "is ***, which stands for the key that another server had: give the key itself"


def test_a_copy_has_none_of_the_hidden_values() -> None:
    """They are asked for again, each at its field: nothing that was hidden goes to another task unseen."""
    values = FormValues.copy(form_of(spec()).seen or task(), ZONE, NOW, "")
    assert set(values.find_problems(RULES, NOW)) == {
        "sources[0].url",
        "destination.key",
        "source_options.proxy",
        "source_options.headers[1].value",
        "destination_options.tc_url",
    }
