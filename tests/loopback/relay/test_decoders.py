"""What the decoders answer to what is damaged, odd, or larger than usual, and when their children are ended or stopped:
each stream has the answer to its own question, or is told why there is none."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from kit import programs
from kit.programs import command_line, descendants
from kit.waiting import PATIENCE_S
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.relay.eyes.decoders import FfmpegDecoders, Undecodable
from streamferry.relay.eyes.look import SOUND_FRAMES
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.stills import still

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p")
OPEN_GROUPS = ("-x264-params", "open-gop=1:bframes=3:keyint=10:min-keyint=10")
REFRESHED = ("-x264-params", "intra-refresh=1:keyint=10")
#: Name -> picture and how it is coded.
PICTURES = {
    "black": ("color=black:size=320x180:rate=25", X264),
    "white": ("color=white:size=640x360:rate=25", X264),
    "open": ("color=white:size=320x180:rate=25,drawbox=x=t*99:w=20:h=180:t=fill", (*X264, *OPEN_GROUPS)),
    "open black": ("color=black:size=320x180:rate=25", (*X264, *OPEN_GROUPS)),
    "refreshed": ("testsrc2=size=320x180:rate=25", (*X264, *REFRESHED)),
    "4:4:4": ("color=white:size=320x180:rate=25", (*X264, "-pix_fmt", "yuv444p")),
    "10 bit": ("color=white:size=320x180:rate=25", (*X264, "-pix_fmt", "yuv422p10")),
    "interlaced": ("color=white:size=720x576:rate=25", (*X264, "-flags", "+ilme+ildct")),
    "8192 pixels": ("color=white:size=8192x512:rate=25", (*X264, "-frames:v", "1")),
}
Still = tuple[bytes, bytes]


def tags_of(path: Path, *words: str) -> list[Tag]:
    """A clip of 2 s."""
    programs.run([programs.ffmpeg(), "-y", "-v", "error", "-nostdin", "-f", "lavfi", *words, str(path)])
    data, tags = memoryview(path.read_bytes()), list[Tag]()
    scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
    return tags


@pytest.fixture(scope="module")
def stills(tmp_path_factory) -> Callable[[str], list[Still | None]]:
    """Of the keyframes of a clip."""
    made: dict[str, list[Still | None]] = {}

    def make(name: str) -> list[Still | None]:
        if name not in made:
            picture, coded = PICTURES[name]
            tags = tags_of(tmp_path_factory.mktemp("clip") / "clip.flv", "-i", picture, "-t", "2", *coded)
            pictures = [(tag_kind(kind, body), bytes(body)) for kind, _, body in tags if kind == VIDEO]
            header = next(body for kind, body in pictures if kind == SEQUENCE_HEADER)
            made[name] = [still(header, body) for kind, body in pictures if kind == KEYFRAME]
        return made[name]

    return make


@pytest.fixture
async def decoders() -> AsyncIterator[FfmpegDecoders]:
    """They are given all the time that they need."""
    decoders = FfmpegDecoders(answer_s=PATIENCE_S)
    yield decoders
    await decoders.aclose()


async def brightness(decoders: FfmpegDecoders, asked: Still | None) -> int:
    """The mean of the small picture: 0 is black, 255 white."""
    assert asked is not None
    small = await decoders.picture(*asked)
    return round(sum(small) / len(small))


def children() -> list[int]:
    """Those that decode."""
    return [pid for pid in descendants(os.getpid()) if "pipe:0" in command_line(pid)]


@pytest.mark.parametrize("name", ["4:4:4", "10 bit", "interlaced", "8192 pixels"])
async def test_a_picture_of_any_form_is_seen_among_others(decoders: FfmpegDecoders, stills, name: str) -> None:
    """By the child that all streams of its codec share."""
    asked = [stills("black")[0], stills(name)[0], stills("black")[1]]
    assert [await brightness(decoders, one) for one in asked] == [0, 255, 0]


async def test_keyframes_of_open_groups_are_seen_in_any_order(decoders: FfmpegDecoders, stills) -> None:
    """As broadcasters send them: they do not tell a decoder to begin anew. Two such streams have the same headers."""
    white, black = stills("open"), stills("open black")
    assert white[0][0] == black[0][0]
    order = [
        white[1],
        white[2],
        black[1],
        white[0],
        white[4],
        white[3],
        black[2],
        black[1],
        white[1],
        black[0],
        black[3],
    ]
    bright = [await brightness(decoders, one) > 128 for one in order]
    assert bright == [one in white for one in order]


async def test_keyframes_that_refer_to_other_pictures_are_none(stills) -> None:
    """A stream that is refreshed part by part: a decoder would mix in what it had of another stream."""
    first, *others = stills("refreshed")
    assert first is not None
    assert others
    assert not any(others)


async def test_what_is_damaged_is_told_at_once_and_the_child_goes_on(decoders: FfmpegDecoders, stills) -> None:
    """Nobody waits for a picture that does not come: not this stream, and none of those after it."""
    header, keyframe = stills("white")[0]
    no_slice = keyframe[:9] + b"\x65" + bytes(len(keyframe) - 10)
    assert await brightness(decoders, stills("black")[0]) == 0
    before = children()
    for body in (no_slice, keyframe[:9] + keyframe[9:30]):
        with pytest.raises(Undecodable, match="damaged"):
            await decoders.picture(header, body)
        assert await brightness(decoders, stills("black")[1]) == 0
    assert await brightness(decoders, stills("white")[1]) == 255
    assert children() == before


async def test_a_child_that_was_killed_costs_nobody_an_answer(decoders: FfmpegDecoders, stills) -> None:
    """The next question has another one."""
    assert await brightness(decoders, stills("black")[0]) == 0
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    await until("its end, also for us", lambda: not Path(f"/proc/{pid}").exists())
    assert await brightness(decoders, stills("white")[0]) == 255
    assert len(children()) == 1


async def test_a_child_that_stands_still_is_ended_and_no_damage_is_told(stills) -> None:
    """What it would have said belongs to nobody."""
    decoders = FfmpegDecoders(answer_s=PATIENCE_S)
    try:
        assert await brightness(decoders, stills("black")[0]) == 0
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)
        decoders.answer_s = 1.5
        with pytest.raises(Undecodable, match=r"there was no answer in 1\.5 s"):
            await brightness(decoders, stills("black")[0])
        decoders.answer_s = PATIENCE_S
        assert await brightness(decoders, stills("white")[0]) == 255
        assert pid not in children()
    finally:
        await decoders.aclose()
    assert children() == []


async def test_sound_is_heard_beside_frames_that_are_damaged(decoders: FfmpegDecoders, tmp_path: Path) -> None:
    """Of another rate and other channels each time; of nothing but damage no level is told."""

    def sounds_of(tone: str, rate: str, channels: str) -> tuple[bytes, Sequence[bytes]]:
        words = ("-i", tone, "-t", "2", "-c:a", "aac", "-ar", rate, "-ac", channels)
        header, _, *frames = [bytes(body) for kind, _, body in tags_of(tmp_path / "clip.flv", *words) if kind == AUDIO]
        return header, frames[:SOUND_FRAMES]

    loud, low, silence = (
        sounds_of("sine", "44100", "2"),
        sounds_of("sine", "22050", "1"),
        sounds_of("anullsrc", "48000", "6"),
    )
    damage = b"\xaf\1" + b"\xff" * 40
    header, frames = loud
    for sounds in (loud, silence, low, (header, [*frames[:5], damage, *frames[6:]]), silence):
        assert (await decoders.level(*sounds) > -60) is (sounds is not silence)
    for bad in ((header, [damage] * SOUND_FRAMES), (b"\xaf\0\xff\xff", frames)):
        with pytest.raises(Undecodable, match="damaged"):
            await decoders.level(*bad)
        assert await decoders.level(*silence) < -60
        assert await decoders.level(*low) > -60
