"""What a destination lists in its answer to connect decides what it is sent, where the task says so."""

import asyncio

import pytest

from kit import probe
from kit.clips import ClipFactory
from scripted.camera import Camera
from scripted.destination import Caller, Destination, Manner, take
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.relay.spec import Codecs, Item, RelaySpec
from streamferry.relay.spec import Destination as Further
from streamferry.wire.flv import serialize_flv_header, serialize_tag

pytestmark = pytest.mark.usefixtures("quick")
IF_NEEDED = Codecs.H264_IF_NEEDED


class Hevc(Camera):
    """One that says HEVC, as Chinese networks write it; what is in it no decoder reads."""

    def headers(self):
        return [as_hevc(tag) for tag in super().headers()]

    def shoot(self):
        return [as_hevc(tag) for tag in super().shoot()]


def as_hevc(tag: Tag) -> Tag:
    """Its picture by number 12."""
    return (tag[0], tag[1], bytes((tag[2][0] & 0xF0 | 12,)) + tag[2][1:]) if tag[0] == VIDEO else tag


def listing(*codecs: str, then: Manner = take):
    """A manner: answers connect with this list."""

    async def manner(caller: Caller) -> None:
        send = caller.session._send_command

        def told(stream_id, name, transaction_id, *values):
            values = [
                {**one, "fourCcList": list(codecs)} if isinstance(one, dict) and "fourCcList" in one else one
                for one in values
            ]
            send(stream_id, name, transaction_id, *values)

        caller.session._send_command = told
        await then(caller)

    return manner


def asking(place: str) -> Manner:
    """Take some pictures, ask to go on there, and go on taking."""

    async def manner(caller: Caller) -> None:
        await caller.receive_pictures(15)
        told = {"level": "status", "code": "NetConnection.Connect.ReconnectRequest", "tcUrl": place}
        caller.session._send_command(0, "onStatus", 0, None, told)
        await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())
        await take(caller)

    return manner


def codecs_of(publish) -> set[str]:
    """By which codecs its pictures came."""
    return {
        tag[2][1:5].decode() if tag[2][0] & 0x80 else str(tag[2][0] & 0x0F) for tag in publish.tags if tag[0] == VIDEO
    }


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
@pytest.mark.parametrize("listed", [("hvc1",), ("avc1", "hvc1", "mp4a"), ("*",)])
async def test_what_a_destination_lists_is_copied(relays, protocol, listed):
    """By no child, in one session of the source."""
    async with Source(protocol, Hevc()) as source, Destination(listing(*listed)) as destination:
        running = relays.start(source, destination, codecs=IF_NEEDED)
        await until("pictures", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 20)
        assert codecs_of(destination.publishes[0]) == {"hvc1"}
        assert source.accepted == 1
        assert destination.accepted == 1
        await running.relay.stop()


@pytest.mark.parametrize("listed", [(), ("avc1", "mp4a"), ("av01", "vp09")])
async def test_a_destination_that_does_not_list_it_is_not_published_to(relays, listed):
    """It is left before the publish, with which platforms begin a broadcast; then the source is encoded."""
    async with Source("rtmp", Hevc()) as source, Destination(listing(*listed)) as destination:
        running = relays.start(source, destination, codecs=IF_NEEDED)
        await until("the source again", lambda: source.accepted >= 2)
        assert destination.publishes == []
        assert destination.accepted == 1
        assert running.relay._run._context.spec.codecs is Codecs.H264
        assert not running.has_told("retrying", "user_destination", "")
        await running.relay.stop()


async def test_h264_and_aac_need_nobody_to_list_them(relays, source):
    async with Destination(listing()) as destination:
        running = relays.start(source, destination, codecs=IF_NEEDED)
        await until("pictures", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 20)
        assert codecs_of(destination.publishes[0]) == {"7"}
        assert (source.accepted, destination.accepted) == (1, 1)
        await running.relay.stop()


async def test_a_source_that_turns_to_what_is_not_listed_is_encoded_from_there(relays):
    """In the open session: nothing of the new codec leaves, and the publish stays."""
    camera = Camera()
    async with Source("rtmp", camera) as source, Destination(listing()) as destination:
        running = relays.start(source, destination, codecs=IF_NEEDED)
        await until("pictures", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 20)
        camera.headers, camera.shoot = Hevc.headers.__get__(camera), Hevc.shoot.__get__(camera)
        camera.start_over()
        await source.send([as_hevc(tag) for tag in Camera.headers(camera)])
        await until("the source again", lambda: source.accepted >= 2)
        (publish,) = destination.publishes
        assert codecs_of(publish) == {"7"}
        assert publish.ended is None
        await running.relay.stop()


async def close_after_hevc(caller: Caller) -> None:
    """List everything, then close when pictures come."""
    await caller.receive_pictures(3)


async def end_after_hevc(caller: Caller) -> None:
    """List everything, then say that it is not taken."""
    await caller.receive_pictures(3)
    caller.session.send_status("error", "NetStream.Publish.Failed", "unsupported video codec")
    await caller.listen()


@pytest.mark.parametrize(("manner", "sessions"), [(end_after_hevc, 1), (close_after_hevc, 2)])
async def test_a_destination_that_refuses_what_it_lists_gets_it_encoded(relays, manner, sessions):
    async with Source("rtmp", Hevc()) as source, Destination(manner) as destination:
        running = relays.start(source, destination, codecs=IF_NEEDED)
        await until("a choice", lambda: running.relay._run._context.spec.codecs is Codecs.H264)
        assert len(destination.publishes) == sessions
        await running.relay.stop()


async def test_one_of_several_that_does_not_list_it_decides_for_all(relays):
    """There is one stream for all of them."""
    async with (
        Source("rtmp", Hevc()) as source,
        Destination() as takes_all,
        Destination(listing()) as takes_h264,
    ):
        further = (Further("2", takes_h264.url()),)
        spec = RelaySpec.live(source.url(), takes_all.url(), codecs=IF_NEEDED, destination_id="1", others=further)
        running = relays.start_spec(spec)
        await until("a choice", lambda: running.relay._run._context.spec.codecs is Codecs.H264)
        await until("the source again", lambda: source.accepted >= 2)
        assert takes_h264.publishes == []
        await running.relay.stop()


async def test_the_choice_stays_until_what_it_was_made_for_changes(relays, source):
    """A change of anything else opens no source anew; another destination is asked again."""
    async with Source("rtmp", Hevc()) as source, Destination(listing()) as old, Destination() as new:
        running = relays.start(source, old, codecs=IF_NEEDED)
        await until("a choice", lambda: running.relay._run._context.spec.codecs is Codecs.H264)
        spec = RelaySpec.live(source.url(), old.url(), codecs=IF_NEEDED, duration_s=3600)
        running.relay.update(spec)
        assert running.relay._run._context.spec.codecs is Codecs.H264
        running.relay.update(RelaySpec.live(source.url(), new.url(), codecs=IF_NEEDED))
        assert running.relay._run._context.spec.codecs is IF_NEEDED
        await until("pictures", lambda: new.publishes and len(new.publishes[0].frames(VIDEO)) > 20)
        assert codecs_of(new.publishes[0]) == {"hvc1"}
        await running.relay.stop()


@pytest.mark.parametrize(("listed", "codec"), [((), "7"), (("hvc1",), "hvc1")])
async def test_a_list_is_prepared_as_its_destination_takes_it(relays, clips: ClipFactory, tmp_path, listed, codec):
    """In one publish, from its beginning, and whole. H.264 is read packet by packet."""
    items = [Item(MediaUrl.parse(clips("hevc").as_uri()), 0, 1)]
    async with Destination(listing(*listed)) as destination:
        running = relays.start_spec(RelaySpec.vod(items, destination.url(), loops=1, codecs=IF_NEEDED))
        await until("the end", lambda: running.status.final)
        (publish,) = destination.publishes
        assert codecs_of(publish) == {codec}
        # The last may lie after the end that was asked for, by its order.
        assert len(publish.frames(VIDEO)) == pytest.approx(25, abs=2)
        assert len(publish.frames(AUDIO)) > 30
        assert (running.status.state, running.status.retries) == ("ended", 0)
        if not listed:
            path = tmp_path / "arrived.flv"
            path.write_bytes(serialize_flv_header(True, True) + b"".join(serialize_tag(*tag) for tag in publish.tags))
            assert probe.packets(path).video.codec == "h264"
            assert probe.decode_errors(path) == ""


async def test_a_list_goes_on_where_it_was_when_its_destination_takes_less(relays, clips: ClipFactory):
    """Another server behind the name lists nothing: what plays is prepared anew, and goes on there."""
    items = [Item(MediaUrl.parse(clips("hevc").as_uri()))]
    async with Destination(listing("hvc1")) as destination:
        running = relays.start_spec(RelaySpec.vod(items, destination.url(), codecs=IF_NEEDED))
        await until("pictures", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
        destination.manner = listing()
        await destination.leave()
        destination.come()
        await until("H.264", lambda: len(destination.publishes) > 1 and destination.publishes[1].has_both_tracks)
        assert codecs_of(destination.publishes[1]) == {"7"}
        assert len(destination.publishes) == 2
        await running.relay.stop()


async def test_a_list_to_several_is_what_each_of_them_takes(relays, clips: ClipFactory):
    """It is shown as an input is, and encoded once one of them does not list HEVC."""
    items = [Item(MediaUrl.parse(clips("hevc").as_uri()))]
    async with Destination() as takes_all, Destination(listing()) as takes_h264:
        further = (Further("2", takes_h264.url()),)
        spec = RelaySpec.vod(items, takes_all.url(), codecs=IF_NEEDED, destination_id="1", others=further)
        running = relays.start_spec(spec)
        await until("H.264", lambda: takes_h264.publishes and takes_h264.publishes[0].has_both_tracks)
        assert codecs_of(takes_h264.publishes[0]) == {"7"}
        await until("H.264", lambda: takes_all.publishes and "7" in codecs_of(takes_all.publishes[-1]))
        await running.relay.stop()


@pytest.mark.parametrize(("here", "there"), [(("hvc1",), ()), ((), ("hvc1",)), (("hvc1",), ("*",))])
async def test_a_place_that_lists_other_codecs_got_frames_in_the_form_of_the_last_one(relays, here, there):
    """HEVC by number 12 from the source: all of a session is in the form that its own server lists."""
    async with (
        Source("http", Hevc()) as source,
        Destination() as elsewhere,
        Destination() as destination,
    ):
        place = f"rtmp://127.0.0.1:{elsewhere.port}/other"
        destination.manner, elsewhere.manner = listing(*here, then=asking(place)), listing(*there)
        running = relays.start(source, destination)
        await until(
            "the second session", lambda: elsewhere.publishes and len(elsewhere.publishes[0].frames(VIDEO)) > 30
        )
        await running.relay.stop()
        for publish, listed in ((destination.publishes[0], here), (elsewhere.publishes[0], there)):
            assert codecs_of(publish) == ({"hvc1"} if listed else {"12"})
        assert running.status.retries == 0
