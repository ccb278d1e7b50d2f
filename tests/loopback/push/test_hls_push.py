"""HLS sessions and scripted servers: what is put and deleted where, and servers that do not answer."""

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from kit.clips import ClipFactory
from kit.probe import assert_dts_strictly_rising, packets
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import DestinationSenderFailed, DestinationUnreachable, MediaError, PublishRejected
from streamferry.media.peer_options import PeerOptions
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, SCRIPT, SEQUENCE_HEADER, VIDEO, LaidTag, Tag
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.fence import lease_clock
from streamferry.net.upload import upload
from streamferry.push import hls
from streamferry.push.hls import KEPT_BESIDES, LISTED, HlsFolder, open_hls_session, segment_name
from streamferry.timeline import Timeline
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.ts import TsSegment

TOKEN = "pl4nted-upload-token"
QUICK = Deadlines(response=0.3)


@dataclass
class Folder:
    """What a server holds, by target, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    #: Answers by method; None never answers.
    status: dict[str, int | None] = field(default_factory=lambda: {"PUT": 201, "DELETE": 204})
    #: The first answer for a name.
    once: dict[str, int] = field(default_factory=dict)
    #: More lines of each head.
    fields: str = ""

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        self.asked.append(f"{method} {target}")
        self.heads.append(head)
        status = self.once.pop(target.rpartition("/")[2].partition("?")[0], None) or self.status[method]
        if status is None:
            await reader.read()
            return
        if status < 300 and method == "PUT":
            self.files[target] = body
        elif status < 300:
            del self.files[target]
        writer.write(f"HTTP/1.1 {status} Word\r\nContent-Length: 0\r\n{self.fields}\r\n".encode())
        await writer.drain()


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.fixture
async def url(peers, folder) -> MediaUrl:
    port = await peers.serve(folder.script)
    return MediaUrl.parse(f"http://127.0.0.1:{port}/in/live.m3u8?token={TOKEN}")


def options(deadlines=QUICK):
    return {"deadlines": deadlines, "tls": None, "allow": None}


async def test_segments_are_listed_and_the_oldest_deleted(url, folder):
    """The playlist names the last ones, by their number; some more stay for players that are late."""
    ours = HlsFolder(url, options())
    await ours.tell()
    playlist = f"/in/live.m3u8?token={TOKEN}"
    assert b"EXTINF" not in folder.files[playlist]
    for number in range(LISTED + KEPT_BESIDES + 3):
        await ours.add(TsSegment(b"%d" % number, 2.0))
    lines = folder.files[playlist].decode().splitlines()
    names = [line for line in lines if not line.startswith("#")]
    assert len(names) == LISTED
    assert "#EXT-X-TARGETDURATION:4" in lines
    assert f"#EXT-X-MEDIA-SEQUENCE:{names[0].removeprefix('live-').removesuffix('.ts')}" in lines
    held = {target for target in folder.files if target != playlist}
    assert len(held) == LISTED + KEPT_BESIDES
    assert {f"/in/{name}?token={TOKEN}" for name in names} <= held
    assert folder.files[f"/in/{names[-1]}?token={TOKEN}"] == b"%d" % (LISTED + KEPT_BESIDES + 2)


@pytest.mark.parametrize(("first_s", "target"), [(2.0, 4), (5.2, 5), (9.9, 10)])
async def test_what_players_are_told_of_the_length_of_segments_does_not_change(url, folder, first_s, target):
    """It grew from 4 to 6 with segments in the playlist (RFC 8216, 6.2.1: must not)."""
    ours = HlsFolder(url, options())
    told = set()
    for duration_s in (first_s, 4.4, *[2.0] * LISTED):
        await ours.add(TsSegment(b"x", duration_s))
        playlist = folder.files[f"/in/live.m3u8?token={TOKEN}"].decode()
        told |= {line for line in playlist.splitlines() if "TARGETDURATION" in line}
    assert told == {f"#EXT-X-TARGETDURATION:{target}"}


@pytest.mark.parametrize("step_s", [0, 0.4, -3600, 7200])
async def test_no_number_is_used_twice_whatever_the_clock_does(url, folder, monkeypatch, step_s):
    """The next session begins in the same second, or after the clock was set: players keep segments by their names."""
    numbers = []
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    for _ in range(3):
        ours = HlsFolder(url, options())
        for _ in range(4):
            await ours.add(TsSegment(b"x", 2.0))
        names = [line for line in folder.files[f"/in/live.m3u8?token={TOKEN}"].decode().splitlines() if ".ts" in line]
        numbers += [int(name.removeprefix("live-").removesuffix(".ts")) for name in names]
        now += step_s
    assert numbers == sorted(set(numbers))


async def test_a_server_that_deletes_nothing_is_used_all_the_same(url, folder):
    """It may keep what it has."""
    folder.status["DELETE"] = 405
    ours = HlsFolder(url, options())
    for _ in range(LISTED + KEPT_BESIDES + 2):
        await ours.add(TsSegment(b"x", 2.0))
    assert any(asked.startswith("DELETE") for asked in folder.asked)
    assert len(folder.files) == LISTED + KEPT_BESIDES + 3


async def test_the_name_may_be_in_the_query(peers, folder):
    """As some platforms have it: each segment's takes its place."""
    port = await peers.serve(folder.script)
    url = MediaUrl.parse(f"http://127.0.0.1:{port}/upload?cid={TOKEN}&copy=0&file=live.m3u8")
    assert segment_name(url, 7) == "live-7.ts"
    await HlsFolder(url, options()).add(TsSegment(b"x", 2.0))
    segment, playlist = sorted(folder.files)
    assert segment.startswith(f"/upload?cid={TOKEN}&copy=0&file=live-")
    assert playlist == f"/upload?cid={TOKEN}&copy=0&file=live.m3u8"


@pytest.mark.parametrize(
    ("status", "kind", "words"), [(403, PublishRejected, "403"), (None, DestinationUnreachable, "timed out")]
)
async def test_a_server_that_does_not_take_it(url, folder, status, kind, words):
    """Its status, or that it does not answer, is the reason; the token is in no words."""
    folder.status["PUT"] = status
    with pytest.raises(kind, match=words) as caught:
        await open_hls_session(url, **options())
    assert TOKEN not in str(caught.value)


async def test_a_server_that_asks_to_be_left_alone_is(url, folder):
    """``Retry-After`` counts as it does at sources."""
    folder.status["PUT"], folder.fields = 503, "Retry-After: 30\r\n"
    with pytest.raises(PublishRejected, match="503") as caught:
        await open_hls_session(url, **options())
    assert caught.value.retry_after_s == 30


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_one_refusal_among_many_requests_cost_a_session(url, folder, monkeypatch, status):
    """Of a segment, or of the playlist after it. A second one is an answer."""
    monkeypatch.setattr(hls, "AGAIN_S", 0.0)
    ours = HlsFolder(url, options())
    await ours.tell()
    name = segment_name(url, ours._next_number)
    folder.once = {name: status, "live.m3u8": status}
    await ours.add(TsSegment(b"x", 2.0))
    assert folder.files[f"/in/{name}?token={TOKEN}"] == b"x"
    assert name.encode() in folder.files[f"/in/live.m3u8?token={TOKEN}"]
    folder.status["PUT"] = status
    asked = len(folder.asked)
    with pytest.raises(PublishRejected, match=str(status)):
        await ours.add(TsSegment(b"y", 2.0))
    assert len(folder.asked) == asked + 2


@pytest.fixture
def pointing(peers, folder):
    """A server that answers each request with a redirect of this status to what ``to`` says."""

    async def serve(to, status=307):
        async def script(reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ")[1]
            heads.append(head.lower())
            fields = f"Location: {to(target)}\r\nContent-Length: 0\r\n"
            writer.write(f"HTTP/1.1 {status} Over there\r\n{fields}\r\n".encode())
            await writer.drain()

        heads: list[str] = []
        return await peers.serve(script), heads

    return serve


@pytest.mark.parametrize("status", [307, 308])
async def test_a_server_that_points_elsewhere_was_a_refusal(peers, folder, pointing, status):
    """Stores answer so from another region. The body goes along, and what is for the first server alone does not."""
    target = await peers.serve(folder.script)
    port, heads = await pointing(lambda path: f"http://127.0.0.1:{target}{path}", status)
    url = MediaUrl.parse(f"http://user:{TOKEN}@localhost:{port}/in/live.m3u8")
    headers = PeerOptions(headers=(("X-Key", TOKEN),))
    await HlsFolder(url, {**options(), "options": headers}).add(TsSegment(b"x", 2.0))
    assert b"x" in folder.files.values()
    assert all("authorization: basic" in head and TOKEN in head for head in heads)
    assert not any("authorization" in head.lower() or TOKEN in head for head in folder.heads)


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (lambda path: path, "one redirect too many"),
        (lambda path: "ftp://127.0.0.1/x", "no web address"),
        (lambda path: "", "no web address"),
        (lambda path: "http://[", "no address"),
        (lambda path: "http://169.254.169.254/latest", "egress policy"),
    ],
)
async def test_a_server_that_points_nowhere_is_refused_in_words(pointing, to, words):
    port, heads = await pointing(to)
    network = {**options(), "allow": lambda address: address == "127.0.0.1"}
    with pytest.raises(PublishRejected, match=words) as caught:
        await open_hls_session(MediaUrl.parse(f"http://127.0.0.1:{port}/in/live.m3u8?token={TOKEN}"), **network)
    assert TOKEN not in str(caught.value)
    assert len(heads) <= 6


async def test_a_server_that_points_from_https_to_http_is_not_followed(peers, pointing, server_tls, client_tls):
    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:9/x\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    url = MediaUrl.parse(f"https://localhost:{await peers.serve(script, server_tls)}/in/live.m3u8")
    with pytest.raises(PublishRejected, match="from https to http"):
        await open_hls_session(url, **{**options(Deadlines()), "tls": client_tls})


async def test_a_server_that_is_gone_ends_the_session(url, folder):
    """What the upload met is what the beat is told."""
    session = await open_hls_session(url, **options())
    try:
        session.check()
        folder.status["PUT"] = 507
        session._take([TsSegment(b"x" * 1000, 2.0)])

        def has_failed() -> bool:
            try:
                session.check()
            except PublishRejected:
                return True
            return False

        await until("the failure", has_failed)
    finally:
        session.abort()
        await session._child.aclose()


async def test_a_slow_server_holds_media_back(url, folder):
    """Beyond a few segments nothing more is taken, and nothing of it counts as arrived."""
    session = await open_hls_session(url, **options(Deadlines(response=5)))
    try:
        folder.status["PUT"] = None
        for _ in range(3):
            session._take([TsSegment(b"x" * 1000, 2.0)])
        assert session.is_blocked
        assert session.write([]) == 0
        assert session.acked_bytes == 0
    finally:
        session.abort()
        await session._child.aclose()


async def test_nothing_is_uploaded_past_the_fence(url, folder):
    """Neither a segment, nor a playlist, nor the end of it: somebody else may be writing there by now."""
    deadlines = Deadlines(response=5)
    session = await open_hls_session(url, **options(deadlines))
    asked = len(folder.asked)
    deadlines.fence.at = lease_clock()
    session._take([TsSegment(b"x" * 1000, 2.0)])
    await until("the failure", lambda: session._failure)
    with pytest.raises(DestinationUnreachable):
        session.check()
    await session.aclose()
    await session._child.aclose()
    assert len(folder.asked) == asked


async def test_an_upload_that_is_under_way_at_the_fence_is_reset(peers):
    """A server that takes its time does not get the rest of a segment when it reads on."""
    stuck, read_on = asyncio.Event(), asyncio.Event()
    received = bytearray()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.pause_reading()
        stuck.set()
        await read_on.wait()
        writer.transport.resume_reading()
        while data := await reader.read(1 << 20):
            received.extend(data)

    port = await peers.serve(script)
    deadlines = Deadlines(response=5)
    body = bytes(32 << 20)
    uploading = asyncio.ensure_future(
        upload(MediaUrl.parse(f"http://127.0.0.1:{port}/in/a.ts"), body, "video/mp2t", **options(deadlines))
    )
    await asyncio.wait_for(stuck.wait(), 30)
    deadlines.fence.at = lease_clock()
    read_on.set()
    with pytest.raises(MediaError):
        await uploading
    await peers.all_closed()
    assert len(received) < len(body)


def clip_tags(clips: ClipFactory) -> list[Tag]:
    """Headers and frames of a clip with a picture and a sound, a GOP of 25 and 10 s of it."""
    data = clips("h264_no_bframes", ".flv").read_bytes()
    tags: list[Tag] = []
    scan_tags(memoryview(data), FLV_HEADER_BYTES, len(data), tags)
    return tags


def ladder(body: bytes) -> bytes:
    """An AVC body as a multitrack packet of two tracks, the first of which is it."""
    packet = body[1]
    payload = body[5:] if packet == 0 else body[2:]
    part = len(payload).to_bytes(3, "big") + payload
    return bytes((body[0] & 0xF0 | 0x86, 0x10 | packet)) + b"avc1" + b"\x00" + part + b"\x01" + part


async def uploaded(url, folder, tags, tmp_path, lasted_ms=0, *, goes_on=False, tracks="0"):
    """The media that a server has after a session of these tags, laid as a live source's; and which lasted so long."""
    timeline = Timeline()
    timeline.begin_live()
    session = await open_hls_session(url, **options(Deadlines(response=5)))
    if lasted_ms:
        session._clock.zero_ms, session._tracks = -lasted_ms, {AUDIO, VIDEO}
    try:
        for at in range(0, len(tags), 20):
            laid: list[LaidTag] = []
            timeline.lay(tags[at : at + 20], laid)
            taken = 0

            def took(laid=laid) -> bool:
                nonlocal taken
                taken += session.write(laid[taken:])
                return taken == len(laid)

            await until("the child to take it", took)
        await session.aclose(goes_on=goes_on)
    finally:
        session.abort()
        await session._child.aclose()
    (tmp_path / "all.ts").write_bytes(b"".join(data for name, data in sorted(folder.files.items()) if ".ts" in name))
    return await asyncio.to_thread(packets, tmp_path / "all.ts", tracks)


async def test_of_several_tracks_the_first_is_sent(url, folder, clips: ClipFactory, tmp_path):
    """MPEG-TS of a ladder of pictures has one, whatever the ffmpeg at hand makes of multitrack packets."""
    tags = [(t, ms, ladder(bytes(body)) if t == VIDEO else body) for t, ms, body in clip_tags(clips) if len(body) > 5]
    media = await uploaded(url, folder, tags, tmp_path)
    assert media.video.codec == "h264"
    assert len(media.video.packets) > 40
    assert len(media.audio.packets) > 60


async def test_sound_behind_a_picture_header_is_uploaded(url, folder, clips: ClipFactory, tmp_path):
    """A picture that was promised and never came holds no sound back."""
    tags = clip_tags(clips)
    headers = [tag for tag in tags if tag[0] != SCRIPT and tag_kind(tag[0], tag[2]) == SEQUENCE_HEADER]
    sounds = [tag for tag in tags if tag[0] == AUDIO and tag_kind(AUDIO, tag[2]) == FRAME]
    length_ms = sounds[-1][1] + 23
    frames = [(AUDIO, loop * length_ms + ms, body) for loop in range(25_000 // length_ms + 1) for _, ms, body in sounds]
    media = await uploaded(url, folder, headers + frames, tmp_path, tracks="0:a")
    assert len(media.audio.packets) > 400


@pytest.mark.parametrize("goes_on", [False, True])
async def test_players_are_told_of_the_end_unless_another_session_follows(
    url, folder, clips: ClipFactory, tmp_path, goes_on
):
    """What was sent is uploaded either way."""
    media = await uploaded(url, folder, clip_tags(clips), tmp_path, goes_on=goes_on)
    assert len(media.video.packets) > 40
    (playlist,) = [body.decode() for name, body in folder.files.items() if ".m3u8" in name]
    assert ("#EXT-X-ENDLIST" in playlist) is not goes_on


# MPEG-TS counts to 2^33 in 90 kHz, which is 26.5 h.
@pytest.mark.parametrize("mark", [2**33 // 90, 2**31], ids=["26.5 h", "24.9 days"])
async def test_a_long_session_is_uploaded_as_a_short_one(url, folder, clips: ClipFactory, tmp_path, mark):
    """All frames from the first picture on, in order, in segments that are as long as they say."""
    media = await uploaded(url, folder, clip_tags(clips), tmp_path, mark - 1_500)
    frames = [tag for tag in clip_tags(clips) if tag[0] != SCRIPT and tag_kind(tag[0], tag[2]) <= KEYFRAME]
    begin_ms = next(tag[1] for tag in frames if tag[0] == VIDEO)
    frames = [tag for tag in frames if tag[1] >= begin_ms]
    assert len(media.video.packets) + len(media.audio.packets) == len(frames)
    for track in media:
        assert_dts_strictly_rising(track)
    (playlist,) = [body.decode() for name, body in folder.files.items() if ".m3u8" in name]
    lengths_s = [float(line.removeprefix("#EXTINF:").rstrip(",")) for line in playlist.splitlines() if "EXTINF" in line]
    assert sum(lengths_s) == pytest.approx(3, abs=0.1)


async def test_after_50_days_another_session_begins(url, folder, clips: ClipFactory, tmp_path):
    """ffmpeg would have to guess all times from then on; the sentence says why it ended."""
    with pytest.raises(DestinationSenderFailed, match="as long as its stamps can tell"):
        await uploaded(url, folder, clip_tags(clips), tmp_path, 2**32 - 1_500)
