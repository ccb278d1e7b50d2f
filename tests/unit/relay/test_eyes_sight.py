"""What is asked about a stream, and what is done with answers that are none."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from scripted.waiting import until
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, SEQUENCE_HEADER, VIDEO
from streamferry.push import Outlet
from streamferry.reasons import Code, ReasonCode
from streamferry.relay.eyes.decoders import Undecodable
from streamferry.relay.eyes.eyes import Eyes
from streamferry.relay.eyes.judge import DEFAULTS, HEIGHT, WIDTH, Judge, Rule, Watch
from streamferry.relay.eyes.look import Seen
from streamferry.relay.eyes.sight import UNREADABLE_S, Sight
from streamferry.relay.eyes.watcher import Watcher
from streamferry.relay.status import Sense
from streamferry.relay.taps import Taps

BLACK = bytes(WIDTH * HEIGHT)
AVC_HEADER = bytes.fromhex("17000000000142c00affe100066742c00ada7901000468ce0472")
KEYFRAME_BODY = b"\x17\1\0\0\0\0\0\0\x0a\x65" + bytes(9)
AAC_HEADER = b"\xaf\0\x12\x10"
SOUNDS = (b"\xaf\1sound",) * 12


class Decoders:
    """Answers what it is told to; ``wrong``: why there is no picture."""

    def __init__(self) -> None:
        self.wrong: ReasonCode | None = None
        self.spent_s = 0.0
        self.asked: list[str] = []
        self.free = asyncio.Event()
        self.free.set()
        self.headers: list[bytes] = []

    async def picture(self, header: bytes, keyframe: bytes) -> bytes:
        self.asked.append("picture")
        await self.free.wait()
        self.spent_s += 0.5
        if self.wrong is not None:
            raise Undecodable(self.wrong)
        return BLACK

    async def level(self, header: bytes, sounds: Sequence[bytes]) -> float:
        self.asked.append("sound")
        self.headers += [header, sounds[0]]
        return -70.0

    async def aclose(self) -> None:
        pass


class Stage:
    """One stream that is looked at when the test says so, on the test's clock."""

    def __init__(self) -> None:
        self.decoders = Decoders()
        self.paused: list[float] = []
        self.eyes = Eyes(self.decoders, self.pause)
        self.now = 0.0
        self.judge = Judge(DEFAULTS)
        self.sight = Sight(self.eyes, logging.getLogger("streamferry.test"), lambda: self.now)

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    async def look(self, seen: Seen | None = None) -> list[str]:
        """What was asked about it."""
        self.decoders.asked.clear()
        self.sight.examine(seen or self.seen(), self.judge, DEFAULTS)
        await until("an answer", lambda: not self.sight.is_waiting)
        self.now += 4.0
        return list(self.decoders.asked)

    @staticmethod
    def seen() -> Seen:
        return Seen({VIDEO: AVC_HEADER, AUDIO: AAC_HEADER}, KEYFRAME_BODY, SOUNDS)

    def found(self) -> list[str]:
        return [str(one.fault) for one in self.judge.findings(self.now)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Its eyes need no rest."""
    stage = Stage()
    yield stage
    await stage.eyes.aclose()


async def test_one_picture_that_is_no_answer_costs_one_look(stage: Stage, caplog) -> None:
    """A decoder that was killed, or one damaged keyframe, is no reason to look away, nor to say something."""
    stage.decoders.wrong = Code.CONTENT_DECODER_ENDED
    assert await stage.look() == ["picture", "sound"]
    stage.decoders.wrong = None
    for _ in range(5):
        assert await stage.look() == ["picture", "sound"]
    assert "black" in stage.found()
    assert stage.sight.unseen == ()
    assert caplog.records == []


async def test_pictures_that_cannot_be_decoded_are_told_once_and_left_alone_and_sound_is_heard(
    stage: Stage, caplog
) -> None:
    """They are no fault of the content. When they can be seen again that is told, too."""
    caplog.set_level(logging.INFO)
    stage.decoders.wrong = Code.CONTENT_DAMAGED
    assert [await stage.look() for _ in range(2)] == [["picture", "sound"]] * 2
    while stage.now < 8.0 + UNREADABLE_S - 4.0:
        assert await stage.look() == ["sound"]
    assert stage.found() == ["silent"]
    (unseen,) = stage.sight.unseen
    assert (unseen.sense, str(unseen.why)) == (Sense.PICTURE, "the picture cannot be watched: it is damaged")
    stage.now += 4.0
    assert await stage.look() == ["picture", "sound"]
    assert stage.sight.unseen == (unseen,)
    stage.decoders.wrong = None
    stage.now += UNREADABLE_S
    assert await stage.look() == ["picture", "sound"]
    assert stage.sight.unseen == ()
    assert [record.getMessage() for record in caplog.records] == [
        "the picture cannot be watched: it is damaged; it is looked at again every 60 s",
        "the picture can be watched again",
    ]


async def test_pictures_of_another_codec_are_told(stage: Stage, caplog) -> None:
    """Who asks for black pictures of AV1 would wait for ever."""
    other = Seen({VIDEO: b"\x90av01....", AUDIO: AAC_HEADER}, b"\x91av01....", SOUNDS)
    assert [await stage.look(other) for _ in range(3)] == [["sound"]] * 3
    assert [one.sense for one in stage.sight.unseen] == [Sense.PICTURE]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["the picture cannot be watched"]


async def test_aac_by_its_name_is_heard(stage: Stage) -> None:
    """As Enhanced RTMP has it; decoders get what all of them know."""
    named = Seen({AUDIO: b"\x90mp4a\x12\x10"}, None, (b"\x91mp4asound",))
    assert await stage.look(named) == ["sound"]
    assert stage.decoders.headers == [AAC_HEADER, b"\xaf\1sound"]


async def test_the_eyes_rest_by_what_decoding_costs(stage: Stage) -> None:
    """Four times that, whatever the time by the clock: a decoder that waits for a CPU costs nothing."""
    await stage.look()
    await until("the pause", lambda: stage.paused)
    assert stage.paused == [2.0]


async def test_rules_that_change_all_the_time_add_nothing_to_what_waits(stage: Stage) -> None:
    """While a decoder stands still there is one look of a stream, whatever happens to its rules."""

    class Flow:
        headers = [(VIDEO, 0, AVC_HEADER, SEQUENCE_HEADER), (AUDIO, 0, AAC_HEADER, SEQUENCE_HEADER)]  # noqa: RUF012

    stage.decoders.free.clear()
    outlet = Outlet()
    # To count frames takes a look a second.
    watcher = Watcher(replace(DEFAULTS, low_fps=None), Taps(outlet), Flow(), stage.eyes, lambda: stage.now)
    for number in range(100):
        stage.now += 4.0
        watcher.inspect(stage.now, 800)
        for at in range(14):
            if outlet.tap is not None:
                at_ms = round(stage.now * 1000) + at
                outlet.tap([(VIDEO, at_ms, KEYFRAME_BODY, KEYFRAME), (AUDIO, at_ms, SOUNDS[0], FRAME)])
        await asyncio.sleep(0)
        watcher.update(Watch(black=Rule(0.98, 1.0 + number)))
    assert stage.decoders.asked == ["picture"]
    stage.decoders.free.set()
    await until("its end", lambda: not watcher.is_waiting)
    assert stage.decoders.asked[:2] == ["picture", "sound"]
    assert len(stage.decoders.asked) == 2
