"""Sources that write codecs in another form than their destination reads."""

import os
from itertools import pairwise

import pytest

from kit import programs
from scripted.camera import AAC_HEADER, AVC_HEADER, Camera, number_of
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.relay.spec import Codecs, RelaySpec
from streamferry.wire.rtmp import server


def enhanced(tag: Tag) -> Tag:
    """A tag of FLV 10.1 as Enhanced RTMP writes it."""
    tag_type, stamp, body = tag
    if tag_type == VIDEO:
        return tag_type, stamp, bytes((0x80 | body[0] & 0x70 | body[1],)) + b"avc1" + body[5 if body[1] == 0 else 2 :]
    if tag_type == AUDIO:
        return tag_type, stamp, bytes((0x90 | body[1],)) + b"mp4a" + body[2:]
    return tag


def chinese(tag: Tag) -> Tag:
    """Its picture as HEVC had been written before Enhanced RTMP."""
    tag_type, stamp, body = tag
    return (tag_type, stamp, bytes((body[0] & 0xF0 | 12,)) + body[1:]) if tag_type == VIDEO else tag


class Writing(Camera):
    """A camera whose tags are written in some way, which may change while it runs."""

    write = staticmethod(enhanced)

    def headers(self):
        return [self.write(tag) for tag in super().headers()]

    def shoot(self):
        return [self.write(tag) for tag in super().shoot()]

    def change(self, write) -> list[Tag]:
        """Another encoder, which begins with its headers."""
        self.write = write
        self.start_over()
        return self.headers()


def assert_written_in_flv_10(publish):
    """H.264 and AAC as every server reads them, and nothing missing among the pictures."""
    assert {tag[2][0] for tag in publish.tags if tag[0] == VIDEO} == {0x17, 0x27}
    assert {tag[2][0] for tag in publish.tags if tag[0] == AUDIO} == {0xAF}
    assert AVC_HEADER in [tag[2] for tag in publish.tags]
    assert AAC_HEADER in [tag[2] for tag in publish.tags]
    stamps = publish.stamps(VIDEO)
    assert {later - earlier for earlier, later in pairwise(stamps)} == {40}


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_h264_and_aac_in_enhanced_form_leave_as_every_server_reads_them(relays, protocol):
    """YouTube ended each session after 11 s."""
    async with Source(protocol, Writing()) as source, Destination() as destination:
        running = relays.start(source, destination)
        for number in (1, 2):
            await until("a session", lambda n=number: len(destination.publishes) >= n)
            publish = destination.publishes[-1]
            await until("pictures", lambda publish=publish: len(publish.frames(VIDEO)) > 30)
            assert_written_in_flv_10(publish)
            if number == 1:
                await destination.leave()
                destination.come()
        assert running.status.dropped_tags == 0
        await running.relay.stop()


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_a_form_that_changes_in_the_middle_changes_nothing(relays, protocol):
    """From the old form to the new and back, in one publish."""
    camera = Writing()
    camera.write = lambda tag: tag
    async with Source(protocol, camera) as source, Destination() as destination:
        running = relays.start(source, destination)
        await until("a session", lambda: destination.publishes)
        publish = destination.publishes[0]
        for write in (enhanced, lambda tag: tag, enhanced):
            count = len(publish.frames(VIDEO))
            await until("pictures", lambda count=count: len(publish.frames(VIDEO)) > count + 20)
            await source.send(camera.change(write))
        count = len(publish.frames(VIDEO))
        await until("pictures", lambda count=count: len(publish.frames(VIDEO)) > count + 20)
        assert {tag[2][0] for tag in publish.tags if tag[0] == VIDEO} == {0x17, 0x27}
        assert {tag[2][0] for tag in publish.tags if tag[0] == AUDIO} == {0xAF}
        assert len(destination.publishes) == 1
        await running.relay.stop()


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
@pytest.mark.parametrize(("listed", "first"), [(("hvc1",), {0x90, 0x91, 0xA1}), ((), {0x1C, 0x2C})])
async def test_hevc_of_chinese_networks_leaves_as_the_server_lists_it(relays, protocol, listed, first, monkeypatch):
    """A server that lists nothing gets what came."""
    monkeypatch.setattr(server, "FOURCCS", listed)
    camera = Writing()
    camera.write = chinese
    async with Source(protocol, camera) as source, Destination() as destination:
        running = relays.start(source, destination)
        await until("pictures", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 30)
        publish = destination.publishes[0]
        assert {tag[2][0] for tag in publish.tags if tag[0] == VIDEO} == first
        assert all((tag[2][1:5] == b"hvc1") is bool(listed) for tag in publish.tags if tag[0] == VIDEO)
        await running.relay.stop()


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_h264_and_aac_are_copied_where_nothing_else_is_taken(relays, protocol):
    """By no child, from one session of the source; once it sends HEVC it is opened anew, and no HEVC leaves."""
    camera = Writing()
    camera.write = lambda tag: tag
    before = programs.descendants(os.getpid())
    async with Source(protocol, camera) as source, Destination() as destination:
        running = relays.start(source, destination, codecs=Codecs.H264)
        await until("pictures", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 30)
        children = [programs.command_line(pid) for pid in programs.descendants(os.getpid()) if pid not in before]
        assert not [words for words in children if "ffmpeg" in words]
        first = list(source.viewers)
        assert len(first) == 1
        assert running.status.retries == 0
        await source.send(camera.change(chinese))
        await until("another session", lambda: source.viewers and source.viewers[0] is not first[0])
        assert {tag[2][0] for tag in destination.publishes[0].tags if tag[0] == VIDEO} == {0x17, 0x27}
        await running.relay.stop()


async def test_a_destination_that_turns_out_to_take_only_h264(relays):
    """The task is changed while it runs: the source is opened anew, and no more HEVC leaves in the open session."""
    camera = Writing()
    camera.write = chinese
    async with Source("rtmp", camera) as source, Destination() as destination:
        running = relays.start(source, destination)
        await until("pictures", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
        first = source.viewers[0]
        running.relay.update(RelaySpec.live(source.url(), destination.url(), codecs=Codecs.H264))
        await until("another session", lambda: source.viewers and source.viewers[0] is not first)
        (publish,) = destination.publishes
        shot = camera.pictures
        second = source.viewers[0]
        await until("its encoder's session", lambda: source.viewers and source.viewers[0] not in (first, second))
        assert max(map(number_of, publish.frames(VIDEO))) <= shot
        await running.relay.stop()


async def test_places_of_loudspeakers_go_to_no_reader_of_flv_10(relays):
    """ffmpeg writes them before 5.1 sound; readers took them for a track of their own."""

    class Surround(Camera):
        def headers(self):
            config = (AUDIO, self.stamp_ms, bytes.fromhex("946d703461010106 0000003f"))
            return [config, *super().headers()]

    async with Source("http", Surround()) as source, Destination() as destination:
        running = relays.start(source, destination)
        await until("sound", lambda: destination.publishes and len(destination.publishes[0].frames(AUDIO)) > 30)
        assert {tag[2][0] for tag in destination.publishes[0].tags if tag[0] == AUDIO} == {0xAF}
        await running.relay.stop()
