"""HLS playlists: which variant, and what a playlist says of itself."""

from streamferry.wire.hls import (
    Variant,
    best_variant,
    is_finished,
    is_playlist,
    media_sequence,
    playlist_lines,
    segment_addresses,
    target_duration,
)

BASE = "https://cdn.example.com/a/master.m3u8?token=t"
MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="snd",NAME="de",URI="de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="snd",NAME="en",DEFAULT=YES,URI="en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="vp09.00.10.08,opus"
vp9.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS="avc1.42c01e,mp4a.40.2"
low.m3u8

#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="snd"
/b/high.m3u8?x=1
"""


def test_the_best_variant_that_flv_can_carry() -> None:
    """The highest bandwidth, but before it the codecs; addresses are absolute; the default sound belongs to it."""
    found = best_variant(playlist_lines(MASTER), BASE)
    assert found == Variant("https://cdn.example.com/b/high.m3u8?x=1", "https://cdn.example.com/a/en.m3u8")


def test_a_variant_as_a_master_playlist() -> None:
    """What is written is read as the same variant, with and without sound of its own."""
    for variant in (Variant("http://h/v.m3u8"), Variant("http://h/v.m3u8", "http://h/a.m3u8")):
        assert best_variant(playlist_lines(variant.as_master()), "http://elsewhere/") == variant


def test_a_media_playlist_has_no_variants() -> None:
    """It says how long segments are, and whether more will come."""
    live = playlist_lines("\ufeff#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n#EXTINF:5.9,\r\n1.ts\r\n")
    assert best_variant(live, BASE) is None
    assert (is_playlist(live), target_duration(live), is_finished(live)) == (True, 6, False)
    assert is_finished([*live, "#EXT-X-ENDLIST"])


def test_the_segments_of_a_media_playlist() -> None:
    """Their addresses are absolute; the first has the number that the playlist tells, or 0."""
    live = playlist_lines("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:41\n#EXTINF:6,\n41.ts?a\n#EXTINF:6,\n/x/42.ts\n")
    assert media_sequence(live) == 41
    assert segment_addresses(live, BASE) == ["https://cdn.example.com/a/41.ts?a", "https://cdn.example.com/x/42.ts"]
    assert media_sequence(["#EXTM3U"]) == 0


def test_what_is_no_playlist() -> None:
    """A page is none, and neither is nothing."""
    assert not is_playlist(playlist_lines("<html></html>"))
    assert not is_playlist([])
    assert target_duration([]) == 0
