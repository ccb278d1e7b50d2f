"""What a low-latency playlist offers: parts, hints, requests that wait (RFC 8216bis, 4.4.3.7 to 4.4.5.3)."""

import pytest

from streamferry.wire.hls import Playlist
from streamferry.wire.hls_segments import Piece, parse_segments, parsed

CONTROL = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5,HOLD-BACK=9"
INF = "#EXT-X-PART-INF:PART-TARGET=0.5"
PART = '#EXT-X-PART:DURATION=0.5,URI="p"'


def listed(*lines, head=(CONTROL, INF), with_parts=True):
    text = "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:7", *head, *lines])
    return parsed(Playlist.parse(text.encode()), with_parts=with_parts)


def test_parts_of_complete_segments_and_of_the_one_that_is_made():
    found = listed(
        *(
            '#EXT-X-MAP:URI="init"',
            '#EXT-X-PART:DURATION=0.5,URI="a0",INDEPENDENT=YES',
            '#EXT-X-PART:DURATION=0.5,URI="a1"',
        ),
        *("#EXTINF:1,", "a", "#EXT-X-DISCONTINUITY", '#EXT-X-PART:URI="b0",DURATION=0.49999999999'),
        *('#EXT-X-PART:DURATION=0.5,URI="b1",GAP=YES', '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b2"'),
        *('#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="next"', '#EXT-X-RENDITION-REPORT:URI="other",LAST-MSN=8'),
    )
    (segment,), offer = found.segments, found.offer
    assert [(one.number, one.part, one.media.uri, one.is_start) for one in segment.parts] == [
        (7, 0, "a0", True),
        (7, 1, "a1", False),
    ]
    first, second = offer.open_parts
    assert (first.number, first.part, first.is_break, first.breaks, first.is_start) == (8, 0, True, 1, True)
    assert (second.part, second.is_break, second.is_gap, second.header) == (1, False, True, Piece("init"))
    assert (offer.target_s, offer.hold_back_s, offer.blocks) == (0.5, 1.5, True)
    assert (offer.hint.number, offer.hint.part, offer.hint.media, offer.hint.header) == (
        8,
        2,
        Piece("b2"),
        Piece("init"),
    )


def test_ranges_go_on_where_the_one_before_them_ended():
    found = listed(
        *('#EXT-X-PART:DURATION=0.5,URI="a",BYTERANGE="100@20"', '#EXT-X-PART:DURATION=0.5,URI="a",BYTERANGE="50"'),
        *(
            '#EXT-X-PART:DURATION=0.5,URI="b",BYTERANGE="7"',
            "#EXTINF:1.5,",
            "a",
            "#EXT-X-BYTERANGE:5@1",
            "#EXTINF:1,",
            "c",
        ),
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b",BYTERANGE-START=7,BYTERANGE-LENGTH=9',
    )
    assert [one.media for one in found.segments[0].parts] == [
        Piece("a", 20, 100),
        Piece("a", 120, 50),
        Piece("b", 0, 7),
    ]
    assert found.segments[1].media == Piece("c", 1, 5)
    assert found.offer.hint.media == Piece("b", 7, 9)


def test_a_hint_without_an_end_may_hold_many_parts():
    assert listed('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b",BYTERANGE-START=7').offer.hint is None
    assert listed('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b",BYTERANGE-START=0').offer.hint.media == Piece("b")


@pytest.mark.parametrize(
    ("control", "hold_back_s"),
    [("", 1.5), ("#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=0.6", 1.5), ("#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=1.0", 1.0)],
)
def test_how_far_a_session_holds_back(control, hold_back_s):
    """What the server says, if it is two part targets at least; else three."""
    offer = listed(PART, head=[INF, control]).offer
    assert (offer.hold_back_s, offer.blocks) == (hold_back_s, False)


@pytest.mark.parametrize(
    "lines",
    [
        *([f'#EXT-X-PART:DURATION={text},URI="p"'] for text in ("", "0", "-1", "nan", "inf", "1e9", "99", "0.001")),
        *(["#EXT-X-PART:DURATION=0.5"], ['#EXT-X-PART:DURATION=0.5,URI=""'], ["#EXT-X-PART:"], [PART] * 1_001),
        *([PART + f',BYTERANGE="{text}"'] for text in ("", "x", "5@", "-5@1")),
        *([f"#EXT-X-PART-INF:PART-TARGET={text}"] for text in ("0", "60", "", "nan")),
        ["#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=x"],
        ['#EXT-X-PRELOAD-HINT:TYPE=PART,URI=""'],
        ['#EXT-X-PRELOAD-HINT:TYPE=PART,URI="a",BYTERANGE-START=x'],
        ['#EXT-X-KEY:METHOD=AES-128,URI="key"', PART],
    ],
)
def test_an_offer_that_cannot_be_read_is_none(lines):
    """The playlist is played by its segments."""
    found = listed("#EXTINF:1,", "a", *lines, "#EXTINF:1,", "b")
    assert found.offer.target_s == 0
    assert found.offer.hint is None
    assert [one.media.uri for one in found.segments] == ["a", "b"]


def test_who_does_not_want_parts_is_given_none():
    text = listed(PART, PART, "#EXTINF:1,", "a", PART, with_parts=False)
    assert text.offer.target_s == 0
    assert text.segments == parse_segments(Playlist.parse(b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:1,\na"))
