"""Twins of platforms (``scripted/platforms.py``): what a relay does with servers that do what a platform documents.

Which platform documents what, and where, is in docs/howto/platforms, which names the tests;
``unit/test_platform_table.py`` compares. A platform may do more than it documents: none of them was asked.
"""

import asyncio

import pytest

from scripted.camera import Camera
from scripted.platforms import MuteCamera, Platform, apart_ms, pictures
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, SEQUENCE_HEADER, VIDEO
from streamferry.relay import RelaySpec, backoff, destination_backoff

pytestmark = pytest.mark.usefixtures("quick")
KEY = "pl4nted-str3am-key"

#: What follows host and port of the server that it shows, and a key of its form.
SHOWN = {
    "youtube": ("/live2", KEY),
    "youtube-backup": ("/live2?backup=1", KEY),
    "twitch": ("/app", f"live_123456_{KEY}?bandwidthtest=true"),
    "facebook": ("/rtmp/", f"10217959536199143-0-{KEY}?s_bl=1&a=Ab"),
    "x": ("/x", KEY),
    "instagram": ("/rtmp/", f"17900000000000000?s_bl=1&a={KEY}"),
    "cloudflare": ("/live/", KEY),
    "mux": ("/app", KEY),
    "ivs": ("/app", f"sk_us-east-1_{KEY}"),
    "bilibili": ("/live-bvc/", f"?streamname=live_1_2&key={KEY}&schedule=rtmp&pflag=1"),
    "kuaishou": ("/gifshow/", KEY),
    "huya": ("/huyalive/", f"1446602929-{KEY}-A-1584608290-1?seq=1650868007651&type=simple"),
}


@pytest.fixture(autouse=True)
def quicker(monkeypatch):
    monkeypatch.setattr(backoff, "FIRST_S", 0.02)
    monkeypatch.setattr(destination_backoff, "BUSY_S", (0.05, 0.1))


@pytest.mark.parametrize("name", SHOWN)
async def test_the_fields_that_a_platform_shows_are_what_it_takes(relays, source, name):
    """Copied as they are. It refuses any other application or key."""
    async with Platform(*SHOWN[name]) as platform:
        running = relays.start(source, platform)
        await until("both tracks", lambda: platform.publishes and platform.publishes[0].has_both_tracks)
        await until("the state", lambda: running.status.state == "streaming")
        assert len(platform.asked) == 1


async def test_a_platform_that_ends_each_broadcast_after_its_time(relays, source):
    """The next one begins at once, at a keyframe, with all headers, both tracks from 0."""
    async with Platform() as platform:
        platform.manner = platform.until(lambda tags: len(pictures(tags)) >= 8)
        running = relays.start(source, platform)
        await until("three broadcasts", lambda: len(platform.publishes) >= 3 and platform.publishes[2].has_both_tracks)
        for publish in platform.publishes[:3]:
            headers = {tag_type for tag_type, kind in publish.kinds if kind == SEQUENCE_HEADER}
            assert headers == {VIDEO, AUDIO}
            first = publish.frames(VIDEO)[0]
            assert (first[1], tag_kind(VIDEO, first[2])) == (0, KEYFRAME)
        assert running.status.fault in (None, "user_destination")


async def test_a_key_that_is_spent_once_its_broadcast_has_ended(relays, source):
    """It is told as the destination's, without the key; another key in the task is used at once."""
    async with Platform() as platform:
        platform.manner = platform.until(
            lambda tags: len(pictures(tags)) >= 5, lambda caller: platform.spent.add(caller.publish.key)
        )
        running = relays.start(source, platform)
        await until("the refusal", lambda: running.has_told("retrying", "user_destination", "BadName"))
        platform.manner, platform.key = platform.take_its_own, "0ther-pl4nted-key"
        running.relay.update(RelaySpec.live(source.url(), platform.url()))
        await until("the other key", lambda: any(one.key == platform.key for one in platform.publishes))
        await until("the stream", lambda: running.status.state == "streaming")


async def test_a_platform_that_wants_sound_gets_silence(relays):
    """From a source that has none."""
    async with Source(camera=MuteCamera(), speed=16) as source, Platform() as platform:
        relays.start(source, platform)
        await until("both tracks", lambda: any(one.has_both_tracks for one in platform.publishes))
        (publish,) = platform.publishes
        assert publish.ended is None


@pytest.mark.parametrize(("gop", "is_taken"), [(50, True), (150, False)])
async def test_a_platform_that_wants_a_keyframe_each_four_seconds(relays, gop, is_taken):
    """Keyframes go out as the source has them: 2 s apart it is content, 6 s apart it closes, which is told as its."""
    async with Source(camera=Camera(gop=gop), speed=25) as source, Platform() as platform:
        platform.manner = platform.until(lambda tags: apart_ms(tags) > 4000)
        running = relays.start(source, platform)
        if is_taken:
            await until(
                "10 s of it", lambda: len(pictures(platform.publishes[0].tags)) > 250 if platform.publishes else False
            )
            assert len(platform.publishes) == 1
        else:
            await until("its words", lambda: running.has_told("retrying", "user_destination", "destination"))


async def test_a_platform_that_takes_its_time_to_answer_a_publish(relays, source):
    """While it looks the key up, nothing is sent and nothing is tried again."""
    async with Platform() as platform:
        platform.answers.clear()
        running = relays.start(source, platform)
        await until("the question", lambda: platform.asked)
        assert (running.status.state, platform.publishes) == ("connecting", [])
        platform.answers.set()
        await until("the stream", lambda: running.status.state == "streaming")
        assert (platform.accepted, len(platform.asked)) == (1, 1)


async def test_a_platform_that_takes_rtmps_only_is_told_as_closing(relays, source):
    """What it hears is no TLS, and it closes. The address needs rtmps; a task is not moved there by itself."""
    first_bytes = []

    async def tls_only(caller) -> None:
        first_bytes.append((await asyncio.get_running_loop().sock_recv(caller.sock, 65536))[:1])

    async with Platform(manner=tls_only) as platform:
        running = relays.start(source, platform)
        await until("its words", lambda: running.has_told("retrying", "user_destination", "RTMP handshake"))
        assert set(first_bytes) == {b"\x03"}
        assert all(status.state != "streaming" for status in running.told)


async def test_an_input_that_is_disabled_and_enabled_again(relays, source):
    """A broadcast is ended and refused while it is; then it goes on by itself."""
    async with Platform() as platform:
        running = relays.start(source, platform)
        await until("the stream", lambda: running.status.state == "streaming")
        platform.spent.add(KEY)
        await platform.leave()
        platform.come()
        await until("the refusal", lambda: running.has_told("retrying", "user_destination", "BadName"))
        platform.spent.clear()
        await until("the stream again", lambda: running.status.state == "streaming")
        assert len(platform.publishes) == 2
