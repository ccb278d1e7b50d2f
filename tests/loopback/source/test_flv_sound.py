"""Sound of FLV and RTMP that platforms refuse (R03): encoded, at its time, beside a picture that stays as it is."""

import array
import asyncio
import struct
import subprocess
from itertools import pairwise

import pytest

from kit import programs
from kit.waiting import PATIENCE_S
from streamferry.media.errors import SourceReaderFailed
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.net.child import end_all
from streamferry.source import flv_sound, sound_encoder
from streamferry.source.flv import FlvReader
from streamferry.source.flv_sound import FlvSound
from streamferry.source.sound_child import STARTS, SoundStarts
from streamferry.source.sound_encoder import SoundEncoder
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.rtsp.plain_sound import PlainSoundTrack
from streamferry.wire.rtsp.sdp import parse_description

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

URL = MediaUrl.parse("http://camera.example/live/stream-key.flv")
FORMS = {
    "pcm_alaw": ("-ar", "8000", "-ac", "1"),
    "pcm_mulaw": ("-ar", "8000", "-ac", "1"),
    "pcm_s16le": ("-ar", "44100", "-ac", "2"),
    "adpcm_swf": ("-ar", "22050", "-ac", "1"),
    "nellymoser": ("-ar", "22050", "-ac", "1"),
}


_UP, _RATE_HZ = 2000, 48_000
#: The first stamp of a source.
_BEGIN_MS = 5_000


def beeps_ms(tags):
    """When each beep begins, by the stamps of the frames that have it."""
    flv = serialize_flv_header(True, False) + b"".join(serialize_tag(*tag) for tag in tags)
    words = ["-f", "flv", "-i", "pipe:0", "-ac", "1", "-ar", str(_RATE_HZ), "-f", "s16le", "pipe:1"]
    done = subprocess.run([programs.ffmpeg(), "-v", "error", *words], input=flv, capture_output=True, check=True)
    loud = [at for at, level in enumerate(array.array("h", done.stdout)) if abs(level) > _UP]
    begins = [at for earlier, at in zip([-_RATE_HZ, *loud], loud, strict=False) if at - earlier > _RATE_HZ // 2]
    first_ms = next(stamp for _, stamp, body in tags if body[:2] != b"\xaf\0")
    return [first_ms + at * 1000 / _RATE_HZ for at in begins]


def tags_of(clip, codec):
    words = ["-i", str(clip), "-c:v", "copy", "-c:a", codec, *FORMS[codec], "-f", "flv", "pipe:1"]
    flv = subprocess.run([programs.ffmpeg(), "-v", "error", *words], capture_output=True, check=True).stdout
    tags = []
    FlvReader().read(memoryview(flv), 0, tags)
    return [(kind, _BEGIN_MS + stamp, bytes(body)) for kind, stamp, body in tags if kind in (AUDIO, VIDEO)]


async def encoded(tags, until_ms):
    """The sound up to there, and all else."""
    sound, rest, out = FlvSound(URL, SoundStarts()), [], []
    try:
        for at in range(0, len(tags), 20):
            rest += sound.take(tags[at : at + 20])
            sound.work(out)
        async with asyncio.timeout(PATIENCE_S):
            while not out or out[-1][1] < until_ms:
                await asyncio.sleep(0.01)
                sound.work(out)
    finally:
        sound.close()
        await end_all()
    return out, rest


@pytest.mark.parametrize("codec", FORMS)
async def test_sound_that_no_platform_takes_was_passed_on(clips, codec):
    """Each beep is where it was, and everything else as it was."""
    tags = tags_of(clips("flash_beep"), codec)
    sounds = [tag for tag in tags if tag[0] == AUDIO]
    out, rest = await encoded(tags, sounds[-1][1] - 400)
    assert rest == [tag for tag in tags if tag[0] == VIDEO]
    assert {tag[2][:2] for tag in out} == {b"\xaf\0", b"\xaf\1"}
    own, found = beeps_ms(sounds), beeps_ms(out)
    assert len(found) >= 2
    assert found == pytest.approx(own[: len(found)], abs=5)


async def test_what_is_missing_and_another_clock_move_nothing(clips):
    """A hole becomes silence, and the stamps pass 2^32; after a restart of the clock those of the frames are new."""
    tags = [tag for tag in tags_of(clips("flash_beep"), "pcm_alaw") if tag[0] == AUDIO]
    own, base_ms = beeps_ms(tags), (1 << 32) - _BEGIN_MS - 1000
    hole = range(_BEGIN_MS + 600, _BEGIN_MS + 1100)
    holed = [tag for tag in tags if tag[1] not in hole]
    sound, out = FlvSound(URL, SoundStarts()), []
    try:
        async with asyncio.timeout(PATIENCE_S):
            for part, shift_ms in ((holed, base_ms), (tags, 3_600_000)):
                first, enough_ms = len(out), to_wire_ms(_BEGIN_MS + 2_200 + shift_ms)
                sound.take([(kind, to_wire_ms(stamp + shift_ms), body) for kind, stamp, body in part])
                while not any(0 < stamp - enough_ms < 1 << 31 for _, stamp, _ in out[first:]):
                    sound.work(out)
                    await asyncio.sleep(0.01)
                frames = [tag for tag in out[first:] if tag[2][1]]
                steps = [to_wire_ms(after[1] - before[1]) for before, after in pairwise(frames)]
                assert set(steps) <= {21, 22}
                found = beeps_ms([(kind, to_wire_ms(stamp - shift_ms), body) for kind, stamp, body in out[first:]])
                assert found[:2] == pytest.approx(own[:2], abs=5)
    finally:
        sound.close()
        await end_all()


async def test_an_encoder_that_ends_is_told_without_the_key(monkeypatch, tmp_path):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho '[error] cannot read stream-key.flv' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("STREAMFERRY_FFMPEG", str(program))
    with pytest.raises(SourceReaderFailed) as failed:
        await encoded([(AUDIO, 0, b"\x72" + bytes(160))], 1)
    assert "stream-key" not in str(failed.value)


@pytest.fixture
def started(monkeypatch):
    """The encoders that were started: of these programs none has to run."""
    started = []

    class Child:
        def __init__(self, arguments, url):
            started.append(arguments)

        def send(self, unsent, most_bytes):
            unsent.clear()

        def receive(self, room):
            return iter(())

        def close(self):
            pass

    for module in (flv_sound, sound_encoder):
        monkeypatch.setattr(module, "SoundChild", Child)
    return started


@pytest.mark.parametrize("how", ["each frame of another form", "each a minute on", "each in a session of its own"])
async def test_a_source_that_changes_all_the_time_started_an_encoder_each_time(started, how):
    """A program for each of its frames: some start at once, then one each 5 s; without one there is no sound."""
    now, out = 0.0, []
    starts = SoundStarts(lambda: now)
    sound = FlvSound(URL, starts)
    for number in range(600):  # A minute.
        now = number / 10
        if how == "each in a session of its own":
            sound.close()
            sound = FlvSound(URL, starts)
        form = b"\x82" if how == "each frame of another form" and number % 2 else b"\x72"
        stamp = number * 60_000 if how == "each a minute on" else number * 100
        assert sound.take([(AUDIO, to_wire_ms(stamp), form + bytes(160)), (VIDEO, stamp, b"\x27")]) != []
        sound.work(out)
    assert len(started) == STARTS + 59 // 5


async def test_a_camera_whose_sound_leaps_started_an_encoder_each_time(started):
    """The same over RTSP; the picture does not mind."""
    now = 0.0
    media = parse_description(b"m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n").media[0]
    track = PlainSoundTrack(media, [], is_ordered=True)
    encoder = SoundEncoder(track, URL, SoundStarts(lambda: now))
    for number in range(600):
        now = number / 10
        stamp = number * 8000 * 60 & 0xFFFFFFFF
        track.receive(b"\x80\x08" + struct.pack(">HII", number, stamp, 7) + bytes(160), now)
        encoder.work(memoryview(bytearray(1)), [])
        assert len(track.stream) <= 160
    assert len(started) == STARTS + 59 // 5
