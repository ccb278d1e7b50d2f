"""Live streams from real servers to real servers, and what happens when either end goes away."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kit import probe
from kit.av_offset import av_offsets_ms
from kit.clips import FPS, ClipFactory
from kit.live import Publisher, record
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from kit.relay_program import Finished, RelayProgram
from kit.waiting import wait_for

FRAME_MS = 1000 / FPS
Publish = Callable[[Path, str], Publisher]
StartRelay = Callable[..., RelayProgram]
ToEnd = Callable[..., Finished]


@pytest.mark.parametrize("clip", ["flash_beep", "flash_beep_unlike"])
def test_http_flv_to_nginx(
    relay_to_end: ToEnd,
    nginx: NginxRtmp,
    node_media_server: NodeMediaServer,
    clips: ClipFactory,
    publish: Publish,
    clip: str,
) -> None:
    """It finds by itself that the source is live; what arrives is flawless and in step, for as long as asked."""
    publish(clips(clip), node_media_server.url("cam"))
    node_media_server.wait_published("cam")
    done = relay_to_end(node_media_server.flv_url("cam"), "--duration", 6, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    media = probe.assert_flawless(path)
    assert probe.max_gap_ms(media.video) <= 2 * FRAME_MS
    assert media.video.dts_ms[-1] > 4000
    expected = av_offsets_ms(clips(clip))
    for offset in av_offsets_ms(path):
        assert min(expected) - 5 <= offset <= max(expected) + 5
    final = done.lines[-1]
    assert (final.state, final.fault, final.dropped_tags) == ("ended", None, 0)


def test_rtmp_to_node_media_server(
    relay: StartRelay,
    nginx: NginxRtmp,
    node_media_server: NodeMediaServer,
    clips: ClipFactory,
    publish: Publish,
    tmp_path: Path,
) -> None:
    """The other way round: nginx-rtmp is the live source, node-media-server the destination."""
    publish(clips("flash_beep"), nginx.url("cam"))
    nginx.wait_published("cam")
    relay(nginx.url("cam"), "--to", node_media_server.url("out"))
    node_media_server.wait_published("out")
    path = record(node_media_server.flv_url("out"), tmp_path / "seen.flv", 4)
    probe.assert_flawless(path)
    assert (offsets := av_offsets_ms(path)) == pytest.approx([0] * len(offsets), abs=5)


def test_hevc_live(
    relay: StartRelay, node_media_server: NodeMediaServer, clips: ClipFactory, publish: Publish, tmp_path: Path
) -> None:
    """Enhanced RTMP passes through: HEVC from an HTTP-FLV address to an RTMP one."""
    publish(clips("hevc"), node_media_server.url("cam"))
    node_media_server.wait_published("cam")
    relay(node_media_server.flv_url("cam"), "--to", node_media_server.url("out"))
    node_media_server.wait_published("out")
    path = record(node_media_server.url("out"), tmp_path / "seen.flv", 3)
    assert probe.decode_errors(path) == ""


@pytest.mark.parametrize("codecs", ["h264", "h264_if_needed"])
def test_hevc_live_to_a_destination_of_h264(
    relay_to_end: ToEnd,
    codecs: str,
    nginx: NginxRtmp,
    node_media_server: NodeMediaServer,
    clips: ClipFactory,
    publish: Publish,
) -> None:
    """nginx-rtmp, which lists nothing, gets H.264 alone in one publish, flawless, and the sound as it is."""
    publish(clips("hevc"), node_media_server.url("cam"))
    node_media_server.wait_published("cam")
    options = ("--codecs", codecs, "--duration", 8)
    done = relay_to_end(node_media_server.url("cam"), "--live", *options, "--to", nginx.url("out", "rec"))
    assert done.status == 0, done.output + done.errors
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    media = probe.assert_flawless(path)
    assert (media.video.codec, media.audio.codec) == ("h264", "aac")
    assert probe.max_gap_ms(media.video) <= 2 * FRAME_MS
    assert media.video.dts_ms[-1] > 2000
    final = done.lines[-1]
    assert (final.state, final.fault, final.retries) == ("ended", None, 0)


@pytest.mark.parametrize("away_seconds", [0.5, 8.0])
@pytest.mark.parametrize("source", ["rtmp", "http-flv"])
def test_source_comes_back_into_the_open_session(
    relay: StartRelay,
    nginx: NginxRtmp,
    node_media_server: NodeMediaServer,
    clips: ClipFactory,
    publish: Publish,
    source: str,
    away_seconds: float,
) -> None:
    """The publisher crashes and returns: same publish connection, the picture comes back, one rising stream."""
    clip = clips("flash_beep")
    server = nginx if source == "rtmp" else node_media_server
    url = nginx.url("cam") if source == "rtmp" else node_media_server.flv_url("cam")
    first = publish(clip, server.url("cam"))
    server.wait_published("cam")
    running = relay(url, "--live", "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    before = nginx.wait_published("out", "rec")

    first.vanish()
    gone = time.monotonic()
    if source == "rtmp":
        nginx.wait_unpublished("cam")
    if away_seconds > 5:
        count = len(running.lines)
        wait_for("the silence to show", lambda: running.lines[-1].state != "streaming")
        assert running.lines[count:], "no line while the source was away"
    wait_for("the pause to pass", lambda: time.monotonic() - gone >= away_seconds, away_seconds + 1)
    silent = nginx.published("out", "rec")
    assert silent is not None, "the publish session was closed although only the source was away"

    publish(clip, server.url("cam"))
    wait_for("the source's return", lambda: _publishes(server, "cam"))

    def picture_is_back() -> bool:
        now = nginx.published("out", "rec")
        assert now is not None
        return now.bytes_in > silent.bytes_in + 4000

    wait_for("the picture", picture_is_back)
    running.wait_state("streaming", after=len(running.lines))
    after = nginx.published("out", "rec")
    assert after is not None
    assert after.client == before.client
    assert running.interrupt() == 0
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    media = probe.assert_flawless(path)
    expected = av_offsets_ms(clip)
    for offset in av_offsets_ms(path):
        assert min(expected) - 5 <= offset <= max(expected) + 5
    assert {track.kind for track in media} == {"video", "audio"}


def _publishes(server: NginxRtmp | NodeMediaServer, key: str) -> bool:
    if isinstance(server, NginxRtmp):
        return server.published(key) is not None
    return len(server.events(key, "postPublish")) >= 2


def test_destination_comes_back(
    relay: StartRelay,
    nginx: NginxRtmp,
    node_media_server: NodeMediaServer,
    clips: ClipFactory,
    publish: Publish,
    tmp_path: Path,
) -> None:
    """nginx is restarted: the relay says so, returns by itself, at a keyframe, both tracks from 0 together."""
    publish(clips("flash_beep"), node_media_server.url("cam"))
    node_media_server.wait_published("cam")
    running = relay(node_media_server.flv_url("cam"), "--to", nginx.url("out"))
    wait_for("some seconds of media", lambda: running.lines and running.lines[-1].media_time_ms > 5000)
    nginx.stop()
    lost = running.wait_state("retrying", after=len(running.lines))
    assert lost.fault == "user_destination"
    assert lost.reason
    assert not lost.final
    nginx.start()
    nginx.wait_published("out")
    returned = time.monotonic()
    path = record(nginx.url("out"), tmp_path / "seen.flv", 3)
    played = (time.monotonic() - returned) * 1000
    media = probe.assert_flawless(path)
    for track in media:
        assert track.dts_ms[-1] < played + 3000, "the stamps of the lost session went on"
    assert abs(media.video.dts_ms[0] - media.audio.dts_ms[0]) < 1000
    assert (offsets := av_offsets_ms(path)) == pytest.approx([0] * len(offsets), abs=5)
    running.wait_state("streaming", after=len(running.lines))
    assert running.lines[-1].retries >= 1
    assert running.interrupt() == 0


def test_destination_comes_back_to_a_list(relay: StartRelay, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """A file goes on after the restart of its destination, in a second session that is flawless by itself."""
    running = relay(clips("flash_beep"), "--loop", -1, "--to", nginx.url("out", "rec"))
    running.wait_state("streaming")
    nginx.stop()
    running.wait_state("retrying", after=len(running.lines))
    nginx.start()
    nginx.wait_published("out", "rec")
    running.wait_state("streaming", after=len(running.lines))
    count = len(running.lines)
    wait_for("three more lines", lambda: len(running.lines) >= count + 3)
    assert running.interrupt() == 0
    nginx.wait_unpublished("out", "rec")
    second = probe.assert_flawless(nginx.recordings("out")[-1])
    assert abs(second.video.dts_ms[0] - second.audio.dts_ms[0]) <= FRAME_MS
