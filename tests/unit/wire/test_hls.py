"""HLS playlists: which variant, and what a playlist says of itself."""

import pytest

from streamferry.wire.hls import Playlist, Variant, names_playlist

MINIMAL = b"#EXTM3U"
BASE = "https://cdn.example.com/a/master.m3u8?token=t"
MASTER = b"""#EXTM3U
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
    found = Playlist.parse(MASTER).best_variant(BASE)
    assert found == Variant("https://cdn.example.com/b/high.m3u8?x=1", "https://cdn.example.com/a/en.m3u8")


def test_a_variant_as_a_master_playlist() -> None:
    """What is written is read as the same variant, with and without sound of its own."""
    for variant in (Variant("http://h/v.m3u8"), Variant("http://h/v.m3u8", "http://h/a.m3u8")):
        assert Playlist.parse(variant.as_master().encode()).best_variant("http://elsewhere/") == variant


def test_a_media_playlist_has_no_variants() -> None:
    """It says how long segments are, and whether more will come."""
    text = "\ufeff#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n#EXTINF:5.9,\r\n1.ts\r\n".encode()
    live = Playlist.parse(text)
    assert live.best_variant(BASE) is None
    assert (live.target_duration, live.is_finished) == (6, False)
    assert Playlist.parse(text + b"#EXT-X-ENDLIST").is_finished


def test_the_segments_of_a_media_playlist() -> None:
    """Their addresses are absolute; the first has the number that the playlist tells, or 0."""
    live = Playlist.parse(b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:41\n#EXTINF:6,\n41.ts?a\n#EXTINF:6,\n/x/42.ts\n")
    assert live.media_sequence == 41
    assert live.segment_addresses(BASE) == ["https://cdn.example.com/a/41.ts?a", "https://cdn.example.com/x/42.ts"]
    assert Playlist.parse(MINIMAL).media_sequence == 0


def test_what_is_no_playlist() -> None:
    """A page is none, and neither is nothing."""
    for data in (b"<html></html>", b"", b"\xff\xfe\0"):
        with pytest.raises(ValueError, match="no HLS playlist"):
            Playlist.parse(data)
    assert Playlist.parse(MINIMAL).target_duration == 0


def test_what_is_called_a_playlist() -> None:
    """By a server, or by its address."""
    assert names_playlist("application/vnd.apple.mpegurl", "/live")
    assert names_playlist("text/plain", "/live.m3u8")
    assert not names_playlist("video/mp2t", "/live.ts")
