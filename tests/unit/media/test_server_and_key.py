"""RTMP destinations as platforms show them, and what is sent of them: as OBS does.

The facts are those of OBS's librtmp (RTMP_ParseURL, RTMP_SetupURL): the application is all that follows the host,
without one slash at its end; tcUrl is the server up to there, or all of it without an application; server and key lose
the white space around them, and nothing else.
"""

import pytest

from streamferry.media.url import MediaUrl

OBS = [
    # server, key -> app, tcUrl, stream name
    ("rtmp://h/live", "ZPHwV/FJglIHz", "live", "rtmp://h/live", "ZPHwV/FJglIHz"),
    ("rtmp://h/publish-dm/", "k?v=1", "publish-dm", "rtmp://h/publish-dm", "k?v=1"),
    ("rtmp://h/publish-dm//", "k", "publish-dm/", "rtmp://h/publish-dm/", "k"),
    ("rtmp://h/a/b", "?key=1&vid=2", "a/b", "rtmp://h/a/b", "?key=1&vid=2"),
    ("rtmp://h/a?vhost=x", "k", "a?vhost=x", "rtmp://h/a?vhost=x", "k"),
    ("rtmps://h:443/rtmp/", "FB-1-0-Ab?s_bl=1&a=Abx", "rtmp", "rtmps://h:443/rtmp", "FB-1-0-Ab?s_bl=1&a=Abx"),
    ("rtmp://H.example:1935/app", "k", "app", "rtmp://H.example:1935/app", "k"),
    (
        "rtmps://id.global-contribute.live-video.net",
        "sk_eu_1",
        "",
        "rtmps://id.global-contribute.live-video.net",
        "sk_eu_1",
    ),
    ("rtmp://h/", "key/", "", "rtmp://h/", "key/"),
    ("  rtmp://h/live \t", " a b \n", "live", "rtmp://h/live", "a b"),
    ("rtmp://h/live", "a%2Fb+c==#d:e@f", "live", "rtmp://h/live", "a%2Fb+c==#d:e@f"),
    ("rtmp://h/live", "//k", "live", "rtmp://h/live", "//k"),
    ("rtmp://h/live", "你", "live", "rtmp://h/live", "你"),
    ("rtmp://h/cam?user=a&pass=b", "", "cam?user=a&pass=b", "rtmp://h/cam?user=a&pass=b", ""),
    ("rtmp://user:word@h/live/", "k", "live", "rtmp://h/live", "k"),
    ("rtmp://[2001:db8::1]:1935/live", "k", "live", "rtmp://[2001:db8::1]:1935/live", "k"),
]


@pytest.mark.parametrize(("server", "key", "app", "tc_url", "name"), OBS)
def test_server_and_key_are_sent_as_obs_sends_them(server: str, key: str, app: str, tc_url: str, name: str) -> None:
    """Application, tcUrl and stream name, byte for byte; nothing secret is shown."""
    url = MediaUrl.of_server(server, key)
    assert (*url.app_and_key, url.tc_url) == (app, name, tc_url)
    assert (url.is_rtmp, url.uses_tls) == (True, server.strip().startswith("rtmps"))
    if key.strip():
        assert key.strip() not in str(url).replace("rtmp", "")
        assert key.strip() in url.secrets
    assert url.apart is not None
    assert MediaUrl.of_server(*url.apart) == url


@pytest.mark.parametrize(
    ("text", "app", "name", "tc_url"),
    [
        ("rtmps://h:443//sk", "", "sk", "rtmps://h/"),
        ("rtmp://h/publish-dm//k", "publish-dm/", "k", "rtmp://h/publish-dm/"),
        ("rtmp://h/app/a b?c=d e", "app", "a b?c=d e", "rtmp://h/app"),
        (" rtmp://h/app/key ", "app", "key", "rtmp://h/app"),
        ("rtmp://h/app/你", "app", "你", "rtmp://h/app"),
        ("rtmp://h/vod/mp4:folder/film.mp4?t=1", "vod", "mp4:folder/film.mp4?t=1", "rtmp://h/vod"),
        ("rtmp://h/vod/_definst_/flv:a/b/c", "vod/_definst_", "flv:a/b/c", "rtmp://h/vod/_definst_"),
        ("rtmp://h/app/mp4:live", "app", "mp4:live", "rtmp://h/app"),
        ("rtmp://h/a/mp4x/key", "a/mp4x", "key", "rtmp://h/a/mp4x"),
    ],
)
def test_one_address_with_odd_parts(text: str, app: str, name: str, tc_url: str) -> None:
    """No application is said by two slashes; inner spaces and odd characters stay; it survives the store."""
    url = MediaUrl.parse(text)
    assert (*url.app_and_key, url.tc_url) == (app, name, tc_url)
    assert MediaUrl.parse(url.reveal()).app_and_key == url.app_and_key


@pytest.mark.parametrize(
    ("text", "named", "form"),
    [
        ("rtmps://abc.global-contribute.live-video.net/sk_eu_1", "Kick", "rtmps://HOST:443/app/KEY"),
        ("rtmp://a.rtmp.youtube.com/ab12-cd34", "YouTube", "/live2/KEY"),
        ("rtmps://live-api-s.facebook.com:443/FB-1", "Facebook", "/rtmp/KEY"),
        ("rtmp://live.twitch.tv/live_1", "Twitch", "/app/KEY"),
        ("rtmp://h/cam?user=a&pass=b", "application and a stream key", "two fields"),
        ("rtmp://h/key/", "application and a stream key", "two fields"),
        ("rtmp://h", "application and a stream key", "two fields"),
    ],
)
def test_an_address_without_an_application_is_told_by_its_platform(text: str, named: str, form: str) -> None:
    """The sentence names the platform and the form that it takes, or says what to do; the key is not repeated."""
    with pytest.raises(ValueError, match=named) as caught:
        _ = MediaUrl.parse(text).app_and_key
    assert form in str(caught.value)
    assert not {"sk_eu_1", "ab12-cd34", "FB-1", "live_1"} & set(str(caught.value).replace("/", " ").split())


@pytest.mark.parametrize("server", ["srt://h:9000", "https://h/live", "h/live", ""])
def test_a_server_of_another_kind_is_refused(server: str) -> None:
    """A key apart is RTMP's."""
    with pytest.raises(ValueError, match="rtmp://"):
        MediaUrl.of_server(server, "k")


def test_the_same_stream_however_it_is_given() -> None:
    """Two tasks for one stream are found out, whether it was given as one address or as two fields."""
    one = MediaUrl.parse("rtmp://h/live/key?s=1")
    assert MediaUrl.of_server("rtmp://H:1935/live/", "key?s=1").canonical == one.canonical
