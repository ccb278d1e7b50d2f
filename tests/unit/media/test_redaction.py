"""What is shown of an address: never a secret, wherever its kind of address keeps it."""

import random
import string

import pytest

from streamferry.media.redaction import use_marks
from streamferry.media.url import MediaUrl
from streamferry.net.ffmpeg import redactor

#: Address with a place for a secret -> what is shown of it.
KINDS = {
    "https://hooks.slack.com/services/T0001/B0002/{}": "https://hooks.slack.com/***",
    "https://calls.example/{}": "https://calls.example/***",
    "https://calls.example/hook/{}/": "https://calls.example/***",
    "https://calls.example/hook.php?k={}": "https://calls.example/***?***",
    "http://iptv.example:8080/live/alice/{}/1234.ts": "http://iptv.example:8080/***/1234.ts",
    "http://iptv.example/get.php?username=alice&password={}&type=m3u_plus": "http://iptv.example/***?***",
    "http://iptv.example/movie/alice/{}/Some.Film.2019.mkv": "http://iptv.example/***/Some.Film.2019.mkv",
    "https://ingest.example/hls/{}/index.m3u8": "https://ingest.example/***/index.m3u8",
    "https://ingest.example/{}.m3u8": "https://ingest.example/***.m3u8",
    "https://a.upload.youtube.com/http_upload_hls?cid={}&copy=0&file=out.m3u8": "https://a.upload.youtube.com/***?***",
    "http://pull.example/live/{}.flv": "http://pull.example/***.flv",
    "http://cdn.example/{}/film.mp4": "http://cdn.example/***/film.mp4",
    "http://cdn.example/film.mp4?token={}": "http://cdn.example/film.mp4?***",
    "rtsp://admin:{}@camera.example/Streaming/Channels/101": "rtsp://***@camera.example/***",
    "rtsp://camera.example/user=admin_password={}_channel=1_stream=0.sdp": "rtsp://camera.example/***",
    "rtmp://push.example/live/{}": "rtmp://push.example/live/***",
    "rtmp://push.example/live/key?auth={}": "rtmp://push.example/live/***?***",
    "rtmp://push.example/live/{}/?a=1": "rtmp://push.example/live/***?***",
    "rtmp://push.example/live/{}/": "rtmp://push.example/live/***",
    "rtmp://push.example/live/{}/{}?a=1": "rtmp://push.example/live/***?***",
    "rtmp://push.example//live//{}//": "rtmp://push.example/live/***",
    "rtmp://push.example/{}": "rtmp://push.example/***",
    "rtmp://push.example/{}/": "rtmp://push.example/***",
    "rtmps://push.example/{}?a=1": "rtmps://push.example/***?***",
    "rtmp://push.example/live/?streamname={}": "rtmp://push.example/live/?***",
    "rtmp://push.example/live?vhost=a/{}": "rtmp://push.example/live?***",
    "srt://in.example:9000?streamid={}&passphrase=0123456789": "srt://in.example:9000?***",
}
#: What people call their files is shown, so that they tell them apart.
READABLE = (
    "http://files.example/intro.mp4",
    "http://files.example/My%20Holiday%20Film-2024_part2.mkv",
    "http://files.example/s01e02-1080p.mkv",
    "http://files.example/2026-11-29_news_1830.mp4",
    "http://files.example/%E7%94%B5%E5%BD%B1.mp4",
    "http://files.example/index.m3u8",
    "http://files.example/1234.ts",
    "http://files.example",
)


def draw(chance: random.Random) -> str:
    """A secret as services draw them: hex, base62, a UUID, or a word that somebody has thought of."""
    alphabet = chance.choice(("0123456789abcdef", string.ascii_letters + string.digits, string.ascii_lowercase + "-_"))
    return "zq" + "".join(chance.choice(alphabet) for _ in range(chance.randint(10, 40)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_secret_of_each_kind_of_address_was_shown(kind: str) -> None:
    """Of whatever form: neither in the address nor in a program's words about it."""
    chance = random.Random(kind)
    for _ in range(100):
        secret = draw(chance)
        url = MediaUrl.parse(kind.format(secret, secret))
        assert url.redacted == str(url) == KINDS[kind]
        assert secret not in repr(url)
        said = f"404 for {url.path}?{url.query}; {url.reveal()}"
        assert secret not in redactor(url)(said)


@pytest.mark.parametrize("address", READABLE)
def test_plain_names_of_files_stay_readable(address: str) -> None:
    """As they were given."""
    assert MediaUrl.parse(address).redacted == address


@pytest.mark.parametrize(
    "name",
    [
        "550e8400-e29b-41d4-a716-446655440000",
        "d41d8cd98f00b204e9800998ecf8427e",
        "Xk29dLpQ81zz7Gh",
        "bcdfghjklmnp",
        "a" * 61,
    ],
)
def test_names_that_a_program_has_drawn_are_hidden(name: str) -> None:
    """A file of which the name is the secret."""
    assert MediaUrl.parse(f"https://files.example/{name}.mp4").redacted == "https://files.example/***.mp4"


def test_marks_tell_two_hidden_keys_apart() -> None:
    """Once their key is known; the same key gives the same mark, another one another, and it is three digits."""
    one, other = (MediaUrl.parse(f"rtmp://push.example/live/{key}") for key in ("planted-1", "planted-2"))
    assert one.redacted == other.redacted == "rtmp://push.example/live/***"
    use_marks("a key")
    shown = one.redacted
    assert shown != other.redacted
    assert shown == MediaUrl.parse("rtmp://push.example/live/planted-1").redacted
    assert len(shown) == len("rtmp://push.example/live/***·a3f")
    # Shown by whom has no key, as a child or an older version.
    assert one.is_shown_as("rtmp://push.example/live/***")
    assert not one.is_shown_as(other.redacted)
    use_marks("another key")
    assert one.redacted != shown


def test_a_folder_is_not_taken_out_of_other_words() -> None:
    """What is hidden of a path may be a common word."""
    redact = redactor(MediaUrl.parse("http://h.example/live/alice/sesame.ts"))
    assert redact("delivered alive, live alice/sesame.ts") == "delivered alive, *** ***/***.ts"


@pytest.mark.parametrize(
    "spelling",
    [
        "rtmp://push.example//live/key",
        "rtmp://push.example/live//key",
        "rtmp://push.example./live/key",
        "rtmp://user:word@push.example/live/key",
        "rtmp://push.example:1935/live/key",
        "RTMP://PUSH.example/live/key",
        "rtmp://push.example/live/%6bey",
        "rtmp://push.example/l%69ve/key",
    ],
)
def test_spellings_of_one_destination_were_several(spelling: str) -> None:
    """Each reaches the same stream; what stands in the query, or in another case in the path, may be another."""
    plain = MediaUrl.parse("rtmp://push.example/live/key")
    assert plain.canonical == plain.reveal()
    assert MediaUrl.parse(spelling).canonical == plain.canonical
    for other in ("/live/Key", "/live/key?vhost=a", "/live2/key", ":1936/live/key", "/live/key%2Fa"):
        assert MediaUrl.parse(f"rtmp://push.example{other}").canonical != plain.canonical
    assert MediaUrl.parse("rtmp://[0::1]/a/b").canonical == MediaUrl.parse("rtmp://[::1]/a/b").canonical
