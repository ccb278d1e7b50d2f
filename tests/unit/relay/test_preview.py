"""What a run hands out, for who looks: where a view begins, what a slow viewer loses, and that it costs nobody else."""

import asyncio

import pytest

from scripted.camera import Camera, laid, sound
from scripted.previewable import AAC_HEADER, AVC_HEADER, boxes, film, pictures
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.push import Outlet
from streamferry.relay.preview import MAX_VIEWERS, Preview, PreviewRefused
from streamferry.relay.taps import Taps
from streamferry.timeline import Timeline
from streamferry.wire.fmp4 import Fragmenter


@pytest.fixture
def outlet() -> Outlet:
    return Outlet()


@pytest.fixture
def preview(outlet) -> Preview:
    """Of a run whose headers have passed by."""
    timeline = Timeline()
    timeline.lay([(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)], [])
    return Preview(Taps(outlet), timeline)


async def take_all(viewer) -> bytes:
    """What waits for a viewer now."""
    async with asyncio.timeout(30):
        return await viewer.read()


async def nothing_waits(viewer) -> bool:
    reading = asyncio.ensure_future(viewer.read())
    done, _ = await asyncio.wait([reading], timeout=0)
    reading.cancel()
    return not done


def hand_out(preview, tags) -> None:
    """One beat after the other, as an outlet does."""
    for start in range(0, len(tags), 6):
        preview.take(tags[start : start + 6])


async def test_a_view_begins_with_the_next_keyframe(preview):
    """The header first, though it passed by long ago; frames that need what was not seen are left out."""
    camera = Camera(gop=25)
    film(camera, 0.6)
    viewer = preview.watch()
    hand_out(preview, film(camera, 0.4))
    assert await nothing_waits(viewer)
    hand_out(preview, film(camera, 0.6))
    data = await take_all(viewer)
    assert [name for name, _ in boxes(data)][:5] == [b"ftyp", b"free", b"moov", b"moof", b"mdat"]
    assert viewer.mime == 'video/mp4; codecs="avc1.64000D,mp4a.40.2"'
    assert pictures(data)[:10] == list(range(25, 35))


async def test_who_comes_later_begins_with_what_others_see(preview):
    """At the latest keyframe, at once."""
    camera = Camera(gop=25)
    first = preview.watch()
    hand_out(preview, film(camera, 1.6))
    second = preview.watch()
    assert pictures(await take_all(second))[:10] == list(range(25, 35))
    await take_all(first)
    hand_out(preview, film(camera, 0.4))
    assert await take_all(first) == await take_all(second)


async def test_nobody_looks_nothing_is_done(preview, outlet):
    """The outlet is tapped while there is a viewer, and not a moment longer."""
    assert outlet.tap is None
    one, other = preview.watch(), preview.watch()
    assert outlet.tap is not None
    one.close()
    assert outlet.tap is not None
    other.close()
    other.close()
    assert outlet.tap is None
    assert await take_all(one) == b""


async def test_a_slow_viewer_loses_what_waits_up_to_a_keyframe(preview):
    """Little is kept for it, the others get all, and what it gets then begins at a keyframe, behind its header."""
    camera = Camera(gop=50, frame_bytes=20_000)
    slow, quick = preview.watch(), preview.watch()
    seen: list[int] = []
    for _ in range(120):
        hand_out(preview, film(camera, 0.4))
        seen += pictures(await take_all(quick), 20_000)
    assert seen == list(range(len(seen)))
    hand_out(preview, film(camera, 2.4))
    late = await take_all(slow)
    assert len(late) < 9 << 20
    assert boxes(late)[0][0] == b"ftyp"
    shown = pictures(late, 20_000)
    assert shown[0] % 50 == 0
    assert shown[0] > 1000
    assert shown == list(range(shown[0], shown[0] + len(shown)))


async def test_a_hole_in_time_ends_the_view(preview):
    """No player bridges it; who looks again begins behind it."""
    camera = Camera()
    viewer = preview.watch()
    hand_out(preview, film(camera, 1))
    camera.stamp_ms += 30_000
    camera.start_over()
    hand_out(preview, film(camera, 1))
    assert pictures(await take_all(viewer))
    assert await take_all(viewer) == b""
    again = preview.watch()
    camera.start_over()
    hand_out(preview, film(camera, 1))
    assert pictures(await take_all(again))[0] == 50


async def test_a_new_header_is_in_the_stream(preview):
    """Before the first picture that needs it."""
    camera = Camera(gop=25)
    viewer = preview.watch()
    hand_out(preview, film(camera, 1))
    other = AVC_HEADER[:5] + b"\x02" + AVC_HEADER[6:]
    hand_out(preview, [*laid([(VIDEO, camera.stamp_ms, other)]), *film(camera, 1)])
    data = await take_all(viewer)
    assert [name for name, _ in boxes(data)].count(b"moov") == 2
    assert pictures(data) == list(range(len(pictures(data))))


@pytest.mark.parametrize(
    ("body", "words"), [(b"\x12frame", "Sorenson"), (b"\x91av01frame", "AV1"), (b"\x17\0\0\0\0\1", "ends too soon")]
)
async def test_what_cannot_be_shown_is_told(preview, outlet, body, words):
    """With the codec's name; the relay goes on as if nobody had looked."""
    viewer = preview.watch()
    preview.take(laid([(VIDEO, 0, body), (AUDIO, 0, b"\xaf\x01sound")]))
    with pytest.raises(PreviewRefused, match=words):
        await take_all(viewer)
    assert outlet.tap is None


async def test_there_is_a_limit_of_viewers(preview):
    """The sentence tells it; one who leaves makes room."""
    viewers = [preview.watch() for _ in range(MAX_VIEWERS)]
    with pytest.raises(PreviewRefused, match=f"{MAX_VIEWERS} viewers"):
        preview.watch()
    viewers[0].close()
    preview.watch()


async def test_the_end_of_the_run_ends_all_views_behind_what_waits(preview, outlet):
    """What was handed out before can still be read."""
    viewer = preview.watch()
    hand_out(preview, film(Camera(), 1))
    preview.end()
    assert pictures(await take_all(viewer))
    assert await take_all(viewer) == b""
    assert outlet.tap is None


async def test_a_bug_in_a_preview_costs_the_relay_nothing(preview, outlet, monkeypatch, caplog):
    """The view ends, in words; the log has the traceback once; what left has left."""

    def fail(fragmenter, tags):
        raise IndexError("bug")

    viewer = preview.watch()
    monkeypatch.setattr(Fragmenter, "put", fail)
    preview.take(film(Camera(), 1))
    with pytest.raises(PreviewRefused, match="an internal error"):
        await take_all(viewer)
    assert outlet.tap is None
    assert caplog.text.count("IndexError: bug") == 1


async def test_sound_behind_a_picture_header_is_shown(outlet):
    """The run sends sound alone though a picture was promised: who looks gets the sound, and then the picture too."""
    timeline, camera = Timeline(), Camera(gop=25)
    timeline.begin_live()
    laid_now = []
    timeline.lay([(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)], laid_now)
    timeline.lay([(AUDIO, 20 * number, sound(number)) for number in range(800)], laid_now)
    preview = Preview(Taps(outlet), timeline)
    viewer = preview.watch()
    hand_out(preview, laid_now)
    await take_all(viewer)
    assert viewer.mime == 'audio/mp4; codecs="mp4a.40.2"'
    camera.stamp_ms, more = 800 * 20, []
    timeline.lay(camera.film(1), more)
    hand_out(preview, more)
    assert b'video/mp4; codecs="avc1.64000D,mp4a.40.2"' in await take_all(viewer)


async def test_the_first_of_several_tracks_is_shown(outlet):
    """A ladder of pictures in multitrack packets is a stream like any other to who looks."""
    timeline, camera = Timeline(), Camera(gop=25)
    timeline.begin_live()

    def ladder(body):
        packet, first = body[1], body[0] & 0xF0 | 0x86
        loads = body[5:] if packet == 0 else body[2:]
        parts = b"".join(bytes((n,)) + len(loads).to_bytes(3, "big") + loads for n in (0, 1))
        return bytes((first, 0x10 | packet)) + b"avc1" + parts

    laid_now = []
    tags = [(VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER), *camera.film(1)]
    timeline.lay([(t, ms, ladder(body) if t == VIDEO else body) for t, ms, body in tags], laid_now)
    preview = Preview(Taps(outlet), timeline)
    viewer = preview.watch()
    hand_out(preview, laid_now)
    data = await take_all(viewer)
    assert viewer.mime == 'video/mp4; codecs="avc1.64000D,mp4a.40.2"'
    assert pictures(data) == list(range(len(pictures(data))))
    assert len(pictures(data)) > 15
