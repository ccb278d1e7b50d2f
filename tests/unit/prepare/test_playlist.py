"""VOD HLS: which variant is taken, and what ffmpeg is told of it."""

import pytest

from streamferry.media.errors import SourceUnsupported
from streamferry.prepare.playlist import choose_variant

MEDIA = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\na.ts\n#EXTINF:1.5,\nb.ts\n#EXT-X-ENDLIST\n"
BASE = "http://host/films/one"


def chosen_of(**texts: str) -> tuple[str, float]:
    """What is chosen where ``texts`` are at the addresses of their names under BASE; ``start`` is the one asked for."""

    def read(address: str) -> tuple[str, str]:
        return texts[address.removeprefix(f"{BASE}/").partition("?")[0].replace(".m3u8", "")], address

    chosen = choose_variant(f"{BASE}/start.m3u8?token=1", read)
    return chosen.text, chosen.seconds


def test_a_media_playlist_is_named_by_its_address() -> None:
    """ffmpeg fetches it itself, so that what is relative in it stays right."""
    text, seconds = chosen_of(start=MEDIA)
    assert text.splitlines()[-1] == f"{BASE}/start.m3u8?token=1"
    assert seconds == 3.5


def test_of_a_master_the_highest_bandwidth_that_flv_can_carry_is_taken() -> None:
    """A better variant in a codec without a place in FLV comes last."""
    master = (
        "#EXTM3U\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=100,CODECS="avc1.4d400c,mp4a.40.2"\nlow.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=300,CODECS="avc1.4d400c,mp4a.40.2"\nmiddle.m3u8?t=2\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=900,CODECS="dvh1.05.06,ec-3"\nhigh.m3u8\n'
    )
    text, _ = chosen_of(start=master, middle=MEDIA)
    assert text.splitlines()[-1] == f"{BASE}/middle.m3u8?t=2"
    assert "low" not in text
    assert "AUDIO" not in text


def test_sound_in_a_playlist_of_its_own_comes_along() -> None:
    """The default rendition of the variant's audio group, by its absolute address."""
    master = (
        "#EXTM3U\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="de",URI="de.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="en",DEFAULT=YES,URI="en.m3u8?t=3"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="other",NAME="en",DEFAULT=YES,URI="other.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=100,AUDIO="g"\nv.m3u8\n'
    )
    text, _ = chosen_of(start=master, v=MEDIA)
    assert f'URI="{BASE}/en.m3u8?t=3"' in text
    assert text.splitlines()[-1] == f"{BASE}/v.m3u8"


def test_a_live_playlist_is_refused() -> None:
    """Without EXT-X-ENDLIST it has no end that could be prepared."""
    with pytest.raises(SourceUnsupported, match="live HLS"):
        chosen_of(start=MEDIA.replace("#EXT-X-ENDLIST\n", ""))


def test_a_playlist_without_segments_is_refused() -> None:
    """It would be an item without a frame."""
    with pytest.raises(SourceUnsupported, match="without segments"):
        chosen_of(start="#EXTM3U\n#EXT-X-ENDLIST\n")
