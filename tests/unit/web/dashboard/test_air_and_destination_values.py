"""Further destinations, inputs and the slate in the form: kept, changed, copied, and refused at their fields."""

import base64
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streamferry.control.address_rules import address_rules
from streamferry.media.peer_options import PeerOptions
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.relay import State
from streamferry.relay.eyes.judge import ContentFault, Rule, Watch
from streamferry.relay.inputs.policy import Switching
from streamferry.relay.spec import Latency
from streamferry.store.records import TaskRecord
from streamferry.tasks.draft import CLEARED, decide_spec
from streamferry.tasks.model import TaskDestination, TaskInput, TaskItem, TaskKind, TaskSpec
from streamferry.tasks.series import Series
from streamferry.tasks.watching import decide_watch
from streamferry.web.dashboard.air_values import InputValues
from streamferry.web.dashboard.connection_values import ConnectionValues, HeaderValues
from streamferry.web.dashboard.destination_values import FurtherDestination, shown_field
from streamferry.web.dashboard.form_values import FormValues, SourceValues
from streamferry.web.dashboard.platforms import PLATFORMS, platform_at
from streamferry.web.dashboard.texts import TEXTS
from streamferry.web.record_views import show_task
from streamferry.web.views import Kind, TaskView

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
CLOCK = NOW.replace(tzinfo=None)
ZONE = ZoneInfo("Asia/Shanghai")
WEB = SourceValues("https://a.example/1.mp4")
RULES = address_rules(Folders.of([Path("/films")]))


def png() -> bytes:
    """A picture of 16 by 16."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (16).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    pixels = zlib.compress(b"".join(b"\0" + bytes(range(48)) for _ in range(16)), 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PICTURE = png()
DATA_URL = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"


def spec(**changed: object) -> TaskSpec:
    """A live task that has all of it."""
    given: dict[str, Any] = {
        "kind": TaskKind.LIVE,
        "items": (TaskItem(MediaUrl.parse("rtmp://a.example/live/x?token=hidden")),),
        "destination": MediaUrl.of_server("rtmp://push.example/live", "KEY"),
        "destination_id": 2,
        "destination_name": "Main",
        "others": (
            TaskDestination(
                1, MediaUrl.of_server("rtmp://b.example/live", "OTHER"), "B", True, Latency.LOW, backup_of=2
            ),
            TaskDestination(
                4,
                MediaUrl.parse("rtmp://c.example/live/hidden"),
                enabled=False,
                options=PeerOptions(tc_url="rtmp://c.example/live?token=hidden"),
            ),
        ),
        "inputs": (
            TaskInput(
                TaskKind.LIVE,
                (TaskItem(MediaUrl.parse("rtmp://b.example/live/y?token=hidden")),),
                True,
                PeerOptions(tc_url="rtmp://b.example/live?token=hidden", flash_ver="FMLE/3.0", keep_drift=True),
            ),
            TaskInput(
                TaskKind.VOD,
                (
                    TaskItem(MediaUrl.parse("https://a.example/1.mp4?sig=hidden"), 5.0, 90.0),
                    TaskItem(MediaUrl.parse("https://b.example/2.mp4")),
                ),
                options=PeerOptions(
                    proxy=MediaUrl.parse("socks5h://user:hidden@proxy.example:1080"),
                    headers=(("User-Agent", "a/1"), ("Cookie", "hidden")),
                ),
            ),
        ),
        "slate": Slate(SlateKind.PICTURE, color="#336699", picture=PICTURE),
        "switching": Switching(5.0, 60.0, False),
        "watch": Watch(black=Rule(0.9, 12.0, switches=True), low_bitrate=Rule(500.0, 30.0)),
        "start_at": NOW - timedelta(hours=1),
        "end_at": NOW + timedelta(hours=1),
        **changed,
    }
    return TaskSpec(**given)


def shown(one: TaskSpec) -> TaskView:
    """The task, as it is shown."""
    rest: dict[str, Any] = dict.fromkeys(
        ("playhead", "playhead_at", "sound_drift_ms", "preparing_percent", "fault", "why", "worker_id")
    )
    counts: dict[str, Any] = dict.fromkeys(
        ("kbps_in", "kbps_out", "media_time_ms", "bytes_in", "bytes_out", "repairs", "dropped_tags", "retries"),
        0,
    )
    record = TaskRecord(
        task_id="0" * 32,
        spec=one,
        enabled=True,
        finished=False,
        created_at=NOW,
        version=7,
        state=State.STREAMING,
        epoch=1,
        item_ends_ms=(),
        read_at=NOW,
        **rest,
        **counts,
    )
    return show_task(record, NOW)


def saved(values: FormValues, before: TaskSpec | None) -> TaskSpec:
    """The task after the form was saved; it had nothing to complain about."""
    assert values.find_problems(RULES, NOW) == {}
    draft = values.changes(NOW) if before is not None else values.new_task(NOW)
    return decide_spec(draft, before, NOW, RULES)


def test_a_change_of_the_title_cleared_inputs_and_slate() -> None:
    """The form knew nothing of them, and sent them as emptied. Nothing hidden is in it, and nothing is lost."""
    before = spec()
    values = FormValues.of(shown(before), ZONE)
    assert "hidden" not in repr(values)
    values.title = "other"
    after = saved(values, before)
    for name in ("inputs", "slate", "switching", "watch", "destinations"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.title == "other"


def test_options_stay_with_their_input() -> None:
    """One that is taken away leaves its options to nobody; what was hidden of the other stays. Emptied, they are gone;
    and on a file of this machine they have no effect, and are not sent."""
    before = spec()
    values = FormValues.of(shown(before), ZONE)
    del values.air.inputs[0]
    (after,) = saved(values, before).inputs
    assert after == before.inputs[1]
    one = values.air.inputs[0].connection
    one.proxy, one.headers = "", []
    assert saved(values, before).inputs[0].options == PeerOptions()
    values = FormValues.of(shown(before), ZONE)
    values.air.inputs[1].sources = [SourceValues("/films/1.mp4")]
    assert values.air.inputs[1].usable == frozenset()
    assert saved(values, before).inputs[1].options == PeerOptions()


def test_what_the_content_is_watched_for_is_chosen_in_the_form() -> None:
    """A rule that is switched on has its defaults, one that is switched off is gone, a copy has all of them; and a
    number out of its range is refused at its field."""
    before = spec()
    for values in (FormValues.of(shown(before), ZONE), FormValues.copy(shown(before), ZONE, NOW, "")):
        assert values.watch.is_set
        rules = values.watch.rules
        assert rules[ContentFault.BLACK].switches
        rules[ContentFault.LOW_BITRATE].is_on = False
        rules[ContentFault.SILENT].is_on = True
        assert decide_watch(values.watch.draft()) == Watch(black=before.watch.black, silent=Rule(-60.0, 20.0))
        rules[ContentFault.SILENT].threshold, rules[ContentFault.BLACK].duration_s = 3.0, None
        wrong = values.find_problems(RULES, NOW)
        assert {"watch.silent.threshold", "watch.black.duration_s"} <= set(wrong)
        # What is a low frame rate nobody but the user knows.
        rules[ContentFault.LOW_FPS].is_on = True
        assert "watch.low_fps.threshold" in values.find_problems(RULES, NOW)
        rules[ContentFault.LOW_FPS].threshold = 20.0
        assert "watch.low_fps.threshold" not in values.find_problems(RULES, NOW)
        for rule in rules.values():
            rule.is_on = False
        assert values.watch.draft() is CLEARED


@pytest.mark.parametrize("slate", [Slate(title="Soon", text="at 8"), Slate(SlateKind.LAST_FRAME, "A"), None])
def test_other_slates_stay_too(slate: Slate | None) -> None:
    """Also a clip, whose address is not shown whole."""
    clip = Slate(SlateKind.CLIP, clip=MediaUrl.parse("https://a.example/c.mp4?sig=hidden"))
    for one in (slate, clip):
        before = spec(slate=one)
        assert saved(FormValues.of(shown(before), ZONE), before).slate == one


def test_a_copy_has_all_of_it_and_asks_for_the_secrets_again() -> None:
    """It dropped further destinations, inputs and slate without a word."""
    before = spec(
        series=Series("FREQ=DAILY", "Europe/Berlin", first_at=CLOCK, until_at=CLOCK + timedelta(hours=1)),
        start_at=NOW,
        end_at=NOW + timedelta(hours=1),
    )
    values = FormValues.copy(shown(before), ZONE, NOW, "", DATA_URL)
    assert set(values.find_problems(RULES, NOW)) == {
        "sources[0].url",
        "destination.key",
        "destinations[1].key",
        "destinations[2]",
        "destinations[2].options.tc_url",
        "inputs[0].sources[0].url",
        "inputs[0].options.tc_url",
        "inputs[1].sources[0].url",
        "inputs[1].options.proxy",
        "inputs[1].options.headers[1].value",
    }
    values.sources[0].url = values.air.inputs[0].sources[0].url = "rtmp://a.example/live/z"
    values.air.inputs[1].sources[0].url = "https://a.example/1.mp4"
    values.air.inputs[0].connection.connect["tc_url"] = values.air.inputs[1].connection.proxy = ""
    values.air.inputs[1].connection.headers[1].value = "sid=new"
    second, third = values.destinations.others
    values.key = second.key = "NEW"
    third.destination, third.connection.connect["tc_url"] = "rtmp://c.example/live/new", ""
    after = saved(values, None)
    assert (after.slate, after.switching) == (before.slate, before.switching)
    assert [(one.kind, one.warm, len(one.items)) for one in after.inputs] == [
        (TaskKind.LIVE, True, 1),
        (TaskKind.VOD, False, 2),
    ]
    assert after.inputs[0].options == PeerOptions(flash_ver="FMLE/3.0", keep_drift=True)
    assert dict(after.inputs[1].options.headers) == {"User-Agent": "a/1", "Cookie": "sid=new"}
    roles = [
        [(one.id, one.name, one.enabled, one.latency, one.backup_of) for one in each.destinations]
        for each in (before, after)
    ]
    assert roles[0] == roles[1]
    assert after.series is not None
    assert after.series.rule == "FREQ=DAILY"


def test_destinations_are_added_changed_and_removed() -> None:
    """Each by its number; one that is new has a number that none has had."""
    before = spec()
    values = FormValues.of(shown(before), ZONE)
    values.destinations.remove(values.destinations.others[1])
    values.destinations.first.name = ""
    values.destinations.others[0].latency = None
    values.destinations.add()
    new = values.destinations.others[-1]
    new.server, new.key, new.backup_of = "rtmp://d.example/live", "D", 1
    after = saved(values, before)
    assert [(one.id, one.name, one.latency, one.backup_of) for one in after.destinations] == [
        (2, "", None, None),
        (1, "B", None, 2),
        (3, "", None, 1),
    ]
    assert after.destinations[1].url == before.destinations[1].url
    values.destinations.remove(values.destinations.others[0])
    assert values.destinations.others[0].backup_of is None


def test_the_last_one_left_loses_its_name() -> None:
    """What is emptied is taken away, also with one destination, which is otherwise sent as it always was."""
    before = spec(others=())
    values = FormValues.of(shown(before), ZONE)
    values.destinations.first.name = ""
    assert saved(values, before).destination_name == ""
    values = FormValues.of(shown(spec(others=(), destination_name="")), ZONE)
    assert values.changes(NOW).destinations is None


def live() -> FormValues:
    """A new live task with nothing wrong about it, a further destination and a further input."""
    values = FormValues.new(ZONE, NOW)
    values.kind, values.sources = Kind.LIVE, [SourceValues("rtmp://a.example/live/x")]
    values.destination = "rtmp://push.example/live/key"
    values.destinations.add()
    one = values.destinations.others[0]
    one.server, one.key = "rtmp://b.example/live", "KEY"
    values.air.inputs = [InputValues(Kind.VOD, [SourceValues("/films/1.mp4", "1:30"), SourceValues("/films/2.mp4")])]
    values.air.slate.kind = SlateKind.CARD
    return values


def test_a_new_task_has_what_was_typed() -> None:
    """With numbers from 1, and a slate with the words of its kind."""
    values = live()
    values.air.slate.title, values.air.slate.clip.url = " Soon ", "not of a card"
    after = saved(values, None)
    assert [one.id for one in after.destinations] == [1, 2]
    assert after.inputs[0].items[0].start_s == 90
    assert after.slate == Slate(title="Soon")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"server": ""}, "destinations[1].server"),
        ({"server": "https://b.example/live"}, "destinations[1].server"),
        ({"key": "***"}, "destinations[1].key"),
        ({"is_apart": False}, "destinations[1]"),
        ({"name": "x" * 51}, "destinations[1].name"),
        ({"sources": [SourceValues("/films/1.mp4"), SourceValues("x")]}, "inputs[0].sources[1].url"),
        ({"sources": [SourceValues("/films/1.mp4", "9", "3")]}, "inputs[0].sources[0].end_s"),
        ({"kind": Kind.LIVE}, "inputs[0].sources[0].url"),
        ({"sources": [WEB], "connection": ConnectionValues(proxy="h:80")}, "inputs[0].options.proxy"),
        ({"sources": [WEB], "connection": ConnectionValues(bind="eth0")}, "inputs[0].options.bind"),
        (
            {"sources": [WEB], "connection": ConnectionValues(headers=[HeaderValues("Host", "a")])},
            "inputs[0].options.headers[0].name",
        ),
        ({"title": "x" * 101}, "slate.title"),
        ({"text": "a\0"}, "slate.text"),
        ({"color": "red"}, "slate.color"),
        ({"kind": SlateKind.PICTURE}, "slate.picture"),
        ({"kind": SlateKind.PICTURE, "picture": "data:image/png;base64,AAAA"}, "slate.picture"),
        ({"kind": SlateKind.CLIP}, "slate.clip"),
        ({"switch_after_s": 0.5}, "switching.switch_after_s"),
        ({"switch_after_s": None}, "switching.switch_after_s"),
        ({"return_after_s": -1}, "switching.return_after_s"),
    ],
)
def test_each_wrong_value_is_found_at_its_field(change: dict[str, Any], field: str) -> None:
    """And no other one is."""
    values = live()
    part = {
        "destinations": values.destinations.others[0],
        "inputs": values.air.inputs[0],
        "slate": values.air.slate,
        "switching": values.air,
    }[field.partition("[")[0].partition(".")[0]]
    for name, value in change.items():
        setattr(part, name, value)
    assert list(values.find_problems(RULES, NOW)) == [field]


def test_what_the_actions_say_of_the_first_is_shown_where_it_is_typed() -> None:
    """It has fields of its own."""
    places = {
        "destinations[0]": "destination",
        "destinations[0].key": "destination.key",
        "destinations[0].options.headers[1].name": "destination_options.headers[1].name",
        "destinations[0].name": "destinations[0].name",
        "destinations[1].key": "destinations[1].key",
    }
    assert {name: shown_field(name) for name in places} == places


def test_ten_destinations_have_ten_numbers() -> None:
    """Also when all of them were taken before."""
    values = live()
    for _ in range(8):
        values.destinations.add()
    assert sorted(one.id for one in values.destinations.others) == list(range(2, 11))
    values.destinations.remove(values.destinations.others[3])
    values.destinations.add()
    assert values.destinations.others[-1].id == 5


def test_platforms_are_those_of_the_documentation() -> None:
    """With the very server, and a sentence on where the key is found."""
    page = (Path(__file__).parents[4] / "docs/howto/platforms/index.md").read_text()
    for one in PLATFORMS:
        assert f"`{one.server or one.shape}`" in page
        assert f"platform_key.{one.name}" in TEXTS
        assert platform_at(one.server) is (one if one.server else None)
        if one.server:
            values = live()
            typed = FurtherDestination(3, server=one.server, key="k?a=b")
            values.destinations.others.append(typed)
            assert values.find_problems(RULES, NOW) == {}
