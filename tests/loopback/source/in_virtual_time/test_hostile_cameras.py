"""Cameras that send what no camera should: what it costs is bounded, and it is told in a sentence or passed over."""

import time
from functools import partial

import pytest

from streamferry.media.errors import SourceEnded, SourceError, SourceForbidden, SourceRejected
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())
AWAY = "10.255.255.1"


@pytest.mark.parametrize("base", ["rtsp://[::1/cam/", "//[x", "rtsp://[" + "9" * 300])
async def test_a_base_that_is_no_address_is_passed_over(play, camera, base):
    camera.base = base
    assert (await play(2)).media_s() == pytest.approx(2, abs=0.3)


async def test_a_redirect_to_what_is_no_address(play, camera):
    camera.answer = lambda method, count: "302 Found\r\nLocation: rtsp://[::1/x" if method == "DESCRIBE" else None
    with pytest.raises(SourceRejected, match="redirects"):
        await play(1)


async def test_ports_beyond_the_last_are_none(play, camera):
    """Nothing is sent there; and as nothing comes by UDP, the connection is used."""
    camera.sends_udp = False
    camera.server_port = "65536-65537"
    assert (await play(3, "cam?udp")).media_s() == pytest.approx(3, abs=0.4)


async def test_a_number_of_pictures_that_is_nearly_none(play, camera):
    camera.description = camera.clip.description().replace("m=audio", "a=framerate:1e-310\r\nm=audio")
    assert (await play(2)).media_s() == pytest.approx(2, abs=0.3)


async def test_the_same_channels_for_both_tracks(play, camera):
    """A server that repeats what it told of the first, and sends as it was asked to."""
    camera.channels_told = "0-1"
    seen = await play(2)
    assert seen.pictures
    assert seen.sounds


async def test_a_stream_that_moves_where_the_policy_does_not_lead(play, camera):
    """At the end of a session, too, that is no fault of the task's address, which is played again."""

    def ends(player):
        player.writer.write(f"REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nLocation: rtsp://{AWAY}/inside\r\n\r\n".encode())

    camera.ends_after_s, camera.ends = 1, ends
    under_policy = partial(play, allow=lambda address: address != AWAY)
    assert isinstance((await under_policy(5)).error, SourceEnded)
    with pytest.raises(SourceRejected) as refused:
        await under_policy(5)
    assert not isinstance(refused.value, SourceForbidden)
    assert refused.value.retryable
    camera.ends_after_s = 1e9
    assert (await under_policy(2)).media_s() == pytest.approx(2, abs=0.3)


async def test_what_is_secret_where_a_server_leads_is_not_repeated(peers, play, camera):
    camera.answer = lambda method, count: "400 no rtsp://x/?token=hush-hush for you"
    port = await peers.serve(camera.serve)

    async def lead(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"RTSP/1.0 302 Found\r\nLocation: rtsp://127.0.0.1:{port}/a?token=hush-hush\r\n\r\n".encode())

    entrance = await peers.serve(lead)
    with pytest.raises(SourceRejected, match="400") as refused:
        await open_live(MediaUrl.parse(f"rtsp://127.0.0.1:{entrance}/cam"))
    assert "hush-hush" not in str(refused.value)


@pytest.mark.parametrize("between", [b"$\0\xf0\0" + bytes(0xF000), b"$\0\0\0" * 1000])
async def test_a_flood_before_a_session_plays_is_bounded_over_all_its_answers(peers, between):
    """By what it costs to hold, however small its pieces are; and 100 Continue begins no new count."""
    sent = 0

    async def serve(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(between + b"RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n")
            sent += len(between)
            await writer.drain()

    port = await peers.serve(serve)
    with pytest.raises(SourceError, match="more than 8388608 bytes"):
        await open_live(MediaUrl.parse(f"rtsp://127.0.0.1:{port}/cam"))
    assert sent < 24 << 20


async def test_responses_behind_many_packets(peers):
    """Each is found without a look at all that came before it: for the process that is another 10 s of work."""

    async def serve(reader, writer):
        before = b"$\0\0\0" * 12_000 + b"RTSP/1.0 100 Continue\r\n\r\n" * 12_000
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(before + b"RTSP/1.0 404 Gone\r\n\r\n")
            before = b""

    began_at = time.process_time()
    url = MediaUrl.parse(f"rtsp://127.0.0.1:{await peers.serve(serve)}/cam")
    with pytest.raises(SourceRejected, match="404"):
        await open_live(url)
    assert time.process_time() - began_at < 5
