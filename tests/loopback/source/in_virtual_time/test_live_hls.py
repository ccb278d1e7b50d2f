"""Live HLS, read in process, from servers that misbehave; minutes of it in virtual time."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest

from kit.live_hls import VISIT_S, LiveServer, watch
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within
from streamferry.source.hls_follower import HlsFollower
from streamferry.source.hls_rendition import listed
from streamferry.wire.hls import Playlist, attributes

open_live = partial(open_live_within, deadlines=Deadlines())


@pytest.fixture
async def server(clips):
    return LiveServer(clips.hls("half_a_minute"))


@pytest.fixture
async def play(peers, server):
    """``await play(seconds)``: what comes of a session."""
    port = await peers.serve(server.serve)
    memory = SourceMemory()

    async def session(seconds, path="live.m3u8", **network):
        inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/{path}"), memory=memory, **network)
        try:
            return await watch(inlet, seconds)
        finally:
            inlet.close()

    return session


def assert_in_order(seen):
    """Stamps of each track rise, and no frame comes twice in a row of them."""
    for frames in (seen.pictures, seen.sounds):
        stamps = [stamp for _, _, stamp, _ in frames]
        assert stamps == sorted(stamps)
        assert len(set(stamps)) == len(stamps)


async def test_a_sliding_playlist_plays_at_its_pace(play):
    seen = await play(60)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(60, abs=1.5)
    assert seen.longest_pause_s() < 0.4
    assert seen.most_in_a_visit_ms() <= 400


@pytest.mark.parametrize("delay_s", [0.2, 0.5, 0.8, 0.95])
async def test_a_server_that_is_slow_to_begin_each_segment(play, server, delay_s):
    """Half of the pictures were lost: each wait was never made up for."""
    server.delay_s = delay_s
    seen = await play(60)
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(60, abs=2.5)
    assert seen.longest_pause_s() < 1.0


@pytest.mark.parametrize("rate", [1.02, 1.1, 0.98])
async def test_a_server_whose_clock_is_fast_or_slow(play, server, rate):
    """With a clock 2 % fast every second segment was lost after a minute, for ever."""
    server.window, server.rate = 3, rate
    seen = await play(150)
    assert_in_order(seen)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(150 * rate, abs=3)
    assert seen.longest_pause_s() < 1.2
    assert seen.most_in_a_visit_ms(after_s=2) <= 440


async def test_a_server_that_is_away_for_a_while(play, server):
    """The session ends with the server's word for it; the next goes on where it can, and repeats nothing."""
    away = range(20, 27)
    server.answer = lambda name, _: 503 if server.made in away else None
    first = await play(40)
    assert "503" in str(first.error)
    server.answer = None
    second = await play(10)
    bodies = [tag[3] for tag in first.pictures + second.pictures]
    assert len(set(bodies)) == len(bodies)
    assert second.media_s() == pytest.approx(10, abs=1.5)


async def test_a_playlist_that_is_away_while_there_is_something_to_play(peers, clips):
    """Segments of 4 s, and the playlist away for 10: what was listed lasts until it is back, and nothing is missing."""
    server = SlowServer(clips.hls("half_a_minute"))
    port = await peers.serve(server.serve)
    inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/live.m3u8"))
    away = asyncio.get_running_loop().time() + 9

    def answer(name, _):
        is_away = away <= asyncio.get_running_loop().time() < away + 10
        return 503 if is_away and name.endswith("m3u8") else None

    server.answer = answer
    seen = await watch(inlet, 40)
    inlet.close()
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(40, abs=4)


class SlowServer(LiveServer):
    """Its segments last four seconds."""

    def __post_init__(self):
        super().__post_init__()
        self.segments = [b"".join(self.segments[at : at + 4]) for at in range(0, len(self.segments) - 3, 4)]

    @property
    def made(self):
        return self.window + int((asyncio.get_running_loop().time() - self.began_at) / 4)

    def text(self):
        return super().text().replace("EXTINF:1.0", "EXTINF:4.0").replace("DURATION:1", "DURATION:4")


async def test_one_reload_of_four_that_fails(play, server):
    """It ended the session each time."""
    server.answer = lambda name, count: 503 if name.endswith("m3u8") and count % 4 == 3 else None
    seen = await play(40)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(40, abs=1.5)
    assert seen.longest_pause_s() < 0.6


async def test_what_could_not_be_had_is_counted(peers, server):
    """Segments that are refused, and those that break off; what another session lacked is not its own."""
    server.answer = lambda name, _: 404 if name.endswith(".ts") and int(name[:-3]) % 5 == 0 else None
    server.breaks = lambda name: name in ("12.ts", "13.ts")
    url, memory = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(server.serve)}/live.m3u8"), SourceMemory()
    for count in (6, 0):
        inlet = await open_live(url, memory=memory)
        await watch(inlet, 20)
        assert inlet.lost_packets == count
        inlet.close()
        server.answer, server.breaks = None, lambda name: False


async def test_single_segments_that_are_missing_are_gaps(play, server):
    server.answer = lambda name, _: 404 if name.endswith(".ts") and int(name[:-3]) % 5 == 0 else None
    seen = await play(40)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(32, abs=2)
    # Its place in time is kept.
    first, *_, last = seen.pictures
    assert last[2] - first[2] == pytest.approx(40_000, abs=2_500)


async def test_segments_cut_short_cost_what_is_missing(play, server):
    def answer(name, _):
        if name.endswith(".ts") and int(name[:-3]) % 6 == 0:
            whole = server.segments[int(name[:-3]) % len(server.segments)]
            return 200, whole[: len(whole) * 6 // 10]
        return None

    server.answer = answer
    seen = await play(40)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(40 - 40 / 6 * 0.4, abs=2)


async def test_segments_that_are_late_are_asked_for_again(play, server):
    """5xx now and then, as of a cache whose origin is slow."""
    failed = set()

    def answer(name, _):
        if name.endswith(".ts") and int(name[:-3]) % 4 == 0 and name not in failed:
            failed.add(name)
            return 503
        return None

    server.answer = answer
    seen = await play(40)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(40, abs=1.5)


async def test_a_dead_token_ends_the_session_and_the_next_goes_on(play, server):
    """Nothing is lost, and nothing comes twice."""
    server.answer = lambda name, _: 403 if name.endswith(".ts") and int(name[:-3]) == 12 else None
    first = await play(40)
    assert "403" in str(first.error)
    server.answer = None
    second = await play(5)
    bodies = [tag[3] for tag in first.pictures + second.pictures]
    assert len(set(bodies)) == len(bodies)
    assert server.asked.count("12.ts") == 2


@pytest.mark.parametrize("name", ["{}.ts?token=", "get?segment={}", "t/{}.jpg", "{}"])
async def test_segments_of_any_name(play, server, name):
    server.name = name
    seen = await play(20)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(20, abs=1.5)


async def test_separate_tracks_of_another_size_and_rate(play, server, clips):
    """A break after which all is another: each has its header before it, and the clock goes on."""
    other = LiveServer(clips.hls("flash_beep_unlike"))
    server.segments = [*server.segments[:10], *other.segments[:3], *server.segments[13:]]
    server.marks = {10: ["#EXT-X-DISCONTINUITY"], 13: ["#EXT-X-DISCONTINUITY"]}
    seen = await play(20)
    assert seen.error is None
    assert_in_order(seen)
    assert len({header for header in seen.headers if header[0] == 0xAF}) == 2
    assert len({header for header in seen.headers if header[0] == 0x17}) == 2
    assert seen.longest_pause_s() < 0.6
    assert seen.media_s() == pytest.approx(20, abs=1.5)


async def test_it_ends_where_the_playlist_ends(play, server):
    asyncio.get_running_loop().call_later(10, setattr, server, "is_over", True)
    seen = await play(40)
    assert "closed" in str(seen.error)
    assert seen.media_s() >= 10


async def test_a_server_that_is_started_anew(play, server):
    """Numbers, names and stamps begin anew; the clock of what is handed out goes on."""

    def restart():
        server.began_at = asyncio.get_running_loop().time()
        server.name = "new-{}.ts"

    asyncio.get_running_loop().call_later(15, restart)
    seen = await play(30)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() > 26
    assert seen.longest_pause_s() < 3


async def test_a_playlist_that_no_longer_grows_is_told_by_silence(play, server):
    server.rate = 0.0
    seen = await play(20)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(3, abs=0.2)
    assert server.loads < 60


async def test_headers_of_the_source_go_where_they_were_given_for(play, server, peers, clips):
    """With playlists and segments; what may be secret goes to no other server that a playlist names."""
    elsewhere = LiveServer(clips.hls("half_a_minute"))
    server.name = f"http://127.0.0.1:{await peers.serve(elsewhere.serve)}/{{}}.ts"
    options = PeerOptions(headers=(("Referer", "https://site.example/"), ("X-Token", "secret")))
    await play(3, options=options)
    assert all("x-token: secret" in head for head in server.heads)
    assert all("referer: https://site.example/" in head and "x-token" not in head for head in elsewhere.heads)
    assert len(elsewhere.heads) > 2
    server.name = "{}.ts"
    server.heads.clear()
    await play(3, options=options)
    assert any(".ts" in head for head in server.heads)
    assert all("x-token: secret" in head for head in server.heads)


async def test_stamps_that_fall_without_a_word(play, server):
    """By less than what tells another clock by itself: the segments after it were an error of the beat."""
    server.segments = [*server.segments[:10], *server.segments[6:20]]
    seen = await play(20)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() > 18


async def test_what_was_asked_for_when_a_session_ends_is_not_lost(play, server):
    """The next session begins with it."""
    server.delay_s = 0.8
    bodies = []
    for _ in range(3):
        seen = await play(4)
        bodies.append({tag[3] for tag in seen.pictures})
    assert not bodies[0] & bodies[1]
    asked = [name for name in server.asked if name.endswith(".ts")]
    assert {int(name[:-3]) for name in asked} == set(range(1, max(int(name[:-3]) for name in asked) + 1))
    assert len(asked) > len(set(asked))


async def test_a_break_of_a_segment_that_is_missing_is_one_all_the_same(play, server, clips):
    other = LiveServer(clips.hls("flash_beep_unlike"))
    server.segments = [*server.segments[:10], *other.segments[:3], *other.segments[:3], *server.segments[16:]]
    server.marks = {10: ["#EXT-X-DISCONTINUITY"], 16: ["#EXT-X-DISCONTINUITY"]}
    server.answer = lambda name, _: 404 if name == "10.ts" else None
    seen = await play(20)
    assert seen.error is None
    assert_in_order(seen)


@pytest.mark.parametrize("chunked", [False, True])
async def test_connections_are_kept_for_the_next_request(play, server, chunked):
    """One for segments, one for playlists that come meanwhile; two are the ones of the beginning."""
    server.chunked = chunked
    seen = await play(60)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(60, abs=1.5)
    assert len(server.asked) > 100
    assert server.connections <= 4
    assert server.loads == pytest.approx(61, abs=4)


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_servers_that_close_what_they_said_to_keep(play, server, most):
    """Without a word, when the next request is there already: it is made once more, on a new connection."""
    server.most_requests = most
    seen = await play(30)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.media_s() == pytest.approx(30, abs=1.5)
    # What was not answered is not in the list: no request was answered twice.
    segments = [name for name in server.asked if name.endswith(".ts")]
    assert len(set(segments)) == len(segments)
    assert server.connections > len(server.asked) / most / 2


async def test_servers_that_close_each_connection(play, server):
    server.keeps = False
    seen = await play(30)
    assert seen.error is None
    assert seen.media_s() == pytest.approx(30, abs=1.5)
    assert server.connections == len(server.asked)


async def test_a_segment_that_drips_is_given_up(play, server):
    """When others wait meanwhile; the session went on at a crawl."""
    server.window = 6
    drip = asyncio.get_running_loop().time() + 11
    now = asyncio.get_running_loop().time

    def answer(name, _):
        server.sending_s = 60 if name == "10.ts" and now() < drip + 60 else 0.0

    server.answer = answer
    seen = await play(40)
    assert seen.error is None
    assert_in_order(seen)
    assert seen.longest_pause_s() < 5
    assert seen.media_s() == pytest.approx(39, abs=3)


async def test_a_pause_of_the_machine_is_no_fault_of_the_server(play, server):
    """What was not received meanwhile was not late: nothing is given up for it."""
    server.window, server.sending_s = 30, 0.7
    inlet_paused = asyncio.get_running_loop().time() + 10
    original, paused = asyncio.sleep, []

    async def sleep(seconds, *rest):
        if seconds == VISIT_S and asyncio.get_running_loop().time() > inlet_paused and not paused:
            paused.append(True)
            seconds = 12
        await original(seconds, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kit.live_hls.asyncio.sleep", sleep)
        seen = await play(60)
    assert seen.error is None
    assert_in_order(seen)
    stamps = [stamp for _, _, stamp, _ in seen.pictures]
    assert max(later - one for one, later in pairwise(stamps)) < 200


async def test_a_server_that_drips_ends_the_session(play, server):
    """It says how long was waited; another session may reach a better server."""
    server.sending_s = 8
    server.window = 6
    seen = await play(60)
    assert "timed out" in str(seen.error)
    assert seen.tags[-1][0] < 25


async def test_the_playlist_of_a_day(server):
    """20,000 segments of the past cost others no more than a turn: they are parsed in pieces."""
    past = 20_000
    server.window = past + 4
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    text = server.text()
    assert text.count("\n") > 2 * past
    playlist, follower = Playlist.parse(text.encode()), HlsFollower()
    other = asyncio.create_task(others())
    found = await listed(playlist)
    other.cancel()
    assert len(found.segments) == past + 4
    assert turns >= 2 * past // 2_000
    follower.take(playlist, 0.0, found)
    assert [follower.next().segment.number for _ in range(3)] == [past + 1, past + 2, past + 3]


def test_playlists_made_to_cost_time():
    """One line took minutes to parse; and lines are bounded."""
    assert attributes("#EXT-X-KEY:" + "A" * 1_000_000) == {}
    with pytest.raises(ValueError, match="HLS"):
        Playlist.parse(b"#EXTM3U\n" + b"#\n" * 500_000)
