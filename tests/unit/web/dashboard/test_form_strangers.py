"""The form as strangers fill it in: whatever is typed is either refused at a field that is there, or becomes a task."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from streamferry.control.address_rules import address_rules
from streamferry.media.peer_options import CONNECT_PARAMETERS, OPTION_NAMES
from streamferry.media.slate import SlateKind
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.relay.spec import Codecs, Latency
from streamferry.tasks.draft import decide_spec
from streamferry.tasks.texts import TEXTS
from streamferry.web.dashboard.air_values import InputValues
from streamferry.web.dashboard.connection_values import ConnectionValues, HeaderValues
from streamferry.web.dashboard.form_values import FormValues, SourceValues
from streamferry.web.dashboard.texts import LANGUAGES, sayer
from streamferry.web.views import Kind

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
RULES = address_rules(Folders.of([Path("/films")]))
SECRET = "pl4nted-s3cret"
#: What people paste, and what they should not.
PIECES = (
    *("", " ", "\t", "\n", "\0", "\ud800", "\u202e", "你好", "***", "***·1ad"),
    *("%", "%2F", "#", "?", "&", "=", "@", ":", "/", "//"),
    *("rtmp://", "rtmps://", "http://", "https://", "srt://", "udp://", "socks5://", "socks5h://", "file://", "ftp://"),
    *("live.example", "127.0.0.1", "[::1]", "[::1", "a.example:1935", "a.example:99999", "user:pass@", "例え.example"),
    *("/app", "/app/", "/live2?backup=1", "?streamname=a&key=b", "KEY", SECRET, "x" * 1100),
    *("0", "-1", "1e400", "nan", "::", "1:30", "/films/a.mp4", "/films/../b", "<img src=x onerror=1>", "' OR 1=1"),
    *("Cookie", "Host", "user-agent", "X-A", "proxy-x", "a b", f"Cookie: sid={SECRET}"),
)
USUAL = (
    *("https://a.example/1.mp4", "rtmp://a.example/live/x", "/films/a.mp4"),
    *("srt://a.example:9000", "rtmps://a.example/app"),
)


def typed(dice: random.Random) -> str:
    """What stands in one field: mostly nothing or something usual."""
    kind = dice.random()
    if kind < 0.35:
        return ""
    if kind < 0.6:
        return dice.choice(USUAL)
    return "".join(dice.choice(PIECES) for _ in range(dice.randint(1, 4)))


def connection(dice: random.Random) -> ConnectionValues:
    """How peers are reached."""
    if dice.random() < 0.4:
        return ConnectionValues()
    return ConnectionValues(
        proxy=dice.choice(("", "", "socks5://p.example:1080", typed(dice))),
        bind=dice.choice(("", "", "192.0.2.7", typed(dice))),
        headers=[
            HeaderValues(dice.choice(("", "Cookie", "Referer", typed(dice))), dice.choice(("", "a=b", typed(dice))))
            for _ in range(dice.randint(1, 3))
        ],
        connect={name: dice.choice(("", "", typed(dice))) for name in CONNECT_PARAMETERS},
        seen=dice.choice(({}, {"proxy": "***", "headers": {"Cookie": "***"}, "tc_url": "rtmp://a.example/x?***"})),
    )


def form(dice: random.Random) -> FormValues:
    """A form for a new task."""
    values = FormValues.new(ZoneInfo(dice.choice(("UTC", "Asia/Shanghai", "America/New_York"))), NOW)
    values.kind = dice.choice(list(Kind))
    values.latency = dice.choice(list(Latency))
    values.codecs = dice.choice(list(Codecs))
    values.sources = [
        SourceValues(
            dice.choice((*USUAL, typed(dice))), dice.choice(("", "0", typed(dice))), dice.choice(("", typed(dice)))
        )
        for _ in range(dice.randint(1, 2))
    ]
    values.is_apart = dice.random() < 0.5
    values.destination = dice.choice(("rtmp://push.example/live/key", "https://a.example/x.m3u8", typed(dice)))
    values.server, values.key = dice.choice(("rtmps://a.example/app", typed(dice))), typed(dice)
    values.source_connection, values.destination_connection = connection(dice), connection(dice)
    values.title = dice.choice(("", "title", typed(dice)))
    values.texts = {name: typed(dice) for name in TEXTS}
    values.callback_url = dice.choice(("", "https://a.example/", typed(dice)))
    if dice.random() < 0.2:
        values.window.end = typed(dice)
    if dice.random() < 0.4:
        add_to(values, dice)
    values.is_endless, values.loops = dice.random() < 0.7, dice.choice((1, 3, None, 0.5, 1e300))
    return values


def add_to(values: FormValues, dice: random.Random) -> None:
    """Further destinations and inputs, and a slate."""
    for _ in range(dice.choice((0, 0, 1, 2))):
        values.destinations.add()
        one = values.destinations.others[-1]
        one.is_apart, one.destination = dice.random() < 0.8, typed(dice)
        one.server, one.key = dice.choice((f"rtmps://b.example/{one.id}", typed(dice))), typed(dice)
        one.name, one.backup_of, one.enabled = dice.choice(("", "b", typed(dice))), None, values.kind is Kind.LIVE
    for _ in range(dice.choice((0, 0, 1))):
        kind = dice.choice(list(Kind))
        usual = "rtmp://a.example/live/x" if kind is Kind.LIVE else "/films/a.mp4"
        values.air.inputs.append(InputValues(kind, [SourceValues(dice.choice((usual, typed(dice))))]))
    slate = values.air.slate
    slate.kind = dice.choice((None, None, *SlateKind))
    slate.title, slate.text, slate.clip.url = (dice.choice(("", "/films/a.mp4", typed(dice))) for _ in range(3))
    slate.color, slate.picture = dice.choice(("#000000", typed(dice))), dice.choice(("", typed(dice)))
    values.air.switch_after_s = dice.choice((3, 3, 3, None, 0.5, 1e300, float("nan")))


def fields_of(values: FormValues) -> set[str]:
    """Names of the fields that the form shows, as the editors name them."""
    names = {"title", "start_at", "end_at", "callback_url", "loops", "destination", *TEXTS}
    names |= {"destination.server", "destination.key"} if values.is_apart else set()
    for index in range(len(values.sources)):
        names |= {f"sources[{index}].{name}" for name in ("url", "start_s", "end_s")}
    for end, one in (
        ("source_options", values.source_connection),
        ("destination_options", values.destination_connection),
    ):
        names |= {f"{end}.{name}" for name in OPTION_NAMES}
        names |= {f"{end}.headers[{index}].{name}" for index in range(len(one.headers)) for name in ("name", "value")}
    for index in range(len(values.destinations.others) + 1):
        names |= {f"destinations[{index}]{part}" for part in ("", ".name", ".server", ".key")}
    for index in range(len(values.air.inputs)):
        names |= {f"inputs[{index}].sources[0].{name}" for name in ("url", "start_s", "end_s")}
    names |= {f"slate.{name}" for name in ("title", "text", "color", "picture", "clip")}
    return names | {"switching.switch_after_s", "switching.return_after_s"}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_typed_is_refused_at_its_field_or_becomes_a_task(seed: int) -> None:
    """Nothing raises; what has no problem is taken by the rules of all front ends; no sentence repeats a secret."""
    dice = random.Random(seed)
    says = [sayer(language) for language in LANGUAGES]
    taken = 0
    for _ in range(250):
        values = form(dice)
        found = values.find_problems(RULES, NOW)
        assert set(found) <= fields_of(values)
        for name, why in found.items():
            assert all(say(why) for say in says)
            # A name that a header may have is told.
            assert SECRET not in str(why) or (".headers[" in name and f"sid={SECRET}" not in str(why))
        if found:
            continue
        taken += 1
        for one in (values.source_connection, values.destination_connection):
            one.seen = {}
        if values.find_problems(RULES, NOW):  # What stands for values of a task that was seen.
            continue
        spec = decide_spec(values.new_task(NOW), None, NOW, RULES)
        assert spec.end_at > spec.start_at - timedelta(seconds=1)
        assert MediaUrl.parse(spec.destination.reveal())
    assert taken
