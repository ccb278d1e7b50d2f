"""Low-latency HLS: parts of segments, from servers that keep to RFC 8216bis and from others; in virtual time."""

import asyncio
import re
from functools import partial
from itertools import pairwise

import pytest

from kit.hls import cut, with_separate_sound
from kit.live_hls import own_stamps, watch
from kit.low_latency_hls import PARTS, LowLatencyServer, fragments
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import SourceMemory
from streamferry.source import open_live as open_live_within

open_live = partial(open_live_within, deadlines=Deadlines())


BOTH = pytest.mark.parametrize("form", ["TS", "fMP4"])


@pytest.fixture
async def form():
    return "TS"


@pytest.fixture
async def server(form, clips, tmp_path):
    if form == "TS":
        return LowLatencyServer(clips.hls("half_a_minute"))
    header, seconds = fragments(clips("half_a_minute"), tmp_path / "parts")
    playlist = cut(clips("half_a_minute"), tmp_path / "cut", "-hls_segment_type", "fmp4", segment="film%d.m4s")
    found = LowLatencyServer(playlist, name="{}.cmfv", cut=lambda segment: [segment])
    found.headers = {"init.mp4": header}
    found.parts = seconds
    found.segments = [b"".join(parts) for parts in seconds]
    return found


@pytest.fixture
async def play(peers, server):
    """``await play(seconds)``: what comes of a session that uses parts."""
    port = await peers.serve(server.serve)

    async def session(seconds, *, is_low_latency=True, **network):
        memory = SourceMemory(is_low_latency=is_low_latency)
        inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/live.m3u8"), memory=memory, **network)
        try:
            return await watch(inlet, seconds)
        finally:
            inlet.close()

    return session


async def equal_to_whole(play, server, seconds=12):
    """Play by parts, and assert that it is what whole segments give: the same units with the same stamps."""
    begun_at = server.began_at
    low = await play(seconds)
    assert low.error is None
    server.began_at = asyncio.get_running_loop().time()
    answer, server.answer = server.answer, None
    whole = await play(seconds + 4, is_low_latency=False)
    server.answer = answer
    assert whole.error is None
    shifts = set()
    times = {body: at - server.began_at for at, _, _, body in whole.pictures}
    *_, (at, _, _, body) = [tag for tag in low.pictures if tag[3] in times]
    earlier_s = times[body] - (at - begun_at)
    for kind in (VIDEO, AUDIO):
        own = [(stamp, body) for _, _, stamp, body in low.of(kind)]
        others = [(stamp, body) for _, _, stamp, body in whole.of(kind)]
        begin = [body for _, body in others].index(own[0][1])
        count = min(len(own), len(others) - begin)
        assert count > 25 * (seconds - 6)
        assert [body for _, body in own[:count]] == [body for _, body in others[begin : begin + count]]
        shifts |= {one[0] - other[0] for one, other in zip(own[:count], others[begin : begin + count], strict=True)}
    assert len(shifts) == 1
    return low, earlier_s


@BOTH
async def test_units_and_stamps_are_those_of_whole_segments(play, server):
    """And they come seconds earlier, each part in one request, over a few connections that are kept."""
    low, earlier_s = await equal_to_whole(play, server)
    assert len(server.parts_sent) > 50
    assert len(set(server.parts_sent)) == len(server.parts_sent)
    assert low.longest_pause_s() < 0.4
    assert earlier_s > 2
    assert len(server.waits) > 50
    # Two sessions: the first request, playlists, segments, and a part that is asked for while another comes.
    assert server.connections <= 2 * 4


FAULTS = {
    "parts that are missing": {"answer": lambda name, _: 404 if re.fullmatch(r"part\d*7\.3\.x", name) else None},
    "parts that fail": {"answer": lambda name, _: 503 if re.fullmatch(r"part\d*7\.0\.x", name) else None},
    "hints of what is never listed": {"hint_line": '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="0.ts"'},
    "hints that are not there": {
        "hint_line": '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="gone"',
        "answer": lambda name, _: 404 if name == "gone" else None,
    },
    "hints that are no addresses": {"hint_line": '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="http://["'},
    "hints of files": {"hint_line": '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="file:///etc/passwd"'},
    "requests that wait are refused": {"answer": lambda name, _: 503 if "_HLS_msn" in name else None},
    "ten thousand parts": {
        "part_line": lambda number, part: "\n".join([f'#EXT-X-PART:DURATION=0.02,URI="part{number}.{part}.x"'] * 500)
    },
    "parts without a length": {"part_line": lambda number, part: f'#EXT-X-PART:URI="part{number}.{part}.x"'},
    "parts of no time": {"part_line": lambda number, part: f'#EXT-X-PART:DURATION=0,URI="part{number}.{part}.x"'},
    "no part target": {"head_lines": ["#EXT-X-PART-INF:PART-TARGET=nan"]},
}


@pytest.mark.parametrize("way", ["are_ranges", "hints", "blocks"])
async def test_servers_that_do_less_or_otherwise(play, server, way):
    """Ranges of their segments, no hints, no requests that wait: it is all played by parts, and no segment twice."""
    setattr(server, way, not getattr(server, way))
    low, earlier_s = await equal_to_whole(play, server)
    by_range = [head for head in server.heads if "range:" in head]
    assert len(by_range if way == "are_ranges" else server.parts_sent) > 50
    assert earlier_s > 1.5
    assert low.longest_pause_s() < 0.5


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_missing_or_repeated_whatever_becomes_of_the_parts(play, server, fault):
    for name, value in FAULTS[fault].items():
        setattr(server, name, value)
    await equal_to_whole(play, server)


@BOTH
async def test_parts_that_break_off(play, server):
    """Their segments are had whole, and what came of them is left out."""
    server.breaks = lambda name: name in ("part6.2.x", "part9.0.x")
    await equal_to_whole(play, server)
    assert {"6", "9"} <= {name.partition(".")[0] for name in server.asked}


@BOTH
async def test_parts_that_go_and_come_back(play, server):
    server.has_parts = lambda at: at % 8 < 4.5
    await equal_to_whole(play, server, 20)
    assert {number for number, _ in server.parts_sent} > {4, 5, 6, 13, 14, 15}


@BOTH
async def test_clocks_that_leap_between_segments(play, server):
    """Forward, told by the playlist, and back, not told: as with whole segments."""
    order = [*range(8), *range(15, 20), *range(5, 15)]
    server.segments = [server.segments[number] for number in order]
    server.parts = [server.parts[number] for number in order]
    server.marks = {8: ["#EXT-X-DISCONTINUITY"]}
    await equal_to_whole(play, server)


@BOTH
@pytest.mark.parametrize("early", [b"", b"<html>There is no such part.</html>"])
async def test_hints_that_are_answered_before_there_is_anything(play, server, early):
    """Then the part is there, and what came is not taken for it."""

    def answer(name, _):
        found = re.fullmatch(r"part(\d+)\.(\d+)\.x", name)
        is_early = found is not None and int(found[1]) * PARTS + int(found[2]) >= server.parts_made
        return (200, early) if is_early else None

    server.answer = answer
    await equal_to_whole(play, server)


async def test_caches_that_keep_what_a_request_that_waits_gave(play, server):
    """It is the same for as long as the same is asked for."""
    kept = {}

    def answer(name, _):
        found = re.search(r"_HLS_msn=(\d+)", name)
        is_kept = found is not None and int(found[1]) % 3 == 0
        return (200, kept.setdefault(name, server.text().encode())) if is_kept else None

    server.answer = answer
    await equal_to_whole(play, server)
    assert kept
    assert len(server.parts_sent) > 50


async def test_what_never_answers_is_not_waited_for(play, server):
    """A hint, and a request for a playlist that waits: each holds a connection for seconds, and costs no media."""
    server.hint_line = '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="never"'
    server.never = lambda name: name == "never" or "_HLS_msn" in name
    await equal_to_whole(play, server)
    assert server.asked.count("never") <= 3
    assert 1 <= sum("_HLS_msn" in name for name in server.asked) <= 3


@BOTH
async def test_a_part_that_never_comes_is_had_with_its_segment(play, server):
    server.never = lambda name: name == "part8.2.x"
    await equal_to_whole(play, server)
    assert "8" in {name.partition(".")[0] for name in server.asked}


@BOTH
async def test_gaps_are_not_asked_for_and_play_goes_on_at_a_start(play, server):
    gap = '#EXT-X-PART:DURATION=0.2,URI="part6.1.x",GAP=YES'
    server.part_line = lambda number, part: gap if (number, part) == (6, 1) else None
    seen = await play(10)
    assert seen.error is None
    assert (6, 0) in server.parts_sent
    # The gap itself was hinted.
    assert not {(6, part) for part in range(2, 5)} & set(server.parts_sent)
    stamps = [stamp for _, _, stamp, _ in seen.pictures]
    # Of MPEG-TS the picture before the gap is not known to be whole.
    assert 840 <= max(two - one for one, two in pairwise(stamps)) <= 880


async def test_a_session_begins_at_a_part_that_needs_no_other(play, server):
    """Where each part says so; else with a segment."""
    server.are_independent = True
    await play(1)
    assert min(server.parts_sent) > (server.window - 1, 0)


@BOTH
async def test_the_next_session_repeats_nothing(peers, server):
    port = await peers.serve(server.serve)
    memory, bodies = SourceMemory(is_low_latency=True), []
    for _ in range(4):
        inlet = await open_live(MediaUrl.parse(f"http://127.0.0.1:{port}/live.m3u8"), memory=memory)
        seen = await watch(inlet, 2.3)
        inlet.close()
        assert seen.error is None
        bodies += [body for _, _, _, body in seen.pictures]
    assert len(bodies) > 150
    assert len(set(bodies)) == len(bodies)


async def test_tasks_that_are_in_no_hurry_play_whole_segments(play, server):
    await play(10, is_low_latency=False)
    assert not server.parts_sent
    assert not any("_HLS" in name for name in server.asked)


async def test_a_hint_leads_nowhere_that_the_policy_forbids(peers, play, server):
    """To another host, and media comes as it would."""
    connections = []

    async def elsewhere(reader, writer):
        connections.append(writer)
        writer.close()

    port = await peers.serve(elsewhere)
    server.hint_line = f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="http://127.0.0.2:{port}/part"'
    seen = await play(4, allow=lambda address: address == "127.0.0.1")
    assert seen.error is None
    assert seen.media_s() == pytest.approx(4, abs=1)
    assert len(server.parts_sent) > 15
    assert not connections


@pytest.mark.parametrize("are_independent", [True, False])
async def test_sound_of_its_own_in_parts(peers, clips, tmp_path, are_independent):
    """Both begin at parts of their own, and are on one clock."""
    folder = tmp_path / "apart"
    master = with_separate_sound(clips("half_a_minute"), folder, "-hls_segment_options", "pes_payload_size=0")
    picture = LowLatencyServer(folder / "picture.m3u8", name="picture{}.x")
    sound = LowLatencyServer(folder / "sound.m3u8", name="sound{}.x", stem="sound-part")
    picture.are_independent = are_independent
    sound.are_independent = True
    picture.answer = lambda name, _: (200, master.read_bytes()) if name == "master.m3u8" else None

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        reader.feed_data(head)
        await (sound if head.startswith(b"GET /sound") else picture).serve(reader, writer)

    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(serve)}/master.m3u8")
    stamps = own_stamps(picture) | own_stamps(sound)
    inlet = await open_live(url, memory=SourceMemory(is_low_latency=True))
    seen = await watch(inlet, 8)
    inlet.close()
    assert seen.error is None
    assert len(picture.parts_sent) > 30
    assert len(sound.parts_sent) > 30
    shifts = {
        kind: {stamp - stamps[kind, body] for _, kind, stamp, body in seen.tags if (kind, body) in stamps}
        for kind in (VIDEO, AUDIO)
    }
    assert len(shifts[VIDEO]) == 1
    assert max(abs(one - other) for one in shifts[VIDEO] for other in shifts[AUDIO]) <= 5
