"""RTSP, read in process, from cameras that misbehave; minutes of it in virtual time."""

import itertools
from functools import partial

import pytest

from kit.camera import Camera
from streamferry.media.errors import SourceEnded, SourceError, SourceRejected, SourceStalled
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())


def assert_in_order(seen):
    for frames in (seen.pictures, seen.sounds):
        stamps = [stamp for _, _, stamp, _ in frames]
        assert all(later > earlier for earlier, later in itertools.pairwise(stamps))


def offset_ms(camera, seen):
    """By how much sound and picture lie apart from how they were made, at the end."""
    clip = camera.clip
    made = {body[5:]: stamp for stamp, body in clip.pictures}
    heard = {body[2:]: stamp for stamp, body in clip.sounds}
    turn = round(clip.seconds * 1000)
    picture, sound = seen.pictures[-1], seen.sounds[-1]
    apart = (sound[2] - heard[sound[3][2:]]) - (picture[2] - made[picture[3][5:]])
    return min(apart % turn, turn - apart % turn)


async def test_minutes_of_a_camera(peers, play, camera):
    """All of it, as it is sent; the session is kept, and reports go back."""
    seen = await play(100)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(100, abs=0.5)
    assert seen.longest_pause_s() < 0.4
    assert len(seen.headers) == 2
    assert offset_ms(camera, seen) <= 5
    assert camera.count("GET_PARAMETER") == 3
    await peers.all_closed()
    assert camera.count("TEARDOWN") == 1
    assert {channel for channel, _ in camera.reports} == {1, 3}
    assert 30 <= len(camera.reports) <= 44


async def test_first_picture_comes_at_once(play):
    assert (await play(1)).pictures[0][0] < 0.5


@pytest.mark.parametrize("late_s", [0.4, -0.3])
async def test_sound_that_is_sent_late_lies_where_it_was_made(play, camera, late_s):
    camera.sound_late_s = late_s
    seen = await play(20)
    assert_in_order(seen)
    assert offset_ms(camera, seen) <= 5


async def test_without_reports_the_arrival_holds(play, camera):
    camera.has_reports = False
    seen = await play(10)
    assert offset_ms(camera, seen) <= 25


CHALLENGES = {
    "basic": ['Basic realm="cam"'],
    "digest": ['Digest realm="IP Camera(C12)", nonce="{nonce}", stale="FALSE"', 'Basic realm="cam"'],
    "qop": ['Digest realm="cam", qop="auth", nonce="{nonce}", opaque="", algorithm=MD5'],
    "sha": [
        'Digest realm="cam", qop="auth", nonce="{nonce}", algorithm=SHA-256',
        'Digest realm="cam", nonce="{nonce}"',
    ],
    "session": ['Digest realm="cam", nonce="{nonce}", qop="auth", algorithm=MD5-sess'],
}


@pytest.mark.parametrize("name", CHALLENGES)
@pytest.mark.parametrize("password", ["simple", "p@ss:w/rd#% &+", "it's'a!$x"])
async def test_passwords(play, camera, name, password):
    from urllib.parse import quote

    camera.user, camera.password, camera.challenges = "us@er", password, CHALLENGES[name]
    seen = await play(2, user=f"us%40er:{quote(password, safe='')}@")
    assert seen.pictures
    # Asked once, and known from then on.
    assert camera.nonces == 1
    assert all(password not in head for head in camera.heads)


async def test_a_nonce_that_grows_old_is_replaced(play, camera):
    camera.user, camera.password, camera.timeout_s = "me", "secret", 6

    def answer(method, count):
        if method == "GET_PARAMETER" and count % 4 == 1:
            for player in camera.players:
                player.nonce = "another"
        return

    camera.answer = answer
    seen = await play(30, user="me:secret@")
    assert seen.error is None
    assert 2 <= camera.nonces <= 5


async def test_a_wrong_password_is_asked_about_seldom(play, camera):
    """Cameras lock an account after 5 to 7 tries. The first refusal may be a whim."""
    camera.user, camera.password = "me", "right"
    pauses = []
    for _ in range(3):
        with pytest.raises(SourceRejected, match="401") as refused:
            await play(1, user="me:wr0ng@")
        assert "wr0ng" not in str(refused.value)
        pauses.append(refused.value.retry_after_s)
    assert pauses == [0, 60, 60]
    # Once without, as every client asks, and once with.
    assert camera.count("DESCRIBE") == 6
    with pytest.raises(SourceRejected, match="user and a password"):
        await play(1)


async def test_only_udp(play, camera):
    """461 for the connection; the next session asks for UDP at once."""
    camera.ways = frozenset(("UDP",))
    for setups in (3, 2):
        camera.asked.clear()
        seen = await play(5)
        assert seen.media_s() == pytest.approx(5, abs=0.5)
        assert camera.count("SETUP") == setups


async def test_udp_where_the_address_asks_for_it(play, camera):
    seen = await play(12, "cam?channel=1&udp")
    assert seen.media_s() == pytest.approx(12, abs=0.5)
    assert offset_ms(camera, seen) <= 5
    assert all("udp" not in head.split("\r\n")[0] for head in camera.heads)
    assert "client_port=" in "".join(camera.heads)


async def test_datagrams_that_never_come(play, camera):
    """A firewall, or a camera behind another address: the connection is used, and the next time at once."""
    camera.sends_udp = False
    for accepted in (2, 3):
        seen = await play(5, "cam?udp")
        assert seen.media_s() == pytest.approx(5, abs=0.6)
        assert camera.accepted == accepted
    assert camera.most_at_once == 1


async def test_datagrams_may_come_from_allowed_addresses_only(play, camera):
    camera.udp_source = "127.9.9.9"
    with pytest.raises(SourceError, match=r"127\.9\.9\.9"):
        await play(1, "cam?udp", allow=lambda address: address == "127.0.0.1")


async def test_lost_datagrams_cost_their_pictures(play, camera):
    camera.loses = lambda channel, count: channel == 0 and count % 40 == 0
    seen = await play(20, "cam?udp")
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(20 * 0.96, abs=1)


async def test_a_redirect_goes_through_the_policy(peers, play, camera):
    port = await peers.serve(Camera(camera.clip).serve)
    camera.answer = lambda method, count: (
        f"302 Moved\r\nLocation: rtsp://127.0.0.1:{port}/other\r\n" if method == "DESCRIBE" else None
    )
    assert (await play(2)).pictures
    camera.answer = lambda method, count: (
        "302 Moved\r\nLocation: rtsp://127.0.0.2:1/other\r\n" if method == "DESCRIBE" else None
    )
    with pytest.raises(SourceRejected, match="egress policy"):
        await play(2, allow=lambda address: address == "127.0.0.1")
    camera.answer = lambda method, count: "301 Moved\r\nLocation: http://127.0.0.1/\r\n" if method == "SETUP" else None
    with pytest.raises(SourceRejected, match="no RTSP address"):
        await play(2)


@pytest.mark.parametrize("how", ["bye", "close", "teardown", "announce", "redirect"])
async def test_a_server_that_ends_the_stream(play, camera, how):
    def ends(player):
        if how == "bye":
            for channel, sender in ((0, camera.clip.video), (2, camera.clip.audio)):
                player.put(channel, sender.bye(), is_report=True)
        elif how == "close":
            player.writer.close()
        else:
            asked = {"teardown": "TEARDOWN", "announce": "ANNOUNCE", "redirect": "REDIRECT"}[how]
            where = f"Location: rtsp://127.0.0.1:{player.writer.get_extra_info('sockname')[1]}/moved\r\n"
            player.writer.write(f"{asked} rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n{where}\r\n".encode())

    camera.ends_after_s, camera.ends = 3, ends
    seen = await play(20)
    assert isinstance(seen.error, SourceEnded)
    assert seen.media_s() == pytest.approx(3, abs=0.3)
    camera.ends_after_s = 1e9
    assert (await play(2)).media_s() == pytest.approx(2, abs=0.3)
    assert camera.heads[-1].split()[1].endswith("/moved/" if how == "redirect" else "/cam/")
    assert camera.most_at_once == 1


async def test_a_silent_camera_never_has_two_players(peers, play, camera):
    camera.silent_after_s = -1.0
    for _ in range(3):
        with pytest.raises(SourceStalled):
            await play(10)
    assert camera.accepted == 3
    assert camera.most_at_once == 1
    await peers.all_closed()
    assert camera.count("TEARDOWN") == 3


@pytest.mark.parametrize("sequence", [lambda number: None, lambda number: "7", lambda number: "x"])
async def test_responses_with_another_number_or_none(play, camera, sequence):
    camera.sequence, camera.timeout_s = sequence, 4
    assert (await play(10)).media_s() == pytest.approx(10, abs=0.4)


async def test_a_session_that_is_not_found_ends(play, camera):
    camera.timeout_s, camera.session_dies_after_s = 6, 10
    seen = await play(30)
    assert isinstance(seen.error, SourceEnded)
    assert "454" in str(seen.error)


@pytest.mark.parametrize("status", ["405 Method Not Allowed", "501 Not Implemented"])
async def test_a_camera_that_knows_no_parameters_is_asked_for_options(play, camera, status):
    camera.timeout_s = 4
    camera.answer = lambda method, count: status if method == "GET_PARAMETER" else None
    assert (await play(12)).error is None
    assert camera.count("GET_PARAMETER") == 1
    assert camera.count("OPTIONS") >= 5


@pytest.mark.parametrize(
    ("refused", "status"), [("OPTIONS", "501 Not Implemented"), ("PLAY", "457 Invalid Range"), ("SETUP", "")]
)
async def test_what_a_camera_refuses_once_and_can_do_without(play, camera, refused, status):
    """OPTIONS, a range, and the sound, of which the picture does not depend."""
    wanted = 2 if refused == "SETUP" else 1
    camera.answer = lambda method, count: (status or "404 Not Found") if method == refused and count == wanted else None
    seen = await play(5)
    assert seen.media_s() == pytest.approx(5, abs=0.4)
    assert bool(seen.sounds) == (refused != "SETUP")


@pytest.mark.parametrize(
    ("status", "words"),
    [("404 Not Found", "404 Not Found"), ("503 Service Unavailable", "503"), ("400 rtsp://h/?token=hush-hush", "400")],
)
async def test_refusals_are_told_in_words(play, camera, status, words):
    camera.answer = lambda method, count: status if method == "DESCRIBE" else None
    with pytest.raises(SourceRejected, match=words) as refused:
        await play(1, "cam?token=hush-hush")
    assert "hush-hush" not in str(refused.value)


async def test_a_description_without_tracks(play, camera):
    camera.description = "v=0\r\ns=none\r\nm=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n"
    with pytest.raises(SourceRejected, match="neither a picture nor sound"):
        await play(1)


@pytest.mark.parametrize("kind", ["video", "audio"])
async def test_one_track_alone(play, camera, kind):
    camera.description = camera.clip.description(**{("audio" if kind == "video" else "video"): False})
    seen = await play(5)
    assert bool(seen.pictures) == (kind == "video")
    assert bool(seen.sounds) == (kind == "audio")


async def test_sound_that_is_described_and_never_comes(play, camera):
    camera.loses = lambda channel, count: channel == 2
    seen = await play(5)
    # It is waited for, a second, before the first picture is handed on.
    assert seen.media_s() == pytest.approx(6, abs=0.4)
    assert not seen.sounds


async def test_a_camera_that_does_not_answer(play, camera):
    camera.answer = lambda method, count: "nothing" if method == "DESCRIBE" else None
    with pytest.raises(SourceError, match="timed out"):
        await play(1)
    assert camera.most_at_once == 1


async def test_a_camera_that_does_not_speak_rtsp(peers):
    async def serve(reader, writer):
        await reader.read(100)
        writer.write(b"SSH-2.0-dropbear\r\n" * 30_000)
        await reader.read()

    port = await peers.serve(serve)
    with pytest.raises(SourceError, match="RTSP"):
        await open_live(MediaUrl.parse(f"rtsp://127.0.0.1:{port}/cam"))


async def test_a_camera_that_floods_before_it_answers(peers):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"$\0\xf0\0" + bytes(0xF000))
            await writer.drain()

    port = await peers.serve(serve)
    with pytest.raises(SourceError, match="more than 8388608 bytes"):
        await open_live(MediaUrl.parse(f"rtsp://127.0.0.1:{port}/cam"))
