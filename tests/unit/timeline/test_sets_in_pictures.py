"""A21: live H.264 and HEVC whose parameter sets are in the keyframes alone: players and servers need a header."""

import pytest

from streamferry.media.tag import KEYFRAME, METADATA, SEQUENCE_HEADER, VIDEO
from streamferry.push import Outlet
from streamferry.relay.feed import LiveFeed
from streamferry.source.flv import FlvReader
from streamferry.source.live import SCRATCH_BYTES, ConnectionInlet
from streamferry.timeline import Timeline
from streamferry.wire.codecs import parse_video_header
from streamferry.wire.flv import parse_metadata, serialize_flv_header, serialize_tag
from streamferry.wire.parameter_sets import SequenceHeader

# What ffmpeg 7 writes for 322 x 182 pixels: baseline and high profile.
AVC = bytes.fromhex(
    "17000000000142c00dffe100196742c00ddb05467889b011000003000100000300320f142ae001000568ca83cb20",
)
OTHER_AVC = bytes.fromhex(
    "17000000000164000dffe1001a6764000dacd941519e226c0440000003004000000c83c50a658001000768eae3cb3002c0fdf8f800"
)
VPS = bytes.fromhex("40010c01ffff01600000030090000003000003003c959809")
HEVC_SPS = bytes.fromhex("42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000000c84")
HEVC_PPS = bytes.fromhex("4401c172b46240")
AVC_SETS, OTHER_AVC_SETS = (SequenceHeader.parse(one).sets for one in (AVC, OTHER_AVC))
HEVC_SETS = (VPS, HEVC_SPS, HEVC_PPS)

#: Name -> what a keyframe and a frame begin with, the sets, a slice of a keyframe and one of a frame.
FORMS = {
    "avc": (b"\x17\1\0\0\0", b"\x27\1\0\0\0", AVC_SETS, b"\x65", b"\x41"),
    "avc1": (b"\x91avc1\0\0\0", b"\xa1avc1\0\0\0", AVC_SETS, b"\x65", b"\x41"),
    "avc1, FrameX": (b"\x93avc1", b"\xa3avc1", AVC_SETS, b"\x65", b"\x41"),
    "hevc, id 12": (b"\x1c\1\0\0\0", b"\x2c\1\0\0\0", HEVC_SETS, b"\x26\1", b"\2\1"),
    "hvc1": (b"\x91hvc1\0\0\0", b"\xa1hvc1\0\0\0", HEVC_SETS, b"\x26\1", b"\2\1"),
}


def units(*found):
    return b"".join(len(one).to_bytes(4) + one for one in found)


def group(name, at_ms, *, sets=None):
    """A second of pictures, the first with parameter sets."""
    key, inter, own, key_slice, slice_ = FORMS[name]
    first = key + units(*(own if sets is None else sets), key_slice + b"picture")
    return [(VIDEO, at_ms, first)] + [
        (VIDEO, at_ms + ms, inter + units(slice_ + b"picture")) for ms in range(40, 1000, 40)
    ]


def lay(timeline, tags):
    out = []
    timeline.lay(tags, out)
    return out


def live():
    timeline = Timeline()
    timeline.begin_live()
    return timeline


def headers(laid):
    return [bytes(tag[2]) for tag in laid if tag[0] == VIDEO and tag[3] == SEQUENCE_HEADER]


@pytest.mark.parametrize("name", FORMS)
def test_pictures_were_sent_without_a_header(name):
    """It is made of the first keyframe, goes out before it, once, and later destinations get it, too."""
    timeline = live()
    laid = lay(timeline, group(name, 5000) + group(name, 6000))
    (header,) = headers(laid)
    assert SequenceHeader.parse(header).sets == FORMS[name][2]
    form = parse_video_header(header)
    assert (form.width, form.height) == (322, 182)
    kinds = [tag[3] for tag in laid if tag[0] == VIDEO]
    assert kinds[0] == SEQUENCE_HEADER
    assert len(kinds) == 1 + 2 * 25
    (told,) = (parse_metadata(tag[2]) for tag in laid if tag[3] == METADATA)
    assert (told["width"], told["height"]) == (322, 182)
    assert header in [tag[2] for tag in timeline.headers]


def test_one_that_changes_is_told_before_its_keyframe():
    timeline = live()
    laid = lay(timeline, group("avc", 0) + group("avc", 1000, sets=OTHER_AVC_SETS) + group("avc", 2000))
    assert [body[5:] for body in headers(laid)] == [AVC[5:], OTHER_AVC[5:-4], AVC[5:]]
    pictures = [tag for tag in laid if tag[0] == VIDEO]
    at = [index for index, tag in enumerate(pictures) if tag[3] == SEQUENCE_HEADER]
    assert at == [0, 26, 52]
    assert [pictures[index + 1][1] for index in at] == [0, 1000, 2000]
    assert len([tag for tag in pictures if tag[3] <= KEYFRAME]) == 75


def test_a_picture_that_brings_one_of_the_sets_keeps_the_others():
    other = b"\x68\xca\x83\xcb\x21"
    laid = lay(live(), group("avc", 0) + group("avc", 1000, sets=[other]))
    assert SequenceHeader.parse(headers(laid)[1]).sets == (AVC_SETS[0], other)


def test_the_next_session_has_it_too_and_it_is_not_told_again():
    timeline = live()
    lay(timeline, group("hvc1", 0))
    timeline.begin_live()
    laid = lay(timeline, group("hvc1", 90_000))
    assert headers(laid) == []
    assert len(laid) == 25
    assert [tag[2] for tag in timeline.headers if tag[0] == VIDEO]


def test_a_header_that_comes_later_holds():
    timeline = live()
    lay(timeline, group("avc", 0))
    laid = lay(timeline, [(VIDEO, 1000, OTHER_AVC), *group("avc", 1000), *group("avc", 2000)])
    assert headers(laid) == [OTHER_AVC]


@pytest.mark.parametrize(
    "body",
    [
        b"\x17\1\0\0\0" + units(b"\x65picture"),
        b"\x17\1\0\0\0" + units(AVC_SETS[0], b"\x65picture"),
        b"\x17\1\0\0\0" + units(b"\x67\1", b"\x68\1", b"\x65"),
        b"\x17\1\0\0\0\xff\xff\xff\xff\x67",
        b"\x1c\1\0\0\0" + units(b"\x40\1", b"\x42\1", b"\x44\1"),
        b"\x1c\1\0\0\0" + units(VPS, HEVC_SPS[:12], HEVC_PPS),
        b"\x91av01" + units(*AVC_SETS),
        b"\x97avc1" + units(*AVC_SETS),
    ],
)
def test_without_all_sets_there_is_no_header_and_nothing_is_lost(body):
    """And a keyframe that has them later gets one."""
    timeline = live()
    laid = lay(timeline, [(VIDEO, 0, body), (VIDEO, 40, b"\x27\1\0\0\0" + units(b"\x41"))])
    assert headers(laid) == []
    if body[0] == 0x17:
        assert len(laid) >= 2
        assert headers(lay(timeline, group("avc", 80))) == [AVC]


def test_every_keyframe_of_such_a_source_is_looked_at():
    """The fast path, which looks at no body, steps aside."""
    pieces = [serialize_flv_header(True, True) + b"".join(serialize_tag(*tag) for tag in group("avc", 0))]
    pieces.append(b"".join(serialize_tag(*tag) for tag in group("avc", 1000, sets=OTHER_AVC_SETS)))

    class Connection:
        def close(self):
            pass

    def receive_into(view):
        if not pieces:
            return None
        piece = pieces.pop(0)
        view[: len(piece)] = piece
        return len(piece)

    timeline = Timeline()
    inlet = ConnectionInlet(Connection(), receive_into, FlvReader())
    feed = LiveFeed(inlet, timeline, memoryview(bytearray(SCRATCH_BYTES)), 0.0, outlet=Outlet())
    assert feed.fast_path is not None
    sent = len(pieces[0]) + len(pieces[1])
    laid = []
    feed.pull(0.0, laid)
    assert feed.fast_path is None
    feed.pull(1.0, laid)
    assert feed.bytes_in == sent
    assert [body[5:] for body in headers(laid)] == [AVC[5:], OTHER_AVC[5:-4]]
