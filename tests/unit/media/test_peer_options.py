"""What may be said to peers, and what of it is shown."""

import pytest

from streamferry.media.peer_options import MAX_ROTATE_S, End, PeerOptions, check_use, read_proxy
from streamferry.media.url import MediaUrl
from streamferry.reasons import InvalidPart

SECRETS = ("hidden-pw", "hidden-user", "hidden-cookie", "hidden-token", "hidden-x", "hidden-tc", "hidden-page")
FULL = PeerOptions(
    proxy=read_proxy("socks5h://hidden-user:hidden-pw@proxy.example:1081"),
    bind="192.0.2.7",
    headers=(
        ("User-Agent", "Player/1.0"),
        ("Cookie", "a=hidden-cookie"),
        ("authorization", "Bearer hidden-token"),
        ("X-Any", "hidden-x"),
    ),
    flash_ver="FMLE/3.0",
    tc_url="rtmp://hidden-user@cdn.example/app?t=hidden-tc",
    page_url="https://site.example/live?p=hidden-page",
)


def test_what_is_shown_holds_no_secret() -> None:
    """Neither the form for people nor ``repr`` does; what is no secret is there."""
    shown = f"{FULL.shown()} {FULL!r} {FULL}"
    assert not [one for one in SECRETS if one in shown]
    assert FULL.shown()["headers"] == {
        "User-Agent": "Player/1.0",
        "Cookie": "***",
        "authorization": "***",
        "X-Any": "***",
    }
    assert FULL.shown()["page_url"] == "https://site.example/live?***"
    assert FULL.shown()["proxy"].endswith("@proxy.example:1081")


def test_they_survive_the_store() -> None:
    """All of it comes back, and what is left at its default takes no room."""
    assert PeerOptions.from_json(FULL.to_json()) == FULL
    assert PeerOptions().to_json() == {}


def test_headers_go_to_the_server_that_they_were_given_for() -> None:
    """Another host, port or scheme gets only what says who asks."""
    home = MediaUrl.parse("https://a.example/live.m3u8?t=1")
    assert set(FULL.headers_for(MediaUrl.parse("https://A.example/x"), home)) == {
        "user-agent", "cookie", "authorization", "x-any",
    }  # fmt: skip
    for other in ("https://b.example/x", "http://a.example/x", "https://a.example:8443/x"):
        assert set(FULL.headers_for(MediaUrl.parse(other), home)) == {"user-agent"}


@pytest.mark.parametrize(
    "text",
    [
        "proxy:1080", "ftp://h:1", "https://h:1", "socks4://h:1", "http://h:1/path", "http://h:1?q", "http://", "http://:80",
        "socks5://h:99999", "socks5://" + "u" * 256 + "@h", "socks5://höst:1", "",
    ],
)  # fmt: skip
def test_what_is_no_proxy(text: str) -> None:
    """The sentence belongs to the field, and does not repeat the address."""
    with pytest.raises(InvalidPart) as caught:
        read_proxy(text)
    assert caught.value.name == "proxy"
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "x"), ("Content-Length", "1"), ("Range", "bytes=0-"), ("Proxy-Authorization", "x"), ("a b", "x"),
        ("", "x"),
        ("a:b", "x"), ("X", ""), ("X", "a\r\nInjected: b"), ("X", "ä"), ("X", "x" * 4097), ("X", " x"), ("Xé", "x"),
        ("X", "a\0b"),
    ],
)  # fmt: skip
def test_headers_that_cannot_be_sent(name: str, value: str) -> None:
    """Nothing that ends a line, is ours to set, or is no header; and the value is not repeated."""
    with pytest.raises(InvalidPart) as caught:
        PeerOptions(headers=((name, value),))
    assert caught.value.name == "headers"
    assert len(value) < 5 or value not in str(caught.value)


@pytest.mark.parametrize(
    "bind", ["localhost", "1.2.3", "::1/64", "10.0.0.1:80", "eth0", "::1%\0", "fe80::1%a\nb\x1b[31m"]
)
def test_a_local_address_is_an_ip_address(bind: str) -> None:
    """Not a name, an interface or a network."""
    with pytest.raises(InvalidPart, match="bind"):
        PeerOptions(bind=bind)


@pytest.mark.parametrize(
    ("options", "url", "name"),
    [
        (PeerOptions(proxy=read_proxy("http://p:1")), "srt://h:9000", "proxy"),
        (PeerOptions(bind="192.0.2.1"), "udp://239.1.1.1:5000", "bind"),
        (PeerOptions(proxy=read_proxy("http://p:1")), "file:///a.mp4", "proxy"),
        (PeerOptions(headers=(("X", "y"),)), "rtmp://h/a/b", "headers"),
        (PeerOptions(tc_url="rtmp://h/a"), "https://h/a.flv", "tc_url"),
        (PeerOptions(flash_ver="x"), "rtsp://h/a", "flash_ver"),
    ],
)
def test_an_option_without_an_effect_is_refused_by_its_name(options: PeerOptions, url: str, name: str) -> None:
    """Nobody believes in a proxy that is not used."""
    with pytest.raises(InvalidPart) as caught:
        check_use(End.LIVE, options, [MediaUrl.parse(url)])
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("end", "options", "name"),
    [
        (End.LIVE, PeerOptions(rotate_s=60), "rotate_s"),
        (End.FILES, PeerOptions(rotate_s=60), "rotate_s"),
        (End.LIVE, PeerOptions(overlap=True), "overlap"),
        (End.FILES, PeerOptions(keep_drift=True), "keep_drift"),
        (End.DESTINATION, PeerOptions(keep_drift=True), "keep_drift"),
        (End.FILES, PeerOptions(segments_behind=5), "segments_behind"),
        (End.DESTINATION, PeerOptions(max_kbps=900), "max_kbps"),
    ],
)
def test_an_option_of_the_other_end_is_refused_by_its_name(end: End, options: PeerOptions, name: str) -> None:
    with pytest.raises(InvalidPart, match=r"is for (live sources|destinations)") as caught:
        check_use(end, options, [MediaUrl.parse("https://h/a.m3u8")])
    assert caught.value.name == name


def test_two_do_not_put_the_segments_of_one_playlist() -> None:
    """They would overwrite each other's."""
    with pytest.raises(InvalidPart, match="no effect") as caught:
        check_use(End.DESTINATION, PeerOptions(overlap=True), [MediaUrl.parse("https://h/a.m3u8")])
    assert caught.value.name == "overlap"


@pytest.mark.parametrize("seconds", [-1, 1, 59, MAX_ROTATE_S + 1])
def test_sessions_are_rotated_once_a_minute_at_most(seconds: int) -> None:
    """Platforms begin a broadcast with each."""
    with pytest.raises(InvalidPart, match="must be 0, or 60 to 604800 seconds") as caught:
        PeerOptions(rotate_s=seconds)
    assert caught.value.name == "rotate_s"


@pytest.mark.parametrize("options", [{"segments_behind": -1}, {"segments_behind": 101}, {"max_kbps": -1}])
def test_what_no_live_hls_can_be_played_by_is_refused_by_its_name(options: dict[str, int]) -> None:
    with pytest.raises(InvalidPart, match="must be from 0 to 1") as caught:
        PeerOptions(**options)  # type: ignore[arg-type]
    assert [caught.value.name] == list(options)


def test_what_are_no_texts_is_stored_and_shown() -> None:
    told = {"keep_drift": True, "segments_behind": 5, "max_kbps": 900, "rotate_s": 43_000, "overlap": True}
    options = PeerOptions.from_json(told)
    assert options.shown() == options.to_json() == told
    assert PeerOptions.from_json(options.to_json()) == options


def test_secrets_are_known_also_in_parts() -> None:
    """Servers repeat the token of a header and the value of a query, not all of it; a password may hold an ``@``."""
    options = PeerOptions(
        headers=(("Authorization", "Bearer TOKEN1"), ("Cookie", "a=COOKIE1; b=COOKIE2")),
        page_url="https://me:p@ss1@h.example/?p=QUERY1",
    )
    assert {"TOKEN1", "COOKIE1", "COOKIE2", "QUERY1", "p@ss1"} <= set(options.secrets)
    assert "ss1" not in str(options.shown()["page_url"])
