"""Live sources over HTTP that answer with something else for a while: they are asked again, and the reason shows it."""

import gzip

import pytest

from scripted.source import TOKEN
from scripted.waiting import until
from streamferry.relay import RelaySpec, vitals

pytestmark = pytest.mark.usefixtures("quick")


def answer(content_type: str, body: bytes, *more: str) -> bytes:
    """An answer with this body, whatever was asked for."""
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *more])
    return head.encode() + b"\r\n\r\n" + body


ENDED = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nold.ts\n#EXT-X-ENDLIST\n"
PAGES = {
    "json": (answer("application/json", b'{"code":404,"msg":"no stream"}'), 'application/json: {"code":404'),
    "html": (answer("text/html", b"<html><script>alert(1)</script>"), "text/html: ‹html›‹script›alert(1)"),
    "no type": (answer("", b"\x1b]0;title\x07 later"), "]0;title later"),
    "bytes": (answer("video/mp4", b"\0\0\0\x20ftypisom\0\0\2\0"), "video/mp4: 00 00 00 20 66 74 79 70"),
    "nothing": (answer("text/html", b""), "text/html: nothing"),
    "last show": (answer("text/plain", ENDED), "finished HLS playlist"),
    "last show with a BOM": (answer("text/plain", b"\xef\xbb\xbf" + ENDED), "finished HLS playlist"),
    "last show in gzip": (answer("text/plain", gzip.compress(ENDED)), "finished HLS playlist"),
    "page named a playlist": (answer("application/vnd.apple.mpegurl", b"gone fishing"), "mpegurl: gone fishing"),
    "long type": (answer("text/" + "x" * 500, b"no"), "text/xxx"),
    "its own address": (answer("text/plain", f"no /live/cam.flv?auth={TOKEN} here".encode()), "text/plain: no"),
    "cut within its address": (answer("text/plain", f"no auth={TOKEN[:-3]}".encode()), "text/plain: no"),
}


@pytest.mark.parametrize(("page", "words"), PAGES.values(), ids=PAGES)
async def test_a_page_instead_of_a_stream_ended_the_run(relays, source, destination, page, words):
    """It is met twice, told with its type and first bytes, harmless and without secrets; then the stream comes."""
    source.instead = page
    running = relays.start(source, destination, patience_s=30.0)
    await until("two attempts", lambda: running.status.retries >= 2 or running.status.final)
    assert running.has_told("retrying", "user_source", words), [status.reason for status in running.told]
    for status in running.told:
        assert len(status.reason or "") < 300
        assert (status.reason or "").isprintable()
        assert "<" not in (status.reason or "")
        assert TOKEN[:-3] not in (status.reason or "")
    source.instead = b""
    await until("streaming", lambda: running.status.state == "streaming")
    assert running.status.fault is None


async def test_a_page_until_patience_ended_is_told(relays, source, destination):
    """What was asked for all along is what the run has failed of."""
    source.instead = PAGES["json"][0]
    running = relays.start(source, destination, patience_s=0.5)
    status = await running.relay.wait()
    assert (status.state, status.fault) == ("failed", "user_source")
    assert "no stream" in (status.reason or "")


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable", "403 Forbidden"])
async def test_retry_after_of_a_live_source_was_not_kept(relays, source, destination, status):
    """The next attempt comes when the server said, not earlier: nobody asks a second time within that."""
    source.instead = f"HTTP/1.1 {status}\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".encode()
    running = relays.start(source, destination)
    await until("two attempts", lambda: source.accepted >= 2)
    assert source.accepted_at[1] - source.accepted_at[0] >= 1
    assert running.has_told("retrying", "user_source", status)


@pytest.mark.parametrize(("calm_s", "fault"), [(60.0, None), (0.1, "user_source")])
async def test_a_run_in_a_pause_at_the_end_of_its_duration_failed(
    relays, source, destination, monkeypatch, calm_s, fault
):
    """Between two sessions it has done what was asked; a source that has been away for long is told at the end."""
    monkeypatch.setattr(vitals, "CALM_S", calm_s)
    running = relays.start(source, destination)
    await until("streaming", lambda: running.status.state == "streaming")
    await source.leave()
    await until("some attempts", lambda: running.status.retries >= 3)
    running.relay.update(RelaySpec.live(source.url(), destination.url(), duration_s=0.001))
    status = await running.relay.wait()
    assert (status.state, status.fault) == ("ended", fault)
