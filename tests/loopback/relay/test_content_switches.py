"""Inputs that send pictures which are black, or no sound: another is shown, until there is something to see again.

Real clips, decoded by real decoders; the cameras play them, and the destination gets whichever is on air.
"""

import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from kit import programs
from scripted.camera import FRAME_MS, Camera
from scripted.destination import Destination, Publish
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare.processing import FIRST
from streamferry.relay import Item, RelaySpec
from streamferry.relay.eyes import sight, watcher
from streamferry.relay.eyes.judge import Rule, Watch
from streamferry.relay.header_forms import video_form
from streamferry.relay.inputs import content, keeper, policy, slate
from streamferry.relay.inputs.policy import SLATE, Switching
from streamferry.relay.spec import Input, Order
from streamferry.relay.status import Shown, Switch
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags

pytestmark = pytest.mark.usefixtures("quick", "quick_looks")
RULES = Switching(switch_after_s=3.0, return_after_s=0.4)
WATCH = Watch(black=Rule(0.98, 1.0, switches=True), silent=Rule(-60.0, 1.0, switches=True))
CLIPS = {
    "another": ("testsrc2=size=160x90:rate=25", "sine=440:sample_rate=48000"),
    "picture": ("testsrc2=size=320x180:rate=25", "sine=440:sample_rate=48000"),
    "black": ("color=black:size=320x180:rate=25", "sine=440:sample_rate=48000"),
    "dark": ("color=black:size=160x90:rate=25", "sine=440:sample_rate=48000"),
    "silence": ("testsrc2=size=320x180:rate=25", "anullsrc=r=48000:cl=mono"),
}
CLIP_MS = 3_200


@pytest.fixture
def quick_looks(monkeypatch) -> None:
    """More looks than there are keyframes, and less patience than users may ask for."""
    for module in (watcher, content):
        monkeypatch.setattr(module, "EVERY_S", 0.2)
    monkeypatch.setattr(sight, "UNREADABLE_S", 0.2)
    monkeypatch.setattr(content, "_VISIT_S", 0.1)
    monkeypatch.setattr(policy, "SETTLED_S", 0.2)
    monkeypatch.setattr(keeper, "PAUSED_S", 0.2)
    monkeypatch.setattr(slate, "_LOOK_S", 0.05)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, list[Tag]]:
    """Tags of each, as long as all others, a keyframe every 0.4 s."""
    found = {}
    for name, (picture, tone) in CLIPS.items():
        path = tmp_path_factory.mktemp("clips") / f"{name}.flv"
        programs.run(
            [
                *(programs.ffmpeg(), "-v", "error", "-nostdin", "-f", "lavfi", "-i", picture),
                *("-f", "lavfi", "-i", tone, "-t", str(CLIP_MS / 1000), "-c:v", "libx264", "-preset", "ultrafast"),
                *("-bf", "0", "-g", "10", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2", str(path)),
            ]
        )
        data, tags = memoryview(path.read_bytes()), list[Tag]()
        scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
        found[name] = [(kind, stamp, bytes(body)) for kind, stamp, body in tags if kind in (AUDIO, VIDEO)]
    return found


class Film(Camera):
    """Plays one of the clips in a loop: another one from its beginning on, as soon as that is asked for."""

    def __init__(self, clips: dict[str, list[Tag]], name: str) -> None:
        super().__init__()
        self._clips = clips
        self.name = name
        self._playing, self._at_ms = name, 0

    def headers(self) -> list[Tag]:
        """Of all clips: they are made alike."""
        return [
            (kind, to_wire_ms(self.stamp_ms), body)
            for kind, _, body in self._clips[self.name]
            if tag_kind(kind, body) == SEQUENCE_HEADER
        ]

    def start_over(self) -> None:
        self._at_ms = 0

    def shoot(self) -> list[Tag]:
        if self._playing != self.name or self._at_ms >= CLIP_MS:
            self._playing, self._at_ms = self.name, 0
        shift_ms, until_ms = self.stamp_ms - self._at_ms, self._at_ms + FRAME_MS
        shot = [
            (kind, to_wire_ms(stamp + shift_ms), body)
            for kind, stamp, body in self._clips[self.name]
            if self._at_ms <= stamp < until_ms and tag_kind(kind, body) != SEQUENCE_HEADER
        ]
        self.stamp_ms += FRAME_MS
        self._at_ms = until_ms
        return shot


@pytest.fixture
async def films(clips: dict[str, list[Tag]]) -> AsyncIterator[list[tuple[Source, Film]]]:
    """Two of them that show pictures, of different sizes."""
    made: list[tuple[Source, Film]] = []
    for name in ("picture", "another"):
        film = Film(clips, name)
        made.append((await Source("rtmp", film).__aenter__(), film))
    yield made
    for source, _ in made:
        await source.__aexit__(None, None, None)


def headers_of(publish: Publish) -> list[bytes]:
    """Those of its pictures, in order."""
    return [bytes(tag[2]) for tag in publish.tags if tag[0] == VIDEO and tag_kind(VIDEO, tag[2]) == SEQUENCE_HEADER]


def forms_of(publish: Publish) -> list[tuple[int, int]]:
    """Sizes of its pictures, in order; neighbours once."""
    found = (video_form(header) for header in headers_of(publish))
    return [size for size, _ in itertools.groupby((one.width, one.height) for one in found if one is not None)]


class Told:
    """What a relay has told: its switches, and what was found."""

    def __init__(self, relay) -> None:
        self.switches: list[Switch] = []
        self.found: list[list[str]] = []
        relay.watch_switches(self.switches.append)
        relay.watch(lambda status: self.found.append([one.fault.value for one in status.found]))

    def steps(self) -> list[tuple[int | str | None, str]]:
        """To where each switch went, and why."""
        return [
            (SLATE if one.after.shown is Shown.SLATE else one.after.input, one.after.why.code) for one in self.switches
        ]


@pytest.mark.parametrize(("fault", "warm"), [("black", True), ("silence", False)])
async def test_the_backup_is_shown_while_there_is_nothing_to_see_or_hear(
    relays, films, destination: Destination, fault: str, warm: bool
) -> None:
    """In one publish session; it is told before the switch; the input that is off the air is looked at until it is
    good again, and it is not shown before. Then its own headers are in force again, which its server sent once."""
    (first, film), (second, _) = films
    spec = RelaySpec.live(first.url(), destination.url())
    backup = Input((Item(second.url()),), True, warm)
    relay = relays.host.start(replace(spec, more_inputs=(backup,), switching=RULES, watch=WATCH))
    told = Told(relay)
    name = {"silence": "silent"}.get(fault, fault)
    await until("media", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    film.name = fault
    await until("the backup", lambda: told.steps() == [(1, f"content.{name}")])
    assert [name] in told.found
    since_ms = film.stamp_ms
    await until("more of it than a return takes", lambda: film.stamp_ms >= since_ms + 2_500)
    await until("nothing found", lambda: relay.status.found == ())
    assert len(told.switches) == 1
    film.name = "picture"
    await until("the first input again", lambda: told.steps()[1:] == [(0, "on_air.back")])
    (publish,) = destination.publishes
    await until("its headers", lambda: headers_of(publish)[-1] == headers_of(publish)[0])
    await relay.stop()
    assert len(set(headers_of(publish))) == 2
    assert len(destination.publishes) == 1


async def test_the_slate_is_shown_instead_of_black_pictures_and_may_be_black_itself(
    relays, films, destination: Destination
) -> None:
    """It gives way to the input as soon as that shows something."""
    (first, film), _ = films
    spec = RelaySpec.live(first.url(), destination.url())
    dark = Slate(SlateKind.COLOR, color="#000000")
    relay = relays.host.start(replace(spec, slate=dark, switching=RULES, watch=WATCH))
    told = Told(relay)
    await until("media", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    film.name = "black"
    await until("the slate", lambda: told.steps() == [(SLATE, "content.black")])
    since_ms = film.stamp_ms
    await until("more of it than a fault takes", lambda: film.stamp_ms >= since_ms + 2_500)
    assert relay.status.found == ()
    assert len(told.switches) == 1
    film.name = "picture"
    await until("the input", lambda: told.steps()[1:] == [(0, "on_air.well")])
    await relay.stop()
    assert len(destination.publishes) == 1


async def test_two_black_inputs_do_not_take_turns(relays, films, destination: Destination) -> None:
    """Each is shown once; then the slate, until one of them has something to show."""
    (first, film), (second, other) = films
    other.name = "dark"
    spec = RelaySpec.live(first.url(), destination.url())
    cold = Input((Item(second.url()),), True, False)
    card = Slate(SlateKind.COLOR, color="#204060")
    relay = relays.host.start(replace(spec, more_inputs=(cold,), slate=card, switching=RULES, watch=WATCH))
    told = Told(relay)
    await until("media", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    film.name = "black"
    # Opened only then, the second one may come after the slate.
    await until("both, and the slate", lambda: len(told.steps()) >= 2 and told.steps()[-1] == (SLATE, "content.black"))
    steps = told.steps()
    since_ms = film.stamp_ms
    await until("more of it than a fault takes", lambda: film.stamp_ms >= since_ms + 2_500)
    assert told.steps() == steps
    other.name = "another"
    await until("the second input", lambda: told.steps()[-1] == (1, "on_air.well"))
    await relay.stop()


async def test_nothing_is_switched_for_what_was_only_to_be_told(relays, films, destination: Destination) -> None:
    """Nor for an input that somebody has asked for by hand: who does has seen it."""
    (first, film), (second, _) = films
    film.name = "black"
    spec = RelaySpec.live(first.url(), destination.url())
    spec = replace(spec, more_inputs=(Input((Item(second.url()),), True, True),), switching=RULES)
    relay = relays.host.start(replace(spec, watch=Watch(black=Rule(0.98, 1.0))))
    told = Told(relay)
    await until("what is found", lambda: ["black"] in told.found)
    assert told.switches == []
    relay.update(replace(spec, watch=WATCH, pinned=0))
    await until("that it is found again", lambda: told.found[-2:] == [[], ["black"]])
    assert told.switches == []
    relay.update(replace(spec, watch=WATCH))
    await until("the other", lambda: told.steps() == [(1, "content.black")])
    await relay.stop()


async def test_what_is_found_stays_found_while_inputs_come_and_go_and_switches_then(
    relays, films, destination: Destination
) -> None:
    """A file that is opened to be inserted, and taken back, changes nothing of what is on air. A backup that is added
    takes the place of what shows nothing."""
    (first, film), (second, _) = films
    spec = replace(RelaySpec.live(first.url(), destination.url()), switching=RULES, watch=WATCH)
    relay = relays.host.start(spec)
    told = Told(relay)
    await until("media", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    film.name = "black"
    await until("what is found", lambda: ["black"] in told.found)
    told.found.clear()
    order = Order(1, time.time() + 15, Item(MediaUrl.parse("/nowhere.mp4")))
    relay.update(replace(spec, orders=(order,)))
    await until("the form with inputs", lambda: relay.status.on_air is not None)
    since_ms = film.stamp_ms
    await until("more of it than a fault takes", lambda: film.stamp_ms >= since_ms + 1_500)
    relay.update(replace(spec, orders=(Order(1, 0.0),)))
    since_ms = film.stamp_ms
    await until("more of it than a fault takes", lambda: film.stamp_ms >= since_ms + 1_500)
    assert all(found == ["black"] for found in told.found)
    assert [one.fault.value for one in relay.status.found] == ["black"]
    relay.update(replace(spec, more_inputs=(Input((Item(second.url()),), True, True),)))
    await until("the backup", lambda: told.steps() == [(1, "content.black")])
    await relay.stop()
    assert len(destination.publishes) == 1


async def test_a_source_that_was_alone_keeps_the_form_on_air_while_there_is_a_backup(
    relays, films, destination: Destination
) -> None:
    """Another form of it is encoded then; before and afterwards it is sent as it is."""
    (first, film), (second, _) = films
    rules = replace(RULES, normalize=FIRST)
    spec = replace(RelaySpec.live(first.url(), destination.url()), switching=rules)
    relay = relays.host.start(spec)

    async def change(name: str) -> None:
        film.name = name
        film.start_over()
        await first.send(film.headers())

    await until("media", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    (publish,) = destination.publishes
    relay.update(replace(spec, more_inputs=(Input((Item(second.url()),), True, False),)))
    await until("the form", lambda: relay._run._source._inputs and relay._run._source._inputs._run_form.is_known)
    relay.update(spec)
    await until("the plain form", lambda: relay._run._source._keeper is relay._run._source._live)
    await change("another")
    await until("the other form", lambda: forms_of(publish) == [(320, 180), (160, 90)])
    relay.update(replace(spec, more_inputs=(Input((Item(second.url()),), True, False),)))
    await until("the form again", lambda: relay._run._source._inputs._run_form.is_known)
    viewer = first.viewers[0]
    await change("picture")
    await until("it is opened anew", lambda: first.viewers and first.viewers[0] is not viewer)
    count = len(publish.frames(VIDEO))
    await until("more", lambda: len(publish.frames(VIDEO)) > count + 30)
    assert forms_of(publish) == [(320, 180), (160, 90)]
    await relay.stop()
    assert len(destination.publishes) == 1
